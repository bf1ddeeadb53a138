"""Properties of all images: what is kept, turned and mirrored, in every geometry."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import ConfigError
from data.batch import Hits
from data.detector.geometry import (
    EE_ETA,
    EE_PHI,
    EE_TO_ECAL,
    EE_TO_HBHE,
    EE_VALID,
    HBHE_ETA,
    HBHE_ETA_EDGES,
    ecal_cell,
    ecal_to_hbhe,
    ee_cell,
    hbhe_cell,
)
from data.detector.images import IMAGES, STACKS, lacking, make_image, stack
from tests.conftest import ROOT
from tests.test_images import random_hits, turned

COMPONENTS = ("energy", "ET", "EZ")
seeds = st.integers(0, 2**16)
few = settings(max_examples=6, deadline=None)


def total(name: str, hits: dict[str, Hits], upsampling: str = "conserving") -> np.ndarray:
    return make_image(name, hits, upsampling).astype(float).sum(axis=(1, 2))


@given(seeds)
@few
def test_every_geometry_holds_the_same_energy(seed: int) -> None:
    hits = random_hits(seed)
    for part in COMPONENTS:
        barrel = total(f"EB_{part}", hits)
        endcaps = total(f"EEm_{part}", hits) + total(f"EEp_{part}", hits)
        close = {"rtol": 1e-5, "atol": 1e-3}
        for name in (f"ECAL_{part}", f"ECAL_EEup_{part}", f"HBHE_EM{part}"):
            np.testing.assert_allclose(total(name, hits), barrel + endcaps, **close)
        towers = total(f"HBHE_{part}", hits)
        behind = total(f"HBHE_{part}_EB", hits)
        at_endcaps = total(f"HBHE_{part}_EEm", hits) + total(f"HBHE_{part}_EEp", hits)
        np.testing.assert_allclose(total(f"HBHE_{part}_up", hits), towers, **close)
        np.testing.assert_allclose(total(f"HBHE_{part}_EB_up", hits), behind, **close)
        np.testing.assert_allclose(at_endcaps, towers - behind, **close)
        np.testing.assert_allclose(
            total(f"HBHE_{part}_up", hits, "repeated"), 25 * towers, rtol=1e-5, atol=0.02
        )


def test_repeated_upsampling_holds_the_tower_in_every_cell() -> None:
    hits = random_hits(4)
    towers = make_image("HBHE_energy", hits)
    repeated = make_image("HBHE_energy_up", hits, "repeated")
    np.testing.assert_array_equal(repeated, towers.repeat(5, axis=1).repeat(5, axis=2))
    np.testing.assert_array_equal(
        make_image("HBHE_energy_EB_up", hits, "repeated"), repeated[:, 55:225]
    )
    np.testing.assert_allclose(make_image("HBHE_energy_up", hits), repeated / 25, rtol=1e-6)


@given(seeds)
@few
def test_transverse_and_longitudinal_parts_make_the_energy(seed: int) -> None:
    hits = random_hits(seed)
    for name in ("EB_{}", "EEm_{}", "EEp_{}", "HBHE_{}"):
        energy, et, ez = (make_image(name.format(part), hits).astype(float) for part in COMPONENTS)
        np.testing.assert_allclose(et**2 + ez**2, energy**2, rtol=1e-5)
    for name in ("ECAL_{}", "ECAL_EEup_{}", "HBHE_EM{}", "HBHE_{}_up"):
        energy, et, ez = (make_image(name.format(part), hits) for part in COMPONENTS)
        assert (et <= energy * (1 + 1e-6)).all()
        assert (np.abs(ez) <= energy * (1 + 1e-6)).all()


@given(st.integers(0, 71), seeds)
@few
def test_phi_rotation_moves_columns_of_every_image(towers: int, seed: int) -> None:
    """Five crystals are one tower; EE's lattice in x and y is no symmetry and is left empty."""
    hits = random_hits(seed) | {"EE": Hits.empty(3)}
    rotated = turned(hits, towers)
    for name, made in IMAGES.items():
        if made.shape[1] != 100:
            steps = towers * (made.shape[1] // 72)
            np.testing.assert_array_equal(
                make_image(name, rotated), np.roll(make_image(name, hits), steps, axis=2), name
            )


def mirrored(hits: dict[str, Hits]) -> dict[str, Hits]:
    """The event with z reversed."""

    def cell(found: Hits, rows: int, columns: int) -> np.ndarray:
        row, column = np.divmod(found.cell.astype(np.int64), columns)
        return ((rows - 1 - row) * columns + column).astype(np.uint32)

    endcap, tracks = hits["EE"], hits["TRK"]
    return {
        "EB": replace(hits["EB"], cell=cell(hits["EB"], 170, 360)),
        "EE": replace(endcap, cell=((endcap.cell + 10000) % 20000).astype(np.uint32)),
        "HBHE": replace(hits["HBHE"], cell=cell(hits["HBHE"], 56, 72)),
        "TRK": replace(tracks, cell=cell(tracks, 280, 360), eta=-tracks.eta, z=-tracks.z),
    }


@given(seeds)
@few
def test_z_reflection_mirrors_rows_of_every_image(seed: int) -> None:
    hits = random_hits(seed)
    reflected = mirrored(hits)
    for name, made in IMAGES.items():
        sign = -1 if "EZ" in name else 1
        after = make_image(name, reflected)
        if made.shape[1] == 100:
            other = name.replace("EEm", "EE?").replace("EEp", "EEm").replace("EE?", "EEp")
            np.testing.assert_allclose(after, sign * make_image(other, hits), rtol=2e-6)
        else:
            before = sign * make_image(name, hits)[:, ::-1]
            np.testing.assert_allclose(after, before, rtol=2e-6, atol=1e-6, err_msg=name)


def test_every_endcap_crystal_lands_in_the_stitched_image() -> None:
    valid = np.stack([EE_VALID, EE_VALID]).ravel()
    assert valid.sum() == 2 * 7324
    assert (EE_TO_ECAL[valid] >= 0).all()
    assert (EE_TO_ECAL[~valid] == -1).all()
    every = Hits.from_events(
        np.zeros(14648, int), 1, np.flatnonzero(valid), np.ones(14648), time=np.ones(14648)
    )
    image = make_image("ECAL_energy", {"EB": Hits.empty(1), "EE": every})
    assert image.sum() == 14648
    assert not image[:, 55:225].any()


def test_every_endcap_crystal_is_the_nearest_to_its_direction() -> None:
    valid = np.flatnonzero(np.stack([EE_VALID, EE_VALID]).ravel())
    np.testing.assert_array_equal(ee_cell(EE_ETA.ravel()[valid], EE_PHI.ravel()[valid]), valid)


def test_stitched_rows_and_towers_share_their_edges() -> None:
    """The five bins of a tower in the endcaps have the tower's own edges in eta and phi."""
    valid = EE_TO_ECAL >= 0
    np.testing.assert_array_equal(ecal_to_hbhe(EE_TO_ECAL[valid]), EE_TO_HBHE[valid])
    rng = np.random.default_rng(0)
    eta, phi = rng.uniform(1.48, 2.999, 20000), rng.uniform(-np.pi, np.pi, 20000)
    for sign in (-1, 1):
        np.testing.assert_array_equal(
            ecal_to_hbhe(ecal_cell(sign * eta, phi)), hbhe_cell(sign * eta, phi)
        )
    assert ecal_to_hbhe(-1) == -1


def test_tower_centres_lie_inside_their_edges() -> None:
    np.testing.assert_array_equal(HBHE_ETA, -HBHE_ETA[::-1])
    assert ((HBHE_ETA[28:] > HBHE_ETA_EDGES[:-1]) & (HBHE_ETA[28:] < HBHE_ETA_EDGES[1:])).all()
    np.testing.assert_array_equal(hbhe_cell(HBHE_ETA, 0.01) // 72, np.arange(56))


def test_resampled_endcaps_are_sums_over_two_by_two_bins() -> None:
    hits = random_hits(6)
    plain, resampled = (make_image(f"ECAL{x}_energy", hits) for x in ("", "_EEup"))
    np.testing.assert_array_equal(resampled[:, 55:225], plain[:, 55:225])
    for rows in (slice(1, 55), slice(225, 279)):
        blocks = plain[:, rows].reshape(3, 27, 2, 180, 2).sum(axis=(2, 4)) / 4
        expected = blocks.repeat(2, axis=1).repeat(2, axis=2)
        np.testing.assert_allclose(resampled[:, rows], expected, rtol=1e-6)
    for row in (0, 279):  # without a partner: halves of two columns
        pairs = plain[:, row].reshape(3, 180, 2).sum(axis=2) / 2
        np.testing.assert_allclose(resampled[:, row], pairs.repeat(2, axis=1), rtol=1e-6)


def test_towers_at_endcap_crystals_are_shared_evenly() -> None:
    cell = 50 * 72 + 7
    tower = Hits.from_events(np.zeros(1, int), 1, np.array([cell]), np.array([6.0]))
    image = make_image("HBHE_energy_EEp", {"HBHE": tower})[0].ravel()
    crystals = np.flatnonzero(np.isin(EE_TO_HBHE, cell)) - 10000
    np.testing.assert_array_equal(np.flatnonzero(image), crystals)
    np.testing.assert_allclose(image[crystals], 6.0 / len(crystals), rtol=1e-6)


def test_time_of_a_stitched_bin_is_weighted_by_energy() -> None:
    bins, count = np.unique(EE_TO_ECAL[EE_TO_ECAL >= 0], return_counts=True)
    stitched, single = bins[np.argmax(count)], bins[np.argmin(count)]
    cells = [
        *np.flatnonzero(np.isin(EE_TO_ECAL, stitched))[:2],
        np.argmax(np.isin(EE_TO_ECAL, single)),
    ]
    hits = Hits.from_events(
        np.zeros(3, int), 1, np.array(cells), np.array([1.0, 3.0, 9.0]),
        time=np.array([2.0, 6.0, np.nan]),
    )  # fmt: skip
    image = make_image("ECAL_time", {"EB": Hits.empty(1), "EE": hits})[0].ravel()
    assert np.flatnonzero(image).tolist() == [stitched]
    assert image[stitched] == pytest.approx(5.0)


def test_time_of_a_crystal_is_its_hit_s() -> None:
    hits = random_hits(11)
    barrel = hits["EB"]
    image = make_image("EB_time", hits).reshape(3, -1)
    np.testing.assert_array_equal(image[barrel.event, barrel.cell], barrel.time)
    np.testing.assert_array_equal(
        make_image("ECAL_time", hits)[:, 55:225], make_image("EB_time", hits)
    )


def test_missing_columns_and_channels_are_named() -> None:
    hits = random_hits(0)
    tracks = replace(hits["TRK"], charge=None, z=None)
    with pytest.raises(ConfigError, match=r"charge of the TRK hits.*ntuple"):
        make_image("ECAL_tracksQPt", hits | {"TRK": tracks})
    with pytest.raises(ConfigError, match="z and charge of the TRK"):
        make_image("ECAL_tracksPtAtECAL", hits | {"TRK": tracks})
    with pytest.raises(ConfigError, match="time of the EE hits"):
        make_image("ECAL_time", hits | {"EE": replace(hits["EE"], time=None)})
    with pytest.raises(ConfigError, match="ECAL_energy needs EE hits"):
        make_image("ECAL_energy", {"EB": hits["EB"]})
    assert lacking("HBHE_energy", {"HBHE": ["cell", "energy"]}) == ""


def test_tracks_of_an_input_without_directions_are_counted() -> None:
    hits = random_hits(0)
    eta = hits["TRK"].eta.copy()
    eta[:5] = np.nan
    mixed = {"TRK": replace(hits["TRK"], eta=eta)}
    for name in ("ECAL_tracksPtAtECAL", "Tracks_EEm", "ECAL_tracksQPt", "ECAL_tracks"):
        with pytest.raises(ConfigError, match="5 of 120 tracks have no"):
            make_image(name, mixed)
    assert make_image("ECAL_tracksPt", mixed).any()


def test_stacks_are_images_of_one_shape() -> None:
    hits = random_hits(1)
    for name, parts in STACKS.items():
        made = stack(parts, hits, "repeated")
        assert made.dtype == np.float32
        for i, part in enumerate(parts):
            np.testing.assert_array_equal(
                made[..., i], make_image(part, hits, "repeated"), f"{name} {part}"
            )
    with pytest.raises(ConfigError, match="2 shapes do not stack"):
        stack(["EB_energy", "HBHE_energy"], hits)
    with pytest.raises(ConfigError, match="conserving or repeated"):
        stack(["HBHE_energy_up"], hits, "divided")


def test_the_page_lists_exactly_the_images() -> None:
    text = (ROOT / "docs" / "images.md").read_text(encoding="utf-8")
    table = text.split("## All images")[1].split("\n## ")[0]
    rows = [line.split(" | ") for line in table.splitlines() if line.startswith("| `")]
    listed = {row[0].strip("| `"): [cell.strip(" |") for cell in row[1:]] for row in rows}
    assert list(listed) == list(IMAGES)
    for name, made in IMAGES.items():
        needs = ", ".join((*made.channels, *made.columns))
        shape = " x ".join(str(n) for n in made.shape)
        assert listed[name] == [shape, made.formula, needs, made.source], name

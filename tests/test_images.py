"""Dense images: energy conserved, symmetric, exact where the ntuple is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import ConfigError
from data.batch import Hits
from data.detector.geometry import EE_TO_ECAL, EE_VALID, N_EB, N_HBHE, ecal_cell
from data.detector.images import IMAGES, make_image

EE_CELLS = np.flatnonzero((EE_TO_ECAL >= 0) & np.stack([EE_VALID, EE_VALID]).ravel())


def random_hits(seed: int, n_events: int = 3, n_hits: int = 40) -> dict[str, Hits]:
    rng = np.random.default_rng(seed)

    def channel(cells: np.ndarray) -> Hits:
        event = np.repeat(np.arange(n_events), n_hits)
        chosen = [rng.choice(cells, n_hits, replace=False) for _ in range(n_events)]
        energy = rng.uniform(0.1, 50, n_events * n_hits)
        return Hits.from_events(event, n_events, np.concatenate(chosen), energy, time=energy / 10)

    sizes = {"EB": N_EB, "HBHE": N_HBHE}
    hits = {name: channel(np.arange(n)) for name, n in sizes.items()} | {"EE": channel(EE_CELLS)}
    return hits | {"TRK": random_tracks(rng, n_events, n_hits)}


def random_tracks(rng: np.random.Generator, n_events: int, n_tracks: int) -> Hits:
    n = n_events * n_tracks
    eta, phi = rng.uniform(-2.99, 2.99, n), rng.uniform(-np.pi, np.pi, n)
    return Hits.from_events(
        np.repeat(np.arange(n_events), n_tracks), n_events, ecal_cell(eta, phi),
        rng.exponential(3, n) + 0.3, eta=eta, phi=phi, z=rng.normal(0, 5, n),
        charge=rng.choice([-1, 1], n),
    )  # fmt: skip


def turned(hits: dict[str, Hits], towers: int) -> dict[str, Hits]:
    """The event turned in phi by whole towers; EE, a lattice in x and y, cannot and is left out."""
    width = {"EB": 360, "HBHE": 72, "TRK": 360}
    step = {"EB": 5 * towers, "HBHE": towers, "TRK": 5 * towers}
    made = {"EE": Hits.empty(len(hits["EB"]))}
    for name, n_columns in width.items():
        found = hits[name]
        column = (found.cell + np.uint32(step[name])) % n_columns
        cell = (found.cell // n_columns * n_columns + column).astype(np.uint32)
        made[name] = replace(found, cell=cell)
        if found.phi is not None:
            made[name].phi = (found.phi + np.deg2rad(5.0 * towers)).astype(np.float32)
    return made


def per_event(hits: Hits) -> np.ndarray:
    return np.bincount(hits.event, weights=hits.energy, minlength=len(hits))


@given(st.integers(0, 2**16))
@settings(max_examples=8, deadline=None)
def test_energy_is_conserved(seed: int) -> None:
    hits = random_hits(seed)
    total = {name: per_event(channel) for name, channel in hits.items()}
    sums = {name: make_image(name, hits).astype(float).sum(axis=(1, 2)) for name in IMAGES}
    np.testing.assert_allclose(sums["EB_energy"], total["EB"], rtol=1e-5)
    np.testing.assert_allclose(sums["EEm_energy"] + sums["EEp_energy"], total["EE"], rtol=1e-5)
    np.testing.assert_allclose(sums["ECAL_energy"], total["EB"] + total["EE"], rtol=1e-5)
    np.testing.assert_allclose(sums["HBHE_EMenergy"], total["EB"] + total["EE"], rtol=1e-5)
    np.testing.assert_allclose(sums["HBHE_energy"], total["HBHE"], rtol=1e-5)
    np.testing.assert_allclose(sums["ECAL_tracksPt"], total["TRK"], rtol=1e-5)


@given(st.integers(0, 359), st.integers(0, 2**16))
@settings(max_examples=8, deadline=None)
def test_phi_rotation_moves_columns(steps: int, seed: int) -> None:
    hits = random_hits(seed)
    barrel = hits["EB"]
    turned = barrel.cell // 360 * 360 + (barrel.cell % 360 + steps) % 360
    rotated = {"EB": Hits(barrel.offsets, turned.astype(np.uint32), barrel.energy, barrel.time)}
    for name in ("EB_energy", "EB_time"):
        np.testing.assert_array_equal(
            make_image(name, rotated), np.roll(make_image(name, hits), steps, axis=2)
        )


def test_z_reflection_mirrors_rows() -> None:
    hits = random_hits(1)
    barrel, endcap = hits["EB"], hits["EE"]
    mirrored = {
        "EB": Hits(
            barrel.offsets,
            ((169 - barrel.cell // 360) * 360 + barrel.cell % 360).astype(np.uint32),
            barrel.energy,
        ),
        "EE": Hits(
            endcap.offsets, ((endcap.cell + 10000) % 20000).astype(np.uint32), endcap.energy
        ),
    }
    for name in ("EB_energy", "ECAL_energy", "HBHE_EMenergy"):
        np.testing.assert_allclose(
            make_image(name, mirrored), make_image(name, hits)[:, ::-1], rtol=1e-6
        )
    np.testing.assert_array_equal(
        make_image("EEm_energy", mirrored), make_image("EEp_energy", hits)
    )


def test_images_of_parts() -> None:
    hits = random_hits(2)
    np.testing.assert_array_equal(
        make_image("ECAL_energy", hits)[:, 55:225], make_image("EB_energy", hits)
    )
    np.testing.assert_array_equal(
        make_image("ECAL_tracksPt", hits)[:, 55:225], make_image("TracksPt_EB", hits)
    )
    np.testing.assert_array_equal(
        make_image("HBHE_energy", hits)[:, 11:45], make_image("HBHE_energy_EB", hits)
    )


def test_shapes_and_types() -> None:
    hits = random_hits(3)
    for name, image in IMAGES.items():
        made = make_image(name, hits)
        assert made.shape == (3, *image.shape)
        assert made.dtype == np.float32


def test_no_hits_make_empty_images() -> None:
    hits = {channel: Hits.empty(2) for channel in ("EB", "EE", "HBHE", "TRK")}
    for name in IMAGES:
        assert not make_image(name, hits).any()


@pytest.mark.parametrize(
    ("wrong", "near"), [("EB_enery", "EB_energy"), ("hbhe_energy", "HBHE_energy")]
)
def test_unknown_name_suggests_the_nearest(wrong: str, near: str) -> None:
    with pytest.raises(ConfigError, match=f"did you mean {near}"):
        make_image(wrong, {})

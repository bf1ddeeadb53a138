"""Track images: counts and charges kept, helices mirrored, straight lines straight."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from data.batch import Hits
from data.config import PreprocessConfig
from data.detector.geometry import R_EB, Z_EE, detector_eta, eb_uv, ecal_cell
from data.detector.helix import CURVATURE_RADIUS
from data.detector.images import make_image
from data.detector.tracks import at_ecal
from data.preprocessing.stage import run as preprocess
from data.store import EventStore
from tests.test_images import per_event, random_hits, random_tracks

seeds = st.integers(0, 2**16)
few = settings(max_examples=8, deadline=None)


def one(pt: float, eta: float, phi: float, z: float, charge: int) -> Hits:
    row = [np.array([x], dtype=np.float64) for x in (eta, phi, z)]
    cell = ecal_cell(row[0], row[1]).astype(np.uint32)
    # Built as it is: `from_events` would round the directions to float32.
    return Hits(np.array([0, 1]), cell, np.array([pt]), None, *row, np.array([charge], np.int8))


@given(seeds)
@few
def test_tracks_are_counted_once_in_every_geometry(seed: int) -> None:
    hits = random_hits(seed)
    tracks = hits["TRK"]
    weights = {
        "": np.bincount(tracks.event, minlength=3),
        "Pt": per_event(tracks),
        "QPt": np.bincount(tracks.event, weights=tracks.charge * tracks.energy, minlength=3),
    }
    for word, expected in weights.items():
        names = ([f"ECAL_tracks{word}"], [f"HBHE_tracks{word}"],
                 [f"Tracks{word}_{part}" for part in ("EB", "EEm", "EEp")])  # fmt: skip
        for group in names:
            found = sum(make_image(name, hits).astype(float).sum(axis=(1, 2)) for name in group)
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)


@given(seeds)
@few
def test_propagated_tracks_are_the_same_ones_in_every_geometry(seed: int) -> None:
    hits = random_hits(seed)
    tracks = hits["TRK"]
    expected = np.bincount(tracks.event, weights=at_ecal(tracks)[2], minlength=3)
    for group in (["ECAL_tracksAtECAL"], ["HBHE_tracksAtECAL"],
                  [f"TracksAtECAL_{part}" for part in ("EB", "EEm", "EEp")]):  # fmt: skip
        found = sum(make_image(name, hits).sum(axis=(1, 2)) for name in group)
        np.testing.assert_array_equal(found, expected)


def test_tracks_of_the_barrel_are_a_part_of_the_stitched_image() -> None:
    hits = random_hits(3)
    for word in ("", "Pt", "QPt", "AtECAL", "PtAtECAL", "QPtAtECAL"):
        stitched = make_image(f"ECAL_tracks{word}", hits)
        np.testing.assert_array_equal(stitched[:, 55:225], make_image(f"Tracks{word}_EB", hits))
        towers = stitched.reshape(3, 56, 5, 72, 5).sum(axis=(2, 4))
        np.testing.assert_allclose(
            towers, make_image(f"HBHE_tracks{word}", hits), rtol=1e-5, atol=1e-5
        )


@given(seeds)
@few
def test_opposite_charges_flip_the_charge_and_mirror_the_helix(seed: int) -> None:
    hits = random_hits(seed)
    tracks = hits["TRK"]
    opposite = {"TRK": replace(tracks, charge=-tracks.charge)}
    np.testing.assert_array_equal(
        make_image("ECAL_tracksQPt", opposite), -make_image("ECAL_tracksQPt", hits)
    )
    mirrored = {"TRK": replace(tracks, charge=-tracks.charge, phi=-tracks.phi.astype(np.float64))}
    # Column c is phi of c - 9.5 degrees, so phi changes sign from c to 19 - c.
    columns = (19 - np.arange(360)) % 360
    np.testing.assert_array_equal(
        make_image("ECAL_tracksPtAtECAL", mirrored),
        make_image("ECAL_tracksPtAtECAL", hits)[:, :, columns],
    )
    np.testing.assert_array_equal(
        make_image("ECAL_tracksQPtAtECAL", mirrored),
        -make_image("ECAL_tracksQPtAtECAL", hits)[:, :, columns],
    )


@given(st.floats(-1.3, 1.3), st.floats(-3.1, 3.1), st.floats(-15, 15), st.sampled_from([-1, 0, 1]))
def test_stiff_and_neutral_tracks_go_straight(
    eta: float, phi: float, z: float, charge: int
) -> None:
    pt = 3.0 if charge == 0 else np.inf
    found_eta, found_phi, reaches = at_ecal(one(pt, eta, phi, z, charge))
    assert reaches[0]
    assert found_eta[0] == pytest.approx(float(detector_eta(eta, z)), abs=1e-6)
    assert found_phi[0] == pytest.approx(phi, abs=1e-6)


@given(
    st.floats(0.2, 50), st.floats(-2.9, 2.9), st.floats(-3.1, 3.1), st.floats(-15, 15),
    st.sampled_from([-1, 1]),
)  # fmt: skip
@example(0.5, -2.8e-100, 0.0, 0.0, -1)  # turns for ever between the endcaps
def test_impacts_lie_on_the_helix(pt: float, eta: float, phi: float, z: float, charge: int) -> None:
    """The circle through the beam of radius pt / 0.3 B, and z that grows with the arc's length."""
    found_eta, found_phi, reaches = at_ecal(one(pt, eta, phi, z, charge))
    if not reaches[0]:
        return
    rho = pt * CURVATURE_RADIUS
    barrel = abs(found_eta[0]) < 1.479
    radius = R_EB if barrel else Z_EE / abs(np.sinh(found_eta[0]))
    point = radius * np.exp(1j * found_phi[0])
    centre = -1j * charge * rho * np.exp(1j * phi)  # positive charges turn clockwise
    assert abs(point - centre) == pytest.approx(rho, rel=1e-6)
    turn = np.angle((point - centre) / (0 - centre)) * -charge
    assert turn > 0
    assert z + rho * turn * np.sinh(eta) == pytest.approx(
        radius * np.sinh(found_eta[0]), rel=1e-5, abs=1e-4
    )


def test_loopers_are_left_out() -> None:
    """Below 0.74 GeV a track never gets 129 cm from the beam."""
    assert not at_ecal(one(0.6, 0.1, 0.0, 0.0, 1))[2][0]  # curls up in the tracker
    assert at_ecal(one(0.8, 0.1, 0.0, 0.0, 1))[2][0]
    assert at_ecal(one(0.6, 2.2, 0.0, 0.0, 1))[2][0]  # meets the endcap on its way out
    assert not at_ecal(one(0.3, 1.0, 0.0, 0.0, 1))[2][0]  # would meet it on its way back
    assert not at_ecal(one(500.0, 1.485, 0.0, 0.0, 1))[2][0]  # between barrel and endcap


def test_bending_moves_tracks_in_phi_only_a_little_in_the_mean() -> None:
    tracks = random_tracks(np.random.default_rng(5), 1, 2000)
    eta, phi, reaches = at_ecal(tracks)
    bend = np.angle(np.exp(1j * (phi - tracks.phi)))[reaches] * tracks.charge[reaches]
    assert (bend < 0).all()  # positive charges to smaller phi
    stiff = tracks.energy[reaches] > 10
    assert np.abs(bend[stiff]).max() < 0.08
    assert np.isfinite(eta[reaches]).all()


def test_propagation_brings_real_electrons_onto_their_clusters(
    real_data: Path, tmp_path: Path
) -> None:
    """Tracks whose momentum is their cluster's, 25 real collisions: how far off, in crystals."""
    source = real_data / "real" / "DoubleElectron_Run2012C_0.ig"
    preprocess(PreprocessConfig(input=[str(source)], output=tmp_path / "events.h5"))
    with EventStore(tmp_path / "events.h5") as store:
        tracks = store.hits("TRK")
        place = {name: store.clusters(name) for name in ("u", "v", "pt")}
    eta, phi, reaches = at_ecal(tracks)
    cluster = {name: column[tracks.event] for name, column in place.items()}
    found = {"origin": eb_uv(tracks.eta, tracks.phi), "ecal": eb_uv(eta, phi)}
    offsets = {
        name: (u[:, None] - cluster["u"], (v[:, None] - cluster["v"] + 180) % 360 - 180)
        for name, (u, v) in found.items()
    }
    like = np.abs(np.log(tracks.energy[:, None] / cluster["pt"])) < 0.2
    near = np.hypot(*offsets["origin"]) < 10
    electrons = like & near & reaches[:, None]
    assert electrons.sum() >= 8
    size = {
        name: [np.median(np.abs(offset[electrons])) for offset in pair]
        for name, pair in offsets.items()
    }
    assert min(size["origin"]) > 1.0
    assert max(size["ecal"]) < 0.4

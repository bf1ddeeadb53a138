"""Particle lists: the stable particles of generated events, and their compact file format.

A file ``<process>_<n>.npz.xz`` is an xz-compressed ``.npz`` of integer columns.  Particles are
sorted by falling transverse momentum so that momenta are stored as small differences; pt, eta
and phi have a coarse byte for every particle and a fine byte only above :data:`HARD_PT`, where
it matters (pt to 4e-5 relative, angles to 5e-5).  The missing fine bytes of soft particles are
drawn uniformly when the file is read, always with the same seed.
"""

from __future__ import annotations

import io
import json
import lzma
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Species of final-state particles, in code order: PDG id, charge, mass in GeV.
SPECIES: tuple[tuple[int, int, float], ...] = (
    (22, 0, 0.0),
    (211, 1, 0.13957),
    (-211, -1, 0.13957),
    (321, 1, 0.49368),
    (-321, -1, 0.49368),
    (130, 0, 0.49761),
    (2212, 1, 0.93827),
    (-2212, -1, 0.93827),
    (2112, 0, 0.93957),
    (-2112, 0, 0.93957),
    (11, -1, 0.000511),
    (-11, 1, 0.000511),
    (13, -1, 0.10566),
    (-13, 1, 0.10566),
)
PDG_ID = np.array([s[0] for s in SPECIES], np.int32)
CHARGE = np.array([s[1] for s in SPECIES], np.int8)
MASS = np.array([s[2] for s in SPECIES], np.float32)
CODE_OF = {int(pdg): code for code, (pdg, _, _) in enumerate(SPECIES)}

MIN_PT = 0.1  # GeV
MAX_ETA = 3.0
HARD_PT = 1.0  # GeV, fine bytes are stored above

_PT_STEP = 0.02 / 256  # of ln(pt / MIN_PT)
_ETA_STEP = 2 * MAX_ETA / 65536
_PHI_STEP = 2 * np.pi / 65536
_HARD_COARSE = int(np.log(HARD_PT / MIN_PT) / 0.02)
_PROMPT_BIT = 64
_XZ = [{"id": lzma.FILTER_LZMA2, "preset": 9, "lc": 0, "lp": 0, "pb": 0}]
_DITHER_SEED = 20240125


@dataclass
class HardPartons:
    """The two outgoing partons of each 2 -> 2 scattering, before they radiate.

    Attributes
    ----------
    pdg_id : (N, 2) int16
    pt, eta, phi : (N, 2) float32, at the vertex; GeV and radians
    """

    pdg_id: NDArray[np.int16]
    pt: NDArray[np.float32]
    eta: NDArray[np.float32]
    phi: NDArray[np.float32]

    def take(self, index: NDArray[np.int64]) -> HardPartons:
        """Those of the events ``index``."""
        return HardPartons(*(getattr(self, name)[index] for name in _PARTON_TYPES))


#: Columns of the partons and the types that files hold them in: eta and phi to 0.002.
_PARTON_TYPES = {"pdg_id": np.int16, "pt": np.float16, "eta": np.float16, "phi": np.float16}


@dataclass
class ParticleLists:
    """Stable particles of N events, flat with offsets.

    Attributes
    ----------
    offsets : (N+1,) int64
    species : (M,) uint8, index into :data:`SPECIES`
    pt, eta, phi : (M,) float32, at the vertex; GeV and radians
    prompt : (M,) bool, photons that do not come from hadrons
    group : (N,) int64, parton event; re-hadronised siblings share it
    n_prompt : (N,) int32, parton-level photons with pt > 15 GeV and \\|eta\\| < 3
    info : how the lists were generated
    partons : the hard partons, of processes that keep them
    """

    offsets: NDArray[np.int64]
    species: NDArray[np.uint8]
    pt: NDArray[np.float32]
    eta: NDArray[np.float32]
    phi: NDArray[np.float32]
    prompt: NDArray[np.bool_]
    group: NDArray[np.int64]
    n_prompt: NDArray[np.int32]
    info: dict[str, Any] = field(default_factory=dict)
    partons: HardPartons | None = None

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def event(self) -> NDArray[np.int64]:
        """Event index of every particle, (M,)."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    @property
    def charge(self) -> NDArray[np.int8]:
        """Charge in units of e, (M,)."""
        return CHARGE[self.species]

    @property
    def energy(self) -> NDArray[np.float32]:
        """Energy in GeV, (M,)."""
        momentum = self.pt * np.cosh(self.eta)
        return np.hypot(momentum, MASS[self.species])

    def take(self, index: NDArray[np.int64]) -> ParticleLists:
        """Events ``index`` (repetition allowed), as new lists."""
        count = np.diff(self.offsets)[index]
        offsets = np.concatenate([[0], np.cumsum(count)]).astype(np.int64)
        flat = np.arange(offsets[-1]) + np.repeat(self.offsets[:-1][index] - offsets[:-1], count)
        return ParticleLists(
            offsets=offsets,
            species=self.species[flat],
            pt=self.pt[flat],
            eta=self.eta[flat],
            phi=self.phi[flat],
            prompt=self.prompt[flat],
            group=self.group[index],
            n_prompt=self.n_prompt[index],
            info=self.info,
            partons=None if self.partons is None else self.partons.take(index),
        )


_FLAT = ("species", "pt", "eta", "phi", "prompt")


def concatenate(parts: list[ParticleLists]) -> ParticleLists:
    """Join lists; group ids are shifted so that they stay distinct between parts."""
    offsets, groups, shift, base = [np.zeros(1, np.int64)], [], 0, 0
    for part in parts:
        offsets.append(part.offsets[1:] + base)
        base += int(part.offsets[-1])
        groups.append(part.group + shift)
        shift += int(part.group.max(initial=-1)) + 1
    flat = {name: np.concatenate([getattr(p, name) for p in parts]) for name in _FLAT}
    return ParticleLists(
        offsets=np.concatenate(offsets),
        species=flat["species"],
        pt=flat["pt"],
        eta=flat["eta"],
        phi=flat["phi"],
        prompt=flat["prompt"],
        group=np.concatenate(groups),
        n_prompt=np.concatenate([p.n_prompt for p in parts]),
        info={"parts": [p.info for p in parts]},
        partons=_joined_partons(parts),
    )


def _joined_partons(parts: list[ParticleLists]) -> HardPartons | None:
    """Those of all parts; none if a part has none."""
    found = [p.partons for p in parts if p.partons is not None]
    if len(found) < len(parts):
        return None
    return HardPartons(*(np.concatenate([getattr(f, n) for f in found]) for n in _PARTON_TYPES))


def write(path: Path, lists: ParticleLists) -> None:
    """Write particle lists; momenta and angles are rounded as the module text says."""
    order = np.lexsort((-lists.pt, lists.event))
    log_pt = np.log(np.maximum(lists.pt[order], MIN_PT) / MIN_PT)
    pt_code = np.round(log_pt / _PT_STEP).astype(np.int64)
    eta_code = np.floor((lists.eta[order] + MAX_ETA) / _ETA_STEP).astype(np.int64)
    turn = np.mod(lists.phi[order].astype(np.float64), 2 * np.pi)
    phi_code = np.floor(turn / _PHI_STEP).astype(np.int64) % 65536
    eta_code = np.clip(eta_code, 0, 65535)
    coarse = pt_code >> 8
    hard = coarse >= _HARD_COARSE
    # differences along the falling order; the first of an event is the difference to zero
    previous = np.concatenate([[0], coarse[:-1]])
    step = previous - coarse
    first = lists.offsets[:-1][np.diff(lists.offsets) > 0]
    step[first] = coarse[first]
    columns = {
        "count": np.diff(lists.offsets).astype(np.uint16),
        "group_step": np.diff(lists.group, prepend=0).astype(np.int32),
        "n_prompt": lists.n_prompt.astype(np.uint8),
        "species": lists.species[order] | (lists.prompt[order] * _PROMPT_BIT).astype(np.uint8),
        "pt_low": (step & 255).astype(np.uint8),
        "pt_high": (step >> 8).astype(np.uint8),
        "eta": (eta_code >> 8).astype(np.uint8),
        "phi": (phi_code >> 8).astype(np.uint8),
        "pt_fine": (pt_code & 255)[hard].astype(np.uint8),
        "eta_fine": (eta_code & 255)[hard].astype(np.uint8),
        "phi_fine": (phi_code & 255)[hard].astype(np.uint8),
        "info": np.frombuffer(json.dumps(lists.info).encode(), np.uint8),
    }
    if lists.partons is not None:
        for name, kind in _PARTON_TYPES.items():
            columns[f"parton_{name}"] = getattr(lists.partons, name).astype(kind)
    buffer = io.BytesIO()
    np.savez(buffer, **columns)
    packed = lzma.compress(buffer.getvalue(), format=lzma.FORMAT_XZ, filters=_XZ)
    temporary = path.with_name(path.name + ".part")
    temporary.write_bytes(packed)
    temporary.replace(path)


def read(path: Path) -> ParticleLists:
    """Read one file of particle lists.

    Raises
    ------
    ValueError
        if the file is not a list file (damaged or another format).
    """
    try:
        raw = lzma.decompress(Path(path).read_bytes())
        columns = dict(np.load(io.BytesIO(raw)))
    except (lzma.LZMAError, ValueError, EOFError) as problem:
        raise ValueError(f"{path}: not a readable particle list file ({problem})") from problem
    offsets = np.concatenate([[0], np.cumsum(columns["count"], dtype=np.int64)])
    step = columns["pt_low"].astype(np.int64) + (columns["pt_high"].astype(np.int64) << 8)
    coarse = _undo_steps(step, offsets)
    hard = coarse >= _HARD_COARSE
    dither = np.random.default_rng(_DITHER_SEED)

    def restore(high: NDArray[np.int64], fine: NDArray[np.uint8]) -> NDArray[np.float64]:
        low = dither.uniform(0, 256, len(high))
        low[hard] = fine + 0.5
        return high * 256 + low

    # pt codes were rounded, angle codes truncated: hence the half step between them
    pt = MIN_PT * np.exp((restore(coarse, columns["pt_fine"]) - 0.5) * _PT_STEP)
    eta = restore(columns["eta"].astype(np.int64), columns["eta_fine"]) * _ETA_STEP - MAX_ETA
    phi = restore(columns["phi"].astype(np.int64), columns["phi_fine"]) * _PHI_STEP
    return ParticleLists(
        offsets=offsets,
        species=columns["species"] & (_PROMPT_BIT - 1),
        pt=pt.astype(np.float32),
        eta=eta.astype(np.float32),
        phi=phi.astype(np.float32),
        prompt=(columns["species"] & _PROMPT_BIT) > 0,
        group=np.cumsum(columns["group_step"], dtype=np.int64),
        n_prompt=columns["n_prompt"].astype(np.int32),
        info=json.loads(columns["info"].tobytes()),
        partons=_read_partons(columns),
    )


def _read_partons(columns: dict[str, NDArray]) -> HardPartons | None:
    if "parton_pdg_id" not in columns:
        return None
    rest = (columns[f"parton_{name}"].astype(np.float32) for name in ("pt", "eta", "phi"))
    return HardPartons(columns["parton_pdg_id"], *rest)


def _undo_steps(step: NDArray[np.int64], offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Coarse momentum codes from the differences stored by :func:`write`."""
    if not len(step):
        return step
    filled = np.diff(offsets) > 0
    first = offsets[:-1][filled]
    signed = -step
    signed[first] = step[first]
    total = np.cumsum(signed)
    before = np.concatenate([[0], total])[first]
    return total - np.repeat(before, np.diff(offsets)[filled])


def files_of(directory: Path, process: str) -> list[Path]:
    """List files of one process in a directory, in order."""
    return sorted(Path(directory).glob(f"{process}_[0-9]*.npz.xz"))


def read_process(directory: Path, process: str) -> ParticleLists:
    """All particle lists of one process.

    Raises
    ------
    FileNotFoundError
        if the directory holds none.
    """
    files = files_of(directory, process)
    if not files:
        raise FileNotFoundError(f"no particle lists of '{process}' in {directory}")
    return concatenate([read(f) for f in files])

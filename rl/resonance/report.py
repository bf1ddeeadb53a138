"""Numbers, table and pictures of samples of pairs in several detectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from common.metrics import sigma_eff
from common.plotting import COLOURS, label, new_figure
from common.runs import RunFolder
from data.detector.geometry import EB_SHAPE
from data.simulation.conditions import detector_named
from data.simulation.merit import peak
from envs.photons.table import FloatArray
from rl.evaluation.pairs import Floats
from rl.resonance.config import ResonanceConfig
from rl.resonance.samples import KINDS, PairSample, read_pairs

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Numbers = dict[str, float]

_TITLES = {
    "zee": "Z → ee", "higgs": "H → γγ", "background": "background under the Z", "gun": "gun",
}  # fmt: skip
_BINS = {"zee": np.arange(60, 120.1, 1.0), "higgs": np.arange(105, 140.1, 0.5)}
_PERCENT = 100.0


def standard(sample: PairSample) -> FloatArray:
    """(2m, 3) no correction: the standard reconstruction."""
    return np.zeros((len(sample.photons), 3), np.float32)


def numbers_of(sample: PairSample, simulated: int) -> Numbers:
    """Counts of a sample; peak in GeV and sigma_eff in % of the peak of Z and H."""
    numbers: Numbers = {
        "pairs": len(sample),
        "simulated": simulated,
        "generated": len(np.unique(sample.photons.group)),
    }
    if set(np.unique(sample.kind)) <= {KINDS["zee"], KINDS["higgs"]}:
        mass = sample.masses(standard(sample))
        position = peak(mass)
        numbers |= {"peak": position, "sigma_eff": _PERCENT * sigma_eff(mass) / position}
    return numbers


def report(
    folder: RunFolder, config: ResonanceConfig, metrics: dict[str, dict[str, Numbers]]
) -> None:
    """The table of all samples, the masses in all detectors, and the distorted detectors' maps."""
    rows = [
        (
            name, _TITLES[kind], int(m["pairs"]), int(m["simulated"]), int(m["generated"]),
            f"{m['peak']:.2f}" if "peak" in m else "",
            f"{m['sigma_eff']:.2f}" if "peak" in m else "",
        )
        for name, kinds in metrics.items()
        for kind, m in kinds.items()
    ]  # fmt: skip
    folder.add_table(
        "Samples",
        ("detector", "pairs of", "pairs", "simulated", "generated", "peak, GeV", "σ_eff(m), %"),
        rows,
        "Standard reconstruction, simulated events. Peak: mean of the 40 % of the masses that lie "
        "closest together; σ_eff in per cent of it, over the whole window of the candidates. "
        "Generated: different generated events among the pairs.",
    )
    _draw_masses(folder, config)
    for name in config.detectors:
        _draw_response(folder, name)


def _draw_masses(folder: RunFolder, config: ResonanceConfig) -> None:
    """Masses of Z and of H, a line for each detector."""
    kinds = [k for k in _BINS if any(getattr(c, k) for c in config.detectors.values())]
    if not kinds:
        return
    figure, axes = new_figure(1, len(kinds))
    for axis, kind in zip(axes.ravel(), kinds, strict=True):
        for name, counts in config.detectors.items():
            if getattr(counts, kind):
                _draw_mass(axis, folder, name, kind)
        axis.set(xlabel="mass [GeV]", ylabel="share of the pairs per bin", title=_TITLES[kind])
        axis.title.set_position((0.5, 1.05))
        axis.legend(fontsize=8)
        label(axis, simulation=True)
    figure.tight_layout()
    folder.save_figure(
        figure,
        "masses",
        "Masses by the standard reconstruction in the nominal and the distorted detectors; "
        "simulated events.",
    )


def _draw_mass(axis: Axes, folder: RunFolder, name: str, kind: str) -> None:
    sample = read_pairs(folder.folder / name / f"{kind}.h5")
    mass: Floats = sample.masses(standard(sample))
    is_nominal = name == "nominal"
    axis.hist(
        mass, list(_BINS[kind]), weights=np.full(len(mass), 1 / len(mass)), histtype="step",
        linewidth=2.0 if is_nominal else 1.2, label=name,
        color="black" if is_nominal else None,
    )  # fmt: skip


def _draw_response(folder: RunFolder, name: str) -> None:
    """The map of a distorted detector, and its mean against eta."""
    detector = detector_named(name)
    if detector.response is None:
        return
    response = detector.response.reshape(EB_SHAPE)
    figure, axes = new_figure(1, 2, width=5.2, height=3.6, gridspec_kw={"width_ratios": [2.2, 1]})
    centre = float(np.median(response))
    half = 4 * float(np.std(response))
    image = axes[0, 0].imshow(
        response, origin="lower", aspect="auto", cmap="RdBu_r", vmin=centre - half,
        vmax=centre + half, extent=(0, EB_SHAPE[1], 0, EB_SHAPE[0]),
    )  # fmt: skip
    axes[0, 0].set(xlabel="crystal in φ", ylabel="crystal in η")
    figure.colorbar(image, ax=axes[0, 0], label="response")
    label(axes[0, 0], simulation=True, right=name)
    axes[0, 1].plot(response.mean(axis=1), np.arange(EB_SHAPE[0]) + 0.5, color=COLOURS[0])
    axes[0, 1].set(xlabel="mean response of a ring", ylim=(0, EB_SHAPE[0]))
    figure.tight_layout()
    folder.save_figure(
        figure, f"response_{name}", f"Response of every barrel crystal in the detector {name}."
    )

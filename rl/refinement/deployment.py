"""The `deploy_agent` stage: a refiner as files that other programs run, checked."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from common.errors import InputError, PipelineError
from common.files import write_json
from common.runs import RunFolder
from e2e.deployment.formats import WRITERS, Runner, milliseconds
from envs.photons.low_level import FILE, low_level_outputs
from envs.photons.table import FloatArray, PhotonTable
from envs.refinement.dynamics import ACTION_NAMES
from envs.refinement.features import NAMED_BLOCKS
from rl.refinement.config import DeployAgentConfig
from rl.refinement.networks import one_thread
from rl.refinement.portable import OUTPUTS, PortableRefiner, raw_inputs
from rl.refinement.refiner import Refiner, agent_files
from rl.refinement.samples import read_photons

FILES = {"torchscript": "refiner.torchscript.pt", "onnx": "refiner.onnx"}
INTERFACE = "interface.json"
_NEEDED = {"onnx": ("onnx", "onnxruntime", "onnxscript")}
_MEANINGS = {
    "embedding": "the classifier's embedding of the photon",
    "feature_map": "the classifier's feature map at the photon, flattened",
    "shares": "energies of the 7x7 crystals round the seed, rows along η, over the standard energy",
    "offset": "standard impact point from the seed's centre along η and φ, crystals",
}


def run(config: DeployAgentConfig) -> Path:
    """Export and check a refiner; returns the run folder.

    Raises
    ------
    InputError
        If agent, classifier or store cannot be used, or do not belong together.
    PipelineError
        If an exported file disagrees with the refiner.
    """
    refiner = Refiner.load(config.agent)
    models = agent_files(config.agent)
    folder = RunFolder(config.output, "deploy_agent", config, [*models, config.store])
    if folder.is_complete():
        folder.log.info("deploy_agent: complete already: %s", config.output)
        return folder.folder
    with one_thread():
        table = _photons(config, refiner, folder)
        expected = refiner.refine(table).final
        module = PortableRefiner(refiner).eval()
        raw = raw_inputs(refiner, table)
        found: dict[str, dict[str, Any]] = {}
        for name in _formats(config, folder):
            path = folder.path(FILES[name])
            runner = WRITERS[name](path, module, tuple(values[:3] for values in raw))
            found[name] = {
                "largest_difference": _largest_difference(runner, raw, expected),
                "ms_per_photon": milliseconds(runner, raw),
                "bytes": path.stat().st_size,
            }
            folder.log.info("deploy_agent: %s: %s", path.name, found[name])
    interface = _interface(module, raw, table)
    write_json(folder.path(INTERFACE), interface)
    folder.write_metrics({"photons": len(table), "interface": interface, **found})
    _table(folder, found, len(table))
    # Negated, so that a difference that is not a number is no success either.
    wrong = [n for n in found if not found[n]["largest_difference"] <= config.tolerance]
    if wrong:
        raise PipelineError(
            f"{', '.join(wrong)}: differs from the refiner by more than {config.tolerance:g}; "
            f"do not use the files in {config.output}"
        )
    folder.complete()
    return folder.folder


def _photons(config: DeployAgentConfig, refiner: Refiner, folder: RunFolder) -> PhotonTable:
    if not refiner.needs_classifier:
        outputs = None
    elif config.classifier is None:
        raise InputError(
            config.agent, "the agent observes a classifier's outputs", "give it: --classifier"
        )
    else:
        outputs = low_level_outputs(config.store, config.classifier, folder.path(FILE))
        refiner.check_classifier(outputs.classifier_sha256, config.classifier)
    table = read_photons(config.store, outputs).table
    return table.take(np.arange(min(config.photons, len(table))))


def _formats(config: DeployAgentConfig, folder: RunFolder) -> list[str]:
    """Those whose packages are installed."""
    kept: list[str] = []
    for name in config.formats:
        absent = [package for package in _NEEDED.get(name, ()) if find_spec(package) is None]
        if absent:
            folder.log.warning(
                "deploy_agent: %s is left out: no %s (pip install -e '.[export]')",
                name, ", ".join(absent),
            )  # fmt: skip
        else:
            kept.append(name)
    return kept


def _largest_difference(runner: Runner, raw: tuple[Any, ...], expected: FloatArray) -> float:
    """On all photons at once, some, and one alone: the number of photons is free."""
    largest = 0.0
    for count in (len(expected), min(7, len(expected)), 1):
        (found,) = runner(tuple(values[:count] for values in raw))
        largest = float(np.max([largest, np.abs(found - expected[:count]).max()]))
    return largest


def _interface(module: PortableRefiner, raw: tuple[Any, ...], table: PhotonTable) -> dict[str, Any]:
    """Names, shapes and meanings of what goes in and comes out."""
    inputs = {}
    for name, values in zip(module.names, raw, strict=True):
        named = NAMED_BLOCKS.get(name)
        meaning = _MEANINGS[name] if named is None else list(named(table.take(np.arange(1))))
        inputs[name] = {"shape": ["photons", *values.shape[1:]], "meaning": meaning}
    return {
        "inputs": inputs,
        "outputs": {
            OUTPUTS[0]: {
                "shape": ["photons", len(ACTION_NAMES)],
                "meaning": [f"change of {name} from the standard one" for name in ACTION_NAMES],
            }
        },
        "types": "float32; unknown features are NaN",
    }


def _table(folder: RunFolder, found: dict[str, dict[str, Any]], photons: int) -> None:
    folder.add_table(
        "Exported refiner",
        ["format", "largest difference of a correction", "µs per photon", "kB"],
        [
            [name, f"{row['largest_difference']:.1e}", f"{1e3 * row['ms_per_photon']:.1f}",
             f"{row['bytes'] / 1e3:.0f}"]
            for name, row in found.items()
        ],
        f"Against the refiner itself, on {photons} photons of the event store.",
    )  # fmt: skip

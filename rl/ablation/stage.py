"""The `ablation` stage: one thing changed at a time, each agent beside its own peer."""

from __future__ import annotations

import multiprocessing
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from typing import Any

import numpy as np
import torch

from common.errors import ConfigError
from common.metrics import Estimate, relative_sigma_eff, with_error
from common.progress import progress
from common.runs import RunFolder
from rl.ablation import parts, tables
from rl.ablation.config import AblationConfig
from rl.evaluation.metrics import PEER, STANDARD, Sample
from rl.refinement.judge import single_figures
from rl.refinement.networks import one_thread
from rl.refinement.refine import inputs_of

FIGURES = ("sigma_eff_energy", "sigma_eff_mass", "mean_abs_u", "mean_abs_v")
_SHARED = {STANDARD, "regression"}  # the same for all seeds of a row


def run(config: AblationConfig) -> dict[str, Any]:
    """Train what is missing, judge every row; a complete run is not repeated.

    Returns
    -------
    dict
        The metrics, as in `metrics.json`.
    """
    for name in config.variants:
        config.variant(name, 0)  # refuses unknown keys before anything is trained
    if not config.variants:
        raise ConfigError("variants: at least one row is needed")
    folder = RunFolder(config.output, "ablation", config, inputs_of(config))
    if folder.is_complete():
        folder.log.info("ablation: complete already: %s", config.output)
        return folder.read_metrics()
    _keep_parts_of(folder)
    with one_thread():
        _train(config, folder)
        metrics = {"rows": {name: _judge(config, name) for name in config.variants}}
    tables.add_tables(folder, metrics)
    folder.save_figure(tables.figure(metrics), "ablation", tables.CAPTION)
    folder.write_metrics(metrics)
    folder.complete()
    return metrics


def _keep_parts_of(folder: RunFolder) -> None:
    """Parts made from other stores or another classifier are of no use."""
    where = folder.path("parts")
    mark = where / "inputs"
    inputs = "\n".join(folder.inputs.values())
    if where.is_dir() and (not mark.is_file() or mark.read_text() != inputs):
        shutil.rmtree(where)
    where.mkdir(exist_ok=True)
    mark.write_text(inputs)


def _train(config: AblationConfig, folder: RunFolder) -> None:
    """The regressions first, for rows share them; then agents and peers, several at a time."""
    missing = [
        (name, seed)
        # By seed, so that a run that is stopped early has all rows of the first.
        for seed in range(config.seeds)
        for name in config.variants
        if not parts.path_of(config, name, seed).is_file()
    ]
    if not missing:
        return
    parts.photons(config)  # writes the low-level outputs that the workers read
    for name in dict.fromkeys(name for name, _ in missing):
        parts.prepare(config, name)
    folder.log.info("ablation: %d agents to train", len(missing))
    tasks = [partial(parts.train, config, name, seed) for name, seed in missing]
    _run_all(tasks, min(config.workers, len(tasks)))


def _run_all(tasks: Sequence[Callable[[], None]], workers: int) -> None:
    if workers == 1:
        for task in progress(tasks, desc="agents", unit="agents"):
            task()
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, torch.set_num_threads, (1,)) as pool:
        running = [pool.submit(task) for task in tasks]
        for future in progress(as_completed(running), total=len(tasks), desc="agents"):
            future.result()


def _judge(config: AblationConfig, name: str) -> dict[str, Any]:
    """Figures of a row: means over seeds, their spreads, and the difference from its peer."""
    seeds, seconds = [], []
    for seed in range(config.seeds):
        samples, taken = parts.read(config, name, seed)
        seeds.append(samples)
        seconds.append(taken)
    figures = [single_figures(one["gun"], one["higgs"]) for one in seeds]
    found: dict[str, Any] = {"seconds": float(np.mean(seconds)), "seeds": figures}
    for method in (STANDARD, "regression", PEER, "agent"):
        values = {key: np.array([row[method][key] for row in figures]) for key in FIGURES}
        found[method] = {
            key: Estimate(
                float(column.mean()),
                float(column.std(ddof=1)) if len(column) > 1 and method not in _SHARED else 0.0,
            )._asdict()
            for key, column in values.items()
        }
    found["share"] = {key: _share(found, key) for key in ("sigma_eff_energy", "sigma_eff_mass")}
    found["difference"] = _difference(
        [one["gun"] for one in seeds], config.evaluation.bootstrap
    )._asdict()
    return found


def _share(row: dict[str, Any], key: str) -> float:
    """Part of its peer's gain over the standard reconstruction that the agent has."""
    standard, peer, agent = (row[m][key]["value"] for m in (STANDARD, PEER, "agent"))
    return (standard - agent) / (standard - peer)


def _difference(samples: list[Sample], replicas: int) -> Estimate:
    """Agent minus peer in sigma_eff(E), per cent, mean over seeds; paired bootstrap."""
    ratios = [sample.energy_ratios() for sample in samples]

    def mean_difference(*columns: np.ndarray) -> float:
        sigma = [relative_sigma_eff(column) for column in columns]
        return 100 * float(np.mean(sigma[: len(ratios)]) - np.mean(sigma[len(ratios) :]))

    columns = [ratio["agent"] for ratio in ratios] + [ratio[PEER] for ratio in ratios]
    return with_error(mean_difference, *columns, groups=samples[0].table.group, n=replicas)

"""Events per second of training: `python benchmarks/train.py [--device cuda]`.

Prints for each precision the data path alone (sparse hits to a dense, mirrored batch on the
device), the network alone on one constant batch, and both together as the Trainer runs them; then
the same network in float32 behind a loader of dense images in HDF5. The sample is made up, as
sparse as the simulation's; needs torch, numpy, h5py and hdf5plugin.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from common.files import write_json
from common.settings import Settings, plain
from e2e.inputs.events import EventInputs, Targets
from e2e.inputs.kinematics import KINEMATIC_NAMES
from e2e.inputs.sparse import SparseImages
from e2e.inputs.tabular import feature_names
from e2e.training.batches import Batch, Batches
from e2e.training.devices import choose_device, use_bfloat16
from e2e.training.task import TrainingTask
from e2e.training.trainer import Trainer

# The defaults of e2e.config, for machines without pydantic; `--write-defaults` after changing them.
DEFAULTS = Path(__file__).with_name("train_defaults.json")
CONSTANT = {"epochs": 1000000, "tensorboard": False}  # as many batches as are wanted
OCCUPANCY = {"crops": 25, "context": 19}  # filled pixels of a simulated event
CHUNK = 64  # events of a chunk of dense images
_TURN = 8  # batches

Step = Callable[[], object]


def defaults() -> dict[str, dict[str, Any]]:
    """Default values of the configurations of inputs, network and training."""
    return json.loads(DEFAULTS.read_text())


def write_defaults() -> None:
    """Ask e2e.config for them."""
    from e2e.config import InputConfig, NetworkConfig, TrainingConfig

    models = {"inputs": InputConfig(), "network": NetworkConfig(), "training": TrainingConfig()}
    write_json(DEFAULTS, {name: plain(model) for name, model in models.items()})


def sample(events: int, seed: int = 0) -> tuple[EventInputs, Targets]:
    """Random images as sparse as the simulation's, and random labels."""
    rng, config = np.random.default_rng(seed), defaults()["inputs"]
    crop, context = config["crop_size"], config["context_bins"]
    shapes = {"crops": (2, 3, crop, crop), "context": (2, 3, context, context)}
    images = {}
    for name, shape in shapes.items():
        event = np.repeat(np.arange(events), rng.poisson(OCCUPANCY[name], events))
        pixel = rng.integers(0, np.prod(shape), len(event))
        value = rng.exponential(5.0, len(event))
        images[name] = SparseImages.from_entries(event, pixel, value, events, shape)
    columns = {"kinematics": len(KINEMATIC_NAMES), "tabular": len(feature_names())}
    tables = {n: rng.normal(size=(events, c)).astype(np.float32) for n, c in columns.items()}
    targets = {
        "label": rng.integers(0, 3, events),
        "weight": np.ones(events, dtype=np.float32),
        "prompt": rng.integers(0, 2, (events, 2)).astype(np.float32),
    }
    return EventInputs(images, tables, np.ones(events, dtype=bool)), Targets(targets)


class Bench(Trainer):
    """A Trainer whose parts can be run alone."""

    @classmethod
    def make(
        cls,
        made: tuple[EventInputs, Targets],
        batch_size: int,
        device: torch.device,
        **training: Any,
    ) -> Bench:
        """A trainer of the default network on a sample."""
        inputs, targets = made
        rows, values = np.arange(len(inputs)), defaults()
        values["training"] |= {**CONSTANT, "batch_size": batch_size, **training}
        config: Any = {name: Settings(each) for name, each in values.items()}
        task = TrainingTask(
            "benchmark", train=rows, validation=rows[:0], targets=targets, seed=0, **config
        )
        return cls(task, inputs, Path(), device=device)

    def parts(self) -> dict[str, Step]:
        """A function per part that handles one batch."""
        positions = self._positions()
        constant = self.batches.get(*next(positions))

        def together() -> None:
            self.epoch, self.step = next(positions)
            self._train_batch(self.epoch, self.step)

        return {
            "data": lambda: self.batches.get(*next(positions)),
            "network": lambda: self._learn(constant),
            "together": together,
        }


class DenseBatches(Batches):
    """Batches from dense images in an HDF5 file, as is common in this field."""

    file: h5py.File

    def get(self, epoch: int, step: int) -> Batch:
        """Neighbouring events, at a random place: the fastest way to read such files."""
        size = self.task.training.batch_size
        start = int(self.rows(epoch, step)[0]) // CHUNK * CHUNK
        start = min(start, len(self.inputs) - size)
        inputs = {
            name: torch.from_numpy(self.file[name][start : start + size]).to(self.device)
            for name in self.needs
        }
        targets, images = self.task.targets.batch(np.arange(start, start + size), self.device)
        return inputs, targets, images


def write_dense(path: Path, inputs: EventInputs, compression: Mapping[str, Any]) -> None:
    """Dense float32 images of all events, in chunks of some events."""
    with h5py.File(path, "w") as file:
        for name, images in inputs.images.items():
            options = {"chunks": (CHUNK, *images.shape), "dtype": "f4", **compression}
            dataset = file.create_dataset(name, (len(inputs), *images.shape), **options)
            for start in range(0, len(inputs), CHUNK):
                rows = np.arange(start, min(start + CHUNK, len(inputs)))
                dataset[rows[0] : rows[-1] + 1] = images.dense(rows).numpy()
        for name, values in inputs.tables.items():
            file[name] = values


def measure(
    parts: Mapping[str, Step], batch_size: int, device: torch.device, seconds: float, rounds: int
) -> dict[str, float]:
    """Events per second of each part in the best of some rounds, and the share.

    The share is that of the network's speed which is left when the data path is there too, the
    median of the rounds. Within a round the parts take turns every few batches, so that whatever
    else a machine does slows all of them.
    """
    for step in parts.values():  # allocators, kernels, compilation
        for _ in range(3):
            step()
    rates = []
    for _ in range(rounds):
        spent, batches = dict.fromkeys(parts, 0.0), dict.fromkeys(parts, 0)
        while min(spent.values()) < seconds:
            # Equally long turns, though the data path takes a fraction of the network's time.
            name = min(spent, key=spent.__getitem__)
            begin = time.perf_counter()
            for _ in range(_TURN):
                parts[name]()
            _wait(device)
            spent[name] += time.perf_counter() - begin
            batches[name] += _TURN
        rates.append({name: batches[name] * batch_size / spent[name] for name in parts})
    found = {name: max(rate[name] for rate in rates) for name in parts}
    shares = [rate["together"] / rate["network"] for rate in rates]
    return {**found, "share": float(np.median(shares))}


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def variants(device: torch.device, with_compile: bool) -> dict[str, dict[str, Any]]:
    """What is measured, by name."""
    found: dict[str, dict[str, Any]] = {"float32": {"precision": "float32"}}
    if use_bfloat16("auto", device):
        found["bfloat16, channels last"] = {"precision": "bfloat16"}
        if with_compile:
            found["bfloat16, compiled"] = {"precision": "bfloat16", "compile": True}
    elif with_compile:
        found["float32, compiled"] = {"precision": "float32", "compile": True}
    if device.type == "cuda":
        last = list(found)[-1]
        found[f"{last}, hits sent from the host"] = {**found[last], "resident": False}
    return found


def run(words: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure and print all variants."""
    device = choose_device(words.device)
    torch.set_num_threads(words.threads)
    size = words.batch_size or (1024 if device.type == "cuda" else 128)
    made = sample(max(words.events, size))
    lines = []

    def show(name: str, bench: Bench) -> None:
        rates = measure(bench.parts(), size, device, words.seconds, words.rounds)
        lines.append({"variant": name, **rates})
        numbers = " | ".join(f"{rates[part]:11,.0f}" for part in ("data", "network", "together"))
        print(f"| {name:42} | {numbers} | {rates['share']:6.1%} |", flush=True)

    print(f"{_machine(device)}; batches of {size} events, {words.threads} CPU thread(s)\n")
    print(f"| {'events/s':42} |   data path |     network |    together |  share |")
    print(f"| {'---':42} | ----------: | ----------: | ----------: | -----: |")
    for name, settings in variants(device, words.compile or device.type == "cuda").items():
        show(name, Bench.make(made, size, device, **settings))
    for name, options in (("lzf", {"compression": "lzf"}), ("zstd", hdf5plugin.Zstd(clevel=3))):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "dense.h5"
            write_dense(path, made[0], options)
            bench = Bench.make(made, size, device, precision="float32", resident=False)
            dense = DenseBatches(
                bench.task, bench.inputs, bench.network.needs, bench.processes, device
            )
            bench.batches = dense
            with h5py.File(path) as dense.file:
                show(f"float32, loader of dense HDF5 ({name})", bench)
    return lines


def _machine(device: torch.device) -> str:
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}"
    return f"{platform.processor() or platform.machine()}, torch {torch.__version__}"


def main() -> None:
    """Measure on one device."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1")
    parser.add_argument("--events", type=int, default=20000, help="of the made-up sample")
    parser.add_argument("--batch-size", type=int, help="default 128, on a GPU 1024")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--seconds", type=float, default=2.0, help="per part and round")
    parser.add_argument("--rounds", type=int, default=5, help="of which the best counts")
    parser.add_argument("--compile", action="store_true", help="torch.compile too (always on GPUs)")
    parser.add_argument("--json", type=Path, help="write the numbers to this file")
    parser.add_argument("--write-defaults", action="store_true", help=argparse.SUPPRESS)
    words = parser.parse_args()
    if words.write_defaults:
        write_defaults()
        return
    lines = run(words)
    if words.json:
        write_json(words.json, lines)
    print(json.dumps({line["variant"]: round(line["share"], 3) for line in lines}))


if __name__ == "__main__":
    main()

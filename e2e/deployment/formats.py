"""TorchScript and ONNX: writing a module, and running what was written."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from common.errors import ConfigError
from common.files import atomic_path

# Raw inputs to the outputs, for the classifier logits and scores.
Runner = Callable[[tuple[Tensor, ...]], tuple[NDArray[np.float32], ...]]
OPSET = 20
FILES = {"torchscript": "classifier.torchscript.pt", "onnx": "classifier.onnx"}


class Portable(Protocol):
    """A module whose tensors all have one row per event.

    Attributes
    ----------
    names, outputs
        Names of the tensors that go in, in their order, and of those that come out.
    """

    names: tuple[str, ...]
    outputs: tuple[str, ...]


def write_torchscript(path: Path, module: Portable, example: tuple[Tensor, ...]) -> Runner:
    """Trace, write, and load again; any number of events goes in."""
    assert isinstance(module, nn.Module)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that TorchScript is no longer developed is known
        traced = torch.jit.trace(module, example, check_trace=False)
        with atomic_path(path) as temporary:
            torch.jit.save(traced, temporary)
        loaded = torch.jit.load(path)

    def run(inputs: tuple[Tensor, ...]) -> tuple[NDArray[np.float32], ...]:
        with torch.no_grad():
            found = loaded(*inputs)
        return tuple(t.numpy() for t in (found if isinstance(found, tuple) else (found,)))

    return run


def write_onnx(path: Path, module: Portable, example: tuple[Tensor, ...]) -> Runner:
    """Export with any number of events, write one file, and load it with onnxruntime.

    Raises
    ------
    ConfigError
        If the packages for it are not installed.
    """
    try:
        import onnxruntime
        import onnxscript  # noqa: F401  # asked for by torch only when it is under way
    except ImportError as error:
        raise ConfigError(
            f"formats: onnx needs the extra `export` ({error}): pip install -e '.[export]'"
        ) from None
    assert isinstance(module, nn.Module)
    events = torch.export.Dim("events", min=1)
    before = logging.getLogger("torch.onnx").level
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                module, example, dynamo=True, opset_version=OPSET, verbose=False,
                input_names=list(module.names), output_names=list(module.outputs),
                dynamic_shapes={"inputs": tuple({0: events} for _ in example)},
            )  # fmt: skip
    finally:
        logging.getLogger("torch.onnx").setLevel(before)
    assert program is not None
    with atomic_path(path) as temporary:
        program.save(str(temporary), external_data=False)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def run(inputs: tuple[Tensor, ...]) -> tuple[NDArray[np.float32], ...]:
        named = {n: values.numpy() for n, values in zip(module.names, inputs, strict=True)}
        return tuple(session.run(list(module.outputs), named))

    return run


WRITERS = {"torchscript": write_torchscript, "onnx": write_onnx}


def milliseconds(runner: Runner, inputs: tuple[Tensor, ...]) -> float:
    """Time per event, the best of three goes."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        runner(inputs)
        times.append(time.perf_counter() - start)
    return 1e3 * min(times) / len(inputs[0])

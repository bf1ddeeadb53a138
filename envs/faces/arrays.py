"""What NumPy and torch call by the same names, so that one dynamics runs on both.

A dynamics is written once, with operators, indices and the functions of `namespace(array)`. On
NumPy arrays it runs on the processor without torch being imported; on tensors it runs where they
lie, for instance on a GPU.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

#: An array of NumPy or a tensor of torch.
Array = Any


def namespace(array: Array) -> Any:
    """The library of an array: `numpy` or `torch`."""
    if isinstance(array, np.ndarray):
        return np
    import torch

    return torch


def like(values: Any, reference: Array) -> Array:
    """Values in the library of a reference, on its device; their type is kept."""
    if isinstance(reference, np.ndarray):
        return host(values)
    return namespace(reference).as_tensor(values, device=reference.device)


def host(values: Any) -> NDArray[Any]:
    """Values as a NumPy array; those on a device are copied from it."""
    return np.asarray(values.cpu() if hasattr(values, "cpu") else values)


def on_device(array: NDArray[Any], device: Any) -> Array:
    """A NumPy array as a tensor on a device."""
    import torch

    return torch.as_tensor(array, device=device)

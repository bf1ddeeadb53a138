"""What survives a kill: the complete state of a training, and the finished classifier."""

from __future__ import annotations

import io
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from common.errors import InputError
from common.files import atomic_path, sha256
from common.settings import plain
from e2e.labels import CLASS_NAMES
from e2e.networks import EventNetwork, build_network

if TYPE_CHECKING:
    from e2e.config import InputConfig, NetworkConfig

_KIND = "e2e-classifier"


@dataclass
class Classifier:
    """A trained network with everything needed to apply it.

    Attributes
    ----------
    network
        In evaluation mode, on the CPU; holds its normalisation.
    inputs
        How its inputs are made from hits.
    class_names
        Meaning of the logits, in order.
    provenance
        Where it came from: fold, split, training configuration, source store.
    sha256
        Checksum of the file it was read from; empty for a network in memory.
    """

    network: EventNetwork
    inputs: InputConfig
    class_names: tuple[str, ...]
    provenance: dict[str, Any]
    sha256: str = ""


def save_classifier(
    path: str | Path,
    network: EventNetwork,
    network_config: NetworkConfig,
    inputs: InputConfig,
    provenance: dict[str, Any],
    class_names: Sequence[str] = CLASS_NAMES,
) -> None:
    """Write a classifier atomically."""
    content = {
        "kind": _KIND,
        "network_config": plain(network_config),
        "input_config": plain(inputs),
        "class_names": list(class_names),
        "provenance": provenance,
        "state": network.state_dict(),
    }
    _save(path, content)


def load_classifier(path: str | Path) -> Classifier:
    """Read a classifier; `path` may also be the run folder that holds `classifier.pt`.

    Raises
    ------
    InputError
        If the file is missing, damaged, or something else.
    """
    from e2e.config import InputConfig, NetworkConfig  # training needs no pydantic

    path = Path(path)
    if path.is_dir():
        path = path / "classifier.pt"
    content = _load(path)
    if not isinstance(content, dict) or content.get("kind") != _KIND:
        raise InputError(path, "not a classifier", "give the classifier.pt of a classify run")
    try:
        inputs = InputConfig(**content["input_config"])
        network = build_network(NetworkConfig(**content["network_config"]), inputs)
        network.load_state_dict(content["state"])
    except (ValueError, KeyError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            path, f"made by another revision of this program ({reason})", "train it again"
        ) from error
    network.eval()
    return Classifier(
        network,
        inputs,
        tuple(content["class_names"]),
        content["provenance"],
        sha256(path),
    )


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write a training's state atomically."""
    _save(path, state)


def load_state(path: Path, fingerprint: str) -> dict[str, Any] | None:
    """Read a training's state; None where there is none, or one of another task."""
    if not path.is_file():
        return None
    state = _load(path)
    if not isinstance(state, dict) or state.get("fingerprint") != fingerprint:
        return None
    return state


def random_states() -> dict[str, Any]:
    """States of torch's generators: dropout and augmentation draw from them."""
    states: dict[str, Any] = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state_all()
    return states


def restore_random_states(states: dict[str, Any]) -> None:
    """Undo whatever was drawn since `random_states`."""
    torch.set_rng_state(states["cpu"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(states["cuda"])


def _save(path: str | Path, content: dict[str, Any]) -> None:
    # By way of memory: torch writes a file's name into it, and the temporary one differs each time.
    memory = io.BytesIO()
    torch.save(content, memory)
    with atomic_path(path) as temporary:
        temporary.write_bytes(memory.getvalue())


def _load(path: Path) -> Any:
    if not path.is_file():
        raise InputError(path, "no such file", "train one with `classify`")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, pickle.UnpicklingError, ValueError) as error:
        raise InputError(path, f"damaged or no checkpoint ({error})", "train it again") from error

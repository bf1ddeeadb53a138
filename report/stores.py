"""Event stores of a study as sections of the report: inputs, classes, the command that made it."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np

from common.config import dump
from common.errors import InputError
from data.config import PreprocessConfig
from data.store import LABELS, EventStore

SUFFIX = ".manifest.json"


def store_sections(folder: Path) -> list[dict[str, Any]]:
    """A section for each event store that lies in the study's folder."""
    manifests = sorted(folder.glob(f"*{SUFFIX}"))
    stores = [path.with_name(path.name.removesuffix(SUFFIX)) for path in manifests]
    return [_section(store, _read(store)) for store in stores if store.is_file()]


def _read(store: Path) -> dict[str, Any]:
    path = store.with_name(store.name + SUFFIX)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(path, f"not JSON: {error}", "run `preprocess` again") from error


def _section(path: Path, manifest: dict[str, Any]) -> dict[str, Any]:
    with EventStore(path) as store:
        attributes = store.attrs
        label, mass = store.event("label"), store.event("m_gg")
    settings = attributes["config"]
    words = ["--input", *settings["input"]] if settings["input"] else []
    for name in ("record", "files"):
        words += [f"--{name}", str(settings[name])] if settings[name] is not None else []
    origin = "simulated" if attributes["origin"] == "simulation" else attributes["origin"]
    return {
        "name": path.name,
        "stage": "preprocess",
        "note": f"{len(label)} {origin} events kept, selection {settings['selection']}.",
        "run": {"command": "", "seconds": ""},
        "again": f"python run_pipeline.py preprocess {shlex.join(words)} --output {path} "
        f"--selection {settings['selection']}",
        "tables": [_files(manifest), _classes(label, mass)],
        "figures": [],
        "config": dump(PreprocessConfig(**{**settings, "output": path})),
    }


def _files(manifest: dict[str, Any]) -> dict[str, Any]:
    rows = [
        [Path(f["location"]).name, f.get("format", ""), f.get("origin", ""), f.get("n_events", 0),
         ", ".join(f.get("missing", [])) or "nothing", f["status"], f["reason"] or ""]
        for f in manifest["files"]
    ]  # fmt: skip
    return {
        "title": "Input files",
        "columns": ["file", "format", "origin", "events", "lacks", "status", "reason"],
        "rows": rows,
        "caption": "Checksums are in the store's attributes and in its manifest.",
    }


def _classes(label: np.ndarray, mass: np.ndarray) -> dict[str, Any]:
    rows = []
    for value in np.unique(label):
        m = mass[(label == value) & np.isfinite(mass)]
        median = f"{np.median(m):.1f}" if len(m) else ""
        rows.append([LABELS[int(value)], int((label == value).sum()), median])
    return {
        "title": "Events kept",
        "columns": ["class", "events", "median m_gg, GeV"],
        "rows": rows,
        "caption": "",
    }

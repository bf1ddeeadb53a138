"""Run folders: what a stage leaves behind, how it was made, and whether it is complete."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import logging
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.config import StageConfig, dump
from common.files import atomic_path, sha256, write_json
from common.progress import log

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PACKAGES = (
    "numpy", "awkward", "uproot", "h5py", "torch", "gymnasium", "stable-baselines3", "scikit-learn",
)  # fmt: skip


@cache
def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide a result."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "absent"
    return found


@cache
def git_revision() -> str:
    """Revision of the source tree, marked `-dirty` when it differs from the commit."""
    root = Path(__file__).resolve().parent.parent
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=root, capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip()


class RunFolder:
    """The folder of one stage's run: config, versions, log, metrics, figures, completion mark.

    Parameters
    ----------
    path
        The folder; created when missing.
    stage
        Name of the stage, such as `classify`.
    config
        The complete configuration; with the inputs' checksums it forms the fingerprint that
        decides whether an earlier, complete run may be reused.
    inputs
        Files the result depends on.
    """

    def __init__(
        self, path: str | Path, stage: str, config: StageConfig, inputs: Iterable[str | Path] = ()
    ) -> None:
        self.folder = Path(path)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.stage = stage
        self.config = config
        self.inputs = {str(p): sha256(p) for p in inputs}
        self._started = time.time()
        (self.folder / "config.yaml").write_text(dump(config), encoding="utf-8")
        self.log = self._logger()

    def path(self, name: str) -> Path:
        """A file inside the folder."""
        return self.folder / name

    @property
    def figures(self) -> Path:
        """The folder of the plots."""
        folder = self.folder / "figures"
        folder.mkdir(exist_ok=True)
        return folder

    def save_figure(self, figure: Figure, name: str, caption: str = "") -> Path:
        """Save a figure as PNG and PDF under `figures/`, close it, and list it for the report."""
        from matplotlib import pyplot as plt

        for suffix in (".pdf", ".png"):
            with atomic_path(self.figures / f"{name}{suffix}") as temporary:
                # Without dates in the file, the same figure has the same bytes.
                metadata = {"CreationDate": None} if suffix == ".pdf" else {}
                figure.savefig(temporary, dpi=130, bbox_inches="tight", metadata=metadata)
        plt.close(figure)
        self._record("figures", {"name": name, "caption": caption}, key="name")
        return self.figures / f"{name}.png"

    def add_table(
        self, title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], caption: str = ""
    ) -> None:
        """List a table for the report; cells are shown as text."""
        cells = [[_cell(value) for value in row] for row in rows]
        table = {"title": title, "columns": list(columns), "rows": cells, "caption": caption}
        self._record("tables", table, key="title")

    def _record(self, kind: str, entry: dict[str, Any], key: str) -> None:
        """Add an entry to `report.json`, replacing an earlier one of the same name."""
        path = self.path("report.json")
        content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        kept = [e for e in content.get(kind, []) if e[key] != entry[key]]
        write_json(path, {**content, kind: [*kept, entry]})

    def write_metrics(self, metrics: dict[str, Any]) -> None:
        """Write `metrics.json`."""
        write_json(self.path("metrics.json"), metrics)

    def read_metrics(self) -> dict[str, Any]:
        """Read `metrics.json` of a complete run."""
        return json.loads(self.path("metrics.json").read_text(encoding="utf-8"))

    def fingerprint(self) -> str:
        """Hash of stage, configuration and input checksums."""
        settings = self.config.model_dump(mode="json")
        text = json.dumps([self.stage, settings, sorted(self.inputs.values())], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def is_complete(self) -> bool:
        """Whether an earlier run with the same configuration and inputs finished here."""
        mark = self.path("run.json")
        if not mark.is_file():
            return False
        return json.loads(mark.read_text(encoding="utf-8")).get("fingerprint") == self.fingerprint()

    def complete(self) -> None:
        """Write the completion mark: everything needed to say how the results came about."""
        write_json(
            self.path("run.json"),
            {
                "stage": self.stage,
                "fingerprint": self.fingerprint(),
                "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
                "seconds": round(time.time() - self._started, 1),
                "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
                "git_revision": git_revision(),
                "versions": versions(),
                "inputs": self.inputs,
            },
        )
        self.log.info(
            "%s: done in %.0f s: %s", self.stage, time.time() - self._started, self.folder
        )

    def _logger(self) -> logging.Logger:
        logger = log.getChild(f"{self.stage}.{abs(hash(str(self.folder.resolve()))):x}")
        if not logger.handlers:
            handler = logging.FileHandler(self.folder / f"{self.stage}.log", encoding="utf-8")
            handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
            logger.addHandler(handler)
        return logger


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)

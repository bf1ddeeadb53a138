"""Render run folders as one self-contained HTML page: tables, figures, commands, provenance."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import jinja2

from common.errors import InputError
from common.files import atomic_path
from common.progress import log
from report.config import ReportConfig
from report.stores import store_sections

# The order in which data flows; folders of other names follow by name.
_ORDER = (
    "simulate", "preprocess", "classify", "compare", "decorrelate", "share", "attribution",
    "ladder", "jets", "rl", "uncertainty", "categorise", "apply",
)  # fmt: skip


def run(config: ReportConfig) -> Path:
    """Write the page.

    Raises
    ------
    InputError
        If the folder holds no run folder.
    """
    folders = run_folders(config.folder)
    if not folders:
        raise InputError(
            config.folder, "no run folder with a run.json in it", "run a stage first, or `demo`"
        )
    sections = [_section(folder, config.folder) for folder in folders]
    sections += store_sections(config.folder)
    sections.sort(key=lambda section: _position(section["stage"]))  # stable within a stage
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    page = environment.get_template("page.html.j2").render(
        title=config.title,
        folder=str(config.folder),
        sections=sections,
        timings=_read_json(config.folder / "metrics.json").get("seconds", {}),
        versions=_run_record(folders[-1]).get("versions", {}),
        revision=_run_record(folders[-1]).get("git_revision", "unknown"),
    )
    output = config.output or config.folder / "report.html"
    with atomic_path(output) as temporary:
        temporary.write_text(page, encoding="utf-8")
    log.info("report: %s (%.1f MB)", output, output.stat().st_size / 1e6)
    return output


def run_folders(folder: Path) -> list[Path]:
    """Complete run folders inside `folder`, in the order in which data flows."""
    found = [path.parent for path in folder.glob("**/run.json")]

    return sorted(found, key=lambda path: (_position(_run_record(path).get("stage", "")), path))


def _position(stage: str) -> int:
    return _ORDER.index(stage) if stage in _ORDER else len(_ORDER)


def _run_record(folder: Path) -> dict[str, Any]:
    return _read_json(folder / "run.json")


def collect_metrics(folder: Path) -> dict[str, Any]:
    """`metrics.json` of every run folder inside `folder`, by the folder's name."""
    return {
        str(path.relative_to(folder)): _read_json(path / "metrics.json")
        for path in run_folders(folder)
    }


def _section(folder: Path, study: Path) -> dict[str, Any]:
    content = _read_json(folder / "report.json")
    run_record = _run_record(folder)
    figures = [
        {**figure, "data": _embedded(folder / "figures" / f"{figure['name']}.png")}
        for figure in content.get("figures", [])
    ]
    stage = run_record.get("stage", folder.name)
    return {
        "name": str(folder.relative_to(study)),
        "stage": stage,
        "note": f"{run_record.get('seconds', '?')} s, finished {run_record.get('finished', '?')}.",
        "run": run_record,
        "again": f"python run_pipeline.py {stage} --config {folder / 'config.yaml'}",
        "tables": content.get("tables", []),
        "figures": figures,
        "config": (folder / "config.yaml").read_text(encoding="utf-8"),
    }


def _embedded(path: Path) -> str:
    if not path.is_file():
        raise InputError(path, "a figure the run folder lists is missing", "run the stage again")
    return base64.b64encode(path.read_bytes()).decode("ascii")


def _read_json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}

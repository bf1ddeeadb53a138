"""Put the tables and figures of a study into README and docs, so that none is copied by hand.

A Markdown file marks a place with `<!-- table: RUN/TITLE -->` … `<!-- end -->`; what stands
between is replaced by that table of the run folder. Figures that the pages show are copied to
`docs/figures/`. Run as `python -m report.publish --folder runs/demo`; several folders may be given,
and places of run folders that none of them holds are left as they are.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common.errors import InputError, PipelineError
from common.files import atomic_path
from common.progress import log, setup_logging

ROOT = Path(__file__).resolve().parent.parent
PLACE = re.compile(
    r"(?P<open><!-- table: (?P<run>[^/>]+)/(?P<title>[^>]+) -->\n).*?(?P<close><!-- end -->)",
    re.DOTALL,
)
FIGURE = re.compile(r"\((?:docs/)?figures/(?P<run>[\w-]+)/(?P<name>[\w-]+)\.png\)")


def markdown_table(table: dict[str, Any]) -> str:
    """A table of `report.json` as Markdown, its caption below."""
    rows = [table["columns"], ["---", *["---:"] * (len(table["columns"]) - 1)], *table["rows"]]
    lines = ["| " + " | ".join(str(c).replace("|", "\\|") for c in row) + " |" for row in rows]
    return "\n".join([*lines, "", f"*{table['caption']}*" if table["caption"] else ""]).rstrip()


def fill(text: str, studies: Sequence[Path]) -> str:
    """Replace what stands at every marked place whose run folder one of the studies holds.

    Raises
    ------
    InputError
        If a run folder that is there lacks the table that a place names.
    """

    def table_at(place: re.Match[str]) -> str:
        found = find(studies, place["run"], "report.json")
        if found is None:
            return place[0]
        tables = json.loads(found.read_text(encoding="utf-8")).get("tables", [])
        by_title = {table["title"]: table for table in tables}
        title = place["title"].strip()
        if title not in by_title:
            raise InputError(found, f"no table {title!r}", f"there are: {', '.join(by_title)}")
        return f"{place['open']}{markdown_table(by_title[title])}\n{place['close']}"

    return PLACE.sub(table_at, text)


def find(studies: Sequence[Path], run: str, name: str) -> Path | None:
    """A file of a run folder, in the first study that has it."""
    paths = (study / run / name for study in studies)
    return next((path for path in paths if path.is_file()), None)


def publish(studies: Sequence[Path], root: Path = ROOT) -> list[Path]:
    """Fill README.md and docs/*.md of `root` from studies; returns the files that changed.

    Raises
    ------
    InputError
        If a folder is no study at all, or a run folder lacks a table.
    """
    for study in studies:
        if not any(study.glob("*/report.json")):
            raise InputError(study, "no run folder in it", "run the study first")
    changed = []
    for page in [root / "README.md", *sorted((root / "docs").glob("*.md"))]:
        before = page.read_text(encoding="utf-8")
        after = fill(before, studies)
        for figure in FIGURE.finditer(after):
            source = find(studies, figure["run"], f"figures/{figure['name']}.png")
            if source is not None:
                target = root / "docs" / "figures" / figure["run"] / source.name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
        if after != before:
            with atomic_path(page) as temporary:
                temporary.write_text(after, encoding="utf-8")
            changed.append(page)
    return changed


def main() -> int:
    """Command line."""
    setup_logging()
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument(
        "--folder", type=Path, nargs="+", default=[Path("runs/demo")], help="folders of studies"
    )
    try:
        for page in publish(parser.parse_args().folder):
            log.info("updated %s", page)
    except PipelineError as error:
        log.error("error: %s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Put the tables and figures of a study into README and docs, so that none is copied by hand.

A Markdown file marks a place with `<!-- table: RUN/TITLE -->` … `<!-- end -->`; what stands
between is replaced by that table of the run folder. Figures listed in `FIGURES` are copied to
`docs/figures/`. Run as `python -m report.publish --folder runs/demo`.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
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


def fill(text: str, study: Path) -> str:
    """Replace what stands at every marked place of a Markdown text.

    Raises
    ------
    InputError
        If a run folder lacks the table that a place names.
    """

    def table_at(place: re.Match[str]) -> str:
        path = study / place["run"] / "report.json"
        if not path.is_file():
            raise InputError(path, "missing", "run the study first")
        tables = json.loads(path.read_text(encoding="utf-8")).get("tables", [])
        by_title = {table["title"]: table for table in tables}
        title = place["title"].strip()
        if title not in by_title:
            raise InputError(path, f"no table {title!r}", f"there are: {', '.join(by_title)}")
        return f"{place['open']}{markdown_table(by_title[title])}\n{place['close']}"

    return PLACE.sub(table_at, text)


def publish(study: Path, root: Path = ROOT) -> list[Path]:
    """Fill README.md and docs/*.md of `root` from a study; returns the files that changed."""
    changed = []
    for page in [root / "README.md", *sorted((root / "docs").glob("*.md"))]:
        before = page.read_text(encoding="utf-8")
        after = fill(before, study)
        for figure in FIGURE.finditer(after):
            source = study / figure["run"] / "figures" / f"{figure['name']}.png"
            if source.is_file():
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
    parser.add_argument("--folder", type=Path, default=Path("runs/demo"), help="the study's folder")
    try:
        for page in publish(parser.parse_args().folder):
            log.info("updated %s", page)
    except PipelineError as error:
        log.error("error: %s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

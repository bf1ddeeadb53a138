"""What README and docs tell people to type exists: targets, stages, flags, keys, pages."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from common.cli import parse
from run_pipeline import DESCRIPTION, STAGES
from tests.conftest import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"\]\((?!https?://)([^)#]+)[^)]*\)")


def commands(page: Path) -> list[str]:
    """Lines of a page's bash blocks, continued lines joined, comments dropped."""
    blocks = re.findall(r"```bash\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line.split("  #")[0].strip() for line in lines if line.strip()]


PIPELINE_COMMANDS = sorted(
    {line for page in PAGES for line in commands(page) if "run_pipeline.py" in line}
    | {f"python run_pipeline.py {stage.example}" for stage in STAGES}
)


@pytest.mark.parametrize("line", PIPELINE_COMMANDS)
def test_a_pipeline_command_parses(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    words = shlex.split(line)
    argv = words[words.index("run_pipeline.py") + 1 :]
    if "--help" not in argv:
        assert parse(STAGES, argv, DESCRIPTION).stage.name == argv[0]


def test_the_readme_promises_the_two_commands() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = {line.split()[1] for line in commands(ROOT / "README.md") if line.startswith("make ")}
    assert targets >= {"demo", "test"}
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize(
    "module",
    sorted(
        {
            word
            for page in PAGES
            for line in commands(page)
            for word in re.findall(r"python -m ([\w.]+)", line)
        }
    ),
)
def test_a_module_named_in_a_command_exists(module: str) -> None:
    path = ROOT / module.replace(".", "/")
    assert path.with_suffix(".py").exists() or (path / "__main__.py").exists()

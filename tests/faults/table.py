"""The table of faults as Markdown, and its place in `docs/faults.md`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tests.faults.reading import Outcome
from tests.faults.sweep import Row

BEGIN, END = "<!-- faults: begin -->", "<!-- faults: end -->"


def damage_table(rows: Iterable[Row]) -> str:
    """How often each kind of damage to each kind of file was noticed."""
    lines = [
        "| file | damage | tries | right numbers | refused | WRONG numbers | "
        "WRONG without the checks of values | refused with a known Adler-32 |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        count = row.outcomes
        by_sum = "–" if row.caught_by_sum is None else f"{row.caught_by_sum} of {row.tries}"
        unchecked = "–" if row.caught_by_sum is None else row.unchecked
        lines.append(
            f"| {row.file} | {row.damage} | {row.tries} | {count['right']} | {count['refused']} | "
            f"{count['wrong']} | {unchecked} | {by_sum} |"
        )
    return "\n".join(lines)


def undetected_table(rows: Iterable[Row]) -> str:
    """Of the flipped bits that hit what is read, how many gave wrong numbers, by kind of file."""
    lines = [
        "| file | flips that were read | wrong without the checks of values | wrong with them |",
        "| --- | ---: | ---: | ---: |",
    ]
    for row in rows:
        read = row.tries - row.outcomes["right"]
        if row.damage == "one bit flipped" and read and row.caught_by_sum is not None:
            wrong = row.outcomes["wrong"]
            lines.append(
                f"| {row.file} | {read} | {row.unchecked / read:.0%} | {wrong / read:.0%} |"
            )
    return "\n".join(lines)


def case_table(cases: dict[str, Outcome]) -> str:
    """Outcome of each single fault, with the message a user gets."""
    lines = ["| fault | outcome | message |", "| --- | --- | --- |"]
    for name, (kind, detail) in cases.items():
        text = " ".join(detail.split())
        lines.append(f"| {name} | {kind} | {_short(text)} |")
    return "\n".join(lines)


def summary(rows: list[Row], cases: dict[str, Outcome]) -> str:
    """One line on what should never happen."""
    broken = [f"{row.file}, {row.damage}: {text}" for row in rows for text in row.broken]
    broken += [f"{n}: {o.detail}" for n, o in cases.items() if o.kind in ("broken", "wrong")]
    if not broken:
        return "No traceback, no hang, no memory beyond the limit, no half-written file."
    return "FAULTS OF THE PROGRAM:\n" + "\n".join(f"* {text}" for text in broken)


def publish(path: Path, text: str) -> None:
    """Replace what is between the markers of a document."""
    document = path.read_text(encoding="utf-8")
    head, _, rest = document.partition(BEGIN)
    tail = rest.partition(END)[2]
    path.write_text(f"{head}{BEGIN}\n\n{text}\n\n{END}{tail}", encoding="utf-8")


def _short(text: str, length: int = 220) -> str:
    """A message without the temporary folder, and without bars that would end the cell."""
    words = [
        w.rsplit("/", 1)[-1] if w.startswith("/") and "/" in w[1:] else w for w in text.split()
    ]
    text = " ".join(words).replace("|", r"\|")
    return text if len(text) <= length else text[: length - 1] + "…"

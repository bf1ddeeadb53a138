"""Random bytes and values for the readers of untrusted files; longer runs: `python -m tests.fuzz`.

Each target may refuse its input in the project's own words; anything else fails here.
"""

from __future__ import annotations

import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from common.errors import InputError
from data.sources import open_source
from data.sources.ig_text import IgFormatError, parse_event
from tests.conftest import ROOT
from tests.fuzz.targets import TARGETS, seeds

BOUNDED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
REPLACED = st.lists(st.tuples(st.integers(0, (1 << 32) - 1), st.integers(0, 255)), max_size=4)
CHANGED = st.lists(
    st.tuples(st.integers(0, 255), st.integers(0, 70), st.integers(0, (1 << 32) - 1)), max_size=3
)


@pytest.mark.parametrize("name", TARGETS)
def test_well_formed_inputs(name: str) -> None:
    for content in seeds(name):
        TARGETS[name](content)


@given(st.binary(max_size=300))
@settings(BOUNDED, max_examples=150)
@example(b"")
def test_bytes_of_event_auxiliary(data: bytes) -> None:
    TARGETS["event_auxiliary"](data)


@given(st.binary(max_size=90), st.integers(0, 8), st.integers(0, 200), st.integers(0, 255))
@settings(BOUNDED, max_examples=150)
def test_changed_event_auxiliary(data: bytes, seed: int, position: int, value: int) -> None:
    content = bytearray(seeds("event_auxiliary")[seed])
    content[position % len(content)] = value
    TARGETS["event_auxiliary"](bytes(content) + data)


@given(st.binary(max_size=400))
@settings(BOUNDED, max_examples=150)
def test_any_detid(data: bytes) -> None:
    TARGETS["detid"](data)


@given(st.binary(max_size=200))
@settings(BOUNDED, max_examples=60)
def test_bytes_of_event_displays(data: bytes) -> None:
    TARGETS["ig"](data)


@given(st.integers(0, 2), st.data())
@settings(BOUNDED, max_examples=60)
def test_changed_event_displays(seed: int, data: st.DataObject) -> None:
    content = bytearray(seeds("ig")[seed])
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    TARGETS["ig"](bytes(content))


@given(REPLACED)
@settings(BOUNDED, max_examples=30)
def test_event_stores_with_replaced_bytes(pairs: list[tuple[int, int]]) -> None:
    TARGETS["store"](b"\1" + b"".join(struct.pack("<IB", *pair) for pair in pairs))


@given(CHANGED)
@settings(BOUNDED, max_examples=30)
def test_event_stores_with_changed_values(triples: list[tuple[int, int, int]]) -> None:
    TARGETS["store"](b"\0" + b"".join(struct.pack("<BHI", *triple) for triple in triples))


@given(st.booleans(), REPLACED)
@settings(BOUNDED, max_examples=30)
def test_root_files_with_replaced_bytes(kind: bool, pairs: list[tuple[int, int]]) -> None:
    TARGETS["root"](bytes([kind]) + b"".join(struct.pack("<IB", *pair) for pair in pairs))


@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
@settings(BOUNDED, max_examples=80)
@example(b"[" * 100_000)
@example(b"9" * 1_000_000)
@example(b'[{"uri": "a.root", "size": 1e999}]')
@example(b'[{"uri": "root://[", "checksum": "adler32:zz"}]')
def test_lists_of_files(data: bytes) -> None:
    TARGETS["locations"](data)


@pytest.mark.parametrize("text", ["9" * 1_000_000, "-" * 100_000, '{"a":' * 50_000, "1e" * 50_000])
def test_numbers_and_depth_without_end(text: str) -> None:
    with pytest.raises(IgFormatError):
        parse_event(text)
    with pytest.raises(IgFormatError):
        parse_event('{"Types": {}, "Collections": {"A_V1": ' + text)


def lying_zip(path: Path, claimed: int, method: int = zipfile.ZIP_DEFLATED) -> Path:
    """A member that inflates to 100 MB and claims another length."""
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("Events/Run_1/Event_1", bytes(100 << 20))
    content = bytearray(path.read_bytes())
    length = struct.pack("<I", 100 << 20)
    while (position := content.find(length)) >= 0:
        content[position : position + 4] = struct.pack("<I", claimed)
    path.write_bytes(content)
    return path


MEASURED = """
import resource, sys
from data.sources import open_source
from common.errors import InputError
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    open_source(sys.argv[1])
except InputError as error:
    print(error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_a_zip_that_lies_about_its_length_is_not_inflated(tmp_path: Path) -> None:
    path = lying_zip(tmp_path / "lie.ig", claimed=1000)
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(path)], cwd=ROOT, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    message, megabytes = done.stdout.splitlines()
    assert "cannot be read" in message
    assert int(megabytes) < 30


def test_compression_that_inflates_unbounded_is_refused(tmp_path: Path) -> None:
    path = lying_zip(tmp_path / "lie.ig", claimed=1000, method=zipfile.ZIP_BZIP2)
    with pytest.raises(InputError, match="neither stored nor deflated"):
        open_source(path)


def test_fuzzing_without_atheris_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "atheris.py").write_text("raise ImportError('no atheris')")
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "--target", "ig"], cwd=ROOT, capture_output=True,
        text=True, env={"PYTHONPATH": str(tmp_path), "PATH": ""},
    )  # fmt: skip
    assert done.returncode == 2
    assert "pip install -e '.[fuzz]'" in done.stdout

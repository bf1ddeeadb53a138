"""The catalogue of records, and a record's files from a portal on loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from common.errors import ConfigError, InputError
from data.access import AccessOptions, InputFile, resolve
from data.catalog import RECORDS, CatalogConfig, files_of, run, table
from tests.servers import WebServer, web_server

FAST = AccessOptions(retries=2, first_wait=0.01, timeout=5)
EOS = "root://eospublic.cern.ch//eos/opendata/cms/MonteCarlo2012/H"


def index(*numbers: int) -> dict[str, Any]:
    """A file index as the portal's interface gives it."""
    files = [
        {
            "availability": "on demand" if n == 5 else "online",
            "checksum": f"adler32:{n:07x}", "file_id": f"id{n}",
            "filename": f"{n}.root", "key": f"{n}.root", "size": 1000 + n,
            "uri": f"{EOS}/{n}.root",
        }
        for n in numbers
    ]  # fmt: skip
    name = "CMS_MonteCarlo2012_file_index"
    return {
        "key": f"{name}.json", "description": name, "files": files,
        "number_files": len(files), "size": sum(f["size"] for f in files),
    }  # fmt: skip


@pytest.fixture
def portal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    records = tmp_path / "api" / "records"
    records.mkdir(parents=True)

    def add(number: int, metadata: object) -> None:
        (records / str(number)).write_text(json.dumps({"id": str(number), "metadata": metadata}))

    add(7783, {"_file_indices": [index(3, 1), index(2)], "files": [], "title": "H"})
    add(7687, {"file_indices": [index(5)]})
    add(
        6031,
        {
            "files": [
                {"uri": f"{EOS}/a_file_index.txt", "size": 1},
                {"uri": f"{EOS}/9.root", "size": 9, "checksum": "adler32:9"},
            ]
        },
    )
    add(300, {"files": [{"uri": f"{EOS}/Electron_0.ig", "size": 9}]})
    add(301, {"files": [{"uri": f"{EOS}/readme.pdf", "size": 9}]})
    add(302, [])
    (records / "303").write_text("<html>down for maintenance</html>")
    with web_server(tmp_path) as server:
        monkeypatch.setenv("CMS_OPENDATA_PORTAL", f"{server.url}/")
        yield server


def test_files_of_a_record(portal: WebServer) -> None:
    portal.behaviour.failures = [503]
    files = files_of(7783, options=FAST)
    assert [f.location for f in files] == [f"{EOS}/{n}.root" for n in (3, 1, 2)]
    assert files[0] == InputFile(
        f"{EOS}/3.root", label=1, adler32="00000003", size=1003, record=7783
    )


def test_slices_and_labels(portal: WebServer) -> None:
    found = resolve(["first.root"], 7783, "1:", FAST)
    assert [f.location for f in found] == ["first.root", f"{EOS}/1.root", f"{EOS}/2.root"]
    assert [f.label for f in found] == [None, 1, 1]
    assert files_of(7687, options=FAST)[0].label == 0
    with pytest.raises(
        ConfigError, match=r"files=9:12: chooses none of the 3 files of record 7783"
    ):
        files_of(7783, "9:12", FAST)


def test_files_on_tape_are_told(
    portal: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr("data.catalog.log.warning", lambda text, *of: said.append(text % of))
    assert [file.online for file in files_of(7687, options=FAST)] == [False]
    assert "1 of the 1 files are on tape" in said[-1]
    assert f"{portal.url}/record/7687" in said[-1]
    assert all(file.online for file in files_of(7783, options=FAST))


def test_records_without_index(portal: WebServer) -> None:
    assert [f.location for f in files_of(6031, options=FAST)] == [f"{EOS}/9.root"]
    found = files_of(300, options=FAST)
    assert found == [InputFile(f"{EOS}/Electron_0.ig", size=9, record=300)]


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (404, r"records/404: reading failed: no such file \(tried once\)"),
        (301, "lists no data files"),
        (302, "answer is not a record"),
        (303, "answer is not a record"),
    ],
)
def test_answers_that_help_nobody(portal: WebServer, record: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        files_of(record, options=FAST)


def test_no_network(portal: WebServer) -> None:
    portal.close()
    with pytest.raises(InputError, match=r"tried 3 times.*catalog --record 7783 --output"):
        files_of(7783, options=FAST)


def test_lists_of_a_record_are_inputs(
    portal: WebServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = {"record": 7783, "files": "0:2", "retries": 1}
    run(CatalogConfig(output=tmp_path / "files.json", **config))
    assert "2 file(s), 2.00 kB, label 1" in capsys.readouterr().out
    assert resolve([str(tmp_path / "files.json")]) == files_of(7783, "0:2", FAST)
    run(CatalogConfig(output=tmp_path / "files.txt", **config))
    assert [f.location for f in resolve([str(tmp_path / "files.txt")])] == [
        f"{EOS}/3.root", f"{EOS}/1.root",
    ]  # fmt: skip


def test_the_catalogue_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    run(CatalogConfig())
    printed = capsys.readouterr().out
    assert printed.strip() == table()
    assert (
        "| 7783 | GluGluHToGG_M-125_8TeV-pythia6 | 1 H→γγ | 4,999,765 | 490 | 1.37 TB |" in table()
    )
    assert all(str(record) in printed for record in RECORDS)
    with pytest.raises(ConfigError, match="name the record"):
        run(CatalogConfig(files="0:2"))


def test_the_documentation_has_the_catalogue() -> None:
    page = Path(__file__).resolve().parent.parent / "docs" / "remote.md"
    assert table() in page.read_text(encoding="utf-8")

"""A record of the portal to an event store: portal and files are served on loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from common.errors import ConfigError
from common.files import adler32
from data.access import resolve
from data.config import PreprocessConfig
from data.preprocessing.stage import PartialFailure, run
from data.store import EventStore
from tests.made_files import make_events, write_aod
from tests.servers import WebServer, web_server

N_EVENTS = 12
RECORD = 7783  # H→γγ, label 1


@pytest.fixture
def portal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    """Three files, the last with a checksum that it does not have."""
    records = tmp_path / "portal" / "api" / "records"
    records.mkdir(parents=True)
    paths = [
        write_aod(tmp_path / "portal" / f"{k}.root", make_events(N_EVENTS, seed=k))
        for k in range(3)
    ]
    sums = [adler32(path) for path in paths]
    sums[2] = f"{int(sums[2], 16) ^ 1:08x}"
    with web_server(tmp_path / "portal") as server:
        files = [
            {"uri": f"{server.url}/{path.name}", "size": path.stat().st_size,
             "checksum": f"adler32:{checksum}"}
            for path, checksum in zip(paths, sums, strict=True)
        ]  # fmt: skip
        metadata = {"_file_indices": [{"key": "index.json", "files": files}]}
        (records / str(RECORD)).write_text(json.dumps({"id": str(RECORD), "metadata": metadata}))
        monkeypatch.setenv("CMS_OPENDATA_PORTAL", server.url)
        yield server


@pytest.mark.parametrize("access", ["stream", "fetch"])
def test_some_files_of_a_record(portal: WebServer, tmp_path: Path, access: str) -> None:
    output = tmp_path / "record.h5"
    run(PreprocessConfig(record=RECORD, files="0:2", output=output, access=access))
    local = [str(tmp_path / "portal" / f"{k}.root") for k in range(2)]
    run(PreprocessConfig(input=local, output=tmp_path / "local.h5", label=1))
    with EventStore(output) as remote, EventStore(tmp_path / "local.h5") as expected:
        assert remote.event("label").tolist() == [1] * (2 * N_EVENTS)  # the catalogue's
        for channel in expected.channels:
            for name, column in expected.hits(channel).columns.items():
                np.testing.assert_array_equal(remote.hits(channel).columns[name], column)
        identities = [entry["identity"] for entry in remote.attrs["inputs"]]
    assert all(identity.startswith("adler32:") for identity in identities)
    assert not list(tmp_path.glob("*.shards"))  # nor the copies


def test_records_are_inputs_like_any_other(portal: WebServer, tmp_path: Path) -> None:
    local = str(tmp_path / "portal" / "0.root")
    found = resolve([local, f"record:{RECORD}[1:]"])
    assert [(Path(file.location).name, file.label) for file in found] == [
        ("0.root", None), ("1.root", 1), ("2.root", 1),
    ]  # fmt: skip
    assert found[1:] == resolve([], RECORD, "1:")
    assert resolve([f"record:{RECORD}"]) == resolve([], RECORD)
    for wrong in ("record:", "record:7783[0:1", "record:higgs"):
        with pytest.raises(ConfigError, match="record:7783"):
            resolve([wrong])


def test_a_wrong_copy_is_told_and_left_out(portal: WebServer, tmp_path: Path) -> None:
    with pytest.raises(PartialFailure, match=r"2\.root.*[Aa]dler-?32"):
        run(PreprocessConfig(record=RECORD, output=tmp_path / "a.h5", access="fetch"))
    with EventStore(tmp_path / "a.h5") as store:
        assert len(store) == 2 * N_EVENTS


def test_a_finished_run_asks_the_servers_again(portal: WebServer, tmp_path: Path) -> None:
    config = PreprocessConfig(record=RECORD, files="0", output=tmp_path / "a.h5")
    run(config)
    made = (tmp_path / "a.h5").stat().st_mtime_ns
    n_requests = len(portal.behaviour.requests)
    run(config)
    assert len(portal.behaviour.requests) > n_requests
    assert (tmp_path / "a.h5").stat().st_mtime_ns == made

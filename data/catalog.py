"""Records of the CERN Open Data portal that the papers use, and any record's list of files.

Marks of the facts: READ in the text of a publication or of the portal, CODE in the authors' own
code, CALC by arithmetic. The portal's list of a record is asked for at run time. The portal's own
client (cernopendata-client 1.0.2) is a command: its functions print, leave the process on errors,
and neither repeat nor end a request that hangs.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import Field

from common.config import StageConfig
from common.errors import ConfigError, InputError
from common.files import parse_json, write_json
from common.progress import log
from data.access.fetching import in_units
from data.access.inputs import entries, take
from data.access.location import DEFAULT_ACCESS, AccessOptions, InputFile
from data.access.remote import RemoteFile

PORTAL = "https://opendata.cern.ch"
PORTAL_VARIABLE = "CMS_OPENDATA_PORTAL"
LABELS = {0: "γγ", 1: "H→γγ", 2: "γ+jet"}


@dataclass(frozen=True)
class Record:
    """A record of the portal.

    Attributes
    ----------
    id
        Its number.
    title
        The data set's name.
    label
        Class of its events, None where the sample is of no class.
    n_events, n_files, n_bytes
        Its extent; None where no source says. n_bytes is rounded, as published.
    what
        What it is.
    known
        How the facts are known.
    """

    id: int
    title: str
    label: int | None
    n_events: int | None
    n_files: int | None
    n_bytes: int | None
    what: str
    known: str


_SIMULATION = "simulation, 8 TeV, Summer12_DR53X AODSIM, run-dependent pile-up"
_OF_PAPER = "title, extent: READ (arXiv:1807.11916); pile-up runs: CODE"
RECORDS = {
    record.id: record
    for record in (
        Record(7783, "GluGluHToGG_M-125_8TeV-pythia6", 1, 4_999_765, 490, 1_370_000_000_000,
               f"H→γγ by gluon fusion; {_SIMULATION}", _OF_PAPER),
        Record(7687, "DiPhotonBorn_Pt-25To250_8TeV_ext-pythia6", 0, 1_000_000, 103,
               275_000_000_000, f"γγ, Born; {_SIMULATION}", _OF_PAPER),
        Record(7690, "DiPhotonBox_Pt-25To250", 0, 832_275, None, None,
               f"γγ, box; {_SIMULATION}", _OF_PAPER),
        Record(7778, "GJet_Pt40_doubleEMEnriched_TuneZ2star_8TeV_ext-pythia6", 2, 17_748_810,
               1_548, 5_190_000_000_000, f"γ+jet; {_SIMULATION}", _OF_PAPER),
        Record(7905, "GluGluHToGG_M-125, without pile-up", 1, 99_984, None, None,
               "H→γγ by gluon fusion; simulation, 8 TeV, no pile-up",
               "extent: READ; name of the data set: not looked up"),
        Record(6031, "DoublePhoton, Run2012C, AOD", None, None, None, None,
               "collisions of 2012, diphoton triggers", "READ"),
        Record(8898, "QCD_Pt_80_170_EMEnriched", None, 29_997_370, None, None,
               "quark and gluon jets; simulation, 8 TeV", "READ (arXiv:1902.08276)"),
    )
}  # fmt: skip


class CatalogConfig(StageConfig):
    """The catalogue of records, or the files of one."""

    record: int | None = Field(
        None, description="record whose files are asked of the portal; none: print the catalogue"
    )
    files: str | None = Field(None, description="part of the record's files, such as 0:4")
    output: Path | None = Field(
        None,
        description="list of the files to write (.json: with sizes, checksums and label; else one "
        "address a line), an input of preprocess on machines that cannot reach the portal",
    )
    retries: int = Field(5, ge=0, description="how often a failed request is tried again")


def run(config: CatalogConfig) -> None:
    """Print the catalogue, or a record's files; write them as a list if `output` is given."""
    if config.record is None:
        if config.files is not None or config.output is not None:
            raise ConfigError("files and output are of a record: name the record too")
        print(table())
        return
    files = files_of(config.record, config.files, AccessOptions(retries=config.retries))
    for file in files:
        where = "" if file.online else "  (on tape)"
        checksum = file.adler32 or "unknown"
        print(f"{file.location}  {in_units(file.size)}  adler32:{checksum}{where}")
    total = sum(file.size or 0 for file in files)
    print(f"{len(files)} file(s), {in_units(total)}, label {files[0].label}")
    if config.output is not None:
        write_list(config.output, files)


def table() -> str:
    """The catalogue as a Markdown table."""
    lines = [
        "| record | data set | label | events | files | size | what it is | how known |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for record in RECORDS.values():
        label = "–" if record.label is None else f"{record.label} {LABELS[record.label]}"
        events, n_files = (
            "–" if n is None else f"{n:,}" for n in (record.n_events, record.n_files)
        )
        size = "–" if record.n_bytes is None else in_units(record.n_bytes)
        lines.append(
            f"| {record.id} | {record.title} | {label} | {events} | {n_files} | {size} "
            f"| {record.what} | {record.known} |"
        )
    return "\n".join(lines)


def portal() -> str:
    """Address of the portal; the environment variable CMS_OPENDATA_PORTAL names another."""
    return os.environ.get(PORTAL_VARIABLE, PORTAL).rstrip("/")


def files_of(
    record: int, files: str | None = None, options: AccessOptions = DEFAULT_ACCESS
) -> list[InputFile]:
    """The ROOT and event-display files of a record, in the portal's order, with label and checksum.

    Raises
    ------
    ConfigError
        If the slice `files` is none, or chooses nothing.
    InputError
        If the portal cannot be reached, does not know the record, or lists no data files.
    """
    known = RECORDS.get(record)
    if known is None:
        log.warning("record %d is not in the catalogue: its events get no label", record)
    address = f"{portal()}/api/records/{record}"
    try:
        text = RemoteFile(address, options).read_all()
    except InputError as error:
        raise InputError(
            address, error.problem,
            f"{error.remedy}; a machine without network reads a list made elsewhere: "
            f"run_pipeline.py catalog --record {record} --output files.json",
        ) from error  # fmt: skip
    found = take(_data_files(text, address, options), files, f"record {record}")
    if known is not None and files is None and known.n_files not in (None, len(found)):
        log.warning("record %d: the portal lists %d files, the catalogue says %d", record,
                    len(found), known.n_files)  # fmt: skip
    if on_tape := sum(not file.online for file in found):
        log.warning("record %d: %d of the %d files are on tape and cannot be read before they are "
                    "requested: %s/record/%d", record, on_tape, len(found), portal(),
                    record)  # fmt: skip
    label = None if known is None else known.label
    return [replace(file, record=record, label=label) for file in found]


def write_list(path: Path, files: list[InputFile]) -> None:
    """Write files as a list that `resolve` reads back: JSON with all facts, or addresses only."""
    if path.suffix != ".json":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{file.location}\n" for file in files), encoding="utf-8")
        return
    facts = [
        {"uri": f.location, "size": f.size, "checksum": f.adler32 and f"adler32:{f.adler32}",
         "label": f.label, "record": f.record, "availability": None if f.online else "on tape"}
        for f in files
    ]  # fmt: skip
    write_json(path, [{k: v for k, v in fact.items() if v is not None} for fact in facts])


def _data_files(text: bytes, address: str, options: AccessOptions) -> list[InputFile]:
    try:
        metadata = parse_json(text)["metadata"]
        if not isinstance(metadata, dict):
            raise TypeError("metadata is not an object")
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            address, f"the portal's answer is not a record: {error!r}",
            "its interface may have changed: download the record's file index from its page and "
            "name that list as input",
        ) from error  # fmt: skip
    found = _indexed(metadata, address)
    if not found:
        # Data sets list indices of files; older answers list the indices themselves as files.
        listed = entries(metadata.get("files") or [], address)
        found = [f for f in listed if f.location.endswith((".root", ".ig"))]
        for file in (f for f in listed if not found and f.location.endswith("_index.json")):
            content = RemoteFile(file.location, options).read_all()
            try:
                found = found + entries(parse_json(content), file.location)
            except ValueError as error:
                raise InputError(file.location, f"not a list of files: {error}") from error
    if not found:
        raise InputError(
            address, "the record lists no data files",
            "is it a data set? some records must first be requested on the portal's page",
        )  # fmt: skip
    return found


def _indexed(metadata: dict[str, Any], address: str) -> list[InputFile]:
    """Files of all indices of a record, in order; a file in two indices (.json, .txt) once."""
    found: dict[str, InputFile] = {}
    for key in ("_file_indices", "file_indices"):
        for index in metadata.get(key) or []:
            for file in entries(index, address):
                found.setdefault(file.location, file)
    return list(found.values())

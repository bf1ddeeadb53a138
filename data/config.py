"""Configuration of the preprocessing and export stages."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from common.config import StageConfig

Selection = Literal["none", "pair", "diphoton2012", "diphoton2012_id"]
Engine = Literal["processes", "dask", "slurm", "htcondor"]
Location = Annotated[str, BeforeValidator(str)]


class PreprocessConfig(StageConfig):
    """CMS or simulated files to one event store."""

    input: list[Location] = Field(
        default_factory=list,
        description="files to read: paths, globs, https:// or root:// addresses, the portal's "
        "lists of files (.txt, .json), or records as record:7783[0:4]; a file's format is told by "
        "its content",
    )
    record: int | None = Field(
        None, description="record of the CERN Open Data portal whose files are read, such as 7783"
    )
    files: str | None = Field(
        None, description="part of the record's files, counted from 0, such as 0:4"
    )
    output: Path = Field(Path("events.h5"), description="event store to write")
    selection: Selection = Field(
        "none",
        description="none: keep all events (`selected` then flags the 2012 selection); pair: two "
        "standard clusters; diphoton2012: the 2012 selection; diphoton2012_id: with the later "
        "photon identification",
    )
    label: int | None = Field(
        None,
        description="class of the events: 0 γγ, 1 H→γγ, 2 γ+jet; a catalogued record and simulated "
        "files bring their own",
    )
    access: Literal["stream", "fetch"] = Field(
        "stream",
        description="remote files: stream reads the wanted baskets only; fetch copies a file first "
        "and compares its checksum",
    )
    cache: Path | None = Field(
        None, description="folder that keeps fetched files (default: they are deleted after use)"
    )
    retries: int = Field(5, ge=0, description="how often a failed remote read is tried again")
    objects: list[str] = Field(
        default_factory=list,
        description="further objects to store where a file has them: Jet, MET, Electron, Muon, "
        "particles (the generator's), or all",
    )
    strict: bool = Field(
        True,
        description="refuse files with values that cannot be (a DetId of no cell or out of order, "
        "energies not finite or beyond 30 TeV, …: docs/faults.md); off: skip and count them",
    )
    engine: Engine = Field(
        "processes",
        description="processes: on this machine; dask: a Dask cluster (its `scheduler`, or a local "
        "one); slurm, htcondor: Dask workers as jobs of the batch system",
    )
    workers: int = Field(1, gt=0, description="processes, Dask workers or jobs")
    scheduler: str | None = Field(
        None, description="address of a running Dask scheduler, such as tcp://head:8786"
    )
    jobqueue: dict[str, Any] = Field(
        default_factory=dict,
        description="further options of dask-jobqueue's cluster, such as jobqueue.queue=short",
    )
    chunk: int = Field(2500, gt=0, description="events held in memory at a time")
    part: str | None = Field(
        None,
        pattern=r"^\d+/\d+$",
        description="i/n: make only part i (from 0) of n of the shards and stop before merging "
        "them; what the tasks of a batch array run",
    )
    hcal_upsampling: Literal["conserving", "repeated"] = Field(
        "conserving",
        description="how imported dense images spread a tower over its 25 crystals: divided "
        "(conserving) or repeated",
    )

    @model_validator(mode="after")
    def _has_input(self) -> PreprocessConfig:
        if not self.input and self.record is None:
            raise ValueError("name the files to read: input, or record")
        if self.part is not None:
            number, count = (int(text) for text in self.part.split("/"))
            if number >= count:
                raise ValueError(f"part {self.part}: expected i/n with i from 0 to n - 1")
        return self


class ExportConfig(StageConfig):
    """An event store to dense images."""

    store: Path = Field(description="event store to read")
    images: list[str] = Field(
        ["EB_energy", "EEm_energy", "EEp_energy", "HBHE_energy"],
        description="names of images, as in the ntuple, or of stacks such as X_EB; docs/images.md "
        "lists them all; X_jets (.h5, .parquet): windows round jets",
    )
    hcal_upsampling: Literal["conserving", "repeated"] = Field(
        "conserving",
        description="how towers are spread over their 25 crystals in upsampled images: divided "
        "(conserving) or repeated",
    )
    min_jet_pt: float = Field(0.0, ge=0, description="X_jets: jets below this pt are left out, GeV")
    output: Path = Field(
        Path("images.npz"),
        description=".npz: images under their names; .h5 or .parquet: the papers' arrays",
    )

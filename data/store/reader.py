"""Reading an event store; damage of any kind is an InputError."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from numpy.typing import NDArray

from common.errors import InputError
from common.timing import spent
from data.batch import Collection, Hits
from data.store.checks import check_structure, open_file, read_attributes, reading
from data.store.schema import SCHEMA, SCHEMA_VERSION


class EventStore:
    """Read an event store.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    InputError
        If the file is missing, is not HDF5, is not an event store, or is damaged.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file = open_file(self.path)
        try:
            self._check_schema()
        except InputError:
            self._file.close()
            raise

    def _check_schema(self) -> None:
        attributes = read_attributes(self.path, self._file)
        schema, version = attributes.get("schema"), attributes.get("schema_version")
        if schema != SCHEMA:
            raise InputError(
                self.path, "HDF5, but not an event store", "make one with `preprocess`"
            )
        if version != SCHEMA_VERSION:
            raise InputError(
                self.path,
                f"event store of schema version {version}, this program reads {SCHEMA_VERSION}",
                "run `preprocess` again",
            )
        check_structure(self.path, self._file)

    def __len__(self) -> int:
        with self._reading("event/run"):
            return int(self._file["event/run"].shape[0])

    def event(self, name: str) -> NDArray:
        """(N,) column of `event/`."""
        return self.column(f"event/{name}")

    def photons(self, name: str) -> NDArray:
        """(N, 2) column of `photons/`: the source's photons, leading first."""
        return self.column(f"photons/{name}")

    def clusters(self, name: str) -> NDArray:
        """(N, 2) column of `clusters/`: the standard 5x5 reconstruction."""
        return self.column(f"clusters/{name}")

    def vertex_z(self) -> NDArray:
        """(N,) z of the vertex in cm; 0 where the source has none."""
        return self.column("vertex/z")

    def truth(self, name: str) -> NDArray:
        """(N, 2) column of the true photons; for labels, rewards and metrics only."""
        return self.column(f"truth/photons/{name}")

    def truth_event(self, name: str) -> NDArray:
        """(N,) column of the event's truth; for labels, rewards and metrics only."""
        return self.column(f"truth/{name}")

    @property
    def has_truth(self) -> bool:
        """Whether the store holds events of this project's simulation with their truth."""
        with self._reading("truth"):
            return "truth/process" in self._file

    @property
    def channels(self) -> tuple[str, ...]:
        """Hit channels of the store."""
        with self._reading("hits"):
            return tuple(self._file["hits"])

    @property
    def collections(self) -> dict[str, dict[str, str]]:
        """Further objects by group (`objects/Jet`, `truth/particles`): types of columns."""
        with self._reading("objects"):
            groups = [f"objects/{name}" for name in self._file.get("objects", ())]
            truth = self._file.get("truth", {})
            # Of the truth's groups, photons has two slots per event and no offsets.
            groups += [f"truth/{name}" for name in truth if f"{name}/offsets" in truth]
            return {
                group: {n: d.dtype.str[1:] for n, d in self._file[group].items() if n != "offsets"}
                for group in groups
            }

    @property
    def attrs(self) -> dict[str, Any]:
        """Attributes, JSON texts decoded."""
        with self._reading("the attributes"):
            found = read_attributes(self.path, self._file)
            return {name: _decode(value) for name, value in found.items()}

    @property
    def simulation(self) -> bool:
        """Whether the events are simulated (a mixture counts as simulated)."""
        return read_attributes(self.path, self._file).get("origin") != "collision"

    def hits(self, channel: str, start: int = 0, stop: int | None = None) -> Hits:
        """Hits of one channel for the events start:stop.

        Raises
        ------
        InputError
            If the store lacks the channel.
        """
        if channel not in self.channels:
            raise InputError(
                self.path,
                f"no {channel} hits: the source did not provide them",
                f"channels here: {', '.join(self.channels)}",
            )
        rows = self.rows(f"hits/{channel}", start, stop)
        return Hits(rows.offsets, **rows.columns)

    def objects(self, name: str, start: int = 0, stop: int | None = None) -> Collection:
        """Objects of the events start:stop, such as `Jet`, `Electron` or `MET`.

        Raises
        ------
        InputError
            If the store does not have them.
        """
        return self._collection(f"objects/{name}", start, stop)

    def truth_particles(self, start: int = 0, stop: int | None = None) -> Collection:
        """Generator particles of the source; for labels, rewards and metrics only."""
        return self._collection("truth/particles", start, stop)

    def _collection(self, group: str, start: int, stop: int | None) -> Collection:
        known = self.collections
        if group not in known:
            raise InputError(
                self.path,
                f"no {group}: the source did not provide them",
                f"objects here: {', '.join(known) or 'none'}",
            )
        return self.rows(group, start, stop)

    def rows(self, name: str, start: int = 0, stop: int | None = None) -> Collection:
        """Any group with offsets, by its name in the file; truth is for labels and metrics only."""
        stop = len(self) if stop is None else min(stop, len(self))
        start = min(start, stop)
        with self._reading(name), spent("reading"):
            group = self._file[name]
            offsets = group["offsets"][start : stop + 1]
            first, last = int(offsets[0]), int(offsets[-1])
            columns = {column: group[column][first:last] for column in group if column != "offsets"}
        return Collection(offsets - first, columns)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def column(self, name: str) -> NDArray:
        """Any dataset by its name in the file; truth is for labels, rewards and metrics only."""
        with self._reading(name), spent("reading"):
            if name in self._file:
                return self._file[name][:]
            group = name.rsplit("/", 1)[0]
            known = ", ".join(self._file[group]) if group in self._file else "none"
        raise InputError(self.path, f"no dataset {name}", f"in {group}/: {known}")

    def _reading(self, what: str) -> AbstractContextManager[None]:
        return reading(self.path, what)


def _decode(value: Any) -> Any:
    if isinstance(value, str) and value[:1] in "{[":
        return json.loads(value)
    return value

"""Parquet files of jets' images (`X_jets` or `X_jet`), read a few rows at a time.

The converters wrote one row group per jet or thousands of jets per group; either way no more than
`_ROWS` images are dense in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.errors import ConfigError, InputError
from data.batch import CHANNELS, EventBatch, Hits, concatenate_hits
from data.sources import dense
from data.sources.base import DEFAULT, ReadOptions, Source
from data.sources.plausible import Place
from data.sources.rhtree_images import nonzero
from data.sources.root_file import DAMAGED, reason

MAGIC = b"PAR1"
IMAGES = ("X_jets", "X_jet")
_ROWS = 64  # 24 MB of doubles
_BUFFER = 4 << 20  # bytes of a column read at a time, however large its row group is
_SHAPES = ((3, 125, 125), (125, 125, 3))


class DenseParquetSource(Source):
    """Images of one jet a row, as nested lists (3, 125, 125) or (125, 125, 3).

    Raises
    ------
    ConfigError
        If pyarrow is not installed.
    InputError
        If the file is damaged or has no column of images.
    """

    format = "dense_parquet"

    def __init__(self, path: str | Path, options: ReadOptions = DEFAULT) -> None:
        super().__init__(path, options)
        self._file = _open(self.path)
        try:
            self._prepare(options)
        except BaseException:
            self._file.close()
            raise

    def _prepare(self, options: ReadOptions) -> None:
        metadata = self._file.metadata
        self.n_events = metadata.num_rows
        names = self._file.schema_arrow.names
        images = [name for name in IMAGES if name in names]
        if not images:
            raise InputError(
                self.path,
                f"Parquet without a column {' or '.join(IMAGES)}; it holds: "
                + ", ".join(names)[:200],
                "see docs/published_arrays.md for the layout",
            )
        self._image = images[0]
        self._first_rows = [0, *accumulate(
            metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)
        )]  # fmt: skip
        self._ids = dense.named(dense.IDENTIFIERS, names)
        self._columns = dense.named(dense.ALL_COLUMNS, names)
        notes = self._file.schema_arrow.metadata or {}
        written = notes.get(b"hcal_upsampling", b"").decode("utf-8", "replace")
        self._convention = dense.upsampling(self.path, written, options)
        self.missing = (*CHANNELS, "photons")
        self.channels = {"JET": ["cell", "energy"]}
        self.collections = dense.jet_types(names)
        self.origin = "simulation"  # jets are published with their labels, or for training

    def batches(self, start: int, stop: int, chunk: int) -> Iterator[EventBatch]:
        """See `Source.batches`; one pass over the row groups of start:stop."""
        parts: list[tuple[Hits, dict[str, NDArray]]] = []
        first, n_rows = start, 0
        for hits, columns in self._read(start, stop, min(chunk, _ROWS)):
            parts.append((hits, columns))
            n_rows += len(hits)
            if n_rows >= chunk or first + n_rows == stop:
                yield self._batch(first, parts)
                first, n_rows, parts = first + n_rows, 0, []

    @property
    def basket_edges(self) -> list[int]:
        return self._first_rows[1:-1]

    def close(self) -> None:
        self._file.close()

    def _read(
        self, start: int, stop: int, n_rows: int
    ) -> Iterator[tuple[Hits, dict[str, NDArray]]]:
        """Hits and columns of start:stop, at most `n_rows` rows at a time."""
        bounds = enumerate(pairwise(self._first_rows))
        groups = [i for i, (low, high) in bounds if low < stop and high > start]
        if not groups or start == stop:
            return
        names = [self._image, *self._columns.values(), *self._ids.values()]
        row = self._first_rows[groups[0]]
        try:
            for table in self._file.iter_batches(n_rows, row_groups=groups, columns=names):
                low, high = max(start - row, 0), min(stop - row, table.num_rows)
                if low < high:
                    yield self._rows(table.slice(low, high - low), row + low)
                row += table.num_rows
        except (OSError, ValueError, TypeError) as error:  # pyarrow's errors are of these kinds
            raise InputError(
                self.path, f"rows {row}:{row + n_rows}: cannot be read: {reason(error)}", DAMAGED
            ) from error

    def _rows(self, table: Any, first: int) -> tuple[Hits, dict[str, NDArray]]:
        values, shape = self._images(table.column(self._image), first)
        filled = nonzero(values)
        event, position = np.divmod(filled, 3 * dense.N_JET_CELLS)
        if shape[0] == 3:
            layer, pixel = np.divmod(position, dense.N_JET_CELLS)
        else:
            pixel, layer = np.divmod(position, 3)
        hits = dense.jet_hits(
            event,
            layer,
            pixel,
            values[filled],
            table.num_rows,
            self._convention,
            self.warnings,
            Place(self.path, self._image, first, self.strict),
        )
        wanted = self._columns | self._ids
        return hits, {key: self._scalar(table, name) for key, name in wanted.items()}

    def _images(self, column: Any, first: int) -> tuple[NDArray, tuple[int, ...]]:
        """All values of some rows, flat, and the shape of each row's image."""
        n_rows, sizes = len(column), []
        for _ in range(3):
            if not hasattr(column, "flatten") or not hasattr(column.type, "value_type"):
                raise InputError(self.path, f"column {self._image}: expected lists nested thrice")
            if column.null_count:
                raise InputError(
                    self.path, f"column {self._image}: rows from {first}: a list is missing"
                )
            lengths = np.asarray(column.value_lengths())
            if len(np.unique(lengths)) != 1:
                raise self._wrong_shape(first, "lists of unequal lengths")
            sizes.append(int(lengths[0]))
            column = column.flatten()
        if tuple(sizes) not in _SHAPES:
            raise self._wrong_shape(first, f"shape {tuple(sizes)}")
        with np.errstate(over="ignore"):  # infinite energies are refused later
            values = column.to_numpy(zero_copy_only=False).astype(np.float32, copy=False)
        assert len(values) == n_rows * int(np.prod(sizes))
        return values, tuple(sizes)

    def _wrong_shape(self, first: int, found: str) -> InputError:
        expected = " or ".join(map(str, _SHAPES))
        return InputError(
            self.path, f"column {self._image}, rows from {first}: {found}, expected {expected}: "
            "tracks, ECAL and HCAL of 125 x 125 cells", "see docs/published_arrays.md",
        )  # fmt: skip

    def _scalar(self, table: Any, name: str) -> NDArray:
        values = table.column(name).to_numpy(zero_copy_only=False)
        if values.dtype.kind not in "iufb":
            raise InputError(self.path, f"column {name}: expected one number per row")
        return values

    def _batch(self, start: int, parts: list[tuple[Hits, dict[str, NDArray]]]) -> EventBatch:
        hits = concatenate_hits([part[0] for part in parts])
        n_events = len(hits)
        columns = {key: np.concatenate([part[1][key] for part in parts]) for key in parts[0][1]}
        place = Place(self.path, "run, lumi and event", start, self.strict)
        numbers = dense.identifiers(columns, n_events, place, self.warnings)
        return EventBatch(
            run=numbers.run,
            lumi=numbers.lumi,
            event=numbers.event,
            hits={"JET": hits},
            missing=self.missing,
            is_numbered="event" in self._ids,
            collections=dense.jet_collections(
                columns, self.collections, n_events, self.warnings
            ),
        )  # fmt: skip


def _open(path: str) -> Any:
    try:
        import pyarrow.parquet as pq  # an extra
    except ImportError as error:
        raise ConfigError(
            f"{path}: Parquet files need pyarrow: pip install 'cms-e2e-rl[parquet]'"
        ) from error
    try:
        # Pages need not have a checksum; those of `data.export.arrays` do.
        return pq.ParquetFile(path, buffer_size=_BUFFER, page_checksum_verification=True)
    except (OSError, ValueError, TypeError) as error:
        raise InputError(path, f"not a readable Parquet file: {reason(error)}", DAMAGED) from error

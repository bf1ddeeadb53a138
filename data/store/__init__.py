"""The event store: sparse hits and photons of many events in one HDF5 file.

The layout is documented in `docs/event_store.md`. Hits are stored as compressed rows; every
dataset is compressed with zstd and carries a Fletcher-32 checksum, because a flipped bit in an
unprotected HDF5 file reads back as silently wrong numbers.
"""

from data.store.reader import EventStore
from data.store.schema import (
    CLUSTER_FIELDS,
    EVENT_FIELDS,
    GROUPS,
    LABELS,
    PHOTON_FIELDS,
    SCHEMA,
    SCHEMA_VERSION,
    TRUTH_EVENT_FIELDS,
    TRUTH_PHOTON_FIELDS,
    VERTEX_FIELDS,
    append,
    dataset_options,
)
from data.store.writer import StoreWriter

__all__ = [
    "CLUSTER_FIELDS",
    "EVENT_FIELDS",
    "GROUPS",
    "LABELS",
    "PHOTON_FIELDS",
    "SCHEMA",
    "SCHEMA_VERSION",
    "TRUTH_EVENT_FIELDS",
    "TRUTH_PHOTON_FIELDS",
    "VERTEX_FIELDS",
    "EventStore",
    "StoreWriter",
    "append",
    "dataset_options",
]

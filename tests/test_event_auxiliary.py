"""Event numbers from the raw bytes of EventAuxiliary."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.sources.event_auxiliary import EventIds, LayoutError, decode
from tests.made_files import event_auxiliary

# The first object of a real 2016 MiniAOD file (run 273158, lumi 242, event 381085873), and of a
# 2012-like file with an EventID of 12 bytes; both up to the end of the EventID.
REAL_2016 = bytes.fromhex(
    "40000019000b400000130009" "10ae5ffb403109b44e168720f984c58959"
    "40000012000c00042b06000000f20000000016b6e8b1"
)  # fmt: skip
LIKE_2012 = bytes.fromhex(
    "40000019000b40000013000a" "1030313233343536373839616263646566"
    "4000000e000b0002f643000002be26db4e41"
)  # fmt: skip


def decode_all(*objects: bytes) -> EventIds:
    data = np.frombuffer(b"".join(objects), dtype=np.uint8)
    return decode(data, np.cumsum([0] + [len(o) for o in objects]))


def test_real_bytes() -> None:
    ids = decode_all(REAL_2016, LIKE_2012)
    assert list(zip(ids.run, ids.lumi, ids.event, strict=True)) == [
        (273158, 242, 381085873),
        (194115, 702, 651906625),
    ]


@given(
    st.lists(
        st.tuples(
            st.integers(1, 2**32 - 1),
            st.integers(0, 2**32 - 1),
            st.integers(0, 2**63 - 1),
            st.sampled_from((8, 12, 16)),
            st.integers(0, 30),
            st.sampled_from((0, 16, 32)),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_every_layout_in_one_batch(
    events: list[tuple[int, int, int, int, int, int]],
) -> None:
    """Sizes, class versions (0 carries a checksum) and hash lengths may differ between events."""
    objects = [
        event_auxiliary(run, lumi, event, size, version, hash_length)
        for run, lumi, event, size, version, hash_length in events
    ]
    ids = decode_all(*objects)
    for i, (run, lumi, event, size, _, _) in enumerate(events):
        assert ids.run[i] == run
        assert ids.lumi[i] == (lumi if size > 8 else 0)
        assert ids.has_lumi[i] == (size > 8)
        assert ids.event[i] == (event if size == 16 else event & 0xFFFFFFFF)


@pytest.mark.parametrize("length", range(len(LIKE_2012)))
def test_truncated_bytes_are_refused(length: int) -> None:
    with pytest.raises(LayoutError) as caught:
        decode_all(LIKE_2012, LIKE_2012[:length])
    assert caught.value.entry == 1


@given(st.lists(st.binary(max_size=60), min_size=1, max_size=4))
def test_any_bytes_end_in_numbers_or_in_a_layout_error(objects: list[bytes]) -> None:
    try:
        ids = decode_all(*objects)
    except LayoutError:
        return
    assert len(ids.run) == len(objects)


def test_no_events() -> None:
    assert len(decode_all().run) == 0

"""Rows as columns: they come back as they were, and take little."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaderless.protocol import limits
from leaderless.protocol.columns import Room, pack_columns, unpack_columns
from leaderless.protocol.errors import MalformedError
from leaderless.protocol.packing import pack

_NUMBERS = st.integers(-(1 << 63), (1 << 64) - 1)
_IDS = st.integers(0, (1 << 80) - 1).map(lambda number: number.to_bytes(10, "big") + b"rocess")
_VALUES = st.one_of(
    st.none(), st.booleans(), _NUMBERS, st.floats(allow_nan=False), st.text(), st.binary(), _IDS
)
_COLUMNS = st.sampled_from([_NUMBERS, st.integers(0, 300), _IDS, _VALUES, st.just("file")])


def taken(rows: list[tuple[Any, ...]]) -> int:
    """Return the bytes of these rows as columns, which come back as the same rows."""
    packed = pack_columns(rows)
    assert packed is not None
    assert unpack_columns(packed, len(rows), Room()) == rows
    return sum(map(len, packed))


@given(st.data(), st.lists(_COLUMNS, min_size=1, max_size=5), st.integers(1, 20))
def test_rows_come_back_as_they_were(
    data: st.DataObject, columns: list[st.SearchStrategy[Any]], count: int
) -> None:
    """Whatever stands in them: values, and their types."""
    rows = [tuple(data.draw(values) for values in columns) for _ in range(count)]
    packed = pack_columns(rows)
    assert packed is not None
    found = unpack_columns(packed, count, Room())
    assert found == rows
    assert [list(map(type, row)) for row in found] == [list(map(type, row)) for row in rows]


def test_no_rows_have_no_columns() -> None:
    """A change may consist of tombstones alone."""
    assert pack_columns([]) == []
    assert unpack_columns([], 0, Room()) == []


@pytest.mark.parametrize("value", ["x" * 50, b"x" * 50, None, 7, 1 << 60])
def test_what_is_always_the_same_is_said_once(value: object) -> None:
    """However many rows have it."""
    assert taken([(value,)] * 500) <= taken([(value,)]) < 60


def test_numbers_that_rise_take_a_byte_each() -> None:
    """Revs and inodes: of each the step from the one before it."""
    assert taken([((1 << 50) + at,) for at in range(100)]) < 120


def test_numbers_beside_nearly_the_same_take_a_byte_each() -> None:
    """A file changes, and a moment later its directory entry does."""
    times = [hash((1, at)) for at in range(100)]
    assert taken([(time, time + 5) for time in times]) < taken([(time,) for time in times]) + 120


def test_ids_of_one_process_take_a_few_bytes_each() -> None:
    """They are made one after the other."""
    ids = [((1 << 70) + at).to_bytes(10, "big") + b"rocess" for at in range(100)]
    assert taken([(uuid,) for uuid in ids]) < 130


@pytest.mark.parametrize(
    "values",
    [
        (0.0, -0.0),
        (1, True),
        (1, 1.0),
        (math.inf, math.inf),
        (-(1 << 63), (1 << 64) - 1),
        (b"a" * 16, b"a" * 15 + b"b"),
        (bytes(16), b"\xff" * 10 + bytes(6)),
    ],
)
def test_what_is_nearly_the_same_stays_what_it_is(values: tuple[object, object]) -> None:
    """Rows are hashed: no bit may change."""
    packed = pack_columns([(value,) for value in values])
    assert packed is not None
    assert repr(unpack_columns(packed, 2, Room())) == repr([(value,) for value in values])


def test_numbers_far_from_those_beside_them_are_not_told_by_these() -> None:
    """A difference would be no number that can be sent."""
    taken([(-(1 << 63), (1 << 64) - 1), (0, 5)])


def test_a_column_that_is_too_large_to_decode_at_once_makes_none() -> None:
    """Its rows are sent as they are."""
    names = [(bytes([at]) * 60_000,) for at in range(5)]
    assert pack_columns(names) is None


@pytest.mark.parametrize(
    "columns",
    [
        [5],
        [[]],
        [[0, 5]],
        [[0, [1]]],
        [[0, [1, 2, 3]]],
        [[0, [[], []]]],
        [[0, [{}, 1]]],
        [[1, [2]]],
        [[2, [1]]],
        [[2, ["a", 1]]],
        [[2, [True, 1]]],
        [[2, [(1 << 64) - 1, 1]]],
        [[2, [-(1 << 63), -1]]],
        [[3, [1, 1]]],
        [[0, ["a", "b"]], [3, [1, 1]]],
        [[0, [1, 2]], [3, [1]]],
        [[0, [1, 2]], [3, [1, None]]],
        [[0, [(1 << 64) - 1, 2]], [3, [1, 1]]],
        [[4, b"short", [1]]],
        [[4, bytes(16), [1, 1]]],
        [[4, bytes(16), [-1]]],
        [[4, b"\xff" * 16, [1]]],
        [[4, bytes(16), ["a"]]],
        [[5, [1, 2]]],
    ],
)
def test_columns_that_do_not_fit_two_rows_are_refused(columns: list[object]) -> None:
    """Of another shape, length or type, nested, or out of range."""
    with pytest.raises(MalformedError):
        unpack_columns([pack(column) for column in columns], 2, Room())


def test_a_row_is_no_larger_than_one_that_is_sent_as_it_is() -> None:
    """Whoever takes it has to be able to hand it on."""
    half = b"x" * (limits.MAX_ROW_BYTES // 2)
    fits = [(half, half[:-20], at) for at in range(2)]
    taken(fits)
    with pytest.raises(MalformedError, match="larger than one may be"):
        unpack_columns(pack_columns([(*row, half) for row in fits]) or [], 2, Room())


@pytest.mark.parametrize("value", ["x" * 1_000, "ü" * 500, b"x" * 1_000, None, 5])
def test_a_few_bytes_do_not_stand_for_more_than_a_frame_holds(value: object) -> None:
    """Else a small message would have a device write gigabytes."""
    column = pack([1, value])
    count = limits.MAX_ROWS
    columns = [column] * (1 + limits.MAX_FRAME_BYTES // (9 * count))
    with pytest.raises(MalformedError, match="more than a frame"):
        unpack_columns(columns, count, Room())


def test_mixed_values_are_measured_each_by_itself() -> None:
    """A column of numbers and text counts for what it has of text."""
    taken([(5, "x"), ("x" * 100, 7), (None, b"y")])


def test_all_sections_of_a_batch_share_what_there_is_room_for() -> None:
    """Else a message of many small sections would be gigabytes of rows."""
    room, half = Room(), limits.MAX_ROWS // 2
    unpack_columns([pack([1, 5])], half, room)
    unpack_columns([pack([1, 5])], half, room)
    with pytest.raises(MalformedError, match="too many rows"):
        unpack_columns([pack([1, 5])], 1, room)
    room, value = Room(), pack([1, b"x" * 30_000])
    for _ in range(3):
        unpack_columns([value], 100, room)
    with pytest.raises(MalformedError, match="more than a frame"):
        unpack_columns([value], 100, room)

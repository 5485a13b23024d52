"""MessagePack and zstd within limits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgpack
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from leaderless.protocol import limits
from leaderless.protocol.errors import FrameTooLargeError, MalformedError, ProtocolError
from leaderless.protocol.packing import (
    check_depth,
    compress,
    decompress,
    items_within,
    pack,
    unpack,
    unpack_each,
)
from registry.changes import UNSET


def test_values_survive() -> None:
    """What is packed comes back."""
    assert unpack(pack([1, "a", b"b", None, {"k": [True]}])) == [1, "a", b"b", None, {"k": [True]}]


def test_unset_survives_where_it_may_stand() -> None:
    """It is no other value; elsewhere it is refused, as every other extension is."""
    packed = pack([UNSET, None])
    assert unpack(packed, unset=True) == [UNSET, None]
    assert list(unpack_each(packed, 1, 64, unset=True)) == [[UNSET, None]]
    for data in (packed, msgpack.packb(msgpack.ExtType(1, b"")), pack([msgpack.Timestamp(1)])):
        with pytest.raises(MalformedError):
            unpack(data)
        with pytest.raises(MalformedError):
            list(unpack_each(data, 1, 64))
    with pytest.raises(MalformedError):
        unpack(msgpack.packb(msgpack.ExtType(1, b"")), unset=True)


def test_what_cannot_be_packed_is_named() -> None:
    """A value without a form is an error."""
    with pytest.raises(MalformedError):
        pack(object())


def test_a_piece_over_its_limit_is_not_decoded() -> None:
    """The length decides before a byte is looked at."""
    with pytest.raises(FrameTooLargeError):
        unpack(bytes(11), limit=10)


@given(st.binary(max_size=2_000))
def test_hostile_bytes_raise_nothing_else(data: bytes) -> None:
    """Whatever the bytes are, decoding ends with a value or a ProtocolError."""
    try:
        unpack(data)
        list(unpack_each(data, 10, 100))
    except ProtocolError:
        pass


def test_nesting_is_bounded() -> None:
    """Deep nesting is refused, by the decoder or by us."""
    for depth in (17, 5_000):
        with pytest.raises(MalformedError):
            unpack(b"\x91" * depth + b"\xc0")
    check_depth([[{"a": [1]}]])


def test_values_in_a_row_are_yielded_one_by_one() -> None:
    """Concatenated values come back in order, across pieces."""
    packed = b"".join(pack(at) for at in range(300))
    assert list(unpack_each(packed, 300, 64)) == list(range(300))


def test_too_many_values_are_refused() -> None:
    """More values than allowed are an error."""
    with pytest.raises(MalformedError, match="more than"):
        list(unpack_each(pack(1) * 3, 2, 64))


def test_a_cut_value_is_refused() -> None:
    """A rest that is no whole value is an error."""
    with pytest.raises(MalformedError, match="cut off"):
        list(unpack_each(pack("abcdef")[:-1], 5, 64))


@pytest.mark.parametrize("value", [[1, 2], {"a": 1}, [[[]], "x"], b"abc"])
def test_a_value_of_any_kind_that_is_cut_is_refused(value: object) -> None:
    """A list or map that has begun is no value, also when none of its parts is cut."""
    packed = pack(value)
    for size in range(1, len(packed)):
        with pytest.raises(MalformedError, match="cut off"):
            list(unpack_each(pack(0) + packed[:size], 5, 64))


@pytest.mark.parametrize("before", [0, 1, 40, 63])
@pytest.mark.parametrize("build", [lambda size: bytes(size - 2), lambda size: [0] * (size - 3)])
def test_a_value_larger_than_a_piece_is_refused(build: Callable[[int], Any], before: int) -> None:
    """One byte decides, wherever in the row it begins, and whether it is one piece or nested."""
    first, fits, over = pack(0) * before, pack(build(64)), pack(build(65))
    assert (len(fits), len(over)) == (64, 65)
    assert list(unpack_each(first + fits, 99, 64))[-1] == build(64)
    for rest in (b"", pack(0)):
        with pytest.raises(MalformedError, match="more than 64 bytes"):
            list(unpack_each(first + over + rest, 99, 64))


@given(st.lists(st.recursive(st.integers(0, 1 << 40), st.lists, max_leaves=6)), st.integers(16, 64))
def test_what_is_decoded_in_pieces_is_what_is_decoded_at_once(values: list[Any], size: int) -> None:
    """Wherever the pieces end."""
    packed = [pack(value) for value in values]
    fitting = [piece for piece in packed if len(piece) <= size]
    expected = [unpack(piece) for piece in fitting]
    assert list(unpack_each(b"".join(fitting), len(fitting), size)) == expected


@pytest.mark.parametrize(
    ("value", "count"),
    [(5, 0), ("abc", 0), ([], 0), ([1, [2, 3]], 4), ({"a": {"b": [1]}}, 5), ([{}, [], {}], 3)],
)
def test_items_are_counted_at_every_depth(value: object, count: int) -> None:
    """Of a map, keys and values."""
    assert items_within(value) == count


def test_invalid_bytes_in_a_row_are_refused() -> None:
    """A byte that begins no value is an error."""
    with pytest.raises(MalformedError):
        list(unpack_each(b"\xc1", 5, 64))


def test_zstd_stops_at_its_limit_whatever_the_frame_declares() -> None:
    """A frame that holds more than the limit is refused after the limit's bytes."""
    bomb = zstandard.ZstdCompressor().compress(bytes(1 << 20))
    with pytest.raises(FrameTooLargeError):
        decompress(bomb, 1_000)
    assert decompress(compress(b"abc"), 3) == b"abc"


def test_bytes_that_are_no_zstd_are_refused() -> None:
    """Garbage is an error with a name."""
    with pytest.raises(MalformedError):
        decompress(msgpack.packb("x"), 10)


def test_the_depth_of_a_value_can_be_left_to_who_asked() -> None:
    """Who takes no list in a list has to look at each value anyway."""
    value: list[object] = []
    for _ in range(limits.MAX_DEPTH + 1):
        value = [value]
    with pytest.raises(MalformedError):
        unpack(pack(value))
    assert unpack(pack(value), any_depth=True) == value

"""Messages as frames, and hostile frames."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaderless.protocol import limits
from leaderless.protocol.batches import in_columns
from leaderless.protocol.codec import decode, decode_sized, encode, encode_sized, is_in_columns
from leaderless.protocol.errors import FrameTooLargeError, MalformedError, ProtocolError
from leaderless.protocol.messages import LogBatch, Ping, SignedCommit, StateBatch, Unknown
from leaderless.protocol.packing import compress, pack
from registry.changes import DeviceId, Incarnation, StateChange

FEED = b"f" * 44


@pytest.mark.parametrize("size", [0, 10_000])
def test_a_frame_is_compressed_where_it_is_worth_it(size: int) -> None:
    """Both sides count the bytes of the payload, however few went over the wire."""
    message = LogBatch(FEED, 3, 9, (SignedCommit(b"header", b"s" * 64, bytes(size)),))
    frame, counted = encode_sized(message)
    assert decode_sized(frame) == (message, counted)
    assert (frame[0], encode(message)) == (int(size > 0), frame)
    assert counted > size
    assert len(frame) < 400


def test_rows_as_columns_count_for_about_what_they_take_as_they_are() -> None:
    """On both sides: it is these that are sent again when one of them dies."""
    rows = [(bytes(15) + bytes([at]), at, "name") for at in range(100)]
    life = Incarnation(1, bytes(8))
    change = StateChange("tag", DeviceId(bytes(16)), life, ("label",), rows)
    batch = StateBatch(bytes(16), life, 0, 99, 99, 99, (change,))
    packed = in_columns(batch)
    assert packed is not None
    frame, counted = encode_sized(packed)
    message, size = decode_sized(frame)
    assert (is_in_columns(frame), is_in_columns(encode(batch))) == (True, False)
    assert not is_in_columns(encode(Ping()))
    assert isinstance(message, StateBatch)
    assert message.changes[0].rows == rows
    assert size == counted
    assert 100 * limits.COLUMNS_SPARE_BYTES < counted < 100 * (limits.COLUMNS_SPARE_BYTES + 30)


def _frame(kind: int, *parts: bytes, flag: int = 0) -> bytes:
    payload = bytes([kind]) + b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return bytes([flag]) + payload


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\x00",
        b"\x07\x01",
        _frame(10),
        _frame(10, pack({}))[:-1],
        b"\x01",
        b"\x01garbage",
        b"\x01" + compress(b""),
        _frame(12, pack({})),
    ],
)
def test_a_frame_that_is_no_message_is_refused_by_name(frame: bytes) -> None:
    """Cut off, of an unknown kind or flag, of another shape: a ProtocolError and nothing else."""
    with pytest.raises(ProtocolError):
        decode(frame)


@pytest.mark.parametrize("frame", [_frame(99, pack({})), _frame(0), _frame(99, b"x" * 9)[:-3]])
def test_a_message_of_an_unknown_kind_is_not_looked_at(frame: bytes) -> None:
    """A later minor version may have more kinds, with parts of any shape; it counts its bytes."""
    assert decode_sized(frame) == (Unknown(frame[1]), len(frame) - 1)


def test_a_message_of_no_parts_but_its_head_is_small() -> None:
    """A ping has seven bytes."""
    assert len(encode(Ping())) == 7


@given(st.binary(max_size=3_000))
def test_random_bytes_never_raise_anything_else(data: bytes) -> None:
    """Random frames end with a message or a ProtocolError."""
    for flag in (b"", b"\x00", b"\x00\x05"):
        try:
            decode(flag + data)
        except ProtocolError:
            continue


def test_a_frame_over_the_limit_is_not_even_split() -> None:
    """The length of a frame decides first, on both ways."""
    with pytest.raises(FrameTooLargeError):
        decode(bytes(limits.MAX_FRAME_BYTES + 1))
    with pytest.raises(FrameTooLargeError):
        encode(LogBatch(FEED, 0, 1, (SignedCommit(b"", b"", bytes(limits.MAX_FRAME_BYTES)),)))


def test_too_many_parts_are_refused() -> None:
    """A frame of nothing but empty parts ends early."""
    with pytest.raises(MalformedError):
        decode(b"\x00\x07" + bytes(4) * (limits.MAX_PARTS + 1))


@pytest.mark.parametrize(
    "payload",
    [
        b"\x01" + (1 << 18).to_bytes(4, "big") + b"\x90" * (1 << 18),
        b"\x01" + (1 << 20).to_bytes(4, "big") + b"\x91" * (1 << 20),
        b"\x05" + (1 << 22).to_bytes(4, "big") + bytes(1 << 22),
        b"\x03" + (1 << 18).to_bytes(4, "big") + b"\xdd\x00\x04\x00\x00" * (1 << 15),
    ],
)
def test_hostile_frames_cost_little_memory(payload: bytes) -> None:
    """Empty lists, nested headers and claimed lengths stay within 32 MiB of what they were."""
    frame = b"\x01" + compress(payload)
    tracemalloc.start()
    with pytest.raises(ProtocolError):
        decode(frame)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 32 << 20


_EMPTY_LISTS = b"\xdc\x3f\xff" + b"\x90" * 16_383


def test_rows_of_nested_values_cost_little_memory() -> None:
    """A row is as large as a row may be, and a frame full of lists in lists ends early."""
    row = b"\xdc\x01\xff" + _EMPTY_LISTS * 511
    head = {
        "owner": bytes(16),
        "of": [1, bytes(8)],
        "range": [0, 1, 1, 1],
        "introduction": 0,
        "sections": [["entry", [], []]],
    }
    frame = _frame(5, pack(head), b"", row, b"")
    tracemalloc.start()
    with pytest.raises(ProtocolError):
        decode(frame)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 24 << 20

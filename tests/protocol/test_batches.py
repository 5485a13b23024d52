"""The shapes of batches, and what is refused of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from leaderless.protocol import limits
from leaderless.protocol.batches import in_columns
from leaderless.protocol.codec import decode, decode_sized, encode_sized
from leaderless.protocol.errors import MalformedError
from leaderless.protocol.messages import LogBatch, Message, Records, SignedCommit, StateBatch
from leaderless.protocol.packing import pack
from registry.changes import StateChange
from tests.protocol.test_shapes import FEED, LIFE, OWNER, frame_of

CHANGE = StateChange(
    "entry",
    OWNER,
    LIFE,
    ("name", "size_bytes"),
    [(b"u" * 16, 7, b"\xff\n", 5), (b"v" * 16, 8, b"x", None)],
    [(b"w" * 16, 9)],
    frozenset([b"u" * 16]),
)
BATCHES: list[Message] = [
    StateBatch(OWNER, LIFE, 1, 9, 9, 10, (CHANGE,), b"checkpoint"),
    StateBatch(OWNER, LIFE, 0, 0, 8, 8, (), introduction=True),
    StateBatch(OWNER, LIFE, 1, 9, 9, 10, (), b"checkpoint", floor=b"floor"),
    LogBatch(FEED, 3, 9, (SignedCommit(b"header", b"s" * 64, b"body" * 1_000),)),
    Records(b"", {}, (), done=True),
    Records(b"u" * 16 + b"tag", {FEED: 3}, (b"one", b"two" * 500), False, {FEED: bytes(32)}),
]


@pytest.mark.parametrize("batch", BATCHES, ids=lambda batch: type(batch).__name__)
def test_a_batch_survives_the_wire(batch: Message) -> None:
    """Rows, tombstones, commits and records come as they were sent, and are counted alike."""
    frame, size = encode_sized(batch)
    assert decode_sized(frame) == (batch, size)


EMPTY = StateChange("entry", OWNER, LIFE, ("name",), [], [(b"w" * 16, 9)])


@pytest.mark.parametrize("changes", [(CHANGE,), (EMPTY,), (CHANGE, EMPTY, CHANGE), ()])
def test_a_batch_survives_the_wire_as_columns(changes: tuple[StateChange, ...]) -> None:
    """It is the same batch, and counts for what its rows take as they are, about, on both sides."""
    batch = StateBatch(OWNER, LIFE, 1, 9, 9, 10, changes, b"checkpoint", floor=b"floor")
    packed = in_columns(batch)
    assert packed is not None
    frame, size = encode_sized(packed)
    assert decode_sized(frame) == (batch, size)
    rows = sum(len(change.rows) for change in changes)
    assert (
        size > encode_sized(replace(batch, changes=()))[1] + limits.COLUMNS_SPARE_BYTES * rows - 1
    )


def test_a_batch_with_a_column_that_is_too_large_makes_no_columns() -> None:
    """It is sent as rows."""
    rows = [(bytes([at]) * 16, at, bytes([at]) * 60_000, 0) for at in range(5)]
    change = replace(CHANGE, rows=rows)
    assert in_columns(StateBatch(OWNER, LIFE, 1, 9, 9, 10, (EMPTY, change))) is None


def _state(head: dict[str, object], *parts: bytes, kind: int = 5) -> bytes:
    base: dict[str, object] = {
        "owner": OWNER,
        "of": [1, b"n" * 8],
        "range": [0, 1, 1, 1],
        "introduction": 0,
        "sections": [],
    }
    return frame_of(kind, pack(base | head), *parts)


def _columns(section: list[object], *columns: list[object]) -> bytes:
    return _state({"sections": [section]}, b"", *map(pack, columns), b"", kind=17)


@pytest.mark.parametrize(
    "frame",
    [
        _state({"range": [2, 1, 1, 1]}, b""),
        _state({}),
        _state({}, bytes(2_000)),
        _state({"sections": [["entry", ["a"] * 2, []]]}, b"", b"", b""),
        _state({"sections": [["entry", [str(at) for at in range(200)], []]]}, b"", b"", b""),
        _state({"sections": [["entry", ["a"], []]]}, b"", pack([b"u" * 16, 1]), b""),
        _state({"sections": [["entry", ["a"], []]]}, b"", pack([b"u" * 16, 1, [2]]), b""),
        _state({"sections": [["entry", ["a"], []]]}, b"", pack([b"short", 1, 2]), b""),
        _state({"sections": [["entry", ["a"], []]]}, b"", b"", pack([b"short", 1])),
        _state({"floor": bytes(257)}, b""),
        _state({"floor": 5}, b""),
        _state({"sections": [["entry", ["a"], []]]}, b"", b""),
        _state({}, b"", b""),
        _columns(["entry", [], [], 1], [0, [b"u" * 16]]),
        _columns(["entry", [], [], 1], [0, [b"short"]], [0, [1]]),
        _columns(["entry", [], [], 1], [0, [b"u" * 16]], [0, [-1]]),
        _columns(["entry", [], [], 2], [0, [b"u" * 16]], [0, [1]]),
        _columns(["entry", [], [], limits.MAX_ROWS + 1], [1, b"u" * 16], [1, 1]),
        _columns(["entry", [], [], 1, 1], [0, [b"u" * 16]], [0, [1]]),
        frame_of(7, pack({"feed": FEED, "after": 0, "head": 0}), b"odd"),
        frame_of(16, pack({"after": b"", "done": 1}), pack([b"short", 1, b""])),
        frame_of(16, pack({"after": b"", "done": 1}), b"", bytes(limits.MAX_RECORD_BYTES + 1)),
    ],
)
def test_a_batch_that_does_not_fit_itself_is_refused(frame: bytes) -> None:
    """Ranges, sections, columns and rows have to fit each other; no part may be too large."""
    with pytest.raises(MalformedError):
        decode(frame)

"""The shape of each message, and what is refused of it."""

from __future__ import annotations

import pytest

from leaderless.protocol import limits
from leaderless.protocol.codec import decode, decode_sized, encode, encode_sized
from leaderless.protocol.errors import MalformedError, ProtocolError
from leaderless.protocol.membership import Signed
from leaderless.protocol.messages import (
    Bye,
    Compare,
    Compared,
    Credit,
    FeedPosition,
    Hello,
    LogBatch,
    Message,
    OwnedPosition,
    Ping,
    Pong,
    Positions,
    Proof,
    PullLog,
    PullRecords,
    PullState,
    Records,
    SignedCommit,
    StateBatch,
    Statements,
    Vectors,
)
from leaderless.protocol.packing import compress, pack
from leaderless.protocol.reconcile import MAX_RANGES, Answer, Listed, Part, Range
from registry.changes import DeviceId, Incarnation, StateChange

OWNER = DeviceId(b"o" * 16)
LIFE = Incarnation(2, b"n" * 8)
FEED = b"f" * 44
CHANGE = StateChange(
    "entry",
    OWNER,
    LIFE,
    ("name", "size_bytes"),
    [(b"u" * 16, 7, b"\xff\n", 5), (b"v" * 16, 8, b"x", None)],
    [(b"w" * 16, 9)],
    frozenset([b"u" * 16]),
)
MESSAGES: list[Message] = [
    Hello(
        (1, 0), b"l" * 16, LIFE, {"tag": 1}, b"m" * 32, b"v" * 32, 5, "0.1", OwnedPosition(LIFE, 3)
    ),
    Hello((1, 0), b"l" * 16, LIFE, {}, b"m" * 32, b"v" * 32, -5, "0.1"),
    Statements((Signed(b"body", b"s" * 64),)),
    Positions(Vectors({OWNER: OwnedPosition(LIFE, 9)}, {FEED: FeedPosition(3, 2)}), whole=True),
    PullState(OWNER, LIFE, 4),
    StateBatch(OWNER, LIFE, 1, 9, 9, 10, (CHANGE,), b"checkpoint"),
    StateBatch(OWNER, LIFE, 0, 0, 8, 8, (), introduction=True),
    StateBatch(OWNER, LIFE, 1, 9, 9, 10, (), b"checkpoint", floor=b"floor"),
    PullLog(FEED, 3),
    LogBatch(FEED, 3, 9, (SignedCommit(b"header", b"s" * 64, b"body" * 1_000),)),
    PullRecords(b""),
    PullRecords(b"u" * 16 + b"tag"),
    Records(b"", {}, (), done=True),
    Records(b"u" * 16 + b"tag", {FEED: 3}, (b"one", b"two" * 500), False, {FEED: bytes(32)}),
    Credit(100),
    Proof(b"a" * 32, b"b" * 32),
    Compare((Range(b"", b"a" * 16), Range(b"a" * 16, b"b" * 16), Range(b"c" * 16, b""))),
    Compared(
        (
            Answer(Range(b"", b""), (Part(b"c" * 16, b"f" * 16), Part(b"", b"g" * 16))),
            Answer(Range(b"a" * 16, b""), items=(Listed(b"u" * 16, b"d" * 16, "entry"),)),
        )
    ),
    Compared(()),
    Ping(),
    Pong(),
    Bye("code", "text"),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_survives_the_wire(message: Message) -> None:
    """Encoding and decoding give the same message, and both sides count the same bytes."""
    frame, size = encode_sized(message)
    assert decode_sized(frame) == (message, size)
    assert encode(message) == frame


def _frame(kind: int, *parts: bytes, flag: int = 0) -> bytes:
    payload = bytes([kind]) + b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return bytes([flag]) + payload


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\x00",
        b"\x07\x01",
        _frame(1),
        _frame(1, pack([])),
        _frame(1, pack({})),
        _frame(1, pack({"version": 1}))[:-1],
        b"\x01",
        b"\x01garbage",
        b"\x01" + compress(b""),
        _frame(4, pack({"owner": b"o" * 16, "of": [1 << 32, bytes(8)], "lo": 0})),
        _frame(2, pack({}), b"odd"),
        _frame(4, pack({"owner": b"short", "of": [1, b"n" * 8], "lo": 0})),
        _frame(4, pack({"owner": b"o" * 16, "of": [1, b"n" * 8], "lo": -1})),
        _frame(4, pack({"owner": b"o" * 16, "of": [1, b"n" * 8], "lo": True})),
        _frame(7, pack({"feed": FEED, "after": 0, "head": 0}), b"odd"),
        _frame(12, pack({"code": 5, "text": ""})),
        _frame(13, pack({"ranges": []})),
        _frame(13, pack({"ranges": [[b"", b""]] * (MAX_RANGES + 1)})),
        _frame(13, pack({"ranges": [[b"short", b""]]})),
        _frame(14, *[pack({})] * (MAX_RANGES + 2)),
        _frame(14, pack({}), pack([[b"", b""], [[b"", b"short"]], []])),
        _frame(14, pack({}), pack([[b"", b""], [], [[b"u" * 16, b"d" * 16, 5]]])),
        _frame(15, pack({"after": 5})),
        _frame(15, pack({"after": bytes(limits.MAX_CURSOR_BYTES + 1)})),
        _frame(16, pack({"after": b"", "done": 1}), pack([b"short", 1])),
        _frame(16, pack({"after": b"", "done": 1}), b"", bytes(limits.MAX_RECORD_BYTES + 1)),
        _frame(2, *[pack({})] * (2 * limits.MAX_STATEMENTS + 3)),
    ],
)
def test_a_frame_that_is_no_message_is_refused_by_name(frame: bytes) -> None:
    """Truncated, unknown, mistyped frames raise a ProtocolError and nothing else."""
    with pytest.raises(ProtocolError):
        decode(frame)


def _state(head: dict[str, object], *parts: bytes) -> bytes:
    base: dict[str, object] = {
        "owner": OWNER,
        "of": [1, b"n" * 8],
        "range": [0, 1, 1, 1],
        "introduction": 0,
        "sections": [],
    }
    return _frame(5, pack(base | head), *parts)


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
    ],
)
def test_a_batch_that_does_not_fit_itself_is_refused(frame: bytes) -> None:
    """Ranges, sections, columns and rows have to fit each other."""
    with pytest.raises(MalformedError):
        decode(frame)


@pytest.mark.parametrize(
    "ranges",
    [
        (Range(b"", b""), Range(b"", b"")),
        (Range(b"b" * 16, b"c" * 16), Range(b"a" * 16, b"b" * 16)),
        (Range(b"a" * 16, b"c" * 16), Range(b"b" * 16, b"d" * 16)),
        (Range(b"a" * 16, b"a" * 16),),
    ],
    ids=["twice", "back", "overlapping", "empty"],
)
def test_a_question_names_nothing_twice(ranges: tuple[Range, ...]) -> None:
    """Ranges that overlap would have one question looked up and hashed many times."""
    with pytest.raises(MalformedError, match="overlap"):
        decode_sized(encode(Compare(ranges)))

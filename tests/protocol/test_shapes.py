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
    Message,
    OwnedPosition,
    Ping,
    Pong,
    Positions,
    Proof,
    PullLog,
    PullRecords,
    PullState,
    Statements,
    Vectors,
)
from leaderless.protocol.packing import compress, pack
from leaderless.protocol.reconcile import MAX_RANGES, Answer, Listed, Part, Range
from registry.changes import DeviceId, Incarnation

OWNER = DeviceId(b"o" * 16)
LIFE = Incarnation(2, b"n" * 8)
FEED = b"f" * 44
MESSAGES: list[Message] = [
    Hello(
        (1, 0), b"l" * 16, LIFE, {"tag": 1}, b"m" * 32, b"v" * 32, 5, "0.1", OwnedPosition(LIFE, 3)
    ),
    Hello((1, 0), b"l" * 16, LIFE, {}, b"m" * 32, b"v" * 32, -5, "0.1"),
    Statements((Signed(b"body", b"s" * 64),)),
    Positions(Vectors({OWNER: OwnedPosition(LIFE, 9)}, {FEED: FeedPosition(3, 2)}), whole=True),
    PullState(OWNER, LIFE, 4),
    PullState(OWNER, LIFE, 4, b"k" * 16),
    PullLog(FEED, 3),
    PullRecords(b""),
    PullRecords(b"u" * 16 + b"tag"),
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


def frame_of(kind: int, *parts: bytes, flag: int = 0) -> bytes:
    """Return a frame of a kind with these parts."""
    payload = bytes([kind]) + b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return bytes([flag]) + payload


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\x00",
        b"\x07\x01",
        frame_of(1),
        frame_of(1, pack([])),
        frame_of(1, pack({})),
        frame_of(1, pack({"version": 1}))[:-1],
        b"\x01",
        b"\x01garbage",
        b"\x01" + compress(b""),
        frame_of(4, pack({"owner": b"o" * 16, "of": [1 << 32, bytes(8)], "lo": 0})),
        frame_of(2, pack({}), b"odd"),
        frame_of(4, pack({"owner": b"short", "of": [1, b"n" * 8], "lo": 0})),
        frame_of(4, pack({"owner": b"o" * 16, "of": [1, b"n" * 8], "lo": -1})),
        frame_of(4, pack({"owner": b"o" * 16, "of": [1, b"n" * 8], "lo": True})),
        frame_of(4, pack({"owner": b"o" * 16, "of": [1, b"n" * 8], "lo": 0, "known": b"short"})),
        frame_of(4, pack({"owner": b"o" * 16, "of": [1, b"n" * 8], "lo": 0, "known": 5})),
        frame_of(12, pack({"code": 5, "text": ""})),
        frame_of(13, pack({"ranges": []})),
        frame_of(13, pack({"ranges": [[b"", b""]] * (MAX_RANGES + 1)})),
        frame_of(13, pack({"ranges": [[b"short", b""]]})),
        frame_of(14, *[pack({})] * (MAX_RANGES + 2)),
        frame_of(14, pack({}), pack([[b"", b""], [[b"", b"short"]], []])),
        frame_of(14, pack({}), pack([[b"", b""], [], [[b"u" * 16, b"d" * 16, 5]]])),
        frame_of(15, pack({"after": 5})),
        frame_of(15, pack({"after": bytes(limits.MAX_CURSOR_BYTES + 1)})),
        frame_of(2, *[pack({})] * (2 * limits.MAX_STATEMENTS + 3)),
    ],
)
def test_a_frame_that_is_no_message_is_refused_by_name(frame: bytes) -> None:
    """Truncated, unknown, mistyped frames raise a ProtocolError and nothing else."""
    with pytest.raises(ProtocolError):
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

"""The shape of each message: its parts, and the checks of what came from outside.

How parts become a frame, and how large one may be, is the codec's business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from leaderless.protocol import batches, limits, reconcile
from leaderless.protocol.checkpoint import NAME_BYTES
from leaderless.protocol.errors import MalformedError
from leaderless.protocol.fields import (
    Parts,
    cursor,
    head_of,
    incarnation_of,
    narrowed,
    number,
    sized,
)
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
    StateBatch,
    Statements,
    Vectors,
)
from leaderless.protocol.packing import pack, unpack

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def _write_hello(message: Hello) -> Sequence[bytes]:
    yours = message.yours
    head = {
        "version": list(message.version),
        "library": message.library,
        "incarnation": list(message.incarnation),
        "models": dict(message.models),
        "membership": message.membership,
        "vectors": message.vectors,
        "wall_ms": message.wall_ms,
        "software": message.software,
        "yours": None if yours is None else [*yours.incarnation, yours.watermark],
    }
    return [pack(head)]


def _read_hello(parts: Parts) -> Hello:
    head = head_of(parts)
    major, minor = head["version"]
    yours = head.get("yours")
    models = {narrowed(str, name): number(version) for name, version in head["models"].items()}
    return Hello(
        (number(major), number(minor)),
        sized(head["library"], 16),
        incarnation_of(*head["incarnation"]),
        models,
        sized(head["membership"], 32),
        sized(head["vectors"], 32),
        narrowed(int, head["wall_ms"]),
        narrowed(str, head["software"])[:64],
        None if yours is None else OwnedPosition(incarnation_of(*yours[:2]), number(yours[2])),
    )


def _write_statements(message: Statements) -> Sequence[bytes]:
    parts = [pack({})]
    for signed in message.statements:
        parts += [signed.body, signed.signature]
    return parts


def _read_statements(parts: Parts) -> Statements:
    if len(parts) % 2 == 0 or len(parts) > 2 * limits.MAX_STATEMENTS + 1:
        raise MalformedError("statements come in pairs of body and signature, at most 1,000")
    pairs = zip(parts[1::2], parts[2::2], strict=True)
    return Statements(tuple(Signed(body, sized(signature, 64)) for body, signature in pairs))


def _write_positions(message: Positions) -> Sequence[bytes]:
    owned = [
        [owner, *held.incarnation, held.watermark]
        for owner, held in sorted(message.vectors.owned.items())
    ]
    feeds = [
        [feed, held.received, held.applied] for feed, held in sorted(message.vectors.feeds.items())
    ]
    return [pack({"whole": int(message.whole), "owned": owned, "feeds": feeds})]


def _read_positions(parts: Parts) -> Positions:
    head = head_of(parts)
    owned = {
        sized(owner, 16): OwnedPosition(incarnation_of(generation, nonce), number(watermark))
        for owner, generation, nonce, watermark in head["owned"]
    }
    feeds = {
        sized(feed, 44): FeedPosition(number(received), number(applied))
        for feed, received, applied in head["feeds"]
    }
    return Positions(Vectors(owned, feeds), whole=bool(number(head["whole"])))


def _write_pull_state(message: PullState) -> Sequence[bytes]:
    head = {"owner": message.owner, "of": list(message.incarnation), "lo": message.lo}
    return [pack({**head, "known": message.known} if message.known else head)]


def _read_pull_state(parts: Parts) -> PullState:
    head = head_of(parts)
    known = narrowed(bytes, head.get("known", b""))
    if known:
        sized(known, NAME_BYTES)
    incarnation = incarnation_of(*head["of"])
    return PullState(sized(head["owner"], 16), incarnation, number(head["lo"]), known)


def _write_pull_log(message: PullLog) -> Sequence[bytes]:
    return [pack({"feed": message.feed, "after": message.after})]


def _read_pull_log(parts: Parts) -> PullLog:
    head = head_of(parts)
    return PullLog(sized(head["feed"], 44), number(head["after"]))


def _read_pull_records(parts: Parts) -> PullRecords:
    return PullRecords(cursor(head_of(parts)["after"]))


def _read_bye(parts: Parts) -> Bye:
    head = head_of(parts)
    return Bye(narrowed(str, head["code"])[:64], narrowed(str, head["text"])[:1024])


def _read_proof(parts: Parts) -> Proof:
    head = head_of(parts)
    return Proof(sized(head["vectors"], 32), sized(head["state"], 32))


def _write_compare(message: Compare) -> Sequence[bytes]:
    return [pack({"ranges": [list(within) for within in message.ranges]})]


def _read_compare(parts: Parts) -> Compare:
    listed = narrowed(list, head_of(parts)["ranges"])
    if not 1 <= len(listed) <= reconcile.MAX_RANGES:
        raise MalformedError("a comparison is of too many ranges, or of none")
    ranges = tuple(_range(*item) for item in listed)
    if not reconcile.are_in_order(ranges):
        raise MalformedError("the ranges of a comparison overlap, or are not in order")
    return Compare(ranges)


def _write_compared(message: Compared) -> Sequence[bytes]:
    return [
        pack({}),
        *(
            pack([list(item.range), [list(part) for part in item.parts], [*map(list, item.items)]])
            for item in message.answers
        ),
    ]


def _read_compared(parts: Parts) -> Compared:
    if len(parts) > 1 + reconcile.MAX_RANGES:
        raise MalformedError("a comparison is of too many ranges")
    return Compared(tuple(_answer(*unpack(part)) for part in parts[1:]))


def _answer(within: list[Any], listed: list[Any], items: list[Any]) -> reconcile.Answer:
    width = reconcile.DIGEST_BYTES
    return reconcile.Answer(
        _range(*within),
        tuple(reconcile.Part(_bound(hi), sized(found, width)) for hi, found in listed),
        tuple(
            reconcile.Listed(sized(uuid, 16), sized(digest, width), narrowed(str, model)[:256])
            for uuid, digest, model in items
        ),
    )


def _range(lo: object, hi: object) -> reconcile.Range:
    return reconcile.Range(_bound(lo), _bound(hi))


def _bound(value: object) -> bytes:
    return b"" if value == b"" else sized(value, reconcile.KEY_BYTES)


CODECS: tuple[
    tuple[int, type, Callable[[Any], Sequence[bytes]], Callable[[Parts], Message]], ...
] = (
    (1, Hello, _write_hello, _read_hello),
    (2, Statements, _write_statements, _read_statements),
    (3, Positions, _write_positions, _read_positions),
    (4, PullState, _write_pull_state, _read_pull_state),
    (5, StateBatch, batches.write_state, batches.read_state),
    (6, PullLog, _write_pull_log, _read_pull_log),
    (7, LogBatch, batches.write_log, batches.read_log),
    (
        8,
        Credit,
        lambda message: [pack({"amount": message.amount})],
        lambda parts: Credit(number(head_of(parts)["amount"])),
    ),
    (
        9,
        Proof,
        lambda message: [pack({"vectors": message.vectors, "state": message.state})],
        _read_proof,
    ),
    (10, Ping, lambda _: [pack({})], lambda _: Ping()),
    (11, Pong, lambda _: [pack({})], lambda _: Pong()),
    (
        12,
        Bye,
        lambda message: [pack({"code": message.code, "text": message.text})],
        _read_bye,
    ),
    (13, Compare, _write_compare, _read_compare),
    (14, Compared, _write_compared, _read_compared),
    (15, PullRecords, lambda message: [pack({"after": message.after})], _read_pull_records),
    (16, Records, batches.write_records, batches.read_records),
    (17, batches.InColumns, batches.write_columns, batches.read_columns),
)

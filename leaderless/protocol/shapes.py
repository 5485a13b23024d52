"""The shape of each message: its parts, and the checks of what came from outside.

How parts become a frame, and how large one may be, is the codec's business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgpack

from leaderless.protocol import limits, reconcile
from leaderless.protocol.errors import MalformedError
from leaderless.protocol.floor import MAX_BYTES as MAX_FLOOR_BYTES
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
from leaderless.protocol.packing import pack, unpack, unpack_each
from registry.changes import DeviceId, Incarnation, StateChange

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_NESTED = frozenset([list, dict])

Parts = list[bytes]


def _of(kind: type | tuple[type, ...], value: Any) -> Any:  # noqa: ANN401 - narrows what it returns
    if not isinstance(value, kind) or isinstance(value, bool):
        raise MalformedError(f"a field cannot be a {type(value).__name__}")
    return value


def _number(value: object) -> int:
    if type(value) is not int or not 0 <= value < 1 << 62:
        raise MalformedError("a number is out of range")
    return value


def _sized(value: object, size: int) -> bytes:
    if not isinstance(value, bytes) or len(value) != size:
        raise MalformedError(f"an id or hash does not have {size} bytes")
    return value


def _incarnation(generation: object, nonce: object) -> Incarnation:
    number = _number(generation)
    if number >= 1 << 32:
        raise MalformedError("a generation has at most 32 bits")
    return Incarnation(number, _sized(nonce, 8))


def _head(parts: Parts) -> dict[str, Any]:
    head = unpack(parts[0])
    if not isinstance(head, dict):
        raise MalformedError("a head is no map")
    return head


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
    head = _head(parts)
    major, minor = head["version"]
    yours = head.get("yours")
    models = {_of(str, name): _number(version) for name, version in head["models"].items()}
    return Hello(
        (_number(major), _number(minor)),
        _sized(head["library"], 16),
        _incarnation(*head["incarnation"]),
        models,
        _sized(head["membership"], 32),
        _sized(head["vectors"], 32),
        _of(int, head["wall_ms"]),
        _of(str, head["software"])[:64],
        None if yours is None else OwnedPosition(_incarnation(*yours[:2]), _number(yours[2])),
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
    return Statements(tuple(Signed(body, _sized(signature, 64)) for body, signature in pairs))


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
    head = _head(parts)
    owned = {
        _sized(owner, 16): OwnedPosition(_incarnation(generation, nonce), _number(watermark))
        for owner, generation, nonce, watermark in head["owned"]
    }
    feeds = {
        _sized(feed, 44): FeedPosition(_number(received), _number(applied))
        for feed, received, applied in head["feeds"]
    }
    return Positions(Vectors(owned, feeds), whole=bool(_number(head["whole"])))


def _write_pull_state(message: PullState) -> Sequence[bytes]:
    return [pack({"owner": message.owner, "of": list(message.incarnation), "lo": message.lo})]


def _read_pull_state(parts: Parts) -> PullState:
    head = _head(parts)
    return PullState(_sized(head["owner"], 16), _incarnation(*head["of"]), _number(head["lo"]))


def _write_state(message: StateBatch) -> Sequence[bytes]:
    sections = []
    blobs: list[bytes] = [message.checkpoint]
    packer = msgpack.Packer(use_bin_type=True, autoreset=False)
    for change in message.changes:
        sections.append([change.model, list(change.columns), sorted(change.dead)])
        for items in (change.rows, change.removed):
            for item in items:
                packer.pack(item)
            blobs.append(packer.bytes())
            packer.reset()
    head = {
        "owner": message.owner,
        "of": list(message.incarnation),
        "range": [message.lo, message.hi, message.head, message.as_of],
        "introduction": int(message.introduction),
        "sections": sections,
    }
    if message.floor:
        head["floor"] = message.floor
    return [pack(head), *blobs]


def _read_state(parts: Parts) -> StateBatch:
    head = _head(parts)
    owner = _sized(head["owner"], 16)
    incarnation = _incarnation(*head["of"])
    lo, hi, at, as_of = (_number(value) for value in head["range"])
    sections = _of(list, head["sections"])
    if not lo <= hi <= at <= as_of or len(parts) != 2 + 2 * len(sections) or len(parts[1]) > 1024:
        raise MalformedError("a batch does not fit its own description")
    changes = [
        _section(owner, incarnation, section, parts[2 + 2 * place], parts[3 + 2 * place])
        for place, section in enumerate(sections)
    ]
    introduction = bool(_number(head["introduction"]))
    floor = _of(bytes, head.get("floor", b""))
    if len(floor) > MAX_FLOOR_BYTES:
        raise MalformedError("a floor has another shape")
    positions = (lo, hi, at, as_of)
    return StateBatch(owner, incarnation, *positions, tuple(changes), parts[1], introduction, floor)


def _section(
    owner: bytes, incarnation: Incarnation, section: list[Any], rows: bytes, removed: bytes
) -> StateChange:
    model, columns, dead = section
    names = tuple(_of(str, name) for name in columns)
    if len(names) > limits.MAX_COLUMNS or len(set(names)) != len(names):
        raise MalformedError("a batch names too many columns, or one twice")
    width = len(names) + 2
    listed = []
    for row in unpack_each(rows, limits.MAX_ROWS, limits.MAX_ROW_BYTES):
        if type(row) is not list or len(row) != width or not _NESTED.isdisjoint(map(type, row)):
            raise MalformedError("a row does not fit its columns")
        _sized(row[0], 16)
        _number(row[1])
        listed.append(tuple(row))
    gone = [
        (_sized(uuid, 16), _number(rev))
        for uuid, rev in unpack_each(removed, limits.MAX_ROWS, limits.MAX_ROW_BYTES)
    ]
    return StateChange(
        _of(str, model),
        DeviceId(owner),
        incarnation,
        names,
        listed,
        gone,
        frozenset(_sized(uuid, 16) for uuid in dead),
    )


def _write_pull_log(message: PullLog) -> Sequence[bytes]:
    return [pack({"feed": message.feed, "after": message.after})]


def _read_pull_log(parts: Parts) -> PullLog:
    head = _head(parts)
    return PullLog(_sized(head["feed"], 44), _number(head["after"]))


def _write_log(message: LogBatch) -> Sequence[bytes]:
    parts = [pack({"feed": message.feed, "after": message.after, "head": message.head})]
    for commit in message.commits:
        parts += [commit.header, commit.signature, commit.body]
    return parts


def _read_log(parts: Parts) -> LogBatch:
    head = _head(parts)
    if len(parts) % 3 != 1:
        raise MalformedError("commits come as header, signature and body")
    commits = tuple(
        SignedCommit(parts[at], _sized(parts[at + 1], 64), parts[at + 2])
        for at in range(1, len(parts), 3)
    )
    return LogBatch(
        _sized(head["feed"], 44), _number(head["after"]), _number(head["head"]), commits
    )


def _read_pull_records(parts: Parts) -> PullRecords:
    return PullRecords(_cursor(_head(parts)["after"]))


def _write_records(message: Records) -> Sequence[bytes]:
    head = {"after": message.after, "done": int(message.done)}
    positions = b"".join(
        pack([feed, seq, message.heads[feed]]) for feed, seq in sorted(message.as_of.items())
    )
    return [pack(head), positions, *message.records]


def _read_records(parts: Parts) -> Records:
    head = _head(parts)
    as_of: dict[bytes, int] = {}
    heads: dict[bytes, bytes] = {}
    for feed, seq, head_hash in unpack_each(parts[1], limits.MAX_POSITIONS, limits.MAX_HEAD_BYTES):
        as_of[_sized(feed, 44)], heads[feed] = _number(seq), _sized(head_hash, 32)
    records = tuple(parts[2:])
    if any(len(record) > limits.MAX_RECORD_BYTES for record in records):
        raise MalformedError("a record is larger than one may be")
    return Records(_cursor(head["after"]), as_of, records, bool(_number(head["done"])), heads)


def _cursor(value: object) -> bytes:
    if not isinstance(value, bytes) or len(value) > limits.MAX_CURSOR_BYTES:
        raise MalformedError("a place among the records has another shape")
    return value


def _read_bye(parts: Parts) -> Bye:
    head = _head(parts)
    return Bye(_of(str, head["code"])[:64], _of(str, head["text"])[:1024])


def _read_proof(parts: Parts) -> Proof:
    head = _head(parts)
    return Proof(_sized(head["vectors"], 32), _sized(head["state"], 32))


def _write_compare(message: Compare) -> Sequence[bytes]:
    return [pack({"ranges": [list(within) for within in message.ranges]})]


def _read_compare(parts: Parts) -> Compare:
    listed = _of(list, _head(parts)["ranges"])
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
        tuple(reconcile.Part(_bound(hi), _sized(found, width)) for hi, found in listed),
        tuple(
            reconcile.Listed(_sized(uuid, 16), _sized(digest, width), _of(str, model)[:256])
            for uuid, digest, model in items
        ),
    )


def _range(lo: object, hi: object) -> reconcile.Range:
    return reconcile.Range(_bound(lo), _bound(hi))


def _bound(value: object) -> bytes:
    return b"" if value == b"" else _sized(value, reconcile.KEY_BYTES)


CODECS: tuple[
    tuple[int, type, Callable[[Any], Sequence[bytes]], Callable[[Parts], Message]], ...
] = (
    (1, Hello, _write_hello, _read_hello),
    (2, Statements, _write_statements, _read_statements),
    (3, Positions, _write_positions, _read_positions),
    (4, PullState, _write_pull_state, _read_pull_state),
    (5, StateBatch, _write_state, _read_state),
    (6, PullLog, _write_pull_log, _read_pull_log),
    (7, LogBatch, _write_log, _read_log),
    (
        8,
        Credit,
        lambda message: [pack({"amount": message.amount})],
        lambda parts: Credit(_number(_head(parts)["amount"])),
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
    (16, Records, _write_records, _read_records),
)

"""The shapes of batches: rows of an owner, commits of a feed, shared records.

What they say is checked as far as they fit themselves; whether it is true is for others to find.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgpack

from leaderless.protocol import limits
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
from leaderless.protocol.floor import MAX_BYTES as MAX_FLOOR_BYTES
from leaderless.protocol.messages import LogBatch, Records, SignedCommit, StateBatch
from leaderless.protocol.packing import pack, unpack_each
from registry.changes import DeviceId, Incarnation, StateChange

if TYPE_CHECKING:
    from collections.abc import Sequence

_NESTED = frozenset([list, dict])


def write_state(message: StateBatch) -> Sequence[bytes]:
    """Return the parts of a batch of rows."""
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


def read_state(parts: Parts) -> StateBatch:
    """Return the batch of rows in these parts; raises MalformedError."""
    head = head_of(parts)
    owner = sized(head["owner"], 16)
    incarnation = incarnation_of(*head["of"])
    lo, hi, at, as_of = (number(value) for value in head["range"])
    sections = narrowed(list, head["sections"])
    if not lo <= hi <= at <= as_of or len(parts) != 2 + 2 * len(sections) or len(parts[1]) > 1024:
        raise MalformedError("a batch does not fit its own description")
    changes = [
        _section(owner, incarnation, section, parts[2 + 2 * place], parts[3 + 2 * place])
        for place, section in enumerate(sections)
    ]
    introduction = bool(number(head["introduction"]))
    floor = narrowed(bytes, head.get("floor", b""))
    if len(floor) > MAX_FLOOR_BYTES:
        raise MalformedError("a floor has another shape")
    positions = (lo, hi, at, as_of)
    return StateBatch(owner, incarnation, *positions, tuple(changes), parts[1], introduction, floor)


def _section(
    owner: bytes, incarnation: Incarnation, section: list[Any], rows: bytes, removed: bytes
) -> StateChange:
    model, columns, dead = section
    names = tuple(narrowed(str, name) for name in columns)
    if len(names) > limits.MAX_COLUMNS or len(set(names)) != len(names):
        raise MalformedError("a batch names too many columns, or one twice")
    width = len(names) + 2
    listed = []
    for row in unpack_each(rows, limits.MAX_ROWS, limits.MAX_ROW_BYTES):
        if type(row) is not list or len(row) != width or not _NESTED.isdisjoint(map(type, row)):
            raise MalformedError("a row does not fit its columns")
        sized(row[0], 16)
        number(row[1])
        listed.append(tuple(row))
    gone = [
        (sized(uuid, 16), number(rev))
        for uuid, rev in unpack_each(removed, limits.MAX_ROWS, limits.MAX_ROW_BYTES)
    ]
    return StateChange(
        narrowed(str, model),
        DeviceId(owner),
        incarnation,
        names,
        listed,
        gone,
        frozenset(sized(uuid, 16) for uuid in dead),
    )


def write_log(message: LogBatch) -> Sequence[bytes]:
    """Return the parts of a batch of commits."""
    parts = [pack({"feed": message.feed, "after": message.after, "head": message.head})]
    for commit in message.commits:
        parts += [commit.header, commit.signature, commit.body]
    return parts


def read_log(parts: Parts) -> LogBatch:
    """Return the batch of commits in these parts; raises MalformedError."""
    head = head_of(parts)
    if len(parts) % 3 != 1:
        raise MalformedError("commits come as header, signature and body")
    commits = tuple(
        SignedCommit(parts[at], sized(parts[at + 1], 64), parts[at + 2])
        for at in range(1, len(parts), 3)
    )
    return LogBatch(sized(head["feed"], 44), number(head["after"]), number(head["head"]), commits)


def write_records(message: Records) -> Sequence[bytes]:
    """Return the parts of a batch of records."""
    head = {"after": message.after, "done": int(message.done)}
    positions = b"".join(
        pack([feed, seq, message.heads[feed]]) for feed, seq in sorted(message.as_of.items())
    )
    return [pack(head), positions, *message.records]


def read_records(parts: Parts) -> Records:
    """Return the batch of records in these parts; raises MalformedError."""
    head = head_of(parts)
    as_of: dict[bytes, int] = {}
    heads: dict[bytes, bytes] = {}
    for feed, seq, head_hash in unpack_each(parts[1], limits.MAX_POSITIONS, limits.MAX_HEAD_BYTES):
        as_of[sized(feed, 44)], heads[feed] = number(seq), sized(head_hash, 32)
    records = tuple(parts[2:])
    if any(len(record) > limits.MAX_RECORD_BYTES for record in records):
        raise MalformedError("a record is larger than one may be")
    return Records(cursor(head["after"]), as_of, records, bool(number(head["done"])), heads)

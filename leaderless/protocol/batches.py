"""The shapes of batches: rows of an owner, commits of a feed, shared records.

What they say is checked as far as they fit themselves; whether it is true is for others to find.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgpack

from leaderless.protocol import limits
from leaderless.protocol.columns import Room, pack_columns, unpack_columns
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
from registry.rows import Rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_NESTED = frozenset([list, dict])


class InColumns(NamedTuple):
    """A batch of state, and the columns of each of its changes, for a peer that can read them."""

    batch: StateBatch
    columns: tuple[list[bytes], ...]


def in_columns(batch: StateBatch) -> InColumns | None:
    """Return a batch as columns; None where these would be larger than what is decoded at once."""
    packed = [pack_columns(change.rows) for change in batch.changes]
    columns = tuple(item for item in packed if item is not None)
    return InColumns(batch, columns) if len(columns) == len(packed) else None


def write_state(message: StateBatch) -> Sequence[bytes]:
    """Return the parts of a batch of rows."""
    sections = []
    blobs: list[bytes] = []
    for change in message.changes:
        sections.append([change.model, list(change.columns), sorted(change.dead)])
        blobs += [_each(change.rows), _each(change.removed)]
    return [pack(_head(message, sections)), message.checkpoint, *blobs]


def write_columns(message: InColumns) -> Sequence[bytes]:
    """Return the parts of a batch of rows as columns."""
    sections = []
    blobs: list[bytes] = []
    for change, columns in zip(message.batch.changes, message.columns, strict=True):
        about = [change.model, list(change.columns), sorted(change.dead), len(change.rows)]
        sections.append(about)
        blobs += [*columns, _each(change.removed)]
    head = _head(message.batch, sections)
    return [pack(head), message.batch.checkpoint, *blobs]


def _head(message: StateBatch, sections: list[Any]) -> dict[str, Any]:
    head = {
        "owner": message.owner,
        "of": list(message.incarnation),
        "range": [message.lo, message.hi, message.head, message.as_of],
        "introduction": int(message.introduction),
        "sections": sections,
    }
    return {**head, "floor": message.floor} if message.floor else head


def _each(items: Sequence[tuple[Any, ...]]) -> bytes:
    packer = msgpack.Packer(use_bin_type=True, autoreset=False)
    for item in items:
        packer.pack(item)
    packed: bytes = packer.bytes()
    return packed


def read_state(parts: Parts) -> StateBatch:
    """Return the batch of rows in these parts; raises MalformedError."""

    def read(at: int, section: list[Any], about: _About) -> tuple[int, StateChange]:
        if at + 2 > len(parts):
            raise MalformedError("a batch does not fit its own description")
        model, columns, dead = section
        names = _names(columns)
        rows = Rows(_rows(parts[at], len(names) + 2))
        return at + 2, _change(about, model, names, rows, parts[at + 1], dead)

    return _read(parts, read)


def read_columns(parts: Parts) -> StateBatch:
    """Return the batch of rows in these parts, where rows stand as columns; raises MalformedError."""
    room = Room()

    def read(at: int, section: list[Any], about: _About) -> tuple[int, StateChange]:
        model, columns, dead, count = section
        names = _names(columns)
        end = at + (len(names) + 2 if number(count) else 0)
        if end >= len(parts):
            raise MalformedError("a batch does not fit its own description")
        rows = Rows(unpack_columns(parts[at:end], count, room))
        for row in rows:
            sized(row[0], 16)
            number(row[1])
        return end + 1, _change(about, model, names, rows, parts[end], dead)

    return _read(parts, read)


class _About(NamedTuple):
    """Whose state a batch is of."""

    owner: bytes
    incarnation: Incarnation


def _read(
    parts: Parts, read: Callable[[int, list[Any], _About], tuple[int, StateChange]]
) -> StateBatch:
    """Return a batch whose sections `read` reads, from a place among the parts up to the next one."""
    head = head_of(parts)
    about = _About(sized(head["owner"], 16), incarnation_of(*head["of"]))
    lo, hi, top, as_of = (number(value) for value in head["range"])
    if not lo <= hi <= top <= as_of or len(parts[1]) > 1024:
        raise MalformedError("a batch does not fit its own description")
    changes: list[StateChange] = []
    at = 2
    for section in narrowed(list, head["sections"]):
        at, change = read(at, section, about)
        changes.append(change)
    if at != len(parts):
        raise MalformedError("a batch does not fit its own description")
    introduction = bool(number(head["introduction"]))
    floor = narrowed(bytes, head.get("floor", b""))
    if len(floor) > MAX_FLOOR_BYTES:
        raise MalformedError("a floor has another shape")
    positions = (lo, hi, top, as_of)
    return StateBatch(*about, *positions, tuple(changes), parts[1], introduction, floor)


def _names(columns: list[Any]) -> tuple[str, ...]:
    names = tuple(narrowed(str, name) for name in columns)
    if len(names) > limits.MAX_COLUMNS or len(set(names)) != len(names):
        raise MalformedError("a batch names too many columns, or one twice")
    return names


def _rows(packed: bytes, width: int) -> Iterator[tuple[Any, ...]]:
    for row in unpack_each(packed, limits.MAX_ROWS, limits.MAX_ROW_BYTES):
        if type(row) is not list or len(row) != width or not _NESTED.isdisjoint(map(type, row)):
            raise MalformedError("a row does not fit its columns")
        sized(row[0], 16)
        number(row[1])
        yield tuple(row)


def _change(
    about: _About,
    model: object,
    names: tuple[str, ...],
    rows: Rows,
    removed: bytes,
    dead: list[Any],
) -> StateChange:
    gone = [
        (sized(uuid, 16), number(rev))
        for uuid, rev in unpack_each(removed, limits.MAX_ROWS, limits.MAX_ROW_BYTES)
    ]
    buried = frozenset(sized(uuid, 16) for uuid in dead)
    owner = DeviceId(about.owner)
    name = narrowed(str, model)
    return StateChange(name, owner, about.incarnation, names, rows, gone, buried)


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

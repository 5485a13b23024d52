"""Who did what, when: the log as people read it. One line is one user action, whatever its parts.

An action is known by its feed and command id: an id alone is whatever some author wrote there.
"""

from __future__ import annotations

import heapq
import json
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import msgpack

from leaderless.catalogue.action_ids import keys_named, short_id
from leaderless.catalogue.names import device_name, file_of, record_name
from leaderless.catalogue.revocations import Revocations, revoked_json
from leaderless.catalogue.text import plain_json
from leaderless.protocol import commits, limits
from leaderless.protocol.hashing import digest
from leaderless.protocol.packing import unpack_each
from leaderless.store import closing, meant
from leaderless.store.sayings import actions_here
from registry.changes import FeedId, Form
from registry.hlc import Stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sqlalchemy import Connection

    from registry.changes import CommitHeader, Position, SharedChange, Value

_VERBS = {
    Form.CREATE: "create",
    Form.UPDATE: "update",
    Form.DELETE: "delete",
    Form.RESTORE: "restore",
    Form.DISMISS: "dismiss",
}
_UNSAID = "content"
_NAMED = 8
"""Changed records that are named; the rest is counted."""
_ALL = "commit_log c JOIN feed f ON f.id = c.feed"
_AFTER = (
    "json_each(?) s CROSS JOIN feed f ON f.id = json_extract(s.value, '$[0]')"
    " CROSS JOIN commit_log c INDEXED BY commit_by_feed"
    " ON c.feed = f.id AND c.seq > json_extract(s.value, '$[1]')"
)
"""Feeds from what was seen of them on: as much work as there is news, however long the log."""
_FEW = 50
"""Records that are looked for in the bytes of a body before it is decoded."""


class ActionKey(NamedTuple):
    """What tells an action from all others, whatever another member calls its own."""

    feed: bytes
    command_id: bytes


@dataclass
class Action:
    """One user action: its headers' facts. Bodies are read when they are needed."""

    command_id: bytes
    command: str
    author: bytes
    feed: bytes
    last_seq: int
    stamp_ms: int
    received_ms: int
    applied_ms: int | None
    parts: int
    data: dict[str, Value]
    headers: list[CommitHeader]
    forgotten: bool = False
    """Whether the content of some part is not here any more: nobody can say what all it changed."""

    @property
    def key(self) -> ActionKey:
        """Return what tells this action from all others."""
        return ActionKey(self.feed, self.command_id)

    def bodies(self, connection: Connection) -> Iterator[tuple[CommitHeader, bytes]]:
        """Yield the parts whose content is here in the order in which they were written."""
        for header in self.headers:
            body = _body(connection, header)
            if body is not None:
                yield header, body

    def changes(self, connection: Connection) -> Iterator[tuple[CommitHeader, int, SharedChange]]:
        """Yield (header, place in the commit, change) in the order in which they were written."""
        for header, body in self.bodies(connection):
            changes = commits.decode_body(header, body)
            changes = meant.as_here(connection, self.feed, header.seq, changes)
            for place, change in enumerate(changes):
                yield header, place, change


def _body(connection: Connection, header: CommitHeader) -> bytes | None:
    """Return the body of a commit that is here, None if it is forgotten."""
    body: bytes | None = connection.exec_driver_sql(
        "SELECT c.body FROM commit_log c JOIN feed f ON f.id = c.feed"
        " WHERE f.feed = ? AND c.seq = ?",
        tuple(header.position),
    ).scalar_one()
    return body


@dataclass(frozen=True)
class Filter:
    """What to show; None leaves a filter out. `records` keeps actions that touch one of them."""

    since_ms: int | None = None
    author: bytes | None = None
    records: frozenset[bytes] | None = None
    after_applied_ms: int | None = None
    limit: int = 50
    not_author: bytes | None = None
    seen: Mapping[bytes, int] | None = None
    """Of each feed how much is left out; of a feed that is not named, nothing."""


def actions(connection: Connection, wanted: Filter) -> Iterator[Action]:
    """Yield what was done, newest first, as it is asked for; of one command all parts here."""
    revocations = Revocations(connection)
    found = (
        action
        for action in _by_command(connection, wanted)
        if wanted.records is None or touches(connection, action, wanted.records)
        if not revocations.repeats(action)
    )
    return islice(found, wanted.limit)


def find_action(connection: Connection, reference: str) -> list[Action]:
    """Return the actions whose command id begins with hexadecimal digits, else those it ends with."""
    return [_gathered(connection, ActionKey(*key)) for key in keys_named(connection, reference)]


def actions_called(connection: Connection, command_id: bytes) -> list[Action]:
    """Return every action with that command id: one, unless a member has copied another's."""
    feeds = connection.exec_driver_sql(
        "SELECT DISTINCT f.feed FROM commit_log c JOIN feed f ON f.id = c.feed"
        " WHERE c.command_id = ? ORDER BY f.feed",
        (command_id,),
    ).scalars()
    return [_gathered(connection, ActionKey(feed, command_id)) for feed in feeds.all()]


def action_at(connection: Connection, position: Position) -> Action | None:
    """Return the action that the commit at a position is a part of, None if it is not in the log."""
    command_id = connection.exec_driver_sql(
        "SELECT c.command_id FROM commit_log c JOIN feed f ON f.id = c.feed"
        " WHERE f.feed = ? AND c.seq = ?",
        tuple(position),
    ).scalar()
    return (
        None if command_id is None else _gathered(connection, ActionKey(position.feed, command_id))
    )


def forgotten_until(connection: Connection) -> int | None:
    """Return when (ms) the last action was done whose content is forgotten; None if none is.

    What it was done to is not known any more: a history of one thing lacks some from up to then.
    """
    stamp = connection.exec_driver_sql(
        "SELECT c.stamp FROM commit_log c JOIN feed f ON f.id = c.feed"
        " WHERE c.body IS NULL AND c.seq <= f.applied ORDER BY c.stamp DESC LIMIT 1"
    ).scalar()
    return None if stamp is None else Stamp.parse(stamp).ms


def _itself(_: str, record: bytes) -> bytes:
    """Return a record as what stands for it."""
    return record


def in_words(
    connection: Connection, action: Action, stands_for: Callable[[str, bytes], bytes] = _itself
) -> str:
    """Return an action in a few words: its command, and what it was first done to.

    `stands_for` says which record is named in place of one that has no name any more. Of how many it
    was done to it says itself, if it does: of a file it may change several records.
    """
    first, count = _summary(connection, action)
    if not first:
        return action.command
    said = action.data.get("count")
    count = said if isinstance(said, int) else count
    model, record = first[0].model, bytes(first[0].record)
    name = record_name(connection, model, stands_for(model, record))
    return f"{action.command} {name}" + (f" and {count - 1:,} more" if count > 1 else "")


def _by_command(connection: Connection, wanted: Filter) -> Iterator[Action]:
    """Yield actions, the newest first.

    What followed to another id says each thing with the time at which that was said, so not all parts
    of such an action tell when it was done: these are few, and go where they belong.
    """
    apart = frozenset(ActionKey(*key) for key in actions_here(connection))
    rest = (action for action in _matching(connection, wanted) if action.key not in apart)
    if not apart:
        return rest
    calls = [command_id for _, command_id in apart]
    found = (action for action in _matching(connection, wanted, calls) if action.key in apart)
    return heapq.merge(rest, sorted(found, key=_when, reverse=True), key=_when, reverse=True)


def _when(action: Action) -> Stamp:
    return max(header.stamp for header in action.headers)


def _matching(
    connection: Connection, wanted: Filter, calls: Sequence[bytes] = ()
) -> Iterator[Action]:
    """Yield the actions with a part as it is wanted; of some ids alone, if any are given."""
    source, conditions = _ALL, ["c.seq <= f.applied"]
    values: list[object] = []
    if wanted.seen is not None:
        source = _AFTER
        values.append(_news(connection, wanted.seen))
    for condition, value in (
        ("c.applied_at > ?", wanted.after_applied_ms),
        ("c.stamp >= ?", None if wanted.since_ms is None else _least_stamp(wanted.since_ms)),
        ("substr(f.feed, 1, 16) = ?", wanted.author),
        ("substr(f.feed, 1, 16) <> ?", wanted.not_author),
    ):
        if value is not None:
            conditions.append(condition)
            values.append(value)
    if wanted.records and len(wanted.records) <= _FEW:
        # A body that changes a record, or links to it, has its id among its bytes.
        named = " OR ".join(["instr(c.body, ?) > 0"] * len(wanted.records))
        conditions.append(f"({named})")
        values += wanted.records
    if calls:
        conditions.append(f"c.command_id IN ({', '.join('?' * len(calls))})")
        values += calls
    rows = connection.exec_driver_sql(
        f"SELECT f.feed, c.command_id FROM {source} WHERE {' AND '.join(conditions)}"
        " ORDER BY c.stamp DESC, f.feed DESC, c.seq DESC",
        tuple(values),
    )
    seen: set[ActionKey] = set()
    try:
        for row in rows:
            key = ActionKey(*row)
            if key not in seen:
                seen.add(key)
                yield _gathered(connection, key)
    finally:
        rows.close()


def _news(connection: Connection, seen: Mapping[bytes, int]) -> str:
    """Return the feeds that have gone on since, with how much of each was seen, for `_AFTER`."""
    feeds = connection.exec_driver_sql("SELECT id, feed, applied FROM feed").all()
    known = ((key, seen.get(feed, 0), applied) for key, feed, applied in feeds)
    return json.dumps([(key, upto) for key, upto, applied in known if applied > upto])


def _least_stamp(ms: int) -> bytes:
    """Return bytes that stand before those of every stamp of that time."""
    return max(0, min(ms, (1 << 48) - 1)).to_bytes(6, "big")


def _gathered(connection: Connection, key: ActionKey) -> Action:
    rows = connection.exec_driver_sql(
        "SELECT c.seq, c.header, c.received_at, c.applied_at, c.body IS NULL FROM commit_log c"
        " JOIN feed f ON f.id = c.feed WHERE f.feed = ? AND c.command_id = ? ORDER BY c.seq",
        tuple(key),
    ).all()
    # Commits of a branch sign the feed that it is a branch of.
    headers = [replace(commits.decode_header(row[1]), feed=FeedId(key.feed)) for row in rows]
    first = headers[0]
    last_seq, _, received_ms, applied_ms, _ = rows[-1]
    return Action(
        key.command_id,
        first.command,
        key.feed[:16],
        key.feed,
        last_seq,
        max(header.stamp for header in headers).ms,
        received_ms,
        applied_ms,
        first.parts,
        dict(first.data),
        headers,
        any(row[4] for row in rows),
    )


def touches(connection: Connection, action: Action, records: frozenset[bytes]) -> bool:
    """Return whether an action changes one of these records, or a link to one of them."""
    for _, body in action.bodies(connection):
        if len(records) <= _FEW and not any(record in body for record in records):
            continue
        pieces = unpack_each(body, limits.MAX_CHANGES + 1, limits.MAX_HEAD_BYTES, unset=True)
        next(pieces)  # the feeds
        for _, _, record, _, writes, *_ in pieces:
            if record in records:
                return True
            if any(isinstance(value, bytes) and value in records for _, _, value, _ in writes):
                return True
    return False


def _summary(connection: Connection, action: Action) -> tuple[list[SharedChange], int]:
    """Return the first changes of an action that people know of, and how many there are in all.

    The rest is not decoded. A content is made so that something can be said of it, and is not what
    anybody did.
    """
    first: list[SharedChange] = []
    count = 0
    for header, body in action.bodies(connection):
        unpacker = msgpack.Unpacker(max_buffer_size=len(body))
        unpacker.feed(body)
        unpacker.skip()  # the feeds
        chosen = [body[: unpacker.tell()]]
        while (start := unpacker.tell()) < len(body):
            if len(first) + len(chosen) > _NAMED:
                unpacker.skip()
            elif _skip_change(unpacker) != _UNSAID:
                chosen.append(body[start : unpacker.tell()])
            count += 1
        if len(chosen) > 1:
            some = b"".join(chosen)
            about = replace(header, body_hash=digest(some), body_bytes=len(some))
            first += commits.decode_body(about, some)
    return first, count


def _skip_change(unpacker: msgpack.Unpacker) -> object:
    """Go on to the next change of a body; return the model of this one."""
    pieces = unpacker.read_array_header()
    unpacker.skip()  # the form
    model: object = unpacker.unpack()
    for _ in range(pieces - 2):
        unpacker.skip()
    return model


def confirmed_by(connection: Connection, action: Action) -> list[bytes]:
    """Return the devices that have said that the whole action has taken effect there."""
    return list(
        connection.exec_driver_sql(
            "SELECT device FROM confirmation WHERE feed = ? AND applied >= ? ORDER BY device",
            (action.feed, action.last_seq),
        ).scalars()
    )


def action_json(
    connection: Connection,
    action: Action,
    undone: Callable[[ActionKey], bool] = lambda _: False,
    stands_for: Callable[[str, bytes], bytes] = _itself,
) -> dict[str, Any]:
    """Return an action for JSON, with names for people; `stands_for` is as for `in_words`."""
    first, count = _summary(connection, action)
    named = [
        {
            "what": _VERBS[change.form],
            "model": change.model,
            "name": record_name(connection, change.model, known),
            "file": file_of(connection, change.model, known),
        }
        for change in first
        for known in (stands_for(change.model, bytes(change.record)),)
    ]
    data = {name: plain_json(value) for name, value in action.data.items()}
    if action.command == closing.COMMAND:
        data = revoked_json(connection, action.data)
    return {
        "id": action.command_id.hex(),
        "short_id": short_id(connection, action.command_id),
        "command": action.command,
        "data": data,
        "author": device_name(connection, action.author),
        "author_id": action.author.hex(),
        "authored_ms": str(action.stamp_ms),
        "received_ms": str(action.received_ms),
        "applied_ms": None if action.applied_ms is None else str(action.applied_ms),
        "commits": action.parts,
        "changes": count,
        "records": named,
        "forgotten": action.forgotten,
        "undone": undone(action.key),
        "confirmed_by": [
            device_name(connection, device) for device in confirmed_by(connection, action)
        ],
    }

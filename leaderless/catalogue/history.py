"""Who did what, when: the log as people read it. One line is one user action, whatever its parts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from leaderless.catalogue.names import device_name, record_name
from leaderless.catalogue.text import plain_json
from leaderless.protocol import commits
from registry.changes import Form

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from sqlalchemy import Connection

    from registry.changes import CommitHeader, SharedChange, Value

_VERBS = {
    Form.CREATE: "create",
    Form.UPDATE: "update",
    Form.DELETE: "delete",
    Form.RESTORE: "restore",
}
_NAMED = 8
"""Changed records that are named; the rest is counted."""


@dataclass
class Action:
    """One user action: its header's facts, and the bodies of its parts."""

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
    bodies: list[tuple[CommitHeader, bytes]] = field(default_factory=list)

    def changes(self) -> Iterator[tuple[CommitHeader, int, SharedChange]]:
        """Yield (header, place in the commit, change) in the order in which they were written."""
        for header, body in self.bodies:
            for place, change in enumerate(commits.decode_body(header, body)):
                yield header, place, change


@dataclass(frozen=True)
class Filter:
    """What to show; None leaves a filter out. `records` keeps actions that touch one of them."""

    since_ms: int | None = None
    author: bytes | None = None
    records: frozenset[bytes] | None = None
    after_applied_ms: int | None = None
    limit: int = 50
    not_author: bytes | None = None


def actions(connection: Connection, wanted: Filter) -> list[Action]:
    """Return what was done, newest first; of one command all parts that are here."""
    found: list[Action] = []
    for action in _by_command(connection, wanted):
        if wanted.records is not None and not _touches(action, wanted.records):
            continue
        found.append(action)
        if len(found) >= wanted.limit:
            break
    return found


def last_applied_ms(connection: Connection) -> int:
    """Return when the newest of what has taken effect here did; 0 for nothing."""
    return int(
        connection.exec_driver_sql(
            "SELECT coalesce(max(applied_at), 0) FROM commit_log"
        ).scalar_one()
    )


def find_action(connection: Connection, reference: str) -> list[Action]:
    """Return the actions whose command id begins or ends with hexadecimal digits."""
    digits = reference.lower()
    if len(digits) < 4 or any(digit not in "0123456789abcdef" for digit in digits):
        return []
    ids = connection.exec_driver_sql(
        "SELECT DISTINCT command_id FROM commit_log"
        " WHERE lower(hex(command_id)) LIKE ? OR lower(hex(command_id)) LIKE ? LIMIT 3",
        (f"{digits}%", f"%{digits}"),
    ).scalars()
    return [_gathered(connection, command_id) for command_id in ids.all()]


def whole_action(connection: Connection, command_id: bytes) -> Action | None:
    """Return an action by its command id, None if nothing of it is here."""
    row = connection.exec_driver_sql(
        "SELECT 1 FROM commit_log WHERE command_id = ?", (command_id,)
    ).first()
    return None if row is None else _gathered(connection, command_id)


def _by_command(connection: Connection, wanted: Filter) -> Iterator[Action]:
    conditions, values = ["c.applied_at IS NOT NULL"], []
    if wanted.after_applied_ms is not None:
        conditions.append("c.applied_at > ?")
        values.append(wanted.after_applied_ms)
    rows = connection.exec_driver_sql(
        "SELECT c.command_id, c.stamp, f.feed FROM commit_log c JOIN feed f ON f.id = c.feed"
        f" WHERE {' AND '.join(conditions)} ORDER BY c.stamp DESC, f.feed DESC, c.seq DESC",
        tuple(values),
    )
    seen: set[bytes] = set()
    for command_id, stamp, feed in rows:
        stamp_ms = int.from_bytes(stamp[:6], "big")
        if wanted.since_ms is not None and stamp_ms < wanted.since_ms:
            return
        if command_id in seen or wanted.author not in (None, feed[:16]):
            continue
        if wanted.not_author == feed[:16]:
            continue
        seen.add(command_id)
        yield _gathered(connection, command_id)


def _gathered(connection: Connection, command_id: bytes) -> Action:
    rows = connection.exec_driver_sql(
        "SELECT f.feed, c.seq, c.header, c.body, c.received_at, c.applied_at FROM commit_log c"
        " JOIN feed f ON f.id = c.feed WHERE c.command_id = ? ORDER BY f.feed, c.seq",
        (command_id,),
    ).all()
    bodies = [(commits.decode_header(row[2]), row[3]) for row in rows]
    first = bodies[0][0]
    feed, last_seq, _, _, received_ms, applied_ms = rows[-1]
    return Action(
        command_id,
        first.command,
        feed[:16],
        feed,
        last_seq,
        first.stamp.ms,
        received_ms,
        applied_ms,
        first.parts,
        dict(first.data),
        bodies,
    )


def _touches(action: Action, records: frozenset[bytes]) -> bool:
    """Return whether an action changes one of these records, or a link to one of them."""
    for _, _, change in action.changes():
        if change.record in records:
            return True
        if any(
            isinstance(write.value, bytes) and write.value in records for write in change.writes
        ):
            return True
    return False


def confirmed_by(connection: Connection, action: Action) -> list[bytes]:
    """Return the devices that have said that the whole action has taken effect there."""
    return list(
        connection.exec_driver_sql(
            "SELECT device FROM confirmation WHERE feed = ? AND applied >= ? ORDER BY device",
            (action.feed, action.last_seq),
        ).scalars()
    )


def action_json(
    connection: Connection, action: Action, undone: Callable[[bytes], bool] = lambda _: False
) -> dict[str, Any]:
    """Return an action for JSON, with names for people."""
    count = 0
    named: list[dict[str, str]] = []
    for _, _, change in action.changes():
        count += 1
        if len(named) < _NAMED:
            name = record_name(connection, change.model, change.record)
            named.append({"what": _VERBS[change.form], "model": change.model, "name": name})
    return {
        "id": action.command_id.hex(),
        "command": action.command,
        "data": {name: plain_json(value) for name, value in action.data.items()},
        "author": device_name(connection, action.author),
        "author_id": action.author.hex(),
        "authored_ms": str(action.stamp_ms),
        "received_ms": str(action.received_ms),
        "applied_ms": None if action.applied_ms is None else str(action.applied_ms),
        "commits": action.parts,
        "changes": count,
        "records": named,
        "undone": undone(action.command_id),
        "confirmed_by": [
            device_name(connection, device) for device in confirmed_by(connection, action)
        ],
    }


def records_of(items: Iterable[bytes], connection: Connection) -> frozenset[bytes]:
    """Return `items` (files, tags, albums) with what is said of them: metadata and links."""
    found = set(items)
    for item in tuple(found):
        for query in (
            "SELECT uuid FROM user_metadata WHERE target = ?",
            "SELECT uuid FROM user_metadata_tag WHERE item = ?",
            "SELECT uuid FROM album_entry WHERE item = ?",
        ):
            found.update(connection.exec_driver_sql(query, (item,)).scalars())
    return frozenset(found)


def records_on(connection: Connection, device: bytes) -> frozenset[bytes]:
    """Return what is said of the files of a device: their metadata and links."""
    items = (
        "SELECT e.uuid FROM entry e JOIN incarnation i ON i.id = e.epoch WHERE i.device = ?1"
        " UNION SELECT c.uuid FROM content c JOIN entry e ON e.content = c.hash"
        " JOIN incarnation i ON i.id = e.epoch WHERE i.device = ?1"
    )
    found: set[bytes] = set()
    for table, column in (
        ("user_metadata", "target"),
        ("user_metadata_tag", "item"),
        ("album_entry", "item"),
    ):
        query = f"SELECT uuid FROM {table} WHERE {column} IN ({items})"
        found.update(connection.exec_driver_sql(query, (device,)).scalars())
    return frozenset(found)

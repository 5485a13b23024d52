"""`find`: which device and drive has a file, and whether it can be reached now."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import chain, pairwise
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from leaderless.catalogue import matching
from leaderless.catalogue.text import name_json
from leaderless.errors import UsageError
from leaderless.store.revocations import without_membership
from leaderless.words import KINDS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from sqlalchemy import Connection

_MOST_KEY: Final = (1 << 63) - 1
_MAX_TIME_MS: Final = ((1 << 63) - 1) // 1_000_000


@dataclass(frozen=True)
class Query:
    """What to look for; None leaves a filter out.

    `text` may hold bytes that are not UTF-8, as surrogates (os.fsdecode).
    """

    text: str | None = None
    device: bytes | None = None
    extension: str | None = None
    kind: str | None = None
    larger_bytes: int | None = None
    newer_ms: int | None = None
    limit: int = 50
    tags: Sequence[bytes] | None = None
    """Carried by one of these at least: a tag with all that are merged into it or below it."""
    locations: Sequence[int] | None = None
    """In one of these (local keys)."""

    @property
    def is_empty(self) -> bool:
        """Return whether every filter is left out, so that everything fits."""
        filters = (self.device, self.extension, self.kind, self.larger_bytes, self.newer_ms)
        others = (self.text, self.tags, self.locations)
        return all(value is None for value in (*filters, *others))


# By index from the tags to the entries: a rare tag is found at once among millions of files.
_TAGGED: Final = (
    "e.id IN (WITH carried (item) AS (SELECT m.item FROM user_metadata_tag m WHERE m.tag IN"
    " (SELECT t.uuid FROM tag t WHERE lower(hex(t.uuid)) IN (SELECT value FROM json_each(?))))"
    " SELECT id FROM entry WHERE uuid IN (SELECT item FROM carried) UNION ALL SELECT id FROM entry"
    " WHERE content IN (SELECT c.hash FROM carried JOIN content c ON c.uuid = carried.item))"
)


class Share(NamedTuple):
    """Some of all entries, by local key: behind `after`, up to `upto` (None: all that come)."""

    after: int = -1
    upto: int | None = None


def shares(connection: Connection, of: int) -> list[Share]:
    """Return so many shares of all entries, each to be searched by itself, beside the others.

    Their bounds stay while entries come and go: each entry is in one of them.
    """
    most = connection.exec_driver_sql("SELECT max(id) FROM entry").scalar() or 0
    bounds = [-1, *(most * at // of for at in range(1, of)), None]
    return [Share(after or 0, upto) for after, upto in pairwise(bounds)]


class Found(NamedTuple):
    """An entry that fits, and where it stands among others."""

    place: tuple[bool, int, bytes, bytes]
    entry: dict[str, Any]


def find_entries(
    connection: Connection, query: Query, own: bytes, online: Collection[bytes]
) -> list[dict[str, Any]]:
    """Return entries that fit, those that changed last first; at most `query.limit`.

    Raises UsageError for a kind that there is not.
    """
    return first_of([find_share(connection, query, own, online, Share())], query.limit)


def first_of(shares: Iterable[Iterable[Found]], limit: int) -> list[dict[str, Any]]:
    """Return the first of what was found in all shares."""
    found = sorted(chain.from_iterable(shares), key=attrgetter("place"))
    return [item.entry for item in found[:limit]]


def find_share(
    connection: Connection, query: Query, own: bytes, online: Collection[bytes], share: Share
) -> list[Found]:
    """Return what `find_entries` does of a share of the entries, in any order."""
    condition, values = fitting(connection, query)
    if share != Share():
        condition = f"e.id > ? AND e.id <= ? AND {condition}"
        values = [share.after, _MOST_KEY if share.upto is None else share.upto, *values]
    rows = connection.exec_driver_sql(
        "SELECT e.id, e.uuid, i.device, d.name, v.display_name, l.path, e.kind, e.size_bytes,"
        " e.mtime_ns, l.is_offline, v.mount_point, l.name, e.name"
        " FROM entry e JOIN location l ON l.id = e.location"
        " JOIN volume v ON v.id = l.volume JOIN incarnation i ON i.id = e.epoch"
        " LEFT JOIN device d ON d.uuid = i.device AND d.dead = 0"
        f" WHERE {condition} ORDER BY e.mtime_ns DESC, e.name, e.uuid LIMIT ?",
        (*values, query.limit),
    ).all()
    gone = without_membership(connection)
    return [_found(connection, row, own, online, gone) for row in rows]


def _place(mtime_ns: int | None, name: bytes, uuid: bytes) -> tuple[bool, int, bytes, bytes]:
    """Return by what entries are ordered, as the query does: the last to change first."""
    return mtime_ns is None, -(mtime_ns or 0), name, uuid


def fitting(connection: Connection, query: Query) -> tuple[str, list[object]]:
    """Return a condition on entry e in location l of incarnation i, and its values.

    Raises UsageError for a kind that there is not.
    """
    if query.kind is not None and query.kind not in KINDS:
        raise UsageError(f"there is no kind “{query.kind}”", hint=f"kinds: {', '.join(KINDS)}")
    given: list[tuple[str, list[object]]] = []
    if query.text:
        given.append(matching.holds(connection, query.text))
    if query.extension:
        given.append(_extension(connection, query.extension))
    if query.tags is not None:
        given.append((_TAGGED, [json.dumps([tag.hex() for tag in query.tags])]))
    if query.locations is not None:
        inside = "e.location IN (SELECT value FROM json_each(?))"
        given.append((inside, [json.dumps(list(query.locations))]))
    if query.larger_bytes is not None:
        # The size of a directory says nothing of what is in it.
        given.append(("e.kind <> 'directory' AND e.size_bytes > ?", [query.larger_bytes]))
    for column, value in (
        ("i.device = ?", query.device),
        ("e.kind = ?", query.kind),
        ("e.mtime_ns > ?", _nanoseconds(query.newer_ms)),
    ):
        if value is not None:
            given.append((column, [value]))
    conditions = ["e.dead = 0", "l.dead = 0", *(condition for condition, _ in given)]
    return " AND ".join(conditions), [value for _, values in given for value in values]


def _extension(connection: Connection, extension: str) -> tuple[str, list[object]]:
    """Return the condition of an extension; one of several parts (tar.gz) is how a name ends."""
    wanted = extension.lower().lstrip(".")
    if "." in wanted:
        condition, values = matching.holds(connection, f".{wanted}", at_end=True)
        return f"e.kind = 'file' AND {condition}", values
    return "e.extension = ?", [wanted]


def _nanoseconds(milliseconds: int | None) -> int | None:
    """Return a time as files have it; one beyond what a database holds is the last or first."""
    if milliseconds is None:
        return None
    return max(-_MAX_TIME_MS, min(milliseconds, _MAX_TIME_MS)) * 1_000_000


def _found(
    connection: Connection,
    row: Sequence[Any],
    own: bytes,
    online: Collection[bytes],
    gone: Collection[bytes],
) -> Found:
    key, uuid, device, device_name, drive, root, kind, size, mtime_ns, offline, mount, *names = row
    location, name = names
    path = entry_path(connection, key, root)
    why = why_away(device, own, online, gone, mount, offline)
    entry = {
        "id": uuid.hex(),
        "device": device_name or device.hex()[:8],
        "device_id": device.hex(),
        "drive": drive,
        "location": location,
        "path": name_json(path),
        "kind": kind,
        "size_bytes": None if size is None else str(size),
        "mtime_ns": None if mtime_ns is None else str(mtime_ns),
        "reachable": why is None,
        "why": why,
    }
    return Found(_place(mtime_ns, name, uuid), entry)


def why_away(
    device: bytes,
    own: bytes,
    online: Collection[bytes],
    gone: Collection[bytes],
    mount: bytes | None,
    offline: int | None,
) -> str | None:
    """Return why an entry cannot be reached now, None if it can.

    `gone` are the devices that were revoked, `mount` is where its drive is.
    """
    if device != own and device not in online:
        return "its device was revoked" if device in gone else "its device is not connected"
    if mount is None:
        return "its drive is not plugged in"
    if offline:
        return "its folder is not there"
    return None


def entry_path(connection: Connection, key: int, root: bytes) -> bytes:
    """Return the whole path of an entry on its device."""
    names = connection.exec_driver_sql(
        "WITH RECURSIVE up (name, parent, depth) AS ("
        " SELECT name, parent, 0 FROM entry WHERE id = ?"
        " UNION ALL SELECT e.name, e.parent, up.depth + 1 FROM entry e JOIN up ON e.id = up.parent)"
        " SELECT name FROM up WHERE parent IS NOT NULL ORDER BY depth DESC",
        (key,),
    ).scalars()
    return b"/".join([root.rstrip(b"/"), *names]) or b"/"

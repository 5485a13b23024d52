"""Where copies of a content are, what exists once only, and what exists more often than needed.

A file is at risk where its content is on one device, or on one drive that can move, however many
copies are there; and where its content is not known, as nothing can be said of copies then. What is
on a device that was revoked is shown, and counts as no copy. What is not a file has no copies. Bytes
are counted once per content, unless it says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from leaderless.catalogue.hierarchy import read_hierarchy
from leaderless.catalogue.places import PLACE, entries_json
from leaderless.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sqlalchemy import Connection

NO_DEVICE, ONE_DEVICE, ONE_DRIVE = "no_device", "one_device", "one_drive"
QUICK_HASHED, NOT_HASHED = "quick_hashed", "not_hashed"
REASONS: Final = (NO_DEVICE, ONE_DEVICE, ONE_DRIVE, QUICK_HASHED, NOT_HASHED)
"""Why a file is at risk: it is on revoked devices only; all copies are on one device; on one drive that
several devices have seen; only a sample of it was hashed; nothing was."""

_FILES: Final = (
    "FROM entry e CROSS JOIN place p ON p.location = e.location"
    " WHERE e.dead = 0 AND e.kind = 'file'"
)
_SHOWN_COPIES: Final = 10
"""Copies that are listed of one duplicate; the rest is counted."""


@dataclass(frozen=True)
class Chosen:
    """Which files are asked about; None leaves a filter out. Copies count wherever they are."""

    device: bytes | None = None
    locations: Sequence[int] | None = None
    tag: bytes | None = None
    limit: int = 50

    def condition(self, connection: Connection) -> tuple[str, tuple[object, ...]]:
        """Return an SQL condition over `e` and `p`, and its values."""
        conditions = ["1"]
        values: list[object] = []
        if self.device is not None:
            conditions.append("p.owner = (SELECT min(id) FROM incarnation WHERE device = ?)")
            values.append(self.device)
        if self.locations is not None:
            conditions.append(f"e.location IN ({', '.join('?' * len(self.locations))})")
            values += self.locations
        if self.tag is not None:
            tags = read_hierarchy(connection).carried(self.tag)
            listed = ", ".join(f"x'{tag.hex()}'" for tag in tags)
            conditions.append(
                "e.id IN (SELECT o.id FROM user_metadata_tag t JOIN entry o ON o.uuid = t.item"
                f" WHERE t.tag IN ({listed}) UNION ALL SELECT o.id FROM user_metadata_tag t"
                " JOIN content c ON c.uuid = t.item JOIN entry o ON o.content = c.hash"
                f" WHERE t.tag IN ({listed}))"
            )
        return " AND ".join(conditions), tuple(values)


# --- copies of one file ---------------------------------------------------------------------------


def copies(
    connection: Connection, entry: bytes, own: bytes, online: Collection[bytes], limit: int
) -> dict[str, Any]:
    """Return every copy of a file's content, on every device and drive; the file itself first.

    Raises NotFoundError, and UsageError for what is not a file.
    """
    row = connection.exec_driver_sql(
        "SELECT id, kind, content, quick_hash FROM entry WHERE uuid = ? AND dead = 0", (entry,)
    ).first()
    if row is None:
        raise NotFoundError("this file is not in the catalogue", hint="leaderless find")
    key, kind, content, quick_hash = row
    if kind != "file":
        raise UsageError(
            f"copies are told of files, and this is a {kind}",
            hint="leaderless at-risk --location LOCATION",
        )
    reason: str | None
    if content is None:
        counted = connection.exec_driver_sql(
            f"WITH {PLACE} SELECT count(p.device) {_FILES} AND e.id = ?", (key,)
        ).scalar_one()
        loose = NOT_HASHED if quick_hash is None else QUICK_HASHED
        reason = loose if counted else NO_DEVICE
        found = entries_json(connection, [key], own, online)
        about = {"hash": None, "devices": counted, "drives": counted, "count": 1}
        return {**about, "at_risk": reason, "copies": found, "more": False}
    count, devices, drives = connection.exec_driver_sql(
        f"WITH {PLACE} SELECT count(*), count(DISTINCT p.device), count(DISTINCT p.drive)"
        f" {_FILES} AND e.content = ?",
        (content,),
    ).one()
    few = (NO_DEVICE, ONE_DEVICE)
    reason = few[devices] if devices < len(few) else ONE_DRIVE if drives < 2 else None
    keys = _keys_of(connection, content, "e.id <> ?", (key,), limit)
    return {
        "hash": content.hex(),
        "devices": devices,
        "drives": drives,
        "count": count,
        "at_risk": reason,
        "copies": entries_json(connection, [key, *keys][:limit], own, online),
        "more": count > limit,
    }


def _keys_of(
    connection: Connection,
    content: bytes,
    condition: str,
    values: tuple[object, ...],
    limit: int,
) -> list[int]:
    """Return the local keys of files with a content, those of one device together."""
    found = connection.exec_driver_sql(
        f"WITH {PLACE} SELECT e.id {_FILES} AND e.content = ? AND {condition}"
        " ORDER BY p.device IS NULL, p.owner, p.drive, e.id LIMIT ?",
        (content, *values, limit),
    )
    return list(found.scalars())


# --- at risk --------------------------------------------------------------------------------------

_RISKY: Final = (
    "risky (content, size, files, reason) AS ("
    " SELECT content, size, iif(most IS NULL, chosen, here), CASE WHEN most IS NULL THEN 'no_device'"
    " WHEN least = most THEN 'one_device' ELSE 'one_drive' END FROM ("
    " SELECT e.content, max(e.size_bytes) AS size, sum({condition}) AS chosen,"
    " sum(({condition}) AND p.device IS NOT NULL) AS here, min(p.device) AS least,"
    " max(p.device) AS most, min(p.drive) = max(p.drive) AS one_drive"
    " {files} AND e.content IS NOT NULL GROUP BY e.content)"
    " WHERE iif(most IS NULL, chosen > 0, here > 0 AND (least = most OR one_drive)))"
)
"""Grouped in the order of the index on contents, which covers it: nothing is sorted or looked up."""
_LOOSE: Final = (
    "CASE WHEN p.device IS NULL THEN 'no_device' WHEN e.quick_hash IS NULL THEN 'not_hashed'"
    " ELSE 'quick_hashed' END"
)


def at_risk(
    connection: Connection, chosen: Chosen, own: bytes, online: Collection[bytes]
) -> dict[str, Any]:
    """Return files whose content is in one place only or not known, largest first, and totals."""
    condition, values = chosen.condition(connection)
    risky = f"WITH {PLACE}, {_RISKY.format(condition=condition, files=_FILES)}"
    hashed = connection.exec_driver_sql(
        f"{risky} SELECT reason, sum(files), sum(size) FROM risky GROUP BY reason",
        (*values, *values),
    ).all()
    loose = connection.exec_driver_sql(
        f"WITH {PLACE} SELECT {_LOOSE}, count(*), sum(e.size_bytes) {_FILES}"
        f" AND e.content IS NULL AND {condition} GROUP BY 1",
        values,
    ).all()
    wanted = chosen.limit + 1
    contents = connection.exec_driver_sql(
        f"{risky} SELECT content, size, reason FROM risky ORDER BY size DESC, content LIMIT ?",
        (*values, *values, wanted),
    ).all()
    found: list[tuple[int, str, int]] = []
    for content, size, reason in contents:
        those = condition if reason == NO_DEVICE else f"{condition} AND p.device IS NOT NULL"
        keys = _keys_of(connection, content, those, values, wanted - len(found))
        found += [(size or 0, reason, key) for key in keys]
    loose_ones = connection.exec_driver_sql(
        f"WITH {PLACE} SELECT coalesce(e.size_bytes, 0), {_LOOSE}, e.id"
        f" {_FILES} AND e.content IS NULL AND {condition}"
        " ORDER BY e.size_bytes DESC, e.id LIMIT ?",
        (*values, wanted),
    )
    found += [(size, reason, key) for size, reason, key in loose_ones]
    found.sort(key=lambda item: -item[0])
    listed = found[: chosen.limit]
    shown = entries_json(connection, [key for _, _, key in listed], own, online)
    for entry, (_, reason, _) in zip(shown, listed, strict=True):
        entry["reason"] = reason
    return {
        "files": shown,
        "more": len(found) > chosen.limit,
        "totals": _totals([*hashed, *loose]),
    }


def _totals(rows: Sequence[Sequence[Any]]) -> dict[str, dict[str, Any]]:
    """Return files and bytes by reason and in all; contents with several copies count once."""
    by_reason = dict.fromkeys(REASONS, (0, 0))
    for reason, files, size in rows:
        so_far = by_reason[reason]
        by_reason[reason] = (so_far[0] + int(files), so_far[1] + int(size or 0))
    files, size = (sum(column) for column in zip(*by_reason.values(), strict=True))
    return {
        reason: {"files": count, "bytes": str(amount)}
        for reason, (count, amount) in [*by_reason.items(), ("all", (files, size))]
    }


# --- duplicates -----------------------------------------------------------------------------------

_TWICE: Final = (
    "twice (content, size) AS ("
    " SELECT e.content, max(e.size_bytes) {files} AND e.content IS NOT NULL AND {condition}"
    " AND e.size_bytes > ? GROUP BY e.content HAVING count(*) > 1),"
    " real (content, size, files, devices, wasted) AS MATERIALIZED ("
    " SELECT content, size, files, devices, size * max(0, files - devices) FROM ("
    " SELECT t.content, t.size, (SELECT count(DISTINCT coalesce(p.drive || '/' || e.inode, e.id))"
    " {files} AND e.content = t.content AND {condition}) AS files, (SELECT count(DISTINCT p.device)"
    " {files} AND e.content = t.content AND {condition}) AS devices FROM twice t))"
)
"""One copy on each device is what a person wants; what is beyond that is wasted. Names of one file
(hard links, a folder in two locations, a drive seen by two devices) are told by drive and inode, and
are no copies."""


def duplicates(
    connection: Connection,
    chosen: Chosen,
    larger_bytes: int,
    own: bytes,
    online: Collection[bytes],
) -> dict[str, Any]:
    """Return contents of several files, the most wasted bytes first, and what all of them waste.

    Wasted is every copy beyond one on each device. With a device: of several files on that device.
    Empty files waste nothing and are left out, and so is what is on revoked devices.
    """
    condition, values = chosen.condition(connection)
    condition = f"{condition} AND p.device IS NOT NULL"
    twice = f"WITH {PLACE}, {_TWICE.format(condition=condition, files=_FILES)}"
    given = (*values, max(0, larger_bytes), *values, *values)
    rows = connection.exec_driver_sql(
        f"{twice} SELECT content, size, files, devices, wasted FROM real WHERE files > 1"
        " ORDER BY wasted DESC, size * files DESC, content LIMIT ?",
        (*given, chosen.limit + 1),
    ).all()
    contents, files, wasted = connection.exec_driver_sql(
        f"{twice} SELECT count(*), coalesce(sum(files), 0), coalesce(sum(wasted), 0)"
        " FROM real WHERE files > 1",
        given,
    ).one()
    found = [
        {
            "hash": content.hex(),
            "size_bytes": str(size),
            "files": count,
            "devices": devices,
            "wasted_bytes": str(lost),
            "copies": entries_json(
                connection,
                _keys_of(connection, content, condition, values, _SHOWN_COPIES),
                own,
                online,
            ),
        }
        for content, size, count, devices, lost in rows[: chosen.limit]
    ]
    return {
        "duplicates": found,
        "more": len(rows) > chosen.limit,
        "totals": {"contents": contents, "files": files, "wasted_bytes": str(wasted)},
    }

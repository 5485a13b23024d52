"""What a person points at: files by path, by entry id, or by a search.

What is said of a file is said of its content where its full hash is known (scope `content`: it
holds for every copy on any device), else of the entry alone (scope `entry`). Files of devices that
are off are named like any other.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from entities.content import content_id
from leaderless.catalogue.listing import find_device
from leaderless.catalogue.matching import readings
from leaderless.errors import NotFoundError, UsageError
from registry.changes import Create

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection

    from registry.changes import Edit, Value

ENTRY, CONTENT = "entry", "content"
_LEAST_ID = 8
"""Digits of an entry's id that are taken for one."""


class Target(NamedTuple):
    """What links and metadata name (`item`, of `scope`), and the entry it was reached through."""

    scope: str
    item: bytes
    entry: bytes
    content_hash: bytes | None
    size_bytes: int | None


def target_of(
    entry: bytes, content_hash: bytes | None, size_bytes: int | None, scope: str | None = None
) -> Target:
    """Return the target that an entry stands for; `scope` is chosen by the hash if it is None.

    Raises UsageError where the content is asked for and not known.
    """
    if scope not in (None, ENTRY, CONTENT):
        raise UsageError(f"there is no scope “{scope}”", hint="scopes: content, entry")
    if scope == CONTENT and content_hash is None:
        raise UsageError(
            "the content of this file is not known here",
            hint="leaderless location mode LOCATION content hashes it; or use --scope entry",
        )
    if content_hash is None or scope == ENTRY:
        return Target(ENTRY, entry, entry, content_hash, size_bytes)
    return Target(CONTENT, content_id(content_hash), entry, content_hash, size_bytes)


_COLUMNS = "e.uuid, e.content, e.size_bytes"
_Row = tuple[bytes, "bytes | None", "int | None"]


def find_target(
    connection: Connection, own_epoch: int, reference: str, scope: str | None = None
) -> Target:
    """Return what a reference names: a path of this device, DEVICE:PATH, or an entry's id.

    `reference` may hold bytes that are not UTF-8, as surrogates (os.fsdecode), or a path as it is
    printed, with escapes. An id may be given by its beginning or its end. Raises NotFoundError, or
    UsageError where several fit.
    """
    if not reference:
        raise UsageError("an empty name names no file", hint="leaderless find shows what is there")
    device, colon, rest = reference.partition(":")
    if reference.startswith("/"):
        row = _by_reading(connection, (own_epoch,), reference)
    elif colon and rest.startswith("/"):
        row = _by_reading(connection, _epochs(connection, device), rest)
    else:
        row = _by_id(connection, reference)
    if row is None:
        raise NotFoundError(
            f"{reference} is not in the catalogue",
            hint="leaderless find shows what is; leaderless location add indexes a folder",
        )
    return target_of(*row, scope)


def _epochs(connection: Connection, device: str) -> tuple[int, ...]:
    found = connection.exec_driver_sql(
        "SELECT id FROM incarnation WHERE device = ?", (find_device(connection, device),)
    )
    return tuple(found.scalars())


def _by_reading(connection: Connection, epochs: Sequence[int], path: str) -> _Row | None:
    """Return the living entry at a path as it was typed, else at what its escapes stand for."""
    first, *others = readings(path) or [path]
    if (row := _by_path(connection, epochs, os.fsencode(first))) is not None:
        return row
    found: dict[bytes, _Row] = {}
    for reading in others:
        try:
            row = _by_path(connection, epochs, os.fsencode(reading))
        except UnicodeEncodeError:
            continue  # half a character of another encoding: no name is written so
        if row is not None:
            found[row[0]] = row
    if len(found) > 1:
        ids = ", ".join(uuid.hex() for uuid in found)
        raise UsageError(f"{path} is how two files are printed", hint=f"name one by its id: {ids}")
    return next(iter(found.values()), None)


def _by_path(connection: Connection, epochs: Iterable[int], path: bytes) -> _Row | None:
    """Return the living entry at a path, by the location it is in."""
    path = os.path.normpath(path)
    for epoch in epochs:
        roots = connection.exec_driver_sql(
            "SELECT e.id, l.path FROM location l JOIN entry e ON e.location = l.id"
            " AND e.parent IS NULL AND e.dead = 0 WHERE l.epoch = ? AND l.dead = 0",
            (epoch,),
        ).all()
        for key, root in roots:
            base = root.rstrip(b"/")
            if path != root and not path.startswith(base + b"/"):
                continue
            names = [name for name in path[len(base) :].split(b"/") if name]
            if (row := _descend(connection, key, names)) is not None:
                return row
    return None


def _descend(connection: Connection, key: int, names: Iterable[bytes]) -> _Row | None:
    for name in names:
        below = connection.exec_driver_sql(
            "SELECT id FROM entry WHERE parent = ? AND name = ? AND dead = 0", (key, name)
        ).scalar()
        if below is None:
            return None
        key = below
    row = connection.exec_driver_sql(f"SELECT {_COLUMNS} FROM entry e WHERE id = ?", (key,)).one()
    return (row[0], row[1], row[2])


def _by_id(connection: Connection, reference: str) -> _Row | None:
    digits = reference.lower().replace("-", "")
    if len(digits) < _LEAST_ID or any(digit not in "0123456789abcdef" for digit in digits):
        return None
    condition = "hex(e.uuid) LIKE ? OR hex(e.uuid) LIKE ?"
    values: tuple[object, ...] = (f"{digits}%", f"%{digits}")
    if len(digits) == 32:
        condition, values = "e.uuid = ?", (bytes.fromhex(digits),)
    rows = connection.exec_driver_sql(
        f"SELECT {_COLUMNS} FROM entry e WHERE e.dead = 0 AND ({condition}) LIMIT 2", values
    ).all()
    if len(rows) > 1:
        raise UsageError(f"“{reference}” begins or ends several ids", hint="give more of it")
    return (rows[0][0], rows[0][1], rows[0][2]) if rows else None


def missing_contents(connection: Connection, targets: Iterable[Target]) -> list[Edit]:
    """Return the edits that make those contents of `targets` that are not there yet.

    They go into the commit that says something of them.
    """
    wanted = {item.item: item for item in targets if item.scope == CONTENT}
    there = set(connection.exec_driver_sql("SELECT uuid FROM content").scalars()) if wanted else ()
    edits: list[Edit] = []
    for uuid, item in wanted.items():
        if uuid not in there and item.content_hash is not None:
            fields: dict[str | tuple[str, str], Value] = {
                "hash": item.content_hash,
                "size_bytes": item.size_bytes,
            }
            edits.append(Create("content", uuid, fields))
    return edits

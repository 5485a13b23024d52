"""Whether what appeared somewhere is a known entry that moved: asks the disk where it was.

An inode alone proves nothing: it is given to another file soon after a delete, and a second name of
one inode is a hard link. So what it was must still be so, and it must be gone from its old place.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from leaderless.indexer import rows
from leaderless.indexer.differ import may_be_moved
from leaderless.indexer.scanner import GONE, inode_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy import Connection

    from leaderless.indexer.differ import Known
    from leaderless.indexer.rows import Location
    from leaderless.indexer.scanner import Observed


def moved_here(
    connection: Connection,
    location: Location,
    directory: bytes,
    appeared: list[Observed],
    taken: Collection[int],
) -> dict[bytes, Known]:
    """Return by name those known entries of a location that are now what appeared in `directory`.

    None of those whose key is in `taken`, and none twice.
    """
    inodes = sorted({item.inode for item in appeared if item.inode is not None})
    candidates: dict[int | None, list[Known]] = {}
    for held in rows.by_inode(connection, location.key, inodes):
        if held.parent is not None and held.key not in taken:
            candidates.setdefault(held.inode, []).append(held)
    moved: dict[bytes, Known] = {}
    for item in appeared:
        path = directory.rstrip(b"/") + b"/" + item.name
        left = candidates.get(item.inode, [])
        for held in left:
            if _is_moved(connection, held, item, path, location.path):
                moved[item.name] = held
                left.remove(held)
                break
    return moved


def _is_moved(
    connection: Connection, held: Known, observed: Observed, path: bytes, root: bytes
) -> bool:
    children: dict[int, set[bytes]] = {}
    inside: set[bytes] = set()
    if held.kind == observed.kind == "directory" and held.mtime_ns != observed.mtime_ns:
        children[held.key] = {child.name for child in rows.children_of(connection, held.key)}
        inside = _names_in(path)
    return may_be_moved(held, observed, children, inside) and _is_gone(connection, held, root)


def _is_gone(connection: Connection, held: Known, root: bytes) -> bool:
    """Return whether an entry is not where it was; where nobody can look it may still be."""
    try:
        found = os.lstat(rows.path_of(connection, held.key, root))
    except OSError as error:
        return error.errno in GONE
    return inode_of(found) != held.inode


def _names_in(path: bytes) -> set[bytes]:
    try:
        with os.scandir(path) as entries:
            return {entry.name for entry in entries}
    except OSError:
        return set()

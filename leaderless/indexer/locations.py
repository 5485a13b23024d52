"""Adding and removing locations, and whether one can be scanned now."""

from __future__ import annotations

import os
import shlex
import stat
from typing import TYPE_CHECKING, Any

import trio

from leaderless.errors import NotFoundError, NotPermittedError, UsageError
from leaderless.indexer import rows
from leaderless.indexer.pausing import wants_contents
from leaderless.indexer.scanner import inode_of
from leaderless.indexer.volumes import COLUMNS as VOLUME_COLUMNS
from leaderless.indexer.volumes import is_news, volume_of
from leaderless.store import meta
from leaderless.words import checked_text

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from leaderless.indexer.rows import Location
    from leaderless.indexer.volumes import System
    from leaderless.store.store import Store
    from leaderless.store.transaction import Transaction

MODES = ("shallow", "content", "deep")


def check_folder(path: bytes) -> bytes:
    """Return the path of a folder that leads through no link; raises UsageError and others."""
    shown = os.fsdecode(path)
    if not path.startswith(b"/") or b"\0" in path:
        raise UsageError(f"{shown} is no absolute path")
    path = path.rstrip(b"/") or b"/"
    try:
        found = os.lstat(path)
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no folder {shown}") from error
    except OSError as error:
        raise NotPermittedError(f"{shown} cannot be read: {error.strerror}") from error
    if stat.S_ISLNK(found.st_mode):
        target = os.fsdecode(os.path.realpath(path))
        raise UsageError(f"{shown} is a link", hint=f"leaderless location add {target}")
    if not stat.S_ISDIR(found.st_mode):
        raise UsageError(f"{shown} is no folder")
    # A link above it would hide which drive it is on, and that two locations overlap.
    path = os.path.realpath(path)
    if not _is_readable(path):
        raise NotPermittedError(
            f"{shown} cannot be read by this user", hint=f"chmod u+rx {shown}, or change its owner"
        )
    return path


def _is_readable(path: bytes) -> bool:
    try:
        # Not access(2): it ignores the capability by which the machine's service reads all folders.
        os.lstat(path + b"/.")
        os.scandir(path).close()
    except OSError:
        return False
    return True


def check_mode(index_mode: str) -> str:
    """Return a mode of indexing; raises UsageError where there is none of that name."""
    if index_mode not in MODES:
        raise UsageError(f"index mode is one of {', '.join(MODES)}")
    return index_mode


def check_apart(
    existing: list[Location], path: bytes, name: str, index_mode: str | None = None
) -> None:
    """Raise UsageError where a new location would overlap one that is there, or take its name.

    `index_mode` is how the new one is to be indexed, None where nobody said.
    """
    for held in existing:
        if held.path == path:
            called = shlex.quote(held.name)
            hint = f"leaderless location scan {called}"
            if index_mode not in (None, held.index_mode):
                hint = f"leaderless location mode {called} {index_mode}"
            raise UsageError(f"that folder is location {held.name} already", hint=hint)
        inside = path.rstrip(b"/") + b"/"
        outside = held.path.rstrip(b"/") + b"/"
        if inside.startswith(outside) or outside.startswith(inside):
            raise UsageError(
                f"{os.fsdecode(path)} overlaps with location {held.name}",
                hint=f"leaderless location remove {shlex.quote(held.name)}, or add another folder",
            )
    if any(held.name == name for held in existing):
        raise UsageError(f"a location is called {name} already", hint="use --name")


async def add_location(
    store: Store, system: System, path: bytes, name: str | None, index_mode: str | None
) -> bytes:
    """Make a folder a location of this device, shallow where nobody said how; return its uuid."""
    mode = check_mode(index_mode or MODES[0])
    path = check_folder(path)
    base = path.rstrip(b"/").rpartition(b"/")[2] or b"root"
    if name is not None:
        checked_text("a location's name", name, 256)
    chosen = name or base.decode("utf-8", "backslashreplace")
    volume = volume_of(path, system)
    uuid = store.ids.new()

    def write(transaction: Transaction) -> None:
        check_apart(rows.locations(transaction.conn, store.own_epoch), path, chosen, index_mode)
        held = transaction.conn.exec_driver_sql(
            "SELECT uuid FROM volume WHERE epoch = ? AND fingerprint = ? AND dead = 0",
            (store.own_epoch, volume["fingerprint"]),
        ).scalar()
        if held is None:
            held = store.ids.new()
            row = (held, *(volume[column] for column in VOLUME_COLUMNS[1:]))
            transaction.put("volume", VOLUME_COLUMNS, [row])
        row = (uuid, held, chosen, path, mode, None, None, None)
        transaction.put("location", rows.LOCATION_COLUMNS, [row])

    await store.write(write)
    return uuid


async def set_mode(store: Store, uuid: bytes, index_mode: str) -> None:
    """Change how a location is indexed; what is known of its files stays.

    Where contents are not wanted any more, that they are not read for now is forgotten.
    Raises UsageError, and NotFoundError where this device has no such location.
    """
    check_mode(index_mode)

    def write(transaction: Transaction) -> None:
        existing = rows.locations(transaction.conn, store.own_epoch)
        held = next((item for item in existing if item.uuid == uuid), None)
        if held is None:
            raise NotFoundError("there is no such location on this device")
        if held.index_mode != index_mode:
            held = held._replace(index_mode=index_mode)
            transaction.put("location", rows.LOCATION_COLUMNS, [rows.location_row(held)])
        if not wants_contents(held):
            meta.drop(transaction.conn, meta.paused(uuid))

    await store.write(write)


async def remove_location(store: Store, location: Location) -> None:
    """Take a location and all its entries out of the catalogue; the files stay untouched."""

    def entries(connection: Connection) -> list[bytes]:
        root = rows.root_of(connection, location.key)
        return [] if root is None else rows.below(connection, [root.key])

    uuids = await store.read(entries)
    step = 2_000
    for at in range(0, len(uuids), step):
        await _drop(store, "entry", uuids[at : at + step])

    def drop(transaction: Transaction) -> None:
        transaction.drop("location", [location.uuid])
        meta.drop(transaction.conn, meta.paused(location.uuid))

    await store.write(drop)


async def _drop(store: Store, model: str, uuids: list[bytes]) -> None:
    await store.write(lambda tx: tx.drop(model, uuids))


async def refresh_volumes(store: Store, system: System) -> None:
    """Bring the rows of this device's volumes in line with what is mounted now.

    A volume is here if it is where one of its locations is, or where it was last; else it has no
    mount point, and the rest of its row stays as it was last seen.
    """

    def known(connection: Connection) -> list[tuple[dict[str, Any], list[bytes]]]:
        paths = rows.locations(connection, store.own_epoch)
        return [
            (volume, [item.path for item in paths if item.volume == volume["uuid"]])
            for volume in rows.volumes(connection, store.own_epoch)
        ]

    held = await store.read(known)
    changed = await trio.to_thread.run_sync(_changed_volumes, held, system)
    if changed:
        await store.write(lambda tx: tx.put("volume", VOLUME_COLUMNS, changed))


def _changed_volumes(
    held: list[tuple[dict[str, Any], list[bytes]]], system: System
) -> list[tuple[Any, ...]]:
    changed = []
    for volume, paths in held:
        now = {**volume, "mount_point": None}
        for path in (*paths, volume["mount_point"]):
            try:
                seen = {} if path is None else volume_of(path, system)
            except (OSError, NotFoundError):
                continue
            if seen.get("fingerprint") == volume["fingerprint"]:
                now.update(seen)
                break
        if is_news(volume, now):
            changed.append(tuple(now[column] for column in VOLUME_COLUMNS))
    return changed


def why_offline(location: Location, root_inode: int | None, system: System) -> str | None:
    """Return why a location cannot be scanned now, or None.

    An unplugged drive leaves an empty folder, or another file system at its path: neither means that
    its files are deleted.
    """
    try:
        found = os.lstat(location.path)
    except OSError:
        return "its folder is not there; is the drive unplugged?"
    if not stat.S_ISDIR(found.st_mode):
        return "its path is no folder any more"
    try:
        fingerprint = volume_of(location.path, system)["fingerprint"]
    except (OSError, NotFoundError):
        return "its file system cannot be read"
    if fingerprint != location.fingerprint:
        return "another file system is mounted there; is the drive unplugged?"
    if root_inode is not None and inode_of(found) != root_inode:
        return "another folder stands at its path; remove the location and add it anew to use that"
    if not _is_readable(location.path):
        return "its folder cannot be read by this user"
    return None

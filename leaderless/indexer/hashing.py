"""The BLAKE3 of whole files, for locations that want content.

Files without content are read in the order of their keys, a step at a time; those that change
meanwhile wait for the next pass.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import trio
from blake3 import blake3

from leaderless.indexer import rows
from leaderless.indexer.differ import Known

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from leaderless.indexer.rows import Location
    from leaderless.indexer.scan import Progress
    from leaderless.store.store import Store

HASH_STEP = 64
_CHUNK_BYTES = 1 << 20


@dataclass
class Unhashed:
    """A file without content: what is known of it, where it is, and its hash once it is read."""

    known: Known
    path: bytes
    parent: bytes
    digest: bytes | None = None


async def hash_location(
    store: Store, location: Location, progress: Progress, give_way: Callable[[], bool]
) -> bool:
    """Fill in the content of files that have none; return False if `give_way` ended it early.

    At least one step is done, so whoever gives way each time still gets to the end.
    """
    after = 0
    while after == 0 or not give_way():
        files = await store.read(partial(_unhashed, location=location, after=after))
        if not files:
            return True
        after = files[-1].known.key
        await trio.to_thread.run_sync(_hash_all, files, progress)
        done = [file for file in files if file.digest is not None]
        if done:
            await _write(store, location, done)
    return False


def _unhashed(connection: Connection, location: Location, after: int) -> list[Unhashed]:
    """Return the next files of a location that have no content."""
    found = connection.exec_driver_sql(
        "SELECT e.id, e.uuid, e.parent, e.name, e.kind, e.size_bytes, e.mtime_ns, e.ctime_ns,"
        " e.inode, e.mode, e.content, e.quick_hash, p.uuid FROM entry e"
        " JOIN entry p ON p.id = e.parent WHERE e.location = ? AND e.id > ? AND e.kind = 'file'"
        " AND e.content IS NULL AND e.dead = 0 ORDER BY e.id LIMIT ?",
        (location.key, after, HASH_STEP),
    ).fetchall()
    return [
        Unhashed(Known(*row[:12]), rows.path_of(connection, row[0], location.path), row[12])
        for row in found
    ]


def _hash_all(files: list[Unhashed], progress: Progress) -> None:
    """Hash files in a worker thread, to the end or until the task that wants them is cancelled."""
    for file in files:
        file.digest = hash_file(file.path, file.known, trio.from_thread.check_cancelled)
        if file.digest is not None:
            progress.files_hashed += 1
            progress.bytes_hashed += file.known.size_bytes or 0


async def _write(store: Store, location: Location, done: list[Unhashed]) -> None:
    puts = [
        (
            file.known.uuid,
            location.uuid,
            file.parent,
            file.known.name,
            rows.extension_of(file.known.name),
            *file.known[4:10],
            int(file.known.name.startswith(b".")),
            file.digest,
            file.known.quick_hash,
        )
        for file in done
    ]
    await store.write(lambda tx: tx.put("entry", rows.ENTRY_COLUMNS, puts))


def hash_file(path: bytes, known: Known, check: Callable[[], None]) -> bytes | None:
    """Return the BLAKE3 of a regular file, or None if it is not (any more) what is known of it.

    Never follows a link, never waits on a pipe; a file that changes while it is read has no hash.
    `check` is called between pieces and may raise to end it.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        handle = os.open(path, flags)
    except OSError:
        return None
    try:
        if not _matches(handle, known):
            return None
        hasher = blake3()
        left = known.size_bytes or 0
        # No further than it was long: a file may grow as fast as it is read.
        while left > 0 and (chunk := os.read(handle, _CHUNK_BYTES)):
            left -= len(chunk)
            hasher.update(chunk)
            check()
        return hasher.digest() if _matches(handle, known) else None
    except OSError:
        return None
    finally:
        os.close(handle)


def _matches(descriptor: int, known: Known) -> bool:
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        return False
    now = (found.st_size, found.st_mtime_ns, found.st_ctime_ns)
    return now == (known.size_bytes, known.mtime_ns, known.ctime_ns)

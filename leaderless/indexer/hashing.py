"""The BLAKE3 of whole files, for locations that want content.

Files without content are read in the order of their keys, a step at a time; those that change
meanwhile wait for the next pass. Two threads take them in turns, so that one reads while the other
hashes; both step aside for everything else (indexer/background.py).
"""

from __future__ import annotations

import os
import stat
import threading
from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import trio
from blake3 import blake3

from leaderless.indexer import rows
from leaderless.indexer.background import in_background
from leaderless.indexer.differ import Known

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from leaderless.indexer.rows import Location
    from leaderless.indexer.scan import Progress
    from leaderless.store.store import Store

HASH_STEP: Final = 512
"""So many files are written together at most."""
STEP_BYTES: Final = 256 << 20
"""A step ends with the file that makes it as large: what an end in the middle of it loses."""
_CHUNK_BYTES: Final = 256 << 10
"""What a processor holds near: the hash of what was just read costs less than that of more."""
_THREADS: Final = min(2, os.cpu_count() or 1)


@dataclass
class Unhashed:
    """A file without content: what is known of it, where it is, and its hash once it is read."""

    known: Known
    path: bytes
    parent: bytes
    digest: bytes | None = None


class _PausedError(Exception):
    """A person wants the reading to rest."""


async def hash_location(
    store: Store,
    location: Location,
    progress: Progress,
    give_way: Callable[[], bool],
    is_paused: Callable[[], bool],
) -> bool:
    """Fill in the content of files that have none; return False if `give_way` ended it early.

    At least one step is done, so whoever gives way each time still gets to the end. Where it is
    paused, it ends in the middle of a file; those that were read by then have their content.
    """
    after = 0
    while after == 0 or not give_way():
        if is_paused():
            return True
        files = await store.read(partial(_unhashed, location=location, after=after))
        if not files:
            return True
        after = files[-1].known.key
        await trio.to_thread.run_sync(_hash_all, files, progress, is_paused)
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
    files: list[Unhashed] = []
    paths: dict[int, bytes] = {}
    size = 0
    for row in found:
        known, above = Known(*row[:12]), row[2]
        if above not in paths:
            paths[above] = rows.path_of(connection, above, location.path).rstrip(b"/")
        files.append(Unhashed(known, paths[above] + b"/" + known.name, row[12]))
        size += known.size_bytes or 0
        if size >= STEP_BYTES:
            break
    return files


def _hash_all(files: list[Unhashed], progress: Progress, is_paused: Callable[[], bool]) -> None:
    """Hash files beside a worker thread, to the end or until the task that wants them is cancelled.

    It ends early where it is paused.
    """
    in_background(
        partial(_hash_some, deque(files), progress, threading.Lock(), is_paused),
        min(_THREADS, len(files)),
        trio.from_thread.check_cancelled,
    )


def _hash_some(
    left: deque[Unhashed],
    progress: Progress,
    counting: threading.Lock,
    is_paused: Callable[[], bool],
    check: Callable[[], None],
) -> None:
    """Take one file after the other until none is left, as others do at the same time."""

    def go_on() -> None:
        check()
        if is_paused():
            raise _PausedError

    buffer = memoryview(bytearray(_CHUNK_BYTES))
    while True:
        try:
            file = left.popleft()
            go_on()
            file.digest = hash_file(file.path, file.known, go_on, buffer)
        except (IndexError, _PausedError):
            return
        if file.digest is not None:
            with counting:
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


def hash_file(
    path: bytes, known: Known, check: Callable[[], None], buffer: memoryview
) -> bytes | None:
    """Return the BLAKE3 of a regular file, or None if it is not (any more) what is known of it.

    Never follows a link, never waits on a pipe; a file that changes while it is read has no hash.
    It is read into `buffer`, piece by piece; `check` is called between them and may raise to end it.
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
        while left > 0 and (count := os.readv(handle, [buffer])):
            left -= count
            hasher.update(buffer[:count])
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

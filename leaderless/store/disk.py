"""What the disk under a database does: its failures by name, and whether it is well.

SQLite says "disk I/O error" for a quota, a limit and a broken disk alike, so the system is asked
again with a file of our own. When to try again is decided elsewhere: daemon/disk_watch.py.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

import trio

from leaderless.store.engine import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROOM_BYTES: Final = 24 << 20
"""So much has to fit before work goes on: a write-ahead log, and what the file grows by when that is
folded in. On a small disk it is an eighth of that, else it would never go on there."""
_LITTLE_BYTES: Final = 64 << 10
_BLOCK: Final = bytes(4_096)
_NO_ROOM = frozenset([errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
_READ_ONLY = frozenset([errno.EROFS, errno.EACCES, errno.EPERM])
_DAMAGED = frozenset([sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB])
_ASK_AGAIN = frozenset([sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN])


_UNCHANGED: Final = "; nothing was changed"


class DiskError(StoreError):
    """The disk failed; what was to be written was not, as a whole.

    `trouble` is what is wrong with the disk; the message says also what became of this one write.
    """

    code = "disk_error"

    @property
    def trouble(self) -> str:
        """Return what is wrong with the disk, for as long as it is."""
        return self.message.removesuffix(_UNCHANGED)


class DiskFullError(DiskError):
    """There is no room for what was to be written."""

    code = "disk_full"


class DiskReadOnlyError(DiskError):
    """The file system takes no writes, or none of ours."""

    code = "disk_read_only"


class DamagedError(DiskError):
    """The database holds bytes that SQLite did not write."""

    code = "database_damaged"


class Trouble(NamedTuple):
    """What is wrong with the disk, and since when."""

    error: DiskError
    since_ms: int


class Disk:
    """Whether the disk is well; belongs to the event loop."""

    def __init__(self) -> None:
        self.trouble: Trouble | None = None
        self._ill = trio.Event()
        self._well = trio.Event()
        self._well.set()

    def failed(self, error: DiskError, now_ms: int) -> None:
        """A read or write has failed. Damage stays what is said, whatever fails after it."""
        known = self.trouble
        if known is not None and isinstance(known.error, DamagedError):
            return
        self.trouble = Trouble(error, now_ms if known is None else known.since_ms)
        self._ill.set()
        if self._well.is_set():
            self._well = trio.Event()

    def recovered(self) -> bool:
        """The disk takes writes again; return whether that makes all well: damage stays."""
        if self.trouble is not None and isinstance(self.trouble.error, DamagedError):
            return False
        self.trouble = None
        self._ill = trio.Event()
        self._well.set()
        return True

    async def until_ill(self) -> Trouble:
        """Wait for trouble; return it."""
        while self.trouble is None:
            await self._ill.wait()
        return self.trouble

    async def until_well(self) -> None:
        """Wait until there is no trouble; at once if there is none."""
        await self._well.wait()


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Have what the disk does to the database at `path` raised as a DiskError that names it."""
    try:
        yield
    except Exception as error:
        said = _named(error, path)
        if said is None:
            raise
        raise said from error


def _named(error: BaseException, path: Path) -> DiskError | None:
    """Return what an error is if the disk is its cause, else None."""
    code = None if isinstance(error, DiskError) else _sqlite_code(error)
    if code is None:
        return None
    if code == sqlite3.SQLITE_FULL:
        return _full(path)
    if code not in _DAMAGED | _ASK_AGAIN:
        return None
    # A disk that fails every read makes SQLite take a sound file for a damaged one, too.
    asked = probe(path, _LITTLE_BYTES)
    if asked is not None:
        return from_system(asked, path)
    if code in _DAMAGED:
        return DamagedError(f"{path} is damaged", hint="leaderless serve mends it at its start")
    # A connection that may only read is refused by ours, not by the disk.
    if code != sqlite3.SQLITE_IOERR:
        return None
    return _broken(path, "SQLite could not read or write it")


def _sqlite_code(error: BaseException | None) -> int | None:
    """Return SQLite's primary result code, wherever in the causes it is."""
    while error is not None:
        code = getattr(getattr(error, "orig", error), "sqlite_errorcode", None)
        if code is not None:
            return int(code) & 0xFF
        error = error.__cause__
    return None


def from_system(error: OSError, path: Path) -> DiskError:
    """Return what the system's refusal to write beside `path` means."""
    if error.errno in _NO_ROOM:
        return _full(path)
    if error.errno in _READ_ONLY:
        return DiskReadOnlyError(
            f"nothing can be written in {path.parent}: {error.strerror}{_UNCHANGED}",
            hint=f"findmnt -T {path.parent} says how it is mounted, dmesg why;"
            " then make it writable",
        )
    return _broken(path, str(error.strerror))


def _full(path: Path) -> DiskFullError:
    room = ROOM_BYTES
    try:
        room, free = room_bytes(path), f"{free_bytes(path) / (1 << 20):.1f} MiB are free"
    except OSError:
        free = "how much is free cannot be read"
    return DiskFullError(
        f"there is no room on the disk of {path.parent}{_UNCHANGED}",
        hint=f"free at least {max(1, room >> 20)} MiB there, or raise its quota or file-size limit"
        f" ({free}); work goes on by itself then",
    )


def free_bytes(path: Path) -> int:
    """Return how much this user can still write on the file system of `path`; raises OSError."""
    found = os.statvfs(path.parent)
    return found.f_bavail * found.f_frsize


def room_bytes(path: Path) -> int:
    """Return how much has to fit beside `path` before work goes on; raises OSError."""
    found = os.statvfs(path.parent)
    return min(ROOM_BYTES, found.f_blocks * found.f_frsize // 8)


def _broken(path: Path, why: str) -> DiskError:
    return DiskError(
        f"the disk of {path.parent} fails: {why}{_UNCHANGED}",
        hint=f"findmnt -T {path.parent} says which disk that is, dmesg and smartctl how it is",
    )


def probe(path: Path, room: int | None = None) -> OSError | None:
    """Try to have a file beside the database grow beyond it by `room` bytes; return what failed.

    Without `room` by `room_bytes`.

    Nothing of it stays. It begins where the larger of database and write-ahead log ends, so that a
    limit to the size of files shows, too.
    """
    scratch = path.with_name(f"{path.name}.probe")
    try:
        end = max(_size(path), _size(path.with_name(f"{path.name}-wal")))
        handle = os.open(scratch, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            scratch.unlink()
            os.posix_fallocate(handle, end, room_bytes(path) if room is None else room)
            os.pwrite(handle, _BLOCK, end)
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        return error
    return None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0

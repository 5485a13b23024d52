"""Reads directories: lstat of every name, no link followed, no mount crossed, errors collected."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from leaderless.indexer.ignore import Ignored

MAX_ERRORS = 1_000
"""Kept one by one; more are only counted."""

GONE = frozenset([errno.ENOENT, errno.ENOTDIR, errno.ELOOP])
"""What a path that leads nowhere any more, or through a link by now, is answered with."""

_KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
    stat.S_IFBLK: "block_device",
    stat.S_IFCHR: "char_device",
}


class Observed(NamedTuple):
    """A name as it is in its directory now."""

    name: bytes
    kind: str
    size_bytes: int
    mtime_ns: int
    ctime_ns: int
    inode: int | None
    mode: int
    crosses_mount: bool = False


class Listing(NamedTuple):
    """A directory as it is now; of the names in `unread` nothing is known, not that they are gone."""

    found: list[Observed]
    unread: set[bytes]


class PathError(NamedTuple):
    """A path that could not be read, and why."""

    path: bytes
    message: str


@dataclass
class Errors:
    """The errors of a pass: the first ones whole, all of them counted."""

    items: list[PathError] = field(default_factory=list)
    count: int = 0

    def add(self, path: bytes, error: OSError) -> None:
        """Take in one error."""
        self.count += 1
        if len(self.items) < MAX_ERRORS:
            self.items.append(PathError(path, os.strerror(error.errno or 0)))


def inode_of(found: os.stat_result) -> int:
    """Return an inode number as the database holds it: 64 bits read as signed."""
    return found.st_ino - (1 << 64) if found.st_ino >= 1 << 63 else found.st_ino


def _held(number: int) -> int:
    """Return the nearest number that a row can hold: file systems know times after 2262."""
    return max(-(1 << 63), min(number, (1 << 63) - 1))


def observe(name: bytes, found: os.stat_result, device: int) -> Observed:
    """Return what lstat said of a name; `device` is the location's own."""
    kind = _KINDS.get(stat.S_IFMT(found.st_mode), "file")
    return Observed(
        name,
        kind,
        _held(found.st_size),
        _held(found.st_mtime_ns),
        _held(found.st_ctime_ns),
        inode_of(found),
        stat.S_IMODE(found.st_mode),
        found.st_dev != device,
    )


def read_directory(
    root: bytes, path: bytes, device: int, ignored: Ignored, errors: Errors
) -> Listing | None:
    """Return what is in a directory now, or None if that is not known: what was known in it stays.

    None means unreadable (noted in `errors`), gone or moved since its parent was read (which says
    nothing of what was in it: reading the parent again does), or on another file system by now. A
    name that vanishes between the listing and its lstat is not there.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if error.errno not in GONE:
            errors.add(path, error)
        return None
    found: list[Observed] = []
    unread: set[bytes] = set()
    try:
        if os.fstat(handle).st_dev != device:
            return None
        prefix = path[len(root) :].lstrip(b"/")
        with os.scandir(handle) as entries:
            for entry in entries:
                name = os.fsencode(entry.name)
                relative = prefix + b"/" + name if prefix else name
                try:
                    if ignored(relative, is_directory=entry.is_dir(follow_symlinks=False)):
                        continue
                    found.append(observe(name, entry.stat(follow_symlinks=False), device))
                except FileNotFoundError:
                    continue
                except OSError as error:
                    errors.add(path.rstrip(b"/") + b"/" + name, error)
                    unread.add(name)
    except OSError as error:
        errors.add(path, error)
        return None
    finally:
        os.close(handle)
    return Listing(found, unread)

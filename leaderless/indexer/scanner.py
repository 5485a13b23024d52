"""Reads directories: lstat of every name, no link followed, no mount crossed, errors collected."""

from __future__ import annotations

import errno
import os
import stat
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

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
_KIND_BITS: Final = 0o170000
_MODE_BITS: Final = 0o7777
_MOST: Final = (1 << 63) - 1
_ENCODING: Final = (sys.getfilesystemencoding(), sys.getfilesystemencodeerrors())
"""How a name of bytes became text; os.fsencode asks for it at every name."""


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
    return max(-_MOST, min(number, _MOST))


def observe(name: bytes, found: os.stat_result, device: int) -> Observed:
    """Return what lstat said of a name; `device` is the location's own."""
    mode, inode, device_of, _, _, _, size, *_ = found
    mtime_ns, ctime_ns = found.st_mtime_ns, found.st_ctime_ns
    # Of all but a few files in the world every number is held as it is: one look tells.
    if (size | mtime_ns | ctime_ns | inode) >> 63:
        inode = inode_of(found)
        size, mtime_ns, ctime_ns = _held(size), _held(mtime_ns), _held(ctime_ns)
    # As Observed(…) does, in half the time: this is done for every name there is.
    return tuple.__new__(
        Observed,
        (
            name,
            _KINDS.get(mode & _KIND_BITS, "file"),
            size,
            mtime_ns,
            ctime_ns,
            inode,
            mode & _MODE_BITS,
            device_of != device,
        ),
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
    try:
        if os.fstat(handle).st_dev != device:
            return None
        with os.scandir(handle) as entries:
            items = list(entries)
        return _listing(root, path, device, items, ignored, errors)
    except OSError as error:
        errors.add(path, error)
        return None
    finally:
        os.close(handle)


def _listing(
    root: bytes,
    path: bytes,
    device: int,
    items: list[os.DirEntry[str]],
    ignored: Ignored,
    errors: Errors,
) -> Listing:
    """Return what the names in a directory, which is still open, stand for."""
    prefix = path[len(root) :].lstrip(b"/")
    above = prefix + b"/" if prefix else b""
    # No name holds a slash, so all of them become bytes together.
    text = "/".join([item.name for item in items])
    is_judged = ignored.may_hold(prefix, text)
    listing = Listing([], set())
    for item, name in zip(items, text.encode(*_ENCODING).split(b"/"), strict=bool(items)):
        try:
            if is_judged and ignored(above + name, is_directory=item.is_dir(follow_symlinks=False)):
                continue
            listing.found.append(observe(name, item.stat(follow_symlinks=False), device))
        except FileNotFoundError:
            continue
        except OSError as error:
            errors.add(path.rstrip(b"/") + b"/" + name, error)
            listing.unread.add(name)
    return listing

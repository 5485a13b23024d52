"""inotify(7) as it is: watches on directories, and what the kernel says of them.

Written against libc because the packaged bindings hide the overflow, which is the one event that
must not be missed: after it, everything below has to be read again.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from typing import Final, NamedTuple

import trio

from leaderless.errors import LeaderlessError

_HEADER = struct.Struct("iIII")
_BUFFER: Final = 256 << 10

MODIFY, ATTRIB, CLOSE_WRITE = 0x2, 0x4, 0x8
MOVED_FROM, MOVED_TO, CREATE, DELETE = 0x40, 0x80, 0x100, 0x200
DELETE_SELF, MOVE_SELF = 0x400, 0x800
UNMOUNT, Q_OVERFLOW, IGNORED, ISDIR = 0x2000, 0x4000, 0x8000, 0x40000000
_ONLYDIR, _DONT_FOLLOW, _EXCL_UNLINK = 0x1000000, 0x2000000, 0x4000000
_WANTED: Final = (
    ATTRIB | CLOSE_WRITE | MOVED_FROM | MOVED_TO | CREATE | DELETE | DELETE_SELF | MOVE_SELF
)


class WatchLimitError(LeaderlessError):
    """The kernel allows no more watches."""

    code = "watch_limit"


class Event(NamedTuple):
    """Something happened to `name` in a watched directory."""

    watch: int
    mask: int
    name: bytes


class Inotify:
    """An inotify instance; close it when done. Raises WatchLimitError if there can be no more."""

    def __init__(self, libc: ctypes.CDLL | None = None) -> None:
        self._libc = libc or ctypes.CDLL(None, use_errno=True)
        self._descriptor = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._descriptor < 0:
            raise _limit_error(ctypes.get_errno())

    def add(self, path: bytes) -> int | None:
        """Watch a directory; return its watch, or None if it is gone or unreadable.

        Watching the same directory twice returns the same watch. Raises WatchLimitError.
        """
        mask = _WANTED | _ONLYDIR | _DONT_FOLLOW | _EXCL_UNLINK
        watch = int(self._libc.inotify_add_watch(self._descriptor, path, mask))
        if watch >= 0:
            return watch
        code = ctypes.get_errno()
        if code in (errno.ENOSPC, errno.ENOMEM):
            raise _limit_error(code)
        return None

    def remove(self, watch: int) -> None:
        """Stop watching; harmless for a watch that is gone."""
        self._libc.inotify_rm_watch(self._descriptor, watch)

    async def read(self) -> list[Event]:
        """Return the next events, once there are any."""
        while True:
            await trio.lowlevel.wait_readable(self._descriptor)
            try:
                return parse_events(os.read(self._descriptor, _BUFFER))
            except BlockingIOError:
                continue

    def close(self) -> None:
        """Drop every watch."""
        trio.lowlevel.notify_closing(self._descriptor)
        os.close(self._descriptor)


def parse_events(data: bytes) -> list[Event]:
    """Return the events in what the kernel wrote."""
    events = []
    at = 0
    while at < len(data):
        watch, mask, _, size = _HEADER.unpack_from(data, at)
        at += _HEADER.size
        events.append(Event(watch, mask, data[at : at + size].rstrip(b"\0")))
        at += size
    return events


def _limit_error(code: int) -> WatchLimitError:
    limit = "max_user_instances=1024" if code == errno.EMFILE else "max_user_watches=1048576"
    return WatchLimitError(
        f"the kernel allows no more file watches ({os.strerror(code)})",
        hint=f"sudo sysctl fs.inotify.{limit}",
    )

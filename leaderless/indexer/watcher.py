"""From inotify events to directories that have to be read again.

A watch follows the directory, not its path, so a renamed tree keeps its watches: paths are worked out
through the chain of parents when they are needed.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import trio

from leaderless.indexer import inotify

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

SETTLE_S: Final = 0.1
"""Changes within this time after the first are looked at together."""


@dataclass
class Watched:
    """A directory with a watch: its name in its parent, or the whole path of a root."""

    name: bytes
    parent: int | None
    listed_as: bytes


class Watcher:
    """Watches directories and gathers which of them changed; made by `open_watcher`."""

    def __init__(
        self, on_dirty: Callable[[set[bytes], bool], None], kernel: inotify.Inotify
    ) -> None:
        self._inotify = kernel
        self._on_dirty = on_dirty
        self._watched: dict[int, Watched] = {}
        self._by_path: dict[bytes, int] = {}
        self.limit_reached: str | None = None

    def watch(self, path: bytes) -> None:
        """Watch a directory; safe to call from a worker thread, before the directory is read."""
        if self.limit_reached is not None:
            return
        try:
            watch = self._inotify.add(path)
        except inotify.WatchLimitError as error:
            self.limit_reached = f"{error.message}; {error.hint}"
            return
        if watch is None:
            return
        parent_path, _, name = path.rpartition(b"/")
        parent = self._by_path.get(parent_path)
        self._forget_path(watch)
        self._watched[watch] = Watched(path if parent is None else name, parent, path)
        self._by_path[path] = watch

    def unwatch(self, root: bytes) -> None:
        """Stop watching a directory and all below it."""
        for path, watch in list(self._by_path.items()):
            if path == root or path.startswith(root.rstrip(b"/") + b"/"):
                self._inotify.remove(watch)

    def _forget_path(self, watch: int) -> None:
        """A directory that moved is listed under its new path only; what was below it follows."""
        held = self._watched.get(watch)
        if held is not None and self._by_path.get(held.listed_as) == watch:
            del self._by_path[held.listed_as]

    def path(self, watch: int) -> bytes | None:
        """Return where a watched directory is now."""
        parts: list[bytes] = []
        at: int | None = watch
        while at is not None:
            held = self._watched.get(at)
            if held is None or len(parts) > 4096:
                return None
            parts.append(held.name)
            at = held.parent
        return b"/".join(reversed(parts))

    @property
    def count(self) -> int:
        """Return how many directories are watched."""
        return len(self._watched)

    def close(self) -> None:
        """Drop every watch."""
        self._inotify.close()

    async def run(self) -> None:
        """Gather changes for ever."""
        while True:
            dirty: set[bytes] = set()
            lost = self._take(await self._inotify.read(), dirty)
            with trio.move_on_after(SETTLE_S):
                while True:
                    lost |= self._take(await self._inotify.read(), dirty)
            if dirty or lost:
                self._on_dirty(dirty, lost)

    def _take(self, events: list[inotify.Event], dirty: set[bytes]) -> bool:
        """Note the directories that events speak of; return whether events were lost."""
        lost = False
        for event in events:
            if event.mask & inotify.Q_OVERFLOW:
                lost = True
                continue
            if event.mask & inotify.IGNORED:
                self._forget_path(event.watch)
                self._watched.pop(event.watch, None)
                continue
            path = self.path(event.watch)
            if path is None:
                continue
            if event.mask & (inotify.DELETE_SELF | inotify.MOVE_SELF | inotify.UNMOUNT):
                is_root = self._watched[event.watch].parent is None
                dirty.add(path if is_root else path.rpartition(b"/")[0])
                if event.mask & inotify.UNMOUNT:
                    lost = True
                continue
            dirty.add(path)
        return lost


@asynccontextmanager
async def open_watcher(
    on_dirty: Callable[[set[bytes], bool], None],
    kernel: Callable[[], inotify.Inotify] = inotify.Inotify,
) -> AsyncIterator[Watcher]:
    """Watch while it is open; `on_dirty(directories, lost)` hears of changes once they settle.

    `lost` means that the kernel dropped events: everything has to be read again. Raises
    WatchLimitError if there can be no watch at all.
    """
    watcher = Watcher(on_dirty, kernel())
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watcher.run)
            yield watcher
            nursery.cancel_scope.cancel()
    finally:
        watcher.close()

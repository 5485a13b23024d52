"""One pass over a location, or over some of its directories: look, compare, write.

Directories are read in steps of bounded size, parents first, and written step by step, so an
interrupted pass loses nothing and a new one finds what is written. What is missing is deleted at the
end only, when everything that moved has been found, and not without consent if it is too much.
"""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from leaderless.indexer import rows
from leaderless.indexer.differ import compare, may_be_moved, needs_consent
from leaderless.indexer.scanner import Errors, observe, read_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sqlalchemy import Connection

    from leaderless.indexer.differ import Appeared, Known
    from leaderless.indexer.ignore import Ignored
    from leaderless.indexer.rows import Location
    from leaderless.indexer.scanner import Observed
    from leaderless.store.store import Store

STEP_ROWS = 2_000
STEP_DIRECTORIES = 256


class Directory(NamedTuple):
    """A directory to read: its path and identity; `key` is None if it is new here."""

    path: bytes
    uuid: bytes
    key: int | None


@dataclass
class Progress:
    """How far a pass is; shown while it runs."""

    phase: str = "scanning"
    entries_seen: int = 0
    entries_known: int = 0
    rows_written: int = 0
    rows_dropped: int = 0
    files_hashed: int = 0
    bytes_hashed: int = 0
    started_ms: int = 0
    current: bytes = b""
    errors: Errors = field(default_factory=Errors)


class Brake(NamedTuple):
    """When a pass asks before it deletes."""

    entries: int
    ratio: float
    accepted: bool = False


class BrakedError(Exception):
    """A pass would delete so much that it asks first; nothing was deleted."""

    def __init__(self, drops: int, known: int) -> None:
        super().__init__(f"{drops} of {known} entries are gone from the disk")
        self.drops = drops
        self.known = known


class Pass:
    """A pass; `run` does it."""

    def __init__(
        self,
        store: Store,
        location: Location,
        ignored: Ignored,
        brake: Brake,
        progress: Progress,
        on_directory: Callable[[bytes], None],
    ) -> None:
        self._store = store
        self._location = location
        self._ignored = ignored
        self._brake = brake
        self._progress = progress
        self._on_directory = on_directory
        self._queue: deque[Directory] = deque()
        self._missing: dict[int, Known] = {}
        self._claimed: set[int] = set()
        self._device = os.lstat(location.path).st_dev
        self._first = False
        self._deep = True

    async def run(self, only: Iterable[bytes] | None = None) -> None:
        """Bring the location's entries in line with the disk.

        `only` names directories to look at (and whatever is new below them); without it the whole
        location is read. Raises BrakedError.
        """
        puts = await self._store.read(lambda connection: self._begin(connection, only))
        await self._write(puts)
        while self._queue:
            puts = await self._store.read(self._step)
            await self._write(puts)
        await self._drop()

    # --- looking ----------------------------------------------------------------------------------

    def _begin(self, connection: Connection, only: Iterable[bytes] | None) -> list[tuple[Any, ...]]:
        location = self._location
        root = rows.root_of(connection, location.key)
        self._progress.entries_known = connection.exec_driver_sql(
            "SELECT count(*) FROM entry WHERE location = ? AND dead = 0", (location.key,)
        ).scalar_one()
        name = location.path.rstrip(b"/").rpartition(b"/")[2] or b"/"
        now = observe(name, os.lstat(location.path), self._device)
        if root is None:
            self._first = True
            uuid = self._store.ids.new()
            self._queue.append(Directory(location.path, uuid, None))
            return [rows.entry_row(uuid, location.uuid, None, now, None)]
        if only is None:
            self._queue.append(Directory(location.path, root.uuid, root.key))
        else:
            self._deep = False
            self._queue.extend(self._known_directories(connection, root, only))
        if (*root[3:5], *root[5:10]) == tuple(now[:7]):
            return []
        return [rows.entry_row(root.uuid, location.uuid, None, now, root)]

    def _known_directories(
        self, connection: Connection, root: Known, paths: Iterable[bytes]
    ) -> Iterable[Directory]:
        """Yield those of `paths` that are known; others are found through their parents."""
        base = self._location.path.rstrip(b"/")
        for path in sorted(set(paths)):
            held: Known | None = root
            for part in path[len(base) :].strip(b"/").split(b"/"):
                if part and held is not None:
                    inside = rows.children_of(connection, held.key)
                    held = next((child for child in inside if child.name == part), None)
            if held is not None:
                yield Directory(path, held.uuid, held.key)

    def _step(self, connection: Connection) -> list[tuple[Any, ...]]:
        puts: list[tuple[Any, ...]] = []
        count = 0
        while self._queue and count < STEP_DIRECTORIES and len(puts) < STEP_ROWS:
            count += 1
            self._look(connection, self._queue.popleft(), puts)
        return puts

    def _look(
        self, connection: Connection, directory: Directory, puts: list[tuple[Any, ...]]
    ) -> None:
        self._progress.current = directory.path
        self._on_directory(directory.path)
        root = self._location.path
        errors = self._progress.errors
        observed = read_directory(root, directory.path, self._device, self._ignored, errors)
        if observed is None:
            return
        self._progress.entries_seen += len(observed)
        known = [] if directory.key is None else rows.children_of(connection, directory.key)
        found = compare(known, observed)
        for held in found.missing:
            self._miss(held)
        for held, item in found.same:
            if self._deep:
                self._descend(directory, item, held.uuid, held.key)
        for held, item in found.changed:
            puts.append(self._row(directory, item, held.uuid, held))
            if self._deep:
                self._descend(directory, item, held.uuid, held.key)
        if found.appeared:
            self._appeared(connection, directory, found.appeared, puts)

    def _appeared(
        self,
        connection: Connection,
        directory: Directory,
        appeared: list[Appeared],
        puts: list[tuple[Any, ...]],
    ) -> None:
        candidates: dict[int, list[Known]] = {}
        if not self._first:
            inodes = sorted({item.observed.inode for item in appeared})
            for held in rows.by_inode(connection, self._location.key, inodes):
                if held.inode is not None and held.parent is not None:
                    candidates.setdefault(held.inode, []).append(held)
        for item, fallback in appeared:
            moved = self._moved(connection, directory, item, candidates.get(item.inode, []))
            identity = fallback if moved is None else moved
            if moved is not None:
                self._claimed.add(moved.key)
                self._missing.pop(moved.key, None)
                if fallback is not None:
                    self._miss(fallback)
            uuid = self._store.ids.new() if identity is None else identity.uuid
            puts.append(self._row(directory, item, uuid, identity))
            self._descend(directory, item, uuid, None if identity is None else identity.key)

    def _moved(
        self,
        connection: Connection,
        directory: Directory,
        item: Observed,
        candidates: list[Known],
    ) -> Known | None:
        for held in candidates:
            if held.key in self._claimed or held.kind != item.kind:
                continue
            children: dict[int, set[bytes]] = {}
            inside: set[bytes] = set()
            if held.kind == "directory" and held.mtime_ns != item.mtime_ns:
                names = (child.name for child in rows.children_of(connection, held.key))
                children[held.key] = set(names)
                inside = _names_in(directory.path + b"/" + item.name)
            if not may_be_moved(held, item, children, inside):
                continue
            if held.key in self._missing or self._is_gone(connection, held):
                return held
        return None

    def _is_gone(self, connection: Connection, held: Known) -> bool:
        path = rows.path_of(connection, held.key, self._location.path)
        try:
            found = os.lstat(path)
        except OSError:
            return True
        return observe(b"", found, self._device).inode != held.inode

    def _miss(self, held: Known) -> None:
        if held.key not in self._claimed:
            self._missing[held.key] = held

    def _row(
        self, directory: Directory, item: Observed, uuid: bytes, held: Known | None
    ) -> tuple[Any, ...]:
        return rows.entry_row(uuid, self._location.uuid, directory.uuid, item, held)

    def _descend(self, directory: Directory, item: Observed, uuid: bytes, key: int | None) -> None:
        if item.kind == "directory" and not item.crosses_mount:
            path = directory.path.rstrip(b"/") + b"/" + item.name
            self._queue.append(Directory(path, uuid, key))

    # --- writing ----------------------------------------------------------------------------------

    async def _write(self, puts: list[tuple[Any, ...]]) -> None:
        if puts:
            await self._store.write(lambda tx: tx.put("entry", rows.ENTRY_COLUMNS, puts))
            self._progress.rows_written += len(puts)

    async def _drop(self) -> None:
        gone = [key for key in self._missing if key not in self._claimed]
        if not gone:
            return
        uuids = await self._store.read(lambda connection: rows.below(connection, gone))
        known = self._progress.entries_known
        brake = self._brake
        if not brake.accepted and needs_consent(len(uuids), known, brake.entries, brake.ratio):
            raise BrakedError(len(uuids), known)
        for at in range(0, len(uuids), STEP_ROWS):
            await self._drop_some(uuids[at : at + STEP_ROWS])

    async def _drop_some(self, uuids: list[bytes]) -> None:
        await self._store.write(lambda tx: tx.drop("entry", uuids))
        self._progress.rows_dropped += len(uuids)


def _names_in(path: bytes) -> set[bytes]:
    try:
        with os.scandir(path) as entries:
            return {entry.name for entry in entries}
    except OSError:
        return set()

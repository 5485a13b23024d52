"""One pass over a location, or over some of its directories: look, compare, write.

Directories are read in steps of bounded size, parents first, and written step by step, so an
interrupted pass loses nothing and a new one finds what is written. Rules that keep a tree whole while
it changes under the pass:

- In one step an identity is given once: what moved is not what was read in its old place, too.
- A step ends where a directory moved, so that the next one finds in the database where it is now.
- A directory that moved is read to its bottom: what was said of it under its old path is void.
- What is missing is deleted at the end only, when everything that moved has been found, not if the
  folder itself went away meanwhile, and not without consent if it is too much.
"""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from leaderless.errors import NotFoundError
from leaderless.indexer import moves, rows
from leaderless.indexer.differ import compare, is_all_same, is_same, needs_consent
from leaderless.indexer.mounts import NUMBERING_FILE_SYSTEMS
from leaderless.indexer.scanner import Errors, observe, read_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from sqlalchemy import Connection

    from leaderless.indexer.differ import Appeared, Compared, Known
    from leaderless.indexer.ignore import Ignored
    from leaderless.indexer.rows import Location
    from leaderless.indexer.scanner import Observed
    from leaderless.store.store import Store
    from leaderless.store.transaction import Transaction

STEP_ROWS = 5_000
STEP_DIRECTORIES = 512


_key = itemgetter(-2)
"""Of a look."""


class Directory(NamedTuple):
    """A directory to read: its path and identity; `key` is None if it is new here.

    `deep` says whether the directories in it are read, too, that nothing happened to.
    """

    path: bytes
    uuid: bytes
    key: int | None
    deep: bool = True


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
    """A pass; `run` does it. Raises OSError if the folder is not there."""

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
        # Paths that were named, and in front of them what follows from those before.
        self._queue: deque[Directory | bytes] = deque()
        self._missing: dict[int, Known] = {}
        self._taken: set[int] = set()
        self._known: dict[int, dict[bytes, Known]] = {}
        self._relocated = False
        self._numbered = location.file_system not in NUMBERING_FILE_SYSTEMS
        self._device = 0
        self._device, self._inode = self._stand()
        self._first = False

    async def run(self, only: Iterable[bytes] | None = None) -> None:
        """Bring the location's entries in line with the disk.

        `only` names directories to look at (and whatever is new below them); without it the whole
        location is read. Raises BrakedError, and NotFoundError if the folder went away meanwhile.
        """
        await self._write(await self._store.read(partial(self._begin, only=only)))
        while self._queue:
            await self._write(await self._store.read(self._step))
        await self._drop()

    # --- looking ----------------------------------------------------------------------------------

    def _stand(self) -> tuple[int, int]:
        found = os.lstat(self._location.path)
        return found.st_dev, found.st_ino

    def _observe(self, name: bytes, path: bytes) -> Observed:
        return self._normal(observe(name, os.lstat(path), self._device))

    def _normal(self, item: Observed) -> Observed:
        """Return an observation without the inode where that means nothing."""
        return item if self._numbered else item._replace(inode=None)

    def _begin(self, connection: Connection, only: Iterable[bytes] | None) -> list[tuple[Any, ...]]:
        location = self._location
        root = rows.root_of(connection, location.key)
        name = location.path.rstrip(b"/").rpartition(b"/")[2] or b"/"
        now = self._observe(name, location.path)
        if root is None:
            self._first = True
            uuid = self._store.ids.new()
            self._queue.append(Directory(location.path, uuid, None))
            return [rows.entry_row(uuid, location.uuid, None, now, None)]
        if only is None:
            self._progress.entries_known = rows.count_of(connection, location.key)
            self._queue.append(Directory(location.path, root.uuid, root.key))
        else:
            self._queue.extend(sorted(set(only)))
        if (root.name, root.kind) == (now.name, now.kind) and is_same(root, now):
            return []
        return [rows.entry_row(root.uuid, location.uuid, None, now, root)]

    def _entered(
        self, connection: Connection, path: bytes, puts: list[tuple[Any, ...]]
    ) -> Directory | None:
        """Return the directory that is known at a path, and put its row if it changed.

        One that is not known (any more) at this path is found through its parent.
        """
        base = self._location.path.rstrip(b"/")
        above, held = None, rows.root_of(connection, self._location.key)
        for part in path[len(base) :].strip(b"/").split(b"/"):
            if part and held is not None:
                above, held = held, self._children(connection, held.key).get(part)
        if held is None:
            return None
        try:
            item = self._observe(held.name, path)
        except OSError:
            return None
        if (item.kind, item.inode) != (held.kind, held.inode) or held.kind != "directory":
            return None
        if above is not None and held.key not in self._taken and not is_same(held, item):
            puts.append(rows.entry_row(held.uuid, self._location.uuid, above.uuid, item, held))
        return Directory(path, held.uuid, held.key, deep=False)

    def _children(self, connection: Connection, key: int) -> dict[bytes, Known]:
        """Return by name what is known in a directory; asked once in a step."""
        if key not in self._known:
            inside = rows.children_of(connection, key)
            self._known[key] = {child.name: child for child in inside}
        return self._known[key]

    def _step(self, connection: Connection) -> list[tuple[Any, ...]]:
        puts: list[tuple[Any, ...]] = []
        count = 0
        looked: set[bytes] = set()
        self._taken.clear()
        self._known.clear()
        self._relocated = False
        while self._queue and count < STEP_DIRECTORIES and len(puts) < STEP_ROWS:
            count += 1
            item = self._queue.popleft()
            if isinstance(item, bytes):
                directory = None if item in looked else self._entered(connection, item, puts)
            else:
                directory = item
            if directory is not None:
                looked.add(directory.path)
                self._look(connection, directory, puts)
            if self._relocated:
                break
        return puts

    def _look(
        self, connection: Connection, directory: Directory, puts: list[tuple[Any, ...]]
    ) -> None:
        self._progress.current = directory.path
        self._on_directory(directory.path)
        root = self._location.path
        errors = self._progress.errors
        listing = read_directory(root, directory.path, self._device, self._ignored, errors)
        if listing is None:
            return
        self._progress.entries_seen += len(listing.found)
        now = listing.found if self._numbered else list(map(self._normal, listing.found))
        key = directory.key
        looks = () if key is None or listing.unread else rows.looks_of(connection, key)
        if looks and self._taken.isdisjoint(map(_key, looks)) and is_all_same(looks, now):
            self._stayed_whole(directory, looks, now)
            return
        known = [] if key is None else rows.children_of(connection, key)
        taken, unread = self._taken, listing.unread
        found = compare([it for it in known if it.key not in taken and it.name not in unread], now)
        self._stayed(directory, found, puts)
        if found.appeared:
            self._appeared(connection, directory, found.appeared, puts)

    def _stayed_whole(
        self, directory: Directory, looks: Sequence[tuple[Any, ...]], now: list[Observed]
    ) -> None:
        """Take in a directory in which nothing changed."""
        for key in map(_key, looks) if self._missing else ():
            self._missing.pop(key, None)
        if not directory.deep:
            return
        inside = {look[0]: look[-2:] for look in looks if look[1] == "directory"}
        for item in now if inside else ():
            if item.kind == "directory":
                key, uuid = inside[item.name]
                self._descend(directory, item, uuid, key)

    def _stayed(self, directory: Directory, found: Compared, puts: list[tuple[Any, ...]]) -> None:
        """Take in what is still in its place, and what is not."""
        for held in found.missing:
            self._missing[held.key] = held
        for held, item in found.changed:
            self._taken.add(held.key)
            puts.append(self._row(directory, item, held.uuid, held))
        for held, item in (*found.same, *found.changed):
            self._missing.pop(held.key, None)
            if directory.deep:
                self._descend(directory, item, held.uuid, held.key)

    def _appeared(
        self,
        connection: Connection,
        directory: Directory,
        appeared: list[Appeared],
        puts: list[tuple[Any, ...]],
    ) -> None:
        """Give everything at a new name, or of a new inode, its identity: moves before names."""
        moved: dict[bytes, Known] = {}
        if not self._first:
            items = [item for item, _ in appeared]
            moved = moves.moved_here(connection, self._location, directory.path, items, self._taken)
        for held in moved.values():
            self._taken.add(held.key)
            self._missing.pop(held.key, None)
            self._relocated |= held.kind == "directory"
        fresh = iter(self._store.ids.many(len(appeared) - len(moved)))
        for item, fallback in appeared:
            identity = moved.get(item.name)
            if fallback is not None and fallback.key not in self._taken:
                if identity is None:
                    identity = fallback
                    self._taken.add(fallback.key)
                    self._missing.pop(fallback.key, None)
                else:
                    self._missing[fallback.key] = fallback
            uuid = next(fresh) if identity is None else identity.uuid
            puts.append(self._row(directory, item, uuid, identity))
            if item.kind == "directory":
                self._descend(directory, item, uuid, None if identity is None else identity.key)

    def _row(
        self, directory: Directory, item: Observed, uuid: bytes, held: Known | None
    ) -> tuple[Any, ...]:
        return rows.entry_row(uuid, self._location.uuid, directory.uuid, item, held)

    def _descend(self, directory: Directory, item: Observed, uuid: bytes, key: int | None) -> None:
        if item.kind == "directory" and not item.crosses_mount:
            path = directory.path.rstrip(b"/") + b"/" + item.name
            self._queue.appendleft(Directory(path, uuid, key))

    # --- writing ----------------------------------------------------------------------------------

    async def _write(self, puts: list[tuple[Any, ...]]) -> None:
        if puts:
            await self._store.write(lambda tx: tx.put("entry", rows.ENTRY_COLUMNS, puts))
            self._progress.rows_written += len(puts)

    async def _drop(self) -> None:
        if not self._missing:
            return
        try:
            stays = self._stand() == (self._device, self._inode)
        except OSError:
            stays = False
        if not stays:
            raise NotFoundError("the folder went away while it was scanned")
        uuids = await self._store.read(lambda connection: rows.below(connection, self._missing))
        brake = self._brake
        if not brake.accepted and len(uuids) > brake.entries:
            key = self._location.key
            known = await self._store.read(lambda connection: rows.count_of(connection, key))
            if needs_consent(len(uuids), known, brake.entries, brake.ratio):
                raise BrakedError(len(uuids), known)
        for at in range(0, len(uuids), STEP_ROWS):
            some = uuids[at : at + STEP_ROWS]
            await self._store.write(partial(_drop, uuids=some))
            self._progress.rows_dropped += len(some)


def _drop(transaction: Transaction, uuids: list[bytes]) -> None:
    transaction.drop("entry", uuids)

"""The indexer as it runs: which pass comes next, and what becomes of it.

One pass at a time; what asks for one while it runs waits. Full passes come at the start, daily and on
request; in between the watcher names directories that changed.
"""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

import trio

from leaderless.errors import LeaderlessError, NotFoundError
from leaderless.indexer import rows
from leaderless.indexer.differ import Known
from leaderless.indexer.hashing import hash_file
from leaderless.indexer.ignore import Ignored
from leaderless.indexer.locations import add_location, remove_location, why_offline
from leaderless.indexer.scan import Brake, BrakedError, Pass, Progress
from leaderless.indexer.volumes import System
from leaderless.indexer.watcher import open_watcher

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from sqlalchemy import Connection

    from leaderless.indexer.rows import Location
    from leaderless.indexer.watcher import Watcher
    from leaderless.store.store import Store

POLL_S: Final = 60.0
"""Between full passes where the kernel allows no more watches."""
RETRY_S: Final = 5.0
HASH_STEP: Final = 64


@dataclass(frozen=True)
class Settings:
    """What a person may set about indexing."""

    ignore: tuple[str, ...] = ()
    watch: bool = True
    full_scan_interval_s: float = 86_400.0
    mass_delete_count: int = 1_000
    mass_delete_ratio: float = 0.2


@dataclass
class Wanted:
    """What a location waits for."""

    full: bool = False
    accept_deletes: bool = False
    directories: set[bytes] = field(default_factory=set)


class Indexer:
    """Keeps this device's locations; made by `open_indexer`."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        tell: Callable[[str, Mapping[str, object]], None],
        system: System,
    ) -> None:
        self._store = store
        self._settings = settings
        self._tell = tell
        self._system = system
        self._ignored = Ignored(settings.ignore)
        self._wanted: dict[bytes, Wanted] = {}
        self._wake = trio.Event()
        self._idle = trio.Event()
        self._watcher: Watcher | None = None
        self._roots: dict[bytes, bytes] = {}
        self.progress: dict[bytes, Progress] = {}

    # --- what others ask --------------------------------------------------------------------------

    async def add(self, path: bytes, name: str | None, index_mode: str) -> bytes:
        """Make a folder a location and begin to scan it; return its uuid."""
        uuid = await add_location(self._store, self._system, path, name, index_mode)
        self.request(uuid)
        return uuid

    async def remove(self, uuid: bytes) -> None:
        """Take a location out of the catalogue."""
        self._wanted.pop(uuid, None)
        await remove_location(self._store, await self._location(uuid))

    def request(self, uuid: bytes, *, accept_deletes: bool = False) -> None:
        """Ask for a full pass."""
        wanted = self._wanted.setdefault(uuid, Wanted())
        wanted.full = True
        wanted.accept_deletes |= accept_deletes
        self._idle = trio.Event()
        self._wake.set()

    async def wait_idle(self) -> None:
        """Return once no pass is wanted or running."""
        await self._idle.wait()

    def watch_limit(self) -> str | None:
        """Return why changes are only noticed by polling, or None."""
        return None if self._watcher is None else self._watcher.limit_reached

    # --- running ----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Work off what is wanted, for ever."""
        for location in await self._locations():
            self.request(location.uuid)
        while True:
            while self._wanted:
                uuid = next(iter(self._wanted))
                await self._pass(uuid, self._wanted.pop(uuid))
            self._idle.set()
            await self._wake.wait()
            self._wake = trio.Event()

    async def repeat(self) -> None:
        """Ask for full passes from time to time."""
        while True:
            limited = self.watch_limit() is not None
            await trio.sleep(POLL_S if limited else self._settings.full_scan_interval_s)
            for location in await self._locations():
                self.request(location.uuid)

    def on_dirty(self, directories: set[bytes], lost: bool) -> None:  # noqa: FBT001 - a callback
        """Take in what the watcher saw."""
        self._idle = trio.Event()
        if lost:
            self._tell("watch_overflow", {})
        for uuid, path in self._roots.items():
            mine = {item for item in directories if (item + b"/").startswith(path + b"/")}
            if mine or lost:
                wanted = self._wanted.setdefault(uuid, Wanted())
                wanted.directories |= mine
                wanted.full |= lost
        self._wake.set()

    async def _locations(self) -> list[Location]:
        epoch = self._store.own_epoch
        found = await self._store.read(lambda connection: rows.locations(connection, epoch))
        self._roots = {item.uuid: item.path.rstrip(b"/") for item in found}
        return found

    async def _location(self, uuid: bytes) -> Location:
        for location in await self._locations():
            if location.uuid == uuid:
                return location
        raise NotFoundError("there is no such location on this device")

    async def _pass(self, uuid: bytes, wanted: Wanted) -> None:
        try:
            location = await self._location(uuid)
        except NotFoundError:
            return
        root = await self._store.read(lambda connection: rows.root_of(connection, location.key))
        inode = None if root is None else root.inode
        offline = await trio.to_thread.run_sync(why_offline, location, inode, self._system)
        if offline is not None:
            await self._finish(location, "offline", offline)
            return
        now_ms = self._store.now_ms()
        progress = Progress(started_ms=now_ms)
        self.progress[uuid] = progress
        if wanted.full:
            await self._set_state(location, "scanning", None)
            self._tell("scan_started", {"location": location.name})
        brake = Brake(
            self._settings.mass_delete_count,
            self._settings.mass_delete_ratio,
            wanted.accept_deletes,
        )
        watch = self._watcher.watch if self._watcher is not None else _nobody
        only = None if wanted.full else wanted.directories
        try:
            work = Pass(self._store, location, self._ignored, brake, progress, watch)
            await work.run(only)
            if location.index_mode != "shallow":
                progress.phase = "hashing"
                await self._hash(location, progress)
        except BrakedError as braked:
            command = f"leaderless location scan {location.name} --accept-deletes"
            text = f"{braked}; if that is right: {command}"
            await self._finish(location, "blocked", text)
            return
        except (LeaderlessError, OSError) as error:
            await self._finish(location, "error", str(error))
            return
        errors = progress.errors.count
        unread = f"{errors} paths could not be read" if errors else None
        await self._finish(location, "idle", unread)

    async def _hash(self, location: Location, progress: Progress) -> None:
        """Fill in the content of files that have none; those that change meanwhile wait."""
        after = 0
        while True:
            files = await self._store.read(partial(_unhashed, location=location, after=after))
            if not files:
                return
            after = files[-1].known.key
            await trio.to_thread.run_sync(_hash_all, files, progress)
            done = [file for file in files if file.digest is not None]
            if done:
                await self._write_hashes(location, done)

    async def _write_hashes(self, location: Location, done: list[Unhashed]) -> None:
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
        await self._store.write(lambda tx: tx.put("entry", rows.ENTRY_COLUMNS, puts))

    async def _set_state(self, location: Location, state: str, message: str | None) -> None:
        now_ms = self._store.now_ms()
        await self._store.write(
            lambda tx: tx.conn.exec_driver_sql(
                "UPDATE location SET scan_state = ?, error_message = ?, last_scan_at ="
                " CASE WHEN ? = 'idle' THEN ? ELSE last_scan_at END WHERE id = ?",
                (state, message, state, now_ms, location.key),
            )
        )

    async def _finish(self, location: Location, state: str, message: str | None) -> None:
        """Write what came of a pass; totals travel, the state does not."""
        if state == "idle":
            counted = await self._store.read(
                lambda connection: rows.totals(connection, location.key)
            )
            if counted != (location.total_file_count, location.total_byte_size):
                row = (*_identity(location), *counted)
                await self._store.write(lambda tx: tx.put("location", rows.LOCATION_COLUMNS, [row]))
        if (state, message) != (location.scan_state, location.error_message):
            await self._set_state(location, state, message)
        progress = self.progress.get(location.uuid)
        if progress is not None:
            progress.phase = state
        self._tell(f"scan_{state}", {"location": location.name, "why": message or ""})

    def use(self, watcher: Watcher) -> None:
        """Have the watcher follow every directory that a pass reads."""
        self._watcher = watcher


def _nobody(_: bytes) -> None:
    """Watch nothing."""


def _identity(location: Location) -> tuple[object, ...]:
    return (location.uuid, location.volume, location.name, location.path, location.index_mode)


@dataclass
class Unhashed:
    """A file without content: what is known of it, where it is, and its hash once it is read."""

    known: Known
    path: bytes
    parent: bytes
    digest: bytes | None = None


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
    for file in files:
        file.digest = hash_file(file.path, file.known)
        progress.files_hashed += 1
        progress.bytes_hashed += file.known.size_bytes or 0


@asynccontextmanager
async def open_indexer(
    store: Store,
    settings: Settings,
    tell: Callable[[str, Mapping[str, object]], None],
    system: System | None = None,
) -> AsyncIterator[Indexer]:
    """Keep this device's locations while it is open."""
    indexer = Indexer(store, settings, tell, system or System())
    async with AsyncExitStack() as stack:
        if settings.watch:
            try:
                indexer.use(await stack.enter_async_context(open_watcher(indexer.on_dirty)))
            except LeaderlessError as error:
                tell("watch_limit", {"why": error.message})
        nursery = await stack.enter_async_context(trio.open_nursery())
        nursery.start_soon(indexer.run)
        nursery.start_soon(indexer.repeat)
        yield indexer
        nursery.cancel_scope.cancel()

"""The indexer as it runs: which pass comes next, and what becomes of it.

One pass at a time; what asks for one while it runs waits. Full passes come at the start, daily and on
request; in between the watcher names directories that changed.
"""

from __future__ import annotations

from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

import trio

from leaderless.errors import NotFoundError
from leaderless.indexer import rows
from leaderless.indexer.inotify import Inotify, WatchLimitError
from leaderless.indexer.locations import (
    MODES,
    add_location,
    check_mode,
    remove_location,
    set_mode,
)
from leaderless.indexer.passes import Passes, Wanted
from leaderless.indexer.volumes import System
from leaderless.indexer.watcher import open_watcher
from leaderless.store.disk import DiskError
from leaderless.store.restoring import ClonedError, RestoringError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from leaderless.indexer.passes import Settings
    from leaderless.indexer.rows import Location
    from leaderless.indexer.watcher import Watcher
    from leaderless.store.store import Store

POLL_S: Final = 60.0
"""From the end of a full pass to the next, where the kernel allows no more watches."""
LOOK_S: Final = 5.0
"""Between looks at what is mounted."""


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
        self._passes = Passes(store, settings, system, tell)
        self._tell = tell
        self._system = system
        self._wanted: dict[bytes, Wanted] = {}
        self._wake = trio.Event()
        self._idle = trio.Event()
        self._turn = trio.Lock()
        self._current: tuple[bytes, trio.CancelScope] | None = None
        self._watcher: Watcher | None = None
        self._limit: str | None = None
        self._roots: dict[bytes, bytes] = {}
        self.progress = self._passes.progress
        self.pauses = self._passes.pauses
        self._begun: Counter[bytes] = Counter()
        self.ended: Counter[bytes] = Counter()
        """How many passes over a location have ended, since the daemon began."""

    # --- what others ask --------------------------------------------------------------------------

    async def add(self, path: bytes, name: str | None, index_mode: str | None) -> tuple[bytes, int]:
        """Make a folder a location and begin to scan it; return its uuid, and as `request`."""
        uuid = await add_location(self._store, self._system, path, name, index_mode)
        return uuid, self.request(uuid)

    async def set_mode(self, uuid: bytes, index_mode: str) -> int:
        """Index a location in another mode from now on; return as `request`."""
        check_mode(index_mode)
        # A pass that runs would write the row as it knew it.
        self._interrupt(uuid)
        async with self._turn:
            await set_mode(self._store, uuid, index_mode)
        if index_mode == MODES[0]:
            self.pauses.forget(uuid)
        return self.request(uuid)

    def _interrupt(self, uuid: bytes) -> None:
        """End the pass over a location, if one runs."""
        if self._current is not None and self._current[0] == uuid:
            self._current[1].cancel()

    async def remove(self, uuid: bytes) -> None:
        """Take a location out of the catalogue."""
        location = await self._location(uuid)
        self._interrupt(uuid)
        async with self._turn:
            self._wanted.pop(uuid, None)
            self.progress.pop(uuid, None)
            await remove_location(self._store, location)
            self.pauses.forget(uuid)
        await self._locations()
        if self._watcher is not None:
            self._watcher.unwatch(location.path)

    async def pause(self, uuid: bytes | None) -> list[tuple[Location, bool]]:
        """Read no contents of a location for now (None: of all); return each, and if that is news."""
        meant = await self._meant(uuid)
        news = await self.pauses.change(meant, paused=True)
        for location in news:
            await self.pauses.count(location)
            self._tell("hashing_paused", {"location": location.name})
        return [(location, location in news) for location in meant]

    async def resume(self, uuid: bytes | None) -> list[tuple[Location, bool]]:
        """Go on with reading contents; arguments and result are those of `pause`."""
        meant = await self._meant(uuid)
        news = await self.pauses.change(meant, paused=False)
        for location in news:
            # What the folders hold is known: no pass that reads them all is needed.
            self._wanted.setdefault(location.uuid, Wanted())
            is_running = self._current is not None and self._current[0] == location.uuid
            if location.uuid in self.progress and not is_running:
                self.progress[location.uuid].phase = "hashing"
            self._tell("hashing_resumed", {"location": location.name})
        if news:
            self._stir()
        return [(location, location in news) for location in meant]

    async def _meant(self, uuid: bytes | None) -> list[Location]:
        return await self._locations() if uuid is None else [await self._location(uuid)]

    def request(self, uuid: bytes, *, accept_deletes: bool = False) -> int:
        """Ask for a full pass; it is done once so many passes have ended as is returned."""
        wanted = self._wanted.setdefault(uuid, Wanted())
        wanted.full = True
        wanted.accept_deletes |= accept_deletes
        self._stir()
        return self._begun[uuid] + 1

    async def request_all(self) -> None:
        """Ask for a full pass over every location."""
        for location in await self._locations():
            self.request(location.uuid)

    def _stir(self) -> None:
        """Begin to work; whoever waits for the end of what is wanted waits on."""
        if self._idle.is_set():
            self._idle = trio.Event()
        self._wake.set()

    async def wait_idle(self) -> None:
        """Return once no pass is wanted or running."""
        await self._idle.wait()

    def watch_limit(self) -> str | None:
        """Return why changes are only noticed by polling, or None."""
        return self._limit

    # --- running ----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Work off what is wanted, for ever."""
        await self.request_all()
        while True:
            while self._wanted:
                uuid = next(iter(self._wanted))
                await self._store.disk.until_well()
                async with self._turn:
                    wanted = self._wanted.pop(uuid, None)
                    if wanted is not None:
                        await self._interruptible(uuid, wanted)
            self._idle.set()
            await self._wake.wait()
            self._wake = trio.Event()

    async def repeat(self) -> None:
        """Ask for full passes from time to time, and for one where a drive came or went."""
        last = trio.current_time()
        while True:
            interval_s = self._settings.full_scan_interval_s
            await trio.sleep(min(interval_s, LOOK_S))
            if self._limit is not None:
                interval_s = min(interval_s, POLL_S)
                if not self._idle.is_set():
                    last = trio.current_time()
                    continue
            due = trio.current_time() - last >= interval_s
            last = trio.current_time() if due else last
            with suppress(DiskError):
                for location in await self._locations():
                    if due or await self._changed_sides(location):
                        self.request(location.uuid)

    async def _changed_sides(self, location: Location) -> bool:
        """Return whether a location that was here is not any more, or the other way round."""
        was_offline = location.scan_state == "offline"
        return (await self._passes.why_offline(location) is not None) != was_offline

    def on_dirty(self, directories: set[bytes], lost: bool) -> None:  # noqa: FBT001 - a callback
        """Take in what the watcher saw."""
        if lost:
            self._tell("watch_overflow", {})
        for uuid, path in self._roots.items():
            mine = {item for item in directories if (item + b"/").startswith(path + b"/")}
            if mine or lost:
                wanted = self._wanted.setdefault(uuid, Wanted())
                wanted.directories |= mine
                wanted.full |= lost
                self._stir()

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

    async def _interruptible(self, uuid: bytes, wanted: Wanted) -> None:
        """Do a pass that ends at once when its location is removed."""
        self._begun[uuid] += 1
        with trio.CancelScope() as scope:
            self._current = (uuid, scope)
            try:
                if not await self._passes.run(await self._location(uuid), wanted, self._is_awaited):
                    self._wanted.setdefault(uuid, Wanted())
            except NotFoundError:
                pass  # it was removed since
            except DiskError:
                # Whoever waits for this pass waits for the one that takes its place.
                self._begun[uuid] -= 1
                self._put_back(uuid, wanted)
            except (RestoringError, ClonedError):
                pass  # whoever may write nothing of its own now is asked again when it may
        self._current = None
        self.ended[uuid] = self._begun[uuid]
        if self._watcher is not None and self._watcher.limit_reached is not None:
            self.poll(self._watcher.limit_reached)

    def _put_back(self, uuid: bytes, wanted: Wanted) -> None:
        """Have a pass done anew that the disk has ended; what is written of it stays."""
        again = self._wanted.setdefault(uuid, Wanted())
        again.full |= wanted.full
        again.accept_deletes |= wanted.accept_deletes
        again.directories |= wanted.directories

    def _is_awaited(self) -> bool:
        """Return whether something waits to be read: hashing takes hours, and goes on after it.

        So does a paused location that was to be hashed next: its pass has only to end.
        """
        return any(
            wanted.full or wanted.directories or self.pauses.has(uuid)
            for uuid, wanted in self._wanted.items()
        )

    # --- watching ---------------------------------------------------------------------------------

    def use(self, watcher: Watcher) -> None:
        """Have the watcher follow every directory that a pass reads."""
        self._watcher = watcher
        self._passes.watch = watcher.watch

    def poll(self, why: str) -> None:
        """Look at everything often, as not every directory can be watched; say so once."""
        if self._limit is None:
            self._limit = why
            self._tell("watch_limit", {"why": why})


@asynccontextmanager
async def open_indexer(
    store: Store,
    settings: Settings,
    tell: Callable[[str, Mapping[str, object]], None],
    system: System | None = None,
    kernel: Callable[[], Inotify] = Inotify,
) -> AsyncIterator[Indexer]:
    """Keep this device's locations while it is open; `kernel` is asked for watches."""
    indexer = Indexer(store, settings, tell, system or System())
    await indexer.pauses.load()
    async with AsyncExitStack() as stack:
        if settings.watch:
            try:
                watcher = open_watcher(indexer.on_dirty, kernel)
                indexer.use(await stack.enter_async_context(watcher))
            except WatchLimitError as error:
                indexer.poll(f"{error.message}; {error.hint}")
        nursery = await stack.enter_async_context(trio.open_nursery())
        nursery.start_soon(indexer.run)
        nursery.start_soon(indexer.repeat)
        yield indexer
        nursery.cancel_scope.cancel()

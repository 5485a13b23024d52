"""One pass over a location: what is done in it, and what is written of how it ended.

When a pass is due, and over what, is not decided here.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import trio

from leaderless.errors import LeaderlessError
from leaderless.indexer import rows
from leaderless.indexer.hashing import hash_location
from leaderless.indexer.locations import refresh_volumes, why_offline
from leaderless.indexer.pausing import Pauses, wants_contents
from leaderless.indexer.scan import Brake, BrakedError, Pass, Progress
from leaderless.store.disk import DiskError
from leaderless.store.restoring import ClonedError, RestoringError
from leaderless.words import counted
from registry.errors import RegistryError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from leaderless.indexer.ignore import Ignored
    from leaderless.indexer.rows import Location
    from leaderless.indexer.volumes import System
    from leaderless.store.store import Store


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


class Passes:
    """Passes over this device's locations; remembers which of them have been seen whole."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        system: System,
        tell: Callable[[str, Mapping[str, object]], None],
    ) -> None:
        self._store = store
        self._settings = settings
        self._system = system
        self._tell = tell
        self._ignored: Ignored | None = None
        self._whole: set[bytes] = set()
        self._counted: set[tuple[bytes, int]] = set()
        """Locations, each in a life, whose totals are those of the rows: nothing was written since."""
        self.watch: Callable[[bytes], None] = lambda _: None
        """What follows each directory that a pass reads."""
        self.progress: dict[bytes, Progress] = {}
        self.pauses = Pauses(store)

    async def run(self, location: Location, wanted: Wanted, is_awaited: Callable[[], bool]) -> bool:
        """Do one pass; False if it made way for what `is_awaited` says is waiting.

        Raises DiskError, RestoringError, ClonedError; all else that goes wrong is the location's state.
        """
        uuid = location.uuid
        # What the watcher names is enough only where everything else has been seen.
        wanted.full |= uuid not in self._whole
        offline = await self.why_offline(location)
        if wanted.full or offline is not None:
            await refresh_volumes(self._store, self._system)
        self._whole.discard(uuid)
        location = await self._say_offline(location, 1 if offline is not None else None)
        if offline is not None:
            await self._finish(location, "offline", offline)
            return True
        if wanted.full:
            self.progress[uuid] = Progress(started_ms=self._store.now_ms())
            await self._set_state(location, "scanning", None)
            location = location._replace(scan_state="scanning", error_message=None)
            self._tell("scan_started", {"location": location.name})
        outcome = await self._outcome(location, wanted, self.progress[uuid], is_awaited)
        if outcome is None or outcome[0] != "error":
            self._whole.add(uuid)
        if outcome is not None:
            await self._finish(location, *outcome)
        return outcome is not None

    async def _outcome(
        self,
        location: Location,
        wanted: Wanted,
        shown: Progress,
        is_awaited: Callable[[], bool],
    ) -> tuple[str, str | None] | None:
        """Return the state that a pass leaves its location in, and why; None if it made way."""
        if self._ignored is None:
            ignore = self._settings.ignore
            self._ignored = await trio.to_thread.run_sync(_compiled, ignore)
        # A full pass is what is shown; of a smaller one only its errors are.
        progress = shown if wanted.full else Progress(errors=shown.errors)
        settings = self._settings
        brake = Brake(settings.mass_delete_count, settings.mass_delete_ratio, wanted.accept_deletes)
        place = (location.uuid, self._store.lives)
        is_counted = place in self._counted
        self._counted.discard(place)
        try:
            work = Pass(self._store, location, self._ignored, brake, progress, self.watch)
            await work.run(None if wanted.full else wanted.directories)
            if not is_counted or progress.rows_written or progress.rows_dropped:
                await self._count(location)
            self._counted.add(place)
            if not await self._read_contents(location, shown, is_awaited):
                return None
        except BrakedError as braked:
            command = f"leaderless location scan {shlex.quote(location.name)} --accept-deletes"
            return "blocked", f"{braked}; if that is right: {command}"
        except (RestoringError, ClonedError, DiskError):
            raise
        except (LeaderlessError, RegistryError, OSError) as error:
            return "error", str(error)
        if location.scan_state == "blocked":
            return "blocked", location.error_message
        errors = progress.errors.count
        return "idle", f"{counted(errors, 'path')} could not be read" if errors else None

    async def _read_contents(
        self, location: Location, shown: Progress, is_awaited: Callable[[], bool]
    ) -> bool:
        """Hash the files of a location as far as that is wanted; return False if it made way."""
        is_paused = partial(self.pauses.has, location.uuid)
        if wants_contents(location) and not is_paused():
            shown.phase = "hashing"
            if not await hash_location(self._store, location, shown, is_awaited, is_paused):
                return False
        if is_paused():
            await self.pauses.count(location)
        return True

    async def why_offline(self, location: Location) -> str | None:
        """Return why a location cannot be looked at now, or None."""
        root = await self._store.read(lambda connection: rows.root_of(connection, location.key))
        inode = None if root is None else root.inode
        return await trio.to_thread.run_sync(
            why_offline, location, inode, self._system, abandon_on_cancel=True
        )

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
        """Write what came of a pass, if that is news."""
        if location.uuid in self.progress:
            self.progress[location.uuid].phase = state
        if (state, message) == (location.scan_state, location.error_message):
            return
        await self._set_state(location, state, message)
        self._tell(f"scan_{state}", {"location": location.name, "why": message or ""})

    async def _say_offline(self, location: Location, is_offline: int | None) -> Location:
        """Let everybody know whether the folder of a location is there, if that is news."""
        if is_offline == location.is_offline:
            return location
        location = location._replace(is_offline=is_offline)
        row = rows.location_row(location)
        await self._store.write(lambda tx: tx.put("location", rows.LOCATION_COLUMNS, [row]))
        return location

    async def _count(self, location: Location) -> None:
        """Write the totals of a location, if they changed."""
        counted = await self._store.read(lambda connection: rows.totals(connection, location.key))
        if counted != (location.total_file_count, location.total_byte_size):
            files, size = counted
            row = rows.location_row(location._replace(total_file_count=files, total_byte_size=size))
            await self._store.write(lambda tx: tx.put("location", rows.LOCATION_COLUMNS, [row]))


def _compiled(globs: tuple[str, ...]) -> Ignored:
    """Return what is not indexed; what reads globs takes long to load, so a pass brings it along."""
    from leaderless.indexer.ignore import Ignored  # noqa: PLC0415

    return Ignored(globs)

"""The indexer as it runs, over a real folder and a real store."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import trio

from leaderless.indexer.inotify import Inotify
from leaderless.indexer.passes import Settings
from leaderless.indexer.service import Indexer, open_indexer
from tests.replicas import make_replicas, query_file

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path

    from leaderless.indexer.volumes import System
    from leaderless.store.store import Store

UNWATCHED = Settings(watch=False)


class Bench:
    """A folder, a store and the indexer that keeps it."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.folder = folder
        self.store = store
        self.indexer: Indexer
        self.location = b""
        self.told: list[tuple[str, Mapping[str, object]]] = []
        self._changed = trio.Event()

    def tell(self, event: str, about: Mapping[str, object]) -> None:
        """Note what the indexer tells."""
        self.told.append((event, about))
        self._stir()

    def events(self) -> list[str]:
        """Return the names of what was told."""
        return [event for event, _ in self.told]

    def _stir(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait for something to be so, looking whenever the store or the indexer has news."""
        with trio.fail_after(60):
            while not holds():
                await self._changed.wait()

    async def add(self, mode: str = "shallow") -> None:
        """Add the folder as a location and wait for its first pass."""
        self.location, _ = await self.indexer.add(os.fsencode(self.folder), None, mode)
        await self.settle()

    async def settle(self) -> None:
        """Wait until nothing is left to look at."""
        with trio.fail_after(60):
            await self.indexer.wait_idle()

    async def rescan(self, *, accept_deletes: bool = False) -> None:
        """Look at everything again."""
        self.indexer.request(self.location, accept_deletes=accept_deletes)
        await self.settle()

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return what a query finds."""
        return query_file(self.store.path, query)

    def state(self) -> tuple[str, str | None]:
        """Return the state of the location, and why."""
        ((state, why),) = self.rows("SELECT scan_state, error_message FROM location WHERE dead = 0")
        return state, why

    def names(self) -> dict[bytes, bytes]:
        """Return the uuid of every entry by name."""
        return dict(self.rows("SELECT name, uuid FROM entry WHERE dead = 0"))

    def watermark(self) -> int:
        """Return the rev of the last change of an own row."""
        return int(self.rows("SELECT max(watermark) FROM incarnation")[0][0])

    @asynccontextmanager
    async def run(
        self,
        settings: Settings = UNWATCHED,
        system: System | None = None,
        kernel: Callable[[], Inotify] = Inotify,
    ) -> AsyncIterator[Indexer]:
        """Run an indexer, one after the other as often as wanted."""
        async with open_indexer(self.store, settings, self.tell, system, kernel) as self.indexer:
            yield self.indexer


@asynccontextmanager
async def make_bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """Give an empty folder and a store, with no indexer yet; in the end its rows hold together."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (replica,) = make_replicas(tmp_path, 1)
    bench = Bench(folder, replica.store)
    replica.store.listen(bench._stir)
    yield bench
    with replica.store._writer.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []
    replica.store.close()


@asynccontextmanager
async def open_bench(tmp_path: Path, settings: Settings = UNWATCHED) -> AsyncIterator[Bench]:
    """Run an indexer over an empty folder, without watches unless settings ask for them."""
    async with make_bench(tmp_path) as bench, bench.run(settings):
        yield bench

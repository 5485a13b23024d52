"""When a snapshot of the database is made: once a day, and at a clean stop if that was missed."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import trio

from leaderless.store.disk import DamagedError
from leaderless.store.engine import StoreError
from leaderless.store.snapshots import is_due, take
from leaderless.store.state import copy_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from leaderless.clock import Clock
    from leaderless.store import Store

FIRST_S: Final = 60.0
"""From the start to the first look: what comes at once at a start is in it then."""
LOOK_S: Final = 300.0
"""Between two looks: after a join the last snapshot is of another library, and not for long."""
STOP_S: Final = 10.0
"""A stop waits for no more than this; the service manager has less than endless patience."""


class Snapshots:
    """Sees to it that there is a snapshot."""

    def __init__(
        self, store: Store, clock: Clock, tell: Callable[[str, Mapping[str, object]], None]
    ) -> None:
        self._store = store
        self._clock = clock
        self._tell = tell

    async def keep(self) -> None:
        """Make one whenever it is due, for ever."""
        await trio.sleep(FIRST_S)
        while True:
            await self.make(float("inf"))
            await trio.sleep(LOOK_S)

    async def make(self, most_s: float) -> None:
        """Make one if it is due and takes no longer than that; tell if it cannot be made."""
        store, until = self._store, self._clock.monotonic() + most_s
        try:
            own = await store.read(lambda connection: copy_of(connection, store.own_device))
            now_ms = store.now_ms()
            if own is None or not is_due(store.path, own.incarnation, now_ms):
                return
            await trio.to_thread.run_sync(
                take, store.path, now_ms, lambda: self._clock.monotonic() < until
            )
        except DamagedError as error:
            store.disk.failed(error, store.now_ms())
        except (StoreError, OSError) as error:
            self._tell("snapshot_failed", {"why": str(error)})


@asynccontextmanager
async def open_snapshots(
    store: Store, clock: Clock, tell: Callable[[str, Mapping[str, object]], None]
) -> AsyncIterator[None]:
    """Keep a snapshot of a store while it is open, and see to it once more at the end."""
    snapshots = Snapshots(store, clock, tell)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(snapshots.keep)
            try:
                yield
            finally:
                nursery.cancel_scope.cancel()
    finally:
        if store.disk.trouble is None:
            with trio.CancelScope(shield=True):
                await snapshots.make(STOP_S)

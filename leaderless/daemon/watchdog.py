"""What the service manager hears of the writer: that it lives, and that a start takes its time.

A writer that is stuck is as good as dead: the daemon says that it is alive after a round trip
through the writer's thread, or after seeing the writer get on with what it does. One action over
100,000 files takes longer than the manager's patience, and is no reason to be killed.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

import trio

from leaderless.store.engine import StoreError

if TYPE_CHECKING:
    from leaderless.notify import Notifier
    from leaderless.store import Store
    from leaderless.store.pulse import Pulse

LOOK_S: Final = 1.0
"""Between two looks at a writer that is busy."""

START_LOOK_S: Final = 20.0
"""Between two looks at a start: well within what a manager gives it (90 s by default)."""

MORE_US: Final = 90_000_000
"""What the manager is asked for at each of these looks."""


async def keep_alive(store: Store, notifier: Notifier) -> None:
    """Tell the manager's watchdog again and again that the writer lives, as long as it does."""
    interval = notifier.watchdog_s
    while interval is not None:
        await proof_of_life(store)
        notifier.tell("WATCHDOG=1")
        await trio.sleep(interval / 3)


async def proof_of_life(store: Store) -> None:
    """Return once the writer has answered, or got on with what it does; not while it hangs.

    That the disk takes nothing is an answer, too: what follows from it is decided in disk_watch.py.
    """
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_see_it_move, store.pulse, nursery.cancel_scope)
        # Waiting for its turn can be given up; once its turn has come, it has to end.
        with suppress(StoreError):
            await store.write(lambda tx: tx.own_device)
        nursery.cancel_scope.cancel()


async def _see_it_move(pulse: Pulse, scope: trio.CancelScope) -> None:
    seen = pulse.beats
    while pulse.beats == seen:  # noqa: ASYNC110 - a thread beats, thousands of times a second
        await trio.sleep(LOOK_S)
    scope.cancel()


async def ask_for_time(pulse: Pulse, notifier: Notifier, ready: trio.Event) -> None:
    """Ask the manager for more time while a start gets on, until it is `ready`.

    After an upgrade of the schema the log may have to be run again.
    """
    seen = pulse.beats
    while not ready.is_set():
        with trio.move_on_after(START_LOOK_S):
            await ready.wait()
            return
        if pulse.beats != seen:
            seen = pulse.beats
            notifier.tell(f"EXTEND_TIMEOUT_USEC={MORE_US}")

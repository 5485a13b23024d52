"""What the service manager hears of the writer."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from leaderless.daemon.watchdog import (
    LOOK_S,
    MORE_US,
    START_LOOK_S,
    ask_for_time,
    keep_alive,
    proof_of_life,
)
from leaderless.notify import Notifier
from leaderless.store import Transaction
from leaderless.store.pulse import Pulse
from leaderless.store.store import in_thread
from tests.replicas import Replica, open_replica
from tests.store.damage import damage

DEADLINE_S = 30.0


class Heard(Notifier):
    """A line to a manager that keeps what it was told."""

    def __init__(self, watchdog_s: float | None) -> None:
        super().__init__({})
        self.watchdog_s = watchdog_s
        self.lines: list[str] = []

    def tell(self, *lines: str) -> None:
        """Keep what is told."""
        self.lines += lines


class Busy:
    """A write that stands still between its statements until the test lets it go on."""

    def __init__(self) -> None:
        self._stands = trio.Event()
        self._go_on = threading.Semaphore(0)

    def write(self, tx: Transaction) -> None:
        """Execute one statement each time that it is let go, two in all."""
        for _ in range(2):
            trio.from_thread.run_sync(self._stands.set)
            assert self._go_on.acquire(timeout=DEADLINE_S)
            tx.conn.exec_driver_sql("SELECT 1")

    async def stands(self) -> None:
        """Wait until it stands still."""
        await self._stands.wait()
        self._stands = trio.Event()

    def let_go(self) -> None:
        """Let it execute its next statement."""
        self._go_on.release()


def in_a_thread(replica: Replica) -> Replica:
    """Return a replica that writes in a thread, though time is virtual: one may hang."""
    replica.store.close()
    return open_replica(replica.store.path.parent, 0, run=in_thread)


async def _proved(replica: Replica, proved: trio.Event) -> None:
    await proof_of_life(replica.store)
    proved.set()


async def test_a_writer_that_has_nothing_to_do_answers(replica: Replica) -> None:
    """The round trip through its thread is the proof."""
    await proof_of_life(replica.store)


async def test_a_writer_that_gets_on_with_one_long_write_is_alive(
    replica: Replica, mock_clock: MockClock
) -> None:
    """An action over 100,000 files may take longer than the manager waits."""
    replica = in_a_thread(replica)
    busy, proved = Busy(), trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(replica.store.write, busy.write)
        await busy.stands()
        nursery.start_soon(_proved, replica, proved)
        await wait_all_tasks_blocked()
        busy.let_go()
        await busy.stands()
        mock_clock.jump(LOOK_S)
        await proved.wait()
        busy.let_go()


async def test_a_writer_that_hangs_in_one_place_proves_nothing(
    replica: Replica, mock_clock: MockClock
) -> None:
    """However often it is looked at: the manager replaces a daemon that says nothing."""
    replica = in_a_thread(replica)
    busy, proved = Busy(), trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(replica.store.write, busy.write)
        await busy.stands()
        nursery.start_soon(_proved, replica, proved)
        for _ in range(100):
            await wait_all_tasks_blocked()
            mock_clock.jump(LOOK_S)
        assert not proved.is_set()
        nursery.cancel_scope.cancel()
        busy.let_go()
        busy.let_go()


async def test_a_writer_whose_disk_fails_has_answered(replica: Replica) -> None:
    """It is alive, and the daemon goes on: the trouble is known to whoever watches the disk."""
    path = replica.store.path
    replica.store.close()
    sound = path.read_bytes()
    damage(path, "meta")
    await proof_of_life(replica.store)
    assert replica.store.disk.trouble is not None
    replica.store.close()
    path.write_bytes(sound)


async def test_a_writer_that_another_program_locks_out_has_answered(replica: Replica) -> None:
    """It waited for its turn and said so; the next proof is asked for in time."""
    writer = replica.store._writer
    with writer.connect() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout = 0")
    with closing(sqlite3.connect(replica.store.path)) as other:
        other.execute("BEGIN IMMEDIATE")
        await proof_of_life(replica.store)


async def test_the_manager_hears_it_three_times_within_its_limit(
    replica: Replica, mock_clock: MockClock
) -> None:
    """One that comes late is made up for by the next."""
    notifier = Heard(60.0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keep_alive, replica.store, notifier)
        for told in range(1, 5):
            while len(notifier.lines) < told:
                await trio.lowlevel.checkpoint()
            assert notifier.lines == ["WATCHDOG=1"] * told
            mock_clock.jump(20.0)
        nursery.cancel_scope.cancel()


async def test_without_a_watchdog_nothing_is_told(replica: Replica) -> None:
    """It ends at once."""
    notifier = Heard(None)
    await keep_alive(replica.store, notifier)
    assert notifier.lines == []


@pytest.mark.parametrize(("moves", "told"), [(True, 3), (False, 0)])
async def test_a_start_that_gets_on_is_given_time(
    autojump_clock: MockClock, moves: bool, told: int
) -> None:
    """While a new schema runs the log again the manager waits; for one that hangs it does not."""
    pulse, notifier, ready = Pulse(), Heard(60.0), trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask_for_time, pulse, notifier, ready)
        await trio.sleep(START_LOOK_S / 2)
        for _ in range(3):
            if moves:
                pulse.beat()
            await trio.sleep(START_LOOK_S)
        ready.set()
    assert notifier.lines == [f"EXTEND_TIMEOUT_USEC={MORE_US}"] * told

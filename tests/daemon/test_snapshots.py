"""When a snapshot of the database is made."""

from __future__ import annotations

from typing import Any

import trio
from trio.testing import MockClock

from leaderless.daemon.snapshots import FIRST_S, LOOK_S, Snapshots, open_snapshots
from leaderless.store.disk import DamagedError, DiskFullError
from leaderless.store.snapshots import DAY_MS, snapshot_of
from tests.limits import limited
from tests.replicas import START_MS, Replica, add_tree
from tests.store.damage import damage

Told = list[str]


def _made_ms(replica: Replica) -> int | None:
    good = snapshot_of(replica.store.path)
    return good.stat().st_mtime_ns // 1_000_000 if good.exists() else None


def _snapshots(replica: Replica, told: Told) -> Snapshots:
    def tell(kind: str, _: Any) -> None:
        told.append(kind)

    return Snapshots(replica.store, replica.clock, tell)


async def test_a_snapshot_is_made_at_a_clean_stop(replica: Replica) -> None:
    """There is one after the first run, however short it was."""
    async with open_snapshots(replica.store, replica.clock, lambda *_: None):
        assert _made_ms(replica) is None
    assert _made_ms(replica) == START_MS


async def test_one_of_today_is_not_made_again_at_a_stop(replica: Replica) -> None:
    """A service that is restarted often does not write its database anew each time."""
    for later_ms in (0, DAY_MS // 2):
        replica.clock.ms = START_MS + later_ms
        async with open_snapshots(replica.store, replica.clock, lambda *_: None):
            pass
    assert _made_ms(replica) == START_MS


async def test_a_snapshot_is_made_soon_after_the_start_and_daily(
    replica: Replica, mock_clock: MockClock
) -> None:
    """Looked after every few minutes; one that is a day old is replaced."""
    told: Told = []
    snapshots = _snapshots(replica, told)
    looked = 0
    make = snapshots.make

    async def counted(most_s: float) -> None:
        nonlocal looked
        await make(most_s)
        looked += 1

    snapshots.make = counted  # type: ignore[method-assign]
    made = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(snapshots.keep)
        await trio.testing.wait_all_tasks_blocked()
        for at, wait_s in enumerate((FIRST_S, LOOK_S, LOOK_S)):
            replica.clock.ms = START_MS + at * (DAY_MS // 2)
            mock_clock.jump(wait_s)
            while looked == at:
                await trio.lowlevel.checkpoint()
            made.append(_made_ms(replica))
            await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert made == [START_MS, START_MS, START_MS + DAY_MS]


async def test_a_snapshot_that_takes_too_long_is_left(replica: Replica) -> None:
    """A stop does not wait for it; nothing is told, as it comes another time."""
    add_tree(replica, 5_000)
    told: Told = []
    await _snapshots(replica, told).make(0)
    assert _made_ms(replica) is None
    assert told == []


async def test_a_snapshot_without_room_is_told_and_makes_no_trouble(replica: Replica) -> None:
    """What is written to the database has room; only the copy has none."""
    told: Told = []
    with limited(40_960):
        await _snapshots(replica, told).make(60)
    assert told == ["snapshot_failed"]
    assert replica.store.disk.trouble is None


async def test_damage_that_a_snapshot_meets_is_trouble(replica: Replica) -> None:
    """It reads every row, so it finds what nobody has asked for lately."""
    add_tree(replica, 5_000)
    await _snapshots(replica, []).make(60)
    path = replica.store.path
    kept = snapshot_of(path).read_bytes()
    replica.store.close()  # which writes all of the log into the file; it is opened by the next read
    damage(path)
    replica.clock.ms += DAY_MS
    await _snapshots(replica, []).make(60)
    trouble = replica.store.disk.trouble
    assert trouble is not None
    assert isinstance(trouble.error, DamagedError)
    replica.store.close()
    path.write_bytes(kept)


async def test_no_snapshot_is_made_at_a_stop_while_the_disk_fails(replica: Replica) -> None:
    """It would fail, too, or take what room there is."""
    async with open_snapshots(replica.store, replica.clock, lambda *_: None):
        replica.store.disk.failed(DiskFullError("full"), START_MS)
    assert _made_ms(replica) is None

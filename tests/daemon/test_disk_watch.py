"""What the daemon does when the disk fails."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from leaderless.daemon.disk_watch import CALM_S, TOLD_MS, disk_alerts, watch_disk
from leaderless.store import meta
from leaderless.store.disk import DamagedError, Disk, DiskError, DiskFullError
from leaderless.store.repair import Replaced, is_suspect
from tests.limits import MIB, limited
from tests.replicas import START_MS, Replica, query_file

Told = list[tuple[str, Any]]


@asynccontextmanager
async def watched(replica: Replica) -> AsyncIterator[tuple[Told, list[float]]]:
    """Watch the disk of a replica; what is told, and when it was well again."""
    told: Told = []
    well: list[float] = []

    async def recovered() -> None:
        well.append(trio.current_time())
        await trio.lowlevel.checkpoint()

    def tell(kind: str, data: Any) -> None:
        told.append((kind, data.get("code")))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch_disk, replica.store, lambda: 1.0, tell, recovered)
        yield told, well
        nursery.cancel_scope.cancel()


async def _fail(replica: Replica) -> None:
    with pytest.raises(DiskFullError):
        await replica.store.write(lambda tx: meta.put(tx.conn, "fact", b"x" * 2 * MIB))


async def test_a_disk_that_has_room_again_is_well_by_itself(
    replica: Replica, autojump_clock: MockClock
) -> None:
    """It is told, and whoever waits goes on, without anybody's doing."""
    async with watched(replica) as (told, well):
        with limited(MIB):
            await _fail(replica)
        await replica.store.disk.until_well()
        await trio.testing.wait_all_tasks_blocked()
    assert told == [("disk_failed", "disk_full"), ("disk_recovered", None)]
    assert len(well) == 1


async def test_a_disk_that_stays_full_is_tried_at_growing_waits(
    replica: Replica, autojump_clock: MockClock
) -> None:
    """After 1, 2, 4, 8, 10, 10 … seconds."""
    began = trio.current_time()
    tried: list[int] = []
    enough = trio.Event()

    async def heal() -> bool:
        tried.append(round(trio.current_time() - began))
        if len(tried) == 6:
            enough.set()
        await trio.lowlevel.checkpoint()
        return False

    replica.store.heal = heal  # type: ignore[method-assign]
    with limited(MIB):
        await _fail(replica)
    async with watched(replica):
        await enough.wait()
    assert tried == [1, 3, 7, 15, 25, 35]


async def test_a_disk_that_fails_again_soon_is_tried_less_often(
    replica: Replica, autojump_clock: MockClock
) -> None:
    """The waits go on growing; after a calm time they begin anew."""
    waits = []
    async with watched(replica) as (_, well):
        for pause in (0.0, 0.0, CALM_S + 1):
            await trio.sleep(pause)
            with limited(MIB):
                await _fail(replica)
            failed_at = trio.current_time()
            await replica.store.disk.until_well()
            await trio.testing.wait_all_tasks_blocked()
            waits.append(round(well[-1] - failed_at))
    assert waits == [1, 2, 1]


async def test_damage_ends_the_daemon(replica: Replica) -> None:
    """Its next start mends it: nothing is written to a damaged file for longer than that."""
    replica.store.disk.failed(DamagedError("damaged"), 1)
    with pytest.raises(ExceptionGroup) as caught:
        async with watched(replica):
            await trio.sleep_forever()
    assert caught.group_contains(DamagedError)
    assert is_suspect(replica.store.path)


def test_what_is_wrong_with_the_disk_is_in_the_status() -> None:
    """Its code in capitals, with what to do; nothing while it is well."""
    disk = Disk()
    assert disk_alerts(disk, None, START_MS) == []
    disk.failed(DiskFullError("full", hint="free some"), 1)
    (alert,) = disk_alerts(disk, None, START_MS)
    assert (alert.code, alert.text[:5], alert.hint) == ("DISK_FULL", "full;", "free some")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (DiskError("the disk fails; nothing was changed"), "an edit that fails changes nothing"),
        (DamagedError("the disk fails"), None),
    ],
)
def test_what_became_of_one_write_is_not_said_of_all_that_follow(
    error: DiskError, said: str | None
) -> None:
    """A warning stands for as long as the disk is ill; damage takes no edits at all."""
    disk = Disk()
    disk.failed(error, 1)
    (alert,) = disk_alerts(disk, None, START_MS)
    assert alert.text == ("the disk fails" if said is None else f"the disk fails; {said}")


async def test_an_edit_that_still_fits_a_full_disk_is_kept(replica: Replica) -> None:
    """So nobody is told that nothing was changed, but for whom that is so."""
    with limited(MIB):
        with pytest.raises(DiskFullError, match="nothing was changed"):
            await replica.store.write(lambda tx: meta.put(tx.conn, "large", b"x" * 2 * MIB))
        await replica.store.write(lambda tx: meta.put(tx.conn, "small", b"x" * 10))
        (alert,) = disk_alerts(replica.store.disk, None, START_MS)
    assert "nothing was changed" not in alert.text
    assert "an edit that still fits is kept" in alert.text
    query = "SELECT name FROM meta WHERE name IN ('large', 'small')"
    assert query_file(replica.store.path, query) == [("small",)]


@pytest.mark.parametrize(("later_ms", "told"), [(0, 1), (TOLD_MS - 1, 1), (TOLD_MS, 0)])
def test_a_replaced_database_is_told_for_a_week(later_ms: int, told: int) -> None:
    """Of when the snapshot is and where the damaged file, with the command that has seen it."""
    replaced = Replaced(START_MS, "library.db.corrupt-1", START_MS, "page 3", 0, "")
    alerts = disk_alerts(Disk(), replaced, START_MS + later_ms)
    assert len(alerts) == told
    for alert in alerts:
        assert alert.code == "DATABASE_REPLACED"
        assert "2027-01-15" in alert.text
        assert "library.db.corrupt-1" in alert.text
        assert alert.hint == "leaderless status --acknowledge"

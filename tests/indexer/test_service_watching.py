"""The indexer over time: what the kernel tells, what it looks for itself, drives that come and go."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from trio.testing import MockClock

from leaderless.indexer.inotify import Inotify, WatchLimitError
from leaderless.indexer.passes import Settings
from leaderless.indexer.service import LOOK_S, POLL_S
from tests.indexer.bench import Bench, make_bench, open_bench
from tests.indexer.ground import plant
from tests.indexer.machine import Machine
from tests.indexer.test_inotify import MOST_EVENTS

WATCHED = Settings(watch=True)


@pytest.fixture
def clock() -> MockClock:
    """Run in real time until the test jumps ahead."""
    return MockClock(rate=1)


async def test_a_watched_change_is_noticed_without_a_scan(tmp_path: Path) -> None:
    """A file that appears in a new directory is indexed by the watcher alone."""
    async with open_bench(tmp_path, WATCHED) as bench:
        await bench.add()
        plant(bench.folder, "sub/late")
        await bench.until(lambda: b"late" in bench.names())
        assert bench.events().count("scan_started") == 1


async def test_a_change_below_a_renamed_directory_is_noticed(tmp_path: Path) -> None:
    """A rename and what follows it at once, deep below, are both seen; nothing is taken for new."""
    async with open_bench(tmp_path, WATCHED) as bench:
        plant(bench.folder, "old/sub/f")
        await bench.add()
        before = bench.names()
        (bench.folder / "old").rename(bench.folder / "new")
        plant(bench.folder, "new/sub/late")
        await bench.until(lambda: b"late" in bench.names())
        after = bench.names()
        assert (after[b"new"], after[b"f"]) == (before[b"old"], before[b"f"])


async def test_lost_events_lead_to_a_whole_scan(tmp_path: Path) -> None:
    """After an overflow of the kernel's queue, what it did not tell is found all the same."""
    async with open_bench(tmp_path, WATCHED) as bench:
        plant(bench.folder, "busy/f", "quiet/")
        await bench.add()
        one, other = bench.folder / "busy/f", bench.folder / "busy/g"
        for _ in range(MOST_EVENTS // 4 + 1):
            one.rename(other)
            other.rename(one)
        plant(bench.folder, "quiet/late")
        await bench.until(lambda: b"late" in bench.names())
        assert "watch_overflow" in bench.events()


async def test_a_small_pass_does_not_take_the_brake_off(tmp_path: Path) -> None:
    """What waits for consent still waits after a change elsewhere was taken in."""
    async with open_bench(tmp_path, Settings(watch=True, mass_delete_count=3)) as bench:
        plant(bench.folder, *[f"d/f{at}" for at in range(5)], "other/")
        await bench.add()
        for item in (bench.folder / "d").iterdir():
            item.unlink()
        await bench.until(lambda: bench.state()[0] == "blocked")
        blocked = bench.state()
        plant(bench.folder, "other/late")
        await bench.until(lambda: b"late" in bench.names())
        await bench.settle()
        assert bench.state() == blocked


async def test_a_folder_that_is_moved_away_is_offline_at_once(tmp_path: Path) -> None:
    """The watch of the folder itself tells that it went."""
    async with open_bench(tmp_path, WATCHED) as bench:
        plant(bench.folder, "f")
        await bench.add()
        bench.folder.rename(tmp_path / "elsewhere")
        await bench.until(lambda: bench.state()[0] == "offline")
        assert b"f" in bench.names()


class Pulling(Inotify):
    """Moves the folder away when its directory d is about to be read."""

    def add(self, path: bytes) -> int | None:
        """Watch, and pull the drive."""
        folder = Path(os.fsdecode(path))
        if folder.name == "d" and not (folder / "f").exists():
            folder.parent.rename(folder.parent.with_name("moved"))
        return super().add(path)


async def test_a_drive_pulled_during_a_scan_loses_nothing(tmp_path: Path) -> None:
    """The pass ends with an error, nothing is deleted, and the location is offline."""
    async with make_bench(tmp_path) as bench, bench.run(WATCHED, kernel=Pulling):
        plant(bench.folder, "gone", "d/f")
        await bench.add()
        before = bench.names()
        (bench.folder / "gone").unlink()
        (bench.folder / "d/f").unlink()
        bench.indexer.request(bench.location)
        await bench.until(lambda: bench.state()[0] == "offline")
        assert "scan_error" in bench.events()
        assert bench.names() == before


async def test_a_removed_location_is_not_watched(tmp_path: Path) -> None:
    """Its watches go back to the kernel."""
    async with open_bench(tmp_path, WATCHED) as bench:
        plant(bench.folder, "a/b/")
        await bench.add()
        watcher = bench.indexer._watcher
        assert watcher is not None
        assert watcher.count == 3
        await bench.indexer.remove(bench.location)
        plant(tmp_path, "next/")
        await bench.indexer.add(os.fsencode(tmp_path / "next"), None, "shallow")
        await bench.until(lambda: watcher.count == 1)


# --- where not everything can be watched ----------------------------------------------------------


class One(Inotify):
    """A kernel that allows one watch."""

    allowed = 1

    def add(self, path: bytes) -> int | None:
        """Watch once."""
        if self.allowed == 0:
            raise WatchLimitError("no more watches", hint="sudo sysctl more")
        self.allowed -= 1
        return super().add(path)


def none() -> Inotify:
    """Stand for a kernel that allows nothing."""
    raise WatchLimitError("no watches", hint="sudo sysctl some")


@pytest.mark.parametrize(
    ("kernel", "why"),
    [(One, "no more watches; sudo sysctl more"), (none, "no watches; sudo sysctl some")],
)
async def test_where_watches_end_the_folders_are_polled(
    tmp_path: Path, clock: MockClock, kernel: type[Inotify], why: str
) -> None:
    """It is told once, with the command that helps; changes are found by looking every minute."""
    async with make_bench(tmp_path) as bench, bench.run(WATCHED, kernel=kernel):
        plant(bench.folder, "d/")
        await bench.add()
        assert [about for event, about in bench.told if event == "watch_limit"] == [{"why": why}]
        assert bench.indexer.watch_limit() == why
        plant(bench.folder, "d/late")
        clock.jump(POLL_S + LOOK_S)
        await bench.until(lambda: b"late" in bench.names())
        assert bench.events().count("watch_limit") == 1


async def test_where_everything_is_watched_there_is_no_limit(tmp_path: Path) -> None:
    """Nothing is said of a limit that was not reached."""
    async with open_bench(tmp_path, WATCHED) as bench:
        await bench.add()
        assert bench.indexer.watch_limit() is None


async def test_everything_is_read_once_a_day(tmp_path: Path, clock: MockClock) -> None:
    """What no event told of is found by the daily pass."""
    async with open_bench(tmp_path) as bench:
        await bench.add()
        plant(bench.folder, "late")
        clock.jump(86_400 + LOOK_S)
        await bench.until(lambda: b"late" in bench.names())


# --- drives ---------------------------------------------------------------------------------------


def mount_points(bench: Bench) -> list[bytes | None]:
    """Return where the drives are."""
    return [point for (point,) in bench.rows("SELECT mount_point FROM volume")]


async def test_a_pulled_drive_is_seen_and_so_is_its_return(
    tmp_path: Path, clock: MockClock
) -> None:
    """Its location goes offline with its entries, is nowhere mounted, and is read when it is back."""
    machine = Machine(tmp_path)
    async with make_bench(tmp_path) as bench, bench.run(system=machine.system):
        machine.mount(bench.folder)
        plant(bench.folder, "f")
        await bench.add()
        assert mount_points(bench) == [os.fsencode(bench.folder)]

        machine.mount(None)
        clock.jump(LOOK_S)
        await bench.until(lambda: bench.state()[0] == "offline")
        assert mount_points(bench) == [None]
        assert b"f" in bench.names()

        plant(bench.folder, "late")
        machine.mount(bench.folder)
        clock.jump(LOOK_S)
        await bench.until(lambda: bench.state()[0] == "idle")
        assert mount_points(bench) == [os.fsencode(bench.folder)]
        assert b"late" in bench.names()


async def test_a_drive_that_is_away_for_long_is_told_once(tmp_path: Path, clock: MockClock) -> None:
    """A location that stays offline is looked for, and not told or written again."""
    machine = Machine(tmp_path)
    async with make_bench(tmp_path) as bench, bench.run(system=machine.system):
        machine.mount(bench.folder)
        await bench.add()
        machine.mount(None)
        clock.jump(LOOK_S)
        await bench.until(lambda: bench.state()[0] == "offline")
        before = bench.watermark()
        await bench.rescan()
        assert bench.watermark() == before
        assert bench.events().count("scan_offline") == 1


async def test_a_scan_brings_the_drive_up_to_date(tmp_path: Path) -> None:
    """What is free on a drive is looked at with each whole scan."""
    machine = Machine(tmp_path)
    async with make_bench(tmp_path) as bench, bench.run(system=machine.system):
        machine.mount(bench.folder)
        await bench.add()
        machine.free //= 2
        await bench.rescan()
        assert bench.rows("SELECT available_bytes FROM volume") == [(machine.free,)]

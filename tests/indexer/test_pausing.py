"""Locations whose contents a person wants unread for now."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
import trio

from leaderless.errors import NotFoundError
from leaderless.indexer.hashing import HASH_STEP
from leaderless.indexer.pausing import to_change
from leaderless.indexer.rows import Location
from tests.indexer.bench import make_bench, open_bench
from tests.indexer.ground import plant

if TYPE_CHECKING:
    from pathlib import Path

    from tests.indexer.bench import Bench

HASHED = "SELECT name FROM entry WHERE content IS NOT NULL AND dead = 0 ORDER BY name"


def _location(uuid: bytes, index_mode: str) -> Location:
    return Location(
        1, uuid, b"v", "f", None, "x", b"/x", index_mode, None, None, None, "idle", None
    )


SHALLOW, DEEP, CONTENT = (
    _location(b"s", "shallow"),
    _location(b"d", "deep"),
    _location(b"c", "content"),
)
ALL = [SHALLOW, DEEP, CONTENT]


@pytest.mark.parametrize(
    ("held", "paused", "changed"),
    [
        (b"", True, [DEEP, CONTENT]),
        (b"d", True, [CONTENT]),
        (b"dc", True, []),
        (b"", False, []),
        (b"d", False, [DEEP]),
        (b"sdc", False, ALL),
    ],
)
def test_what_is_paused_already_or_not_hashed_does_not_change(
    held: bytes, paused: bool, changed: list[Location]
) -> None:
    """Only what is paused goes on, whatever else has changed of it since."""
    assert to_change(ALL, [bytes([item]) for item in held], paused=paused) == changed


def _hashed(bench: Bench) -> list[bytes]:
    return [name for (name,) in bench.rows(HASHED)]


async def test_everything_but_contents_is_noticed_meanwhile(tmp_path: Path) -> None:
    """New, moved and deleted files; one that changed has no content until it is read again."""
    async with open_bench(tmp_path) as bench:
        plant(bench.folder, "changed", "gone", "moved", "same")
        await bench.add("content")
        uuids = bench.names()
        await bench.indexer.pause(bench.location)
        plant(bench.folder, "new")
        (bench.folder / "gone").unlink()
        (bench.folder / "moved").rename(bench.folder / "there")
        (bench.folder / "changed").write_text("other")
        await bench.rescan()
        names = bench.names()
        assert names.keys() == {b"folder", b"changed", b"new", b"same", b"there"}
        assert names[b"there"] == uuids[b"moved"]
        assert _hashed(bench) == [b"same", b"there"]
        assert bench.state() == ("idle", None)
        assert bench.indexer.pauses.left(bench.location) == (2, len("other") + len("new"))


async def test_what_was_left_is_hashed_once_it_goes_on(tmp_path: Path) -> None:
    """Without another look at the folders; both are told, each once."""
    async with open_bench(tmp_path) as bench:
        plant(bench.folder, "a")
        await bench.add()
        await bench.indexer.set_mode(bench.location, "content")
        assert [is_news for _, is_news in await bench.indexer.pause(None)] == [True]
        assert [is_news for _, is_news in await bench.indexer.pause(None)] == [False]
        await bench.settle()
        assert _hashed(bench) == []
        bench.told.clear()
        assert [is_news for _, is_news in await bench.indexer.resume(None)] == [True]
        assert [is_news for _, is_news in await bench.indexer.resume(None)] == [False]
        assert bench.indexer.progress[bench.location].phase == "hashing"
        await bench.settle()
        assert _hashed(bench) == [b"a"]
        assert bench.events() == ["hashing_resumed"]
        assert bench.indexer.progress[bench.location].phase == "idle"
        assert bench.indexer.pauses.left(bench.location) is None


async def test_a_pause_lasts_until_the_daemon_runs_again(tmp_path: Path) -> None:
    """What is left is known again after the first look."""
    async with make_bench(tmp_path) as bench:
        plant(bench.folder, "a")
        async with bench.run():
            await bench.add("content")
            await bench.indexer.pause(bench.location)
            plant(bench.folder, "b")
        async with bench.run():
            assert bench.indexer.pauses.has(bench.location)
            await bench.settle()
            assert _hashed(bench) == [b"a"]
            assert bench.indexer.pauses.left(bench.location) == (1, 1)
            await bench.indexer.resume(bench.location)
            await bench.settle()
            assert _hashed(bench) == [b"a", b"b"]


async def test_a_file_that_is_being_hashed_is_left_at_once(tmp_path: Path) -> None:
    """The pass ends well, however large the file is; it goes on though the pass has not ended yet."""
    async with open_bench(tmp_path) as bench:
        with (bench.folder / "large").open("wb") as file:
            file.truncate(1 << 42)
        bench.location, _ = await bench.indexer.add(os.fsencode(bench.folder), None, "content")
        with trio.fail_after(60):
            while bench.location not in bench.indexer.progress:
                await trio.testing.wait_all_tasks_blocked()
            await bench.until(lambda: b"large" in bench.names())
            await bench.indexer.pause(bench.location)
            await bench.indexer.wait_idle()
        assert bench.state() == ("idle", None)
        assert bench.indexer.pauses.left(bench.location) == (1, 1 << 42)


async def test_a_paused_location_does_not_wait_for_another_to_be_hashed(tmp_path: Path) -> None:
    """Its pass, which has made way for that, ends as soon as the other makes way in its turn."""
    async with open_bench(tmp_path) as bench:
        for folder in ("folder", "other"):
            plant(tmp_path, *[f"{folder}/f{at}" for at in range(HASH_STEP * 3)])
        first, _ = await bench.indexer.add(os.fsencode(bench.folder), "first", "content")
        await bench.indexer.add(os.fsencode(tmp_path / "other"), "second", "content")
        await bench.until(lambda: bench.indexer.ended[first] == 1)
        await bench.indexer.pause(first)
        await bench.settle()
        ends = [about["location"] for event, about in bench.told if event == "scan_idle"]
        assert ends == ["first", "second"]
        hashed = "SELECT count(*) FROM entry WHERE content IS NOT NULL"
        assert bench.rows(hashed) == [(HASH_STEP * 4,)]


async def test_a_location_that_is_not_hashed_any_more_is_not_paused(tmp_path: Path) -> None:
    """Nor one that is removed: nothing of either is kept."""
    async with open_bench(tmp_path) as bench:
        await bench.add("content")
        facts = "SELECT count(*) FROM meta WHERE name LIKE 'paused/%'"
        for end in ("mode", "removal"):
            await bench.indexer.set_mode(bench.location, "deep")
            await bench.indexer.pause(bench.location)
            assert bench.rows(facts) == [(1,)]
            if end == "mode":
                await bench.indexer.set_mode(bench.location, "shallow")
            else:
                await bench.indexer.remove(bench.location)
            assert bench.rows(facts) == [(0,)]
            assert not bench.indexer.pauses.has(bench.location)


async def test_a_pause_stays_where_the_mode_is_another_that_hashes(tmp_path: Path) -> None:
    """Content and deep both read files."""
    async with open_bench(tmp_path) as bench:
        await bench.add("content")
        await bench.indexer.pause(bench.location)
        await bench.indexer.set_mode(bench.location, "deep")
        assert bench.indexer.pauses.has(bench.location)


async def test_what_is_no_location_here_cannot_be_paused(tmp_path: Path) -> None:
    """An unknown one is an error; where there is none, all of them are none."""
    async with open_bench(tmp_path) as bench:
        with pytest.raises(NotFoundError):
            await bench.indexer.pause(b"unknown")
        assert await bench.indexer.pause(None) == []
        assert await bench.indexer.resume(None) == []

"""From what the kernel says to directories that have to be read again."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from leaderless.indexer.inotify import CREATE, UNMOUNT, Event, Inotify, WatchLimitError
from leaderless.indexer.watcher import SETTLE_S, Watcher, open_watcher
from tests.indexer.ground import plant
from tests.indexer.test_inotify import MOST_EVENTS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path


class Heard:
    """What a watcher over a folder told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.watcher: Watcher
        self.told: list[tuple[set[str], bool]] = []

    def listen(self, directories: set[bytes], lost: bool) -> None:
        """Note what is told."""
        paths = {os.path.relpath(os.fsdecode(path), self.folder) for path in directories}
        self.told.append((paths, lost))

    def watch(self, *paths: str) -> None:
        """Watch directories as a pass would: parents first."""
        for path in paths:
            self.watcher.watch(os.fsencode(self.folder / path))

    async def settle(self) -> tuple[set[str], bool]:
        """Return what is told of all that happened until now."""
        await wait_all_tasks_blocked()
        await trio.sleep(SETTLE_S)
        await wait_all_tasks_blocked()
        told, self.told = self.told, []
        directories: set[str] = set().union(*(paths for paths, _ in told))
        return directories, any(lost for _, lost in told)


@asynccontextmanager
async def watching(
    folder: Path, *paths: str, kernel: Callable[[], Inotify] = Inotify
) -> AsyncIterator[Heard]:
    """Watch a folder and directories in it."""
    plant(folder, *(f"{path}/" for path in paths))
    heard = Heard(folder)
    async with open_watcher(heard.listen, kernel) as heard.watcher:
        heard.watch("", *paths)
        yield heard


async def test_a_change_names_its_directory(tmp_path: Path, autojump_clock: MockClock) -> None:
    """A file that is written, changed or deleted names the directory that it is in."""
    async with watching(tmp_path, "a", "b") as heard:
        plant(tmp_path, "a/f")
        assert await heard.settle() == ({"a"}, False)
        (tmp_path / "a/f").chmod(0o600)
        assert await heard.settle() == ({"a"}, False)
        (tmp_path / "a/f").unlink()
        assert await heard.settle() == ({"a"}, False)


async def test_what_happens_together_is_told_together(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """A burst of changes is one word, once it has settled."""
    async with watching(tmp_path, "a", "b") as heard:
        plant(tmp_path, *[f"a/{at}" for at in range(100)], "b/f")
        await wait_all_tasks_blocked()
        await trio.sleep(SETTLE_S * 2)
        assert heard.told == [({"a", "b"}, False)]


async def test_a_directory_that_goes_names_the_one_above(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """A deleted directory is told as a change of its parent, and is watched no more."""
    async with watching(tmp_path, "a", "a/b") as heard:
        (tmp_path / "a/b").rmdir()
        assert await heard.settle() == ({"a"}, False)
        assert heard.watcher.count == 2


async def test_the_folder_itself_is_named_when_it_goes(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """A location that is moved away hears of it, though nothing above it is watched."""
    folder = tmp_path / "folder"
    async with watching(folder, "a") as heard:
        folder.rename(tmp_path / "elsewhere")
        assert await heard.settle() == ({"."}, False)


async def test_a_renamed_directory_is_named_by_its_new_path(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """Once a pass has seen the rename, changes below it come under the new path."""
    async with watching(tmp_path, "old", "old/sub") as heard:
        (tmp_path / "old").rename(tmp_path / "new")
        assert await heard.settle() == ({"."}, False)
        heard.watch("new")
        plant(tmp_path, "new/sub/f")
        assert await heard.settle() == ({"new/sub"}, False)


async def test_directories_that_were_swapped_are_told_apart(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """Each watch follows its directory, also to a path that was another one's."""
    async with watching(tmp_path, "a", "b", "a/sub") as heard:
        (tmp_path / "a").rename(tmp_path / "c")
        (tmp_path / "b").rename(tmp_path / "a")
        (tmp_path / "c").rename(tmp_path / "b")
        await heard.settle()
        heard.watch("a", "b", "b/sub")
        plant(tmp_path, "a/f")
        assert await heard.settle() == ({"a"}, False)
        plant(tmp_path, "b/sub/f")
        assert await heard.settle() == ({"b/sub"}, False)


async def test_a_new_directory_below_a_renamed_one_follows_further_renames(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """What is watched under a new path is known as a child, however often its parent moves on."""
    async with watching(tmp_path, "y", "y/sub") as heard:
        (tmp_path / "y").rename(tmp_path / "z")
        await heard.settle()
        plant(tmp_path, "z/sub/new/")
        heard.watch("z", "z/sub", "z/sub/new")
        (tmp_path / "z").rename(tmp_path / "w")
        await heard.settle()
        heard.watch("w")
        plant(tmp_path, "w/sub/new/f")
        assert await heard.settle() == ({"w/sub/new"}, False)


async def test_a_lost_event_is_told(tmp_path: Path, autojump_clock: MockClock) -> None:
    """When more happened than the kernel keeps, everything has to be read again."""
    async with watching(tmp_path) as heard:
        plant(tmp_path, "f")
        for _ in range(MOST_EVENTS // 4 + 1):
            (tmp_path / "f").rename(tmp_path / "g")
            (tmp_path / "g").rename(tmp_path / "f")
        assert await heard.settle() == ({"."}, True)


class Telling(Inotify):
    """A kernel that tells what a test cannot have happen."""

    def __init__(self, *told: Event) -> None:
        super().__init__()
        self._told = [*told]

    async def read(self) -> list[Event]:
        """Tell everything at once, then what really happens."""
        if self._told:
            told, self._told = self._told, []
            return told
        return await super().read()


async def test_an_unmounted_drive_is_read_anew(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Where a file system went from below the watches, nothing they said is enough."""
    told = Event(1, UNMOUNT, b"")
    async with watching(tmp_path, kernel=lambda: Telling(told)) as heard:
        assert await heard.settle() == ({"."}, True)


async def test_words_about_nothing_that_is_watched_are_passed_over(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """An event of a watch that nobody knows names no directory."""
    told = Event(77, CREATE, b"f")
    async with watching(tmp_path, kernel=lambda: Telling(told)) as heard:
        assert await heard.settle() == (set(), False)


async def test_what_is_not_watched_any_more_is_not_told(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """A location that is removed gives its watches back, its neighbours keep theirs."""
    async with watching(tmp_path, "a", "a/sub", "ab") as heard:
        heard.watcher.unwatch(os.fsencode(tmp_path / "a"))
        plant(tmp_path, "a/f", "a/sub/f", "ab/f")
        assert await heard.settle() == ({"ab"}, False)
        assert heard.watcher.count == 2


async def test_what_cannot_be_watched_is_left_out(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """A directory that is gone before it is watched harms nobody."""
    async with watching(tmp_path) as heard:
        heard.watch("gone")
        assert heard.watcher.count == 1
        assert heard.watcher.path(77) is None


class Few(Inotify):
    """A kernel that allows two watches."""

    allowed = 2

    def add(self, path: bytes) -> int | None:
        """Watch as long as it is allowed."""
        if self.allowed == 0:
            raise WatchLimitError("no more", hint="raise it")
        self.allowed -= 1
        return super().add(path)


async def test_at_the_limit_the_watches_that_are_there_stay(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """The limit is remembered with its remedy, nothing more is asked for, and the rest goes on."""
    async with watching(tmp_path, "a", "b", "c", kernel=Few) as heard:
        assert heard.watcher.limit_reached == "no more; raise it"
        plant(tmp_path, "a/f", "b/f", "c/f")
        assert await heard.settle() == ({"a"}, False)


async def test_no_watcher_opens_where_there_can_be_no_watch(tmp_path: Path) -> None:
    """Where the kernel refuses altogether whoever opens hears it."""

    def refuse() -> Inotify:
        raise WatchLimitError("none", hint="raise it")

    with pytest.raises(WatchLimitError, match="none"):
        async with watching(tmp_path, kernel=refuse):
            pass

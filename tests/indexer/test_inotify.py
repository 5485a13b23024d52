"""What the kernel says of directories."""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from leaderless.indexer import inotify
from leaderless.indexer.inotify import Event, Inotify, WatchLimitError, parse_events
from tests.unprivileged import as_nobody

MOST_EVENTS = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text(encoding="ascii"))


@pytest.fixture
def kernel() -> Iterator[Inotify]:
    """Give a test an instance that is closed in the end."""
    opened = Inotify()
    yield opened
    os.close(opened._descriptor)


async def read(kernel: Inotify) -> list[Event]:
    """Return the next events."""
    with trio.fail_after(30):
        return await kernel.read()


def test_events_are_read_with_their_padding() -> None:
    """A name ends at its first null byte; an event without a name has none."""
    data = struct.pack("iIII", 1, inotify.CREATE, 0, 16) + b"name".ljust(16, b"\0")
    data += struct.pack("iIII", -1, inotify.Q_OVERFLOW, 0, 0)
    assert parse_events(data) == [
        Event(1, inotify.CREATE, b"name"),
        Event(-1, inotify.Q_OVERFLOW, b""),
    ]


async def test_what_happens_in_a_directory_is_told(kernel: Inotify, tmp_path: Path) -> None:
    """A file of any name that appears is named, with the watch of its directory."""
    watch = kernel.add(os.fsencode(tmp_path))
    (tmp_path / os.fsdecode(b"caf\xe9\n")).touch()
    assert watch is not None
    assert Event(watch, inotify.CREATE, b"caf\xe9\n") in await read(kernel)


async def test_a_reader_waits_until_something_happens(kernel: Inotify, tmp_path: Path) -> None:
    """Reading returns when there are events, however late."""
    kernel.add(os.fsencode(tmp_path))
    got: list[Event] = []

    async def wait() -> None:
        got.extend(await read(kernel))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        assert got == []
        (tmp_path / "f").touch()
    assert b"f" in {event.name for event in got}


def test_a_directory_has_one_watch(kernel: Inotify, tmp_path: Path) -> None:
    """Watching it again, under whatever path, gives the same watch."""
    (tmp_path / "old").mkdir()
    watch = kernel.add(os.fsencode(tmp_path / "old"))
    (tmp_path / "old").rename(tmp_path / "new")
    assert kernel.add(os.fsencode(tmp_path / "new")) == watch


@pytest.mark.parametrize("name", ["gone", "file", "link"])
def test_only_directories_are_watched(kernel: Inotify, tmp_path: Path, name: str) -> None:
    """What is gone, no directory, or a link to one gets no watch."""
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path)
    assert kernel.add(os.fsencode(tmp_path / name)) is None


async def test_a_watch_that_is_removed_says_so_and_nothing_more(
    kernel: Inotify, tmp_path: Path
) -> None:
    """The last word of a watch is that it is ignored; removing it twice is harmless."""
    watch = kernel.add(os.fsencode(tmp_path))
    assert watch is not None
    kernel.remove(watch)
    kernel.remove(watch)
    (tmp_path / "f").touch()
    assert await read(kernel) == [Event(watch, inotify.IGNORED, b"")]


async def test_lost_events_are_told(kernel: Inotify, tmp_path: Path) -> None:
    """When more happened than the kernel keeps, the last event says that some are missing."""
    kernel.add(os.fsencode(tmp_path))
    one, other = tmp_path / "a", tmp_path / "b"
    one.touch()
    for _ in range(MOST_EVENTS // 4 + 1):
        one.rename(other)
        other.rename(one)
    events: list[Event] = []
    while not events or events[-1].mask != inotify.Q_OVERFLOW:
        events = await read(kernel)
    assert events[-1].watch == -1


class Refusing:
    """The part of libc that is called, where the kernel refuses."""

    def __init__(self, code: int) -> None:
        self._code = code

    def inotify_init1(self, flags: int) -> int:
        """Hand out a descriptor."""
        return os.open(os.devnull, flags & os.O_CLOEXEC)

    def inotify_add_watch(self, *_: object) -> int:
        """Refuse."""
        ctypes.set_errno(self._code)
        return -1


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.ENOMEM])
def test_a_refused_watch_names_the_command_that_raises_the_limit(code: int) -> None:
    """Where the kernel allows no more watches the error says what to do."""
    kernel = Inotify(Refusing(code))  # type: ignore[arg-type]
    with pytest.raises(WatchLimitError) as refused:
        kernel.add(b"/")
    os.close(kernel._descriptor)
    assert refused.value.hint == "sudo sysctl fs.inotify.max_user_watches=1048576"


def test_a_refused_instance_names_the_command_that_raises_the_limit() -> None:
    """Where the kernel allows no more instances the error says what to do."""

    def work() -> str:
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, 64))
        try:
            Inotify()
        except WatchLimitError as error:
            return f"{error.hint}"
        return "allowed"

    assert as_nobody(work) == "sudo sysctl fs.inotify.max_user_instances=1024"


async def test_closing_ends_a_reader(tmp_path: Path) -> None:
    """Whoever reads when the instance is closed hears of it."""
    kernel = Inotify()
    with trio.fail_after(30), pytest.RaisesGroup(trio.ClosedResourceError):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(kernel.read)
            await wait_all_tasks_blocked()
            kernel.close()

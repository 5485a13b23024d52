"""Hashes of files: only of whole ones that stood still."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing
from blake3 import blake3

from leaderless.indexer import hashing
from leaderless.indexer.differ import Known
from leaderless.indexer.hashing import HASH_STEP, STEP_BYTES, hash_location
from leaderless.indexer.scan import Progress
from tests.indexer.ground import Ground
from tests.unprivileged import as_nobody

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def known(path: Path) -> Known:
    """Return what a pass would know of a file now."""
    now = path.lstat()
    times = (now.st_size, now.st_mtime_ns, now.st_ctime_ns)
    return Known(1, b"u" * 16, 1, os.fsencode(path.name), "file", *times, 1, 0, None, None)


def hash_file(path: bytes, held: Known, check: Callable[[], None]) -> bytes | None:
    """Return the hash of a file, read a few bytes at a time."""
    return hashing.hash_file(path, held, check, memoryview(bytearray(1 << 16)))


def nothing() -> None:
    """Let the reading go on."""


def never() -> bool:
    """Give way to nobody, and rest for nobody."""
    return False


def test_a_hash_is_that_of_all_bytes(tmp_path: Path) -> None:
    """A file of several pieces is hashed whole."""
    path = tmp_path / "f"
    data = os.urandom((2 << 20) + 1)
    path.write_bytes(data)
    assert hash_file(os.fsencode(path), known(path), nothing) == blake3(data).digest()


def test_an_empty_file_has_a_hash(tmp_path: Path) -> None:
    """Nothing is content, too."""
    path = tmp_path / "f"
    path.touch()
    assert hash_file(os.fsencode(path), known(path), nothing) == blake3(b"").digest()


@pytest.mark.parametrize("change", ["grow", "touch", "same size and time"])
def test_a_file_that_changed_since_the_pass_has_none(tmp_path: Path, change: str) -> None:
    """What a pass did not see is left to the next one."""
    path = tmp_path / "f"
    path.write_bytes(b"abc")
    held = known(path)._replace(ctime_ns=(path.stat().st_ctime_ns - 1))
    if change == "grow":
        path.write_bytes(b"abcd")
    elif change == "touch":
        os.utime(path, ns=(1, 1))
    assert hash_file(os.fsencode(path), held, nothing) is None


def test_a_file_that_changes_while_it_is_read_has_none(tmp_path: Path) -> None:
    """A hash of half the old and half the new content is never given."""
    path = tmp_path / "f"
    path.write_bytes(b"x" * (2 << 20))

    def append() -> None:
        with path.open("ab") as file:
            file.write(b"more")

    assert hash_file(os.fsencode(path), known(path), append) is None


def test_a_file_that_vanished_has_none(tmp_path: Path) -> None:
    """A file that is gone by the time it is read harms nobody."""
    path = tmp_path / "f"
    path.write_bytes(b"abc")
    held = known(path)
    path.unlink()
    assert hash_file(os.fsencode(path), held, nothing) is None


def test_nothing_but_regular_files_is_read(tmp_path: Path) -> None:
    """A pipe is not waited on, a link not followed, a folder not read."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "link", "folder"):
        path = tmp_path / name
        assert hash_file(os.fsencode(path), known(path), nothing) is None


def test_a_file_that_fails_to_be_read_has_none(tmp_path: Path) -> None:
    """An error in the middle of a file leaves it without a hash."""
    path = tmp_path / "f"
    path.write_bytes(b"abc")

    def fail() -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    assert hash_file(os.fsencode(path), known(path), fail) is None


def test_an_unreadable_file_has_none(place: Path) -> None:
    """What may not be read stays without content."""

    def look() -> str:
        path = place / "f"
        path.write_bytes(b"abc")
        path.chmod(0)
        return str(hash_file(os.fsencode(path), known(path), nothing))

    assert as_nobody(look) == "None"


async def test_every_file_of_a_location_gets_its_content(ground: Ground) -> None:
    """Step by step all files are read, directories and links are not, and it is counted."""
    (ground.folder / "link").symlink_to("f0")
    await ground.start("d/", *[f"f{at}" for at in range(HASH_STEP + 5)])
    progress = Progress()
    assert await hash_location(ground.store, ground.held_location(), progress, never, never)
    found = dict(ground.query("SELECT name, content FROM entry"))
    assert found.pop(b"folder") is found.pop(b"d") is found.pop(b"link") is None
    assert found == {name: blake3(name).digest() for name in found}
    assert progress.files_hashed == HASH_STEP + 5
    assert progress.bytes_hashed == sum(map(len, found))


async def test_a_hash_changes_nothing_else_of_its_row(ground: Ground) -> None:
    """An entry that got its content is otherwise what the pass wrote."""
    await ground.start(".hidden.Txt")
    query = "SELECT uuid, parent, name, extension, kind, inode, mode, is_hidden FROM entry"
    before = ground.query(query)
    await hash_location(ground.store, ground.held_location(), Progress(), never, never)
    assert ground.query(query) == before
    assert (await ground.scan()).rows_written == 0


async def test_files_that_have_content_are_not_read_again(ground: Ground) -> None:
    """A second run has nothing to do."""
    await ground.start("f")
    await hash_location(ground.store, ground.held_location(), Progress(), never, never)
    progress = Progress()
    await hash_location(ground.store, ground.held_location(), progress, never, never)
    assert progress.files_hashed == 0


async def test_hashing_gives_way_after_a_step(ground: Ground) -> None:
    """Where something else waits it ends early, but not without having done anything."""
    await ground.start(*[f"f{at}" for at in range(HASH_STEP + 5)])
    progress = Progress()
    assert not await hash_location(
        ground.store, ground.held_location(), progress, lambda: True, never
    )
    assert progress.files_hashed == HASH_STEP


async def test_a_step_ends_once_it_has_read_much(ground: Ground) -> None:
    """However large files are, what was hashed is written before much more is read."""
    await ground.start()
    for name in ("one", "two", "three"):
        with (ground.folder / name).open("wb") as file:
            file.truncate(STEP_BYTES // 2)
    await ground.scan()
    progress = Progress()
    await hash_location(ground.store, ground.held_location(), progress, lambda: True, never)
    assert progress.files_hashed == 2


async def test_the_hashes_of_many_files_are_written_together(ground: Ground) -> None:
    """A hundred small files are one transaction."""
    await ground.start(*[f"d{at % 7}/f{at}" for at in range(100)])
    before = ground.query("SELECT count(*) FROM own_word")[0][0]
    await hash_location(ground.store, ground.held_location(), Progress(), never, never)
    assert ground.query("SELECT count(*) FROM own_word")[0][0] == before + 1
    found = dict(ground.query("SELECT name, content FROM entry WHERE kind = 'file'"))
    paths = {at: f"d{at % 7}/f{at}".encode() for at in range(100)}
    assert found == {b"f%d" % at: blake3(path).digest() for at, path in paths.items()}


async def test_hashing_ends_in_the_middle_of_a_file(ground: Ground) -> None:
    """A daemon that stops does not wait until the largest file is read."""
    await ground.start()
    with (ground.folder / "large").open("wb") as file:
        file.truncate(1 << 42)
    await ground.scan()
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            location, progress = ground.held_location(), Progress()
            nursery.start_soon(hash_location, ground.store, location, progress, never, never)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
    assert progress.files_hashed == 0


async def test_a_pause_ends_the_reading_in_the_middle_of_a_file(ground: Ground) -> None:
    """What was read by then has its content; what was not is left, whatever there is of it."""
    await ground.start("a")
    with (ground.folder / "large").open("wb") as file:
        file.truncate(1 << 42)
    await ground.scan()
    progress = Progress()

    def is_paused() -> bool:
        return progress.files_hashed > 0

    with trio.fail_after(60):
        location = ground.held_location()
        assert await hash_location(ground.store, location, progress, never, is_paused)
    found = dict(ground.query("SELECT name, content FROM entry WHERE kind = 'file'"))
    assert found == {b"a": blake3(b"a").digest(), b"large": None}


async def test_nothing_is_read_while_it_is_paused(ground: Ground) -> None:
    """Not a single step is done, though one is in any case where others wait."""
    await ground.start("a")
    progress = Progress()
    location = ground.held_location()
    assert await hash_location(ground.store, location, progress, never, lambda: True)
    assert progress.files_hashed == 0

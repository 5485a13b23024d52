"""Passes after random changes: whatever was done to a folder, the catalogue is that folder."""

from __future__ import annotations

import contextlib
import os
import shutil
from itertools import count
from typing import TYPE_CHECKING

import trio
from hypothesis import given
from hypothesis import strategies as st

from tests.indexer.ground import Ground

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Act = tuple[str, int, int, str]


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _swap(one: Path, other: Path) -> None:
    between = one.parent / "swapping"
    if not (one.is_relative_to(other) or other.is_relative_to(one)):
        one.rename(between)
        other.rename(one)
        between.rename(other)


# Each is done to (something in the folder, something else there, a new path).
ACTS: dict[str, Callable[[Path, Path, Path], object]] = {
    "file": lambda _one, _other, new: new.write_text(new.name),
    "directory": lambda _one, _other, new: new.mkdir(),
    "symlink": lambda one, _other, new: new.symlink_to(one),
    "write": lambda one, other, _new: one.write_text(str(other)),
    "remove": lambda one, _other, _new: _remove(one),
    "rename": lambda one, _other, new: one.rename(new),
    "hard link": lambda one, _other, new: new.hardlink_to(one),
    "swap": lambda one, other, _new: _swap(one, other),
}
SCRIPTS = st.lists(
    st.tuples(
        st.sampled_from(sorted(ACTS)),
        st.integers(0, 40),
        st.integers(0, 40),
        st.sampled_from(["a", "b", "A", "c.txt"]),
    ),
    max_size=15,
)


def perform(ground: Ground, script: list[Act]) -> set[str]:
    """Do what a script says where it can be; return the directories (relative) in which it shows."""
    touched: set[str] = set()
    for what, first, second, name in script:
        paths = sorted(map(os.fsdecode, ground.on_disk()))
        folders = [path for path, kind in ground.on_disk().items() if kind == "directory"]
        into = os.fsdecode(sorted(folders)[second % len(folders)])
        below = paths[1:] or ["nothing"]
        one, other = below[first % len(below)], below[second % len(below)]
        with contextlib.suppress(OSError):
            ACTS[what](ground.folder / one, ground.folder / other, ground.folder / into / name)
        touched |= {into, one.rpartition("/")[0], other.rpartition("/")[0]}
    return touched


def folders_of(ground: Ground) -> Iterator[Ground]:
    """Yield the same store with one new empty folder after the other."""
    for at in count():
        folder = ground.folder.with_name(f"folder{at}")
        folder.mkdir()
        yield Ground(ground.store, folder)


def test_a_pass_makes_the_catalogue_the_folder(ground: Ground) -> None:
    """After any changes one pass leaves exactly what is on the disk, and the next has nothing to do."""
    fresh = folders_of(ground)

    @given(SCRIPTS, SCRIPTS)
    def holds(before: list[Act], after: list[Act]) -> None:
        async def run() -> None:
            here = next(fresh)
            perform(here, before)
            await here.start()
            perform(here, after)
            await here.scan()
            assert here.is_exact()
            assert (await here.scan()).rows_written == 0

        trio.run(run)

    holds()


def test_directories_that_are_named_are_enough(ground: Ground) -> None:
    """A pass over the directories in which something happened, by the paths they had, is enough."""
    fresh = folders_of(ground)

    @given(SCRIPTS, SCRIPTS)
    def holds(before: list[Act], after: list[Act]) -> None:
        async def run() -> None:
            here = next(fresh)
            perform(here, before)
            await here.start()
            touched = perform(here, after)
            if touched:
                await here.scan(*touched)
            assert here.is_exact()

        trio.run(run)

    holds()


def test_children_are_deleted_before_their_parents(ground: Ground) -> None:
    """Of two deleted entries the one below has the older tombstone: receivers never cascade."""
    fresh = folders_of(ground)

    @given(SCRIPTS, SCRIPTS)
    def holds(before: list[Act], after: list[Act]) -> None:
        async def run() -> None:
            here = next(fresh)
            perform(here, before)
            known = await here.start()
            perform(here, after)
            await here.scan()
            gone = dict(here.query("SELECT uuid, rev FROM tombstone WHERE model = 'entry'"))
            for path, uuid in known.items():
                above = known.get(path.rpartition("/")[0])
                if path and uuid in gone and above in gone:
                    assert gone[uuid] < gone[above]

        trio.run(run)

    holds()


def test_a_renamed_directory_is_one_changed_row(ground: Ground) -> None:
    """Whatever is in a directory, renaming it writes its row and those of its old and new parent."""
    fresh = folders_of(ground)

    @given(SCRIPTS)
    def holds(before: list[Act]) -> None:
        async def run() -> None:
            here = next(fresh)
            (here.folder / "moving").mkdir()
            inside = Ground(here.store, here.folder / "moving")
            perform(inside, before)
            (here.folder / "target").mkdir()
            known = await here.start()
            here.rename("moving", "target/moved")
            progress = await here.scan()
            after = here.uuids()
            assert progress.rows_written == 3
            assert progress.rows_dropped == 0
            assert after == {
                path.replace("moving", "target/moved", 1): uuid for path, uuid in known.items()
            }

        trio.run(run)

    holds()

"""Passes over real folders: after each the catalogue is the folder, and identities are kept."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
import trio

from leaderless.errors import NotFoundError
from leaderless.indexer.ignore import Ignored
from leaderless.indexer.scan import Brake, BrakedError
from tests.indexer.ground import Ground, open_ground, plant
from tests.unprivileged import as_nobody

if TYPE_CHECKING:
    from pathlib import Path

# --- what cannot be seen --------------------------------------------------------------------------


class Vanishing(Ignored):
    """Lets a file vanish between the listing of its directory and its lstat."""

    def __init__(self, path: Path) -> None:
        super().__init__(())
        self._path = path

    def may_hold(self, directory: bytes, names: str) -> bool:
        """Leave nothing out, but take the file away as soon as its name is read."""
        self._path.unlink()
        return super().may_hold(directory, names)


async def test_a_file_that_vanishes_while_it_is_scanned_is_left_out(ground: Ground) -> None:
    """A name that is gone before its lstat harms nobody."""
    plant(ground.folder, "gone", "kept")
    await ground.add()
    progress = await ground.scan(ignored=Vanishing(ground.folder / "gone"))
    assert set(ground.uuids()) == {"", "kept"}
    assert progress.errors.count == 0


async def test_a_directory_that_vanishes_before_it_is_read_is_settled_by_the_next_pass(
    ground: Ground,
) -> None:
    """That a directory is gone says nothing of what was in it: it may have moved."""
    before = await ground.start("d/f", "e/")
    target = os.fsencode(ground.folder / "d")

    def move(path: bytes) -> None:
        if path == target:
            ground.rename("d", "e/d")

    await ground.scan(on_directory=move)
    await ground.scan()
    assert ground.is_exact()
    assert ground.uuids()["e/d/f"] == before["d/f"]


async def test_a_folder_that_goes_away_during_a_pass_is_not_empty(ground: Ground) -> None:
    """Where a drive is pulled in the middle of a pass nothing is deleted."""
    before = await ground.start("a", "d/f")
    (ground.folder / "a").unlink()
    target = os.fsencode(ground.folder / "d")

    def pull(path: bytes) -> None:
        if path == target:
            ground.folder.rename(ground.folder.with_name("elsewhere"))

    with pytest.raises(NotFoundError, match="went away"):
        await ground.scan(on_directory=pull)
    assert ground.uuids() == before


async def test_another_folder_in_the_place_of_the_root_deletes_nothing(ground: Ground) -> None:
    """A folder that was replaced in the middle of a pass is not the one that was scanned."""
    before = await ground.start("a", "d/f")
    (ground.folder / "a").unlink()
    target = os.fsencode(ground.folder / "d")

    def replace(path: bytes) -> None:
        if path == target:
            ground.folder.rename(ground.folder.with_name("elsewhere"))
            ground.folder.mkdir()

    with pytest.raises(NotFoundError, match="went away"):
        await ground.scan(on_directory=replace)
    assert ground.uuids() == before


@pytest.mark.parametrize("mode", [0o000, 0o400])
def test_what_is_known_of_an_unreadable_folder_stays(place: Path, mode: int) -> None:
    """A folder that may not be listed, or only its names, is reported; its entries stay."""

    async def scan(folder: Path) -> str:
        with open_ground(folder) as ground:
            before = await ground.start("locked/f", "locked/g", "open")
            (ground.folder / "locked").chmod(mode)
            await ground.scan()
            (ground.folder / "locked").chmod(0o700)
            root = os.fsencode(ground.folder) + b"/"
            errors = sorted(
                f"{os.fsdecode(item.path.removeprefix(root))}: {item.message}"
                for item in ground.progress.errors.items
            )
            return f"{ground.uuids() == before} {errors}"

    paths = ["locked"] if mode == 0 else ["locked/f", "locked/g"]
    errors = [f"{path}: Permission denied" for path in paths]
    assert as_nobody(lambda: trio.run(scan, place)) == f"True {errors}"


async def test_links_are_not_followed(ground: Ground) -> None:
    """A link to a directory above, or to itself, is one entry and ends there."""
    plant(ground.folder, "d/f")
    (ground.folder / "d/up").symlink_to("..")
    (ground.folder / "self").symlink_to("self")
    await ground.start()
    assert ground.is_exact()
    assert ground.catalogued()[b"d/up"][1] == "symlink"


async def test_mounts_are_not_crossed(ground: Ground) -> None:
    """The folder that another file system is mounted on is an entry, what is below it is none."""
    ground.folder = ground.folder.__class__("/dev")
    await ground.start()
    paths = ground.uuids()
    assert "pts" in paths
    assert [path for path in paths if path.startswith("pts/")] == []


async def test_what_is_ignored_now_leaves_the_catalogue(ground: Ground) -> None:
    """A glob that is new takes entries out, and with a directory all that is below it."""
    await ground.start("keep", "drop~", "cache/deep/f")
    await ground.scan(ignored=Ignored(("*~", "cache/")))
    assert set(ground.uuids()) == {"", "keep"}


async def test_names_are_bytes(ground: Ground) -> None:
    """Names that are no UTF-8, or hold control characters, are kept to the byte."""
    names = {b"caf\xe9", b"two\nlines", b"\x1b[2J", b"x" * 255, b"trailing ", b"\\"}
    for name in names:
        (ground.folder / os.fsdecode(name)).mkdir()
    await ground.start()
    assert set(ground.catalogued()) == {b"", *names}


# --- deletes --------------------------------------------------------------------------------------


async def test_a_mass_delete_waits_for_consent(ground: Ground) -> None:
    """Over the count and the ratio nothing is deleted; what is new is taken in all the same."""
    before = await ground.start(*[f"f{at}" for at in range(30)])
    for at in range(11):
        (ground.folder / f"f{at}").unlink()
    plant(ground.folder, "new")
    with pytest.raises(BrakedError) as braked:
        await ground.scan(brake=Brake(10, 0.2))
    assert (braked.value.drops, braked.value.known) == (11, 32)
    assert set(before) | {"new"} == set(ground.uuids())


@pytest.mark.parametrize(("gone", "brake"), [(10, Brake(10, 0.2)), (11, Brake(10, 0.5))])
async def test_a_delete_within_either_bound_needs_no_consent(
    ground: Ground, gone: int, brake: Brake
) -> None:
    """Only what is both many and much of the whole asks."""
    await ground.start(*[f"f{at}" for at in range(30)])
    for at in range(gone):
        (ground.folder / f"f{at}").unlink()
    await ground.scan(brake=brake)
    assert ground.is_exact()


async def test_consent_lets_everything_go(ground: Ground) -> None:
    """With consent the pass deletes whatever is missing."""
    await ground.start(*[f"f{at}" for at in range(30)])
    for item in ground.folder.iterdir():
        item.unlink()
    progress = await ground.scan(brake=Brake(10, 0.2, accepted=True))
    assert set(ground.uuids()) == {""}
    assert progress.rows_dropped == 30


async def test_without_stable_inodes_names_are_all_that_counts(ground: Ground) -> None:
    """On a stick whose file system makes up inode numbers none is kept, so none can mislead."""
    plant(ground.folder, "d/f")
    await ground.add()
    ground.store.write_here(
        lambda tx: tx.conn.exec_driver_sql("UPDATE volume SET file_system = 'vfat'")
    )
    await ground.scan()
    await ground.scan("d")
    assert set(ground.query("SELECT inode FROM entry")) == {(None,)}
    assert ground.progress.rows_written == 0


# --- some directories only ------------------------------------------------------------------------


async def test_only_the_directories_named_are_read(ground: Ground) -> None:
    """What the watcher names is looked at, what is next to it is not."""
    await ground.start("a/1", "b/2")
    plant(ground.folder, "a/new/deep/f", "b/unseen")
    await ground.scan("a")
    paths = set(ground.uuids())
    assert "a/new/deep/f" in paths
    assert "b/unseen" not in paths


async def test_the_row_of_a_directory_named_is_brought_up_to_date(ground: Ground) -> None:
    """A directory in which something changed shows when it did, without a pass over its parent."""
    await ground.start("a/b/1")
    plant(ground.folder, "a/b/2")
    await ground.scan("a/b")
    await ground.scan()
    assert ground.progress.rows_written == 0


async def test_a_directory_that_changed_and_was_renamed_keeps_what_is_in_it(
    ground: Ground,
) -> None:
    """That it is named by a path it has no more deletes nothing."""
    before = await ground.start("y/1", "y/2")
    plant(ground.folder, "y/3")
    ground.rename("y", "z")
    await ground.scan("", "y")
    assert ground.is_exact()
    assert ground.uuids()["z/1"] == before["y/1"]


async def test_directories_that_changed_and_were_swapped_keep_their_content(
    ground: Ground,
) -> None:
    """Paths are asked anew after each directory, so nothing is taken for the other's."""
    before = await ground.start("a/1", "b/2")
    plant(ground.folder, "a/3", "b/4")
    ground.swap("a", "b")
    await ground.scan("", "a", "b")
    assert ground.is_exact()
    assert ground.uuids()["b/1"] == before["a/1"]


async def test_a_change_below_a_renamed_directory_is_seen_under_its_old_path(
    ground: Ground,
) -> None:
    """What the watcher said of a path before it learnt of the rename is not lost."""
    await ground.start("y/s/1", "y/2")
    ground.rename("y", "z")
    plant(ground.folder, "z/s/3")
    await ground.scan("", "y/s")
    assert ground.is_exact()


async def test_a_path_where_something_else_stands_now_is_its_parent_s_matter(
    ground: Ground,
) -> None:
    """A directory at whose path there is another one, a file or nothing is left alone."""
    before = await ground.start("d/1", "e/2", "g/3")
    ground.rename("d", "d2")
    plant(ground.folder, "d/other")
    ground.rename("e", "e2")
    plant(ground.folder, "e")
    ground.rename("g", "g2")
    await ground.scan("d", "e", "g", "never/known")
    assert ground.uuids() == before


async def test_a_file_that_came_back_between_two_looks_stays(ground: Ground) -> None:
    """What one look missed and another of the same pass sees is not deleted."""
    before = await ground.start("a/f", "b/")
    target = os.fsencode(ground.folder / "a")

    def flicker(path: bytes) -> None:
        if path == target:
            ground.rename("b/f", "a/f")

    ground.rename("a/f", "b/f")
    ground.rename("a", "c")
    ground.rename("c", "a")
    await ground.scan("b", "a", on_directory=flicker)
    await ground.scan()
    assert ground.is_exact()
    assert set(ground.uuids()) == set(before)


# --- in the large ---------------------------------------------------------------------------------


async def test_an_interrupted_pass_goes_on_where_it_was(ground: Ground) -> None:
    """A first pass that is broken off keeps what it wrote; the next one makes it whole."""
    await ground.start()
    plant(ground.folder, *[f"d{at % 600}/f{at}" for at in range(3_000)])
    with trio.CancelScope() as scope:
        ground.store.listen(scope.cancel)
        await ground.scan()
    kept = ground.uuids()
    ground.store._listeners.clear()
    assert 0 < len(kept) < 3_000
    await ground.scan()
    assert ground.is_exact()
    assert {path: ground.uuids()[path] for path in kept} == kept


async def test_a_pass_says_how_far_it_is(ground: Ground) -> None:
    """Progress counts what was seen, known, written and dropped, and names the directory at hand."""
    await ground.start("a/1", "a/2", "b")
    (ground.folder / "b").unlink()
    plant(ground.folder, "c", "d")
    seen: list[bytes] = []
    progress = await ground.scan(on_directory=lambda _: seen.append(ground.progress.current))
    assert (progress.entries_known, progress.entries_seen, progress.rows_dropped) == (5, 5, 1)
    assert progress.rows_written == 3
    assert seen == [os.fsencode(ground.folder), os.fsencode(ground.folder / "a")]


async def test_where_nothing_changed_the_database_is_asked_once_for_a_directory(
    ground: Ground,
) -> None:
    """A pass over what it knows reads the rows of each directory together, and writes nothing."""
    await ground.start(*[f"d{at}/f{at}/g" for at in range(10)])
    asked: list[str] = []
    for reader in ground.store._idle_readers:
        with reader.begin() as connection:
            connection.raw().set_trace_callback(asked.append)  # type: ignore[attr-defined]
    progress = await ground.scan()
    assert sum("WHERE parent = " in item for item in asked) == 21
    assert len(asked) < 21 + 10
    assert progress.rows_written == 0


async def test_a_new_inode_below_an_unchanged_directory_is_noticed(ground: Ground) -> None:
    """That a directory is the same says nothing of those in it."""
    await ground.start("a/b/c/f")
    (ground.folder / "a/b/c/f").write_text("changed")
    progress = await ground.scan()
    assert progress.rows_written == 1
    assert ground.is_exact()

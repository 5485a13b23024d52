"""What moved keeps its identity: passes over real folders in which things were renamed."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest
import trio

from tests.indexer.ground import Ground, open_ground, plant
from tests.unprivileged import as_nobody

if TYPE_CHECKING:
    from pathlib import Path


async def test_swapped_directories_keep_their_identities(ground: Ground) -> None:
    """Two directories that took each other's names stay who they are, each with its content."""
    before = await ground.start("a/1", "b/2")
    ground.swap("a", "b")
    await ground.scan()
    after = ground.uuids()
    assert (after["b"], after["b/1"]) == (before["a"], before["a/1"])
    assert (after["a"], after["a/2"]) == (before["b"], before["b/2"])


async def test_an_identity_is_given_once_when_swapped_directories_changed(ground: Ground) -> None:
    """A directory nobody would know again does not take the identity of one that moved."""
    before = await ground.start("a/", "b/x")
    ground.swap("a", "b")
    plant(ground.folder, "b/new")
    await ground.scan()
    assert ground.is_exact()
    assert ground.uuids()["a"] == before["b"]


async def test_a_move_into_a_subdirectory_of_a_renamed_one_is_followed(ground: Ground) -> None:
    """What moved below a directory that was itself renamed keeps its identity, and all below it."""
    before = await ground.start("old/sub/f", "moved/g")
    ground.rename("moved", "old/sub/moved")
    ground.rename("old", "new")
    await ground.scan()
    after = ground.uuids()
    assert after["new/sub/moved/g"] == before["moved/g"]
    assert after["new/sub/moved"] == before["moved"]
    assert after["new/sub/f"] == before["old/sub/f"]


async def test_a_directory_and_what_was_in_it_change_places(ground: Ground) -> None:
    """A directory that ends up inside its own former child is no cycle."""
    before = await ground.start("a/b/f", "a/g")
    ground.rename("a/b", "b")
    ground.rename("a", "b/a")
    await ground.scan()
    after = ground.uuids()
    assert (after["b"], after["b/a"]) == (before["a/b"], before["a"])
    assert ground.is_exact()


@pytest.mark.parametrize("path", ["Notes", "Notes/"])
async def test_a_case_only_rename_keeps_the_identity(ground: Ground, path: str) -> None:
    """A name that changes in nothing but case is a rename."""
    before = await ground.start(path)
    ground.rename("Notes", "notes")
    await ground.scan()
    assert ground.uuids() == {"": before[""], "notes": before["Notes"]}


async def test_a_moved_file_does_not_take_its_name_s_identity_along(ground: Ground) -> None:
    """A file that is moved and replaced at once: the name keeps its identity, the move is new."""
    before = await ground.start("f", "d/")
    ground.rename("f", "d/g")
    (ground.folder / "f").write_text("another")
    await ground.scan()
    assert ground.is_exact()
    assert ground.uuids()["f"] == before["f"]


async def test_a_directory_made_anew_keeps_the_name_s_identity(ground: Ground) -> None:
    """Where a directory is replaced by a new one, it is the one that was there; its files are gone."""
    before = await ground.start("d/old")
    kept = ground.folder / "aside"
    ground.rename("d", "aside")
    plant(ground.folder, "d/new")
    shutil.rmtree(kept)
    await ground.scan()
    assert ground.is_exact()
    assert ground.uuids()["d"] == before["d"]


async def test_a_file_replaced_by_a_directory_is_another_entry(ground: Ground) -> None:
    """A name that changes its kind is deleted and made anew."""
    plant(ground.folder, "x", "y/below")
    for path in ("x", "y", "y/below"):
        os.utime(ground.folder / path, (1, 1))
    before = await ground.start()
    (ground.folder / "x").unlink()
    shutil.rmtree(ground.folder / "y")
    plant(ground.folder, "x/below", "y")
    await ground.scan()
    assert ground.is_exact()
    assert set(ground.uuids().values()).isdisjoint(set(before.values()) - {before[""]})


async def test_a_reused_inode_is_no_move(ground: Ground) -> None:
    """A new file that got the inode of a deleted one, of other size and time, is a new entry."""
    before = await ground.start("old", "d/")
    # A rename gives the same inode to the new name for certain; the rest is as of another file.
    ground.rename("old", "d/new")
    (ground.folder / "d/new").write_text("something else altogether")
    await ground.scan()
    assert ground.uuids()["d/new"] != before["old"]


async def test_each_name_of_an_inode_is_an_entry(ground: Ground) -> None:
    """Hard links: the name that stays keeps its identity while others come, move and go."""
    before = await ground.start("one")
    (ground.folder / "two").hardlink_to(ground.folder / "one")
    await ground.scan()
    second = ground.uuids()["two"]
    ground.rename("two", "three")
    await ground.scan()
    assert ground.uuids() == {**before, "three": second}


async def test_of_two_links_to_a_file_that_left_one_is_the_file(ground: Ground) -> None:
    """Where a file went and came back under two names, one of them is it and the other is new."""
    before = await ground.start("f")
    (ground.folder / "g").hardlink_to(ground.folder / "f")
    ground.rename("f", "h")
    await ground.scan()
    after = ground.uuids()
    assert ground.is_exact()
    assert [after["g"], after["h"]].count(before["f"]) == 1


async def test_renaming_a_directory_of_2000_changes_its_row_and_its_parent_s(
    ground: Ground,
) -> None:
    """However much is below it, a rename writes the directory and the parent whose mtime changed."""
    plant(ground.folder, *[f"old/{at % 40}/f{at}" for at in range(2_000)])
    await ground.start()
    before = ground.watermark()
    ground.rename("old", "new")
    await ground.scan()
    found = {name for name, rev in ground.query("SELECT name, rev FROM entry") if rev > before}
    assert found == {b"folder", b"new"}


def test_a_link_to_a_file_in_an_unreadable_folder_does_not_take_its_identity(
    place: Path,
) -> None:
    """Where nobody can look whether a file is still in its place, it is taken to be."""

    async def scan(folder: Path) -> str:
        with open_ground(folder) as ground:
            before = await ground.start("locked/f")
            (ground.folder / "g").hardlink_to(ground.folder / "locked/f")
            (ground.folder / "locked").chmod(0)
            await ground.scan()
            (ground.folder / "locked").chmod(0o700)
            after = ground.uuids()
            return f"{after.pop('g') in before.values()} {after == before}"

    assert as_nobody(lambda: trio.run(scan, place)) == "False True"


def test_a_directory_that_cannot_be_looked_into_is_known_by_its_time_alone(place: Path) -> None:
    """Where it changed and moved, and may not be listed, nothing shows that it is the same."""

    async def scan(folder: Path) -> str:
        with open_ground(folder) as ground:
            before = await ground.start("old/f")
            plant(ground.folder, "old/g")
            ground.rename("old", "new")
            (ground.folder / "new").chmod(0)
            await ground.scan()
            (ground.folder / "new").chmod(0o700)
            return str(ground.uuids()["new"] in before.values())

    assert as_nobody(lambda: trio.run(scan, place)) == "False"

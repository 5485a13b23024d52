"""A device that is put back to a backup, and indexes alone before it meets anybody."""

from __future__ import annotations

from pathlib import Path

import pytest

from leaderless.store.since_backup import Regained
from tests.indexer.ground import Ground, plant
from tests.replicas import Replica, make_replicas
from tests.store.restored import Lives


class Returning:
    """A folder that is indexed by a device with a backup, and by what it is after that was put back."""

    def __init__(self, folder: Path, replicas: list[Replica]) -> None:
        self.lives = Lives(folder, replicas)
        self.ground = Ground(self.lives.device.store, folder / "files")

    def put_back(self) -> None:
        """Start from the backup."""
        self.lives.put_back()
        self.ground.store = self.lives.device.store


@pytest.fixture
def returning(tmp_path: Path) -> Returning:
    """Return a device that has indexed nothing yet, and a peer."""
    (tmp_path / "files").mkdir()
    (tmp_path / "keys").mkdir()
    return Returning(tmp_path, make_replicas(tmp_path, 2))


async def test_the_next_pass_finds_all_that_was_found_alone_as_it_was(returning: Returning) -> None:
    """Nothing is written: it stands at its paths, under the ids that people have tagged meanwhile."""
    ground, lives = returning.ground, returning.lives
    await ground.start("kept", "d/one")
    lives.back_up()
    plant(ground.folder, "both", "d/two", "new/both")
    await ground.scan()
    theirs = ground.uuids()
    lives.tell()
    returning.put_back()
    plant(ground.folder, "alone", "d/three", "new/alone", "more/deep/file")
    await ground.scan()
    ours = ground.uuids()
    assert ours["both"] != theirs["both"]
    assert lives.returned().regained == Regained(kept=6, joined=4)
    expected = {path: theirs.get(path, uuid) for path, uuid in ours.items()}
    assert ground.uuids() == expected
    # Directories were touched since they were seen by the life that others know.
    await ground.scan()
    mark = ground.watermark()
    progress = await ground.scan()
    assert (progress.rows_written, progress.rows_dropped, ground.watermark()) == (0, 0, mark)
    assert ground.uuids() == expected
    assert ground.is_exact()


async def test_a_folder_that_was_added_alone_is_indexed_as_before(
    returning: Returning, tmp_path: Path
) -> None:
    """All of it keeps its ids."""
    ground, lives = returning.ground, returning.lives
    lives.back_up()
    await ground.start("known")
    lives.tell()
    returning.put_back()
    added = Ground(lives.device.store, tmp_path / "added")
    added.folder.mkdir()
    ours = await added.start("d/file", "file")
    lives.returned()
    progress = await added.scan()
    assert (progress.rows_written, progress.rows_dropped) == (0, 0)
    assert added.uuids() == ours
    assert ground.is_exact()


async def test_a_file_in_the_place_of_a_folder_is_the_only_one_there(returning: Returning) -> None:
    """The pass tells which of two things of one name is on the disk, and drops the other."""
    ground, lives = returning.ground, returning.lives
    await ground.start("kept")
    lives.back_up()
    plant(ground.folder, "name/inside")
    await ground.scan()
    lives.tell()
    returning.put_back()
    (ground.folder / "name" / "inside").unlink()
    (ground.folder / "name").rmdir()
    plant(ground.folder, "name")
    await ground.scan()
    ours = ground.uuids()
    lives.returned()
    await ground.scan()
    assert ground.uuids() == ours
    assert ground.is_exact()

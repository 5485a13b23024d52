"""Adding and removing locations, whether one can be scanned, and what is known of its drive."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from leaderless.errors import LeaderlessError, NotFoundError, NotPermittedError, UsageError
from leaderless.indexer.locations import (
    add_location,
    check_apart,
    check_folder,
    refresh_volumes,
    remove_location,
    set_mode,
    why_offline,
)
from leaderless.indexer.rows import Location
from tests.indexer.ground import Ground, plant
from tests.indexer.machine import GIB, Machine
from tests.unprivileged import as_nobody

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Lay out a machine."""
    return Machine(tmp_path)


def here(path: Path) -> Location:
    """Return a location over a folder on the stick."""
    name = path.name
    return Location(
        *(1, b"l", b"v", "uuid:STICK", "ext4", name, os.fsencode(path)),
        *("shallow", None, None, None, "idle", None),
    )


# --- adding ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "error"),
    [
        (b"relative", UsageError),
        (b"/nul\0", UsageError),
        (b"/nowhere/at/all", NotFoundError),
        (b"/dev/null", UsageError),
        (b"/dev/null/below", NotPermittedError),
    ],
)
def test_only_a_folder_that_is_there_can_be_added(
    path: bytes, error: type[LeaderlessError]
) -> None:
    """What is no absolute path, not there, or no folder is refused by name."""
    with pytest.raises(error):
        check_folder(path)


def test_a_link_is_refused_with_its_target(tmp_path: Path) -> None:
    """A link could be pointed elsewhere later; the message says what to add instead."""
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(UsageError) as refused:
        check_folder(os.fsencode(tmp_path / "link"))
    assert refused.value.hint == f"leaderless location add {tmp_path}"


@pytest.mark.parametrize("shape", ["{}/real/", "//{}/real", "{}/link/../real", "{}/way/real"])
def test_a_folder_has_one_path(tmp_path: Path, shape: str) -> None:
    """Dots, slashes too many and links on the way are taken out, so that overlaps are seen."""
    plant(tmp_path, "real/")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "way").symlink_to(tmp_path)
    path = os.fsencode(shape.format(tmp_path))
    assert check_folder(path) == os.fsencode(tmp_path / "real")


def test_the_top_is_a_folder() -> None:
    """/ can be a location."""
    assert check_folder(b"/") == b"/"


def test_an_unreadable_folder_is_refused_with_a_remedy(place: Path) -> None:
    """A folder that this user may not read is not added."""

    def look() -> str:
        plant(place, "locked/")
        (place / "locked").chmod(0o400)
        try:
            check_folder(os.fsencode(place / "locked"))
        except NotPermittedError as error:
            return f"{error.hint}"
        return "added"

    assert as_nobody(look) == f"chmod u+rx {place}/locked, or change its owner"


async def test_locations_on_one_drive_share_its_row(ground: Ground, machine: Machine) -> None:
    """A volume is one row however many locations are on it."""
    plant(ground.folder, "a/", "b/")
    for name in ("a", "b"):
        path = os.fsencode(ground.folder / name)
        await add_location(ground.store, machine.system, path, None, "shallow")
    assert ground.query("SELECT count(DISTINCT volume) FROM location") == [(1,)]
    assert ground.query("SELECT count(*) FROM volume") == [(1,)]


@pytest.mark.parametrize("name", [None, "mine"])
async def test_a_location_is_called_as_wanted_or_by_its_folder(
    ground: Ground, machine: Machine, name: str | None
) -> None:
    """Without a name the folder's is taken."""
    await add_location(ground.store, machine.system, os.fsencode(ground.folder), name, "content")
    assert ground.query("SELECT name, index_mode, scan_state FROM location") == [
        (name or "folder", "content", "pending")
    ]


@pytest.mark.parametrize(
    ("path", "name", "mode"),
    [("b", "a", "shallow"), ("a", "b", "shallow"), ("a/in", "b", "shallow"), ("", "b", "shallow")],
)
async def test_locations_keep_apart(
    ground: Ground, machine: Machine, path: str, name: str, mode: str
) -> None:
    """Neither a name nor a folder may be in two locations."""
    plant(ground.folder, "a/in/", "b/", "ab/")
    folder = ground.folder
    await add_location(ground.store, machine.system, os.fsencode(folder / "a"), "a", mode)
    await add_location(ground.store, machine.system, os.fsencode(folder / "ab"), "ab", mode)
    with pytest.raises(UsageError):
        await add_location(ground.store, machine.system, os.fsencode(folder / path), name, mode)
    assert ground.query("SELECT count(*) FROM location") == [(2,)]


async def test_an_index_mode_is_one_of_three(ground: Ground, machine: Machine) -> None:
    """Another one is refused with the list of those there are."""
    with pytest.raises(UsageError, match="shallow, content, deep"):
        await add_location(
            ground.store, machine.system, os.fsencode(ground.folder), None, "thorough"
        )


async def test_a_removed_location_leaves_no_entry(ground: Ground) -> None:
    """All its entries are deleted, each with a tombstone, and the files stay."""
    uuids = await ground.start("a/b", "c")
    await remove_location(ground.store, ground.held_location())
    gone = {uuid for (uuid,) in ground.query("SELECT uuid FROM tombstone")}
    assert gone == {*uuids.values(), ground.location}
    assert (ground.folder / "a/b").exists()


async def test_a_location_that_was_never_read_can_be_removed(ground: Ground) -> None:
    """Without a root entry there is only the location to delete."""
    await ground.add()
    await remove_location(ground.store, ground.held_location())
    assert ground.query("SELECT count(*) FROM location WHERE dead = 0") == [(0,)]


# --- offline --------------------------------------------------------------------------------------


def test_a_folder_in_its_place_is_online(tmp_path: Path, machine: Machine) -> None:
    """The same folder on the same drive can be scanned."""
    machine.mount(tmp_path)
    assert why_offline(here(tmp_path), tmp_path.stat().st_ino, machine.system) is None


def _remove(machine: Machine, path: Path) -> None:
    path.rmdir()


def _file(machine: Machine, path: Path) -> None:
    path.rmdir()
    path.touch()


def _link(machine: Machine, path: Path) -> None:
    path.rename(path.with_name("moved"))
    path.symlink_to("moved")


def _pull(machine: Machine, path: Path) -> None:
    machine.mount(None)


def _fail(machine: Machine, path: Path) -> None:
    machine.failing = True


def _another(machine: Machine, path: Path) -> None:
    path.rename(path.with_name("moved"))
    path.mkdir()


@pytest.mark.parametrize(
    ("happens", "why"),
    [
        (_remove, "its folder is not there; is the drive unplugged?"),
        (_file, "its path is no folder any more"),
        (_link, "its path is no folder any more"),
        (_pull, "another file system is mounted there; is the drive unplugged?"),
        (_fail, "its file system cannot be read"),
        (_another, "another folder stands at its path"),
    ],
)
def test_a_location_that_is_not_what_it_was_is_offline(
    tmp_path: Path, machine: Machine, happens: Callable[[Machine, Path], None], why: str
) -> None:
    """A missing folder, another one or another drive is no reason to delete anything."""
    path = tmp_path / "stick"
    path.mkdir()
    inode = path.stat().st_ino
    machine.mount(path)
    happens(machine, path)
    said = why_offline(here(path), inode, machine.system)
    assert said is not None
    assert said.startswith(why)


def test_an_unreadable_location_is_offline(place: Path) -> None:
    """A root that this user may not read shows nothing, which does not mean that it is empty."""

    def look() -> str:
        machine = Machine(place)
        machine.mount(place)
        plant(place, "locked/")
        (place / "locked").chmod(0)
        return str(why_offline(here(place / "locked"), None, machine.system))

    assert as_nobody(look) == "its folder cannot be read by this user"


def test_where_inodes_mean_nothing_the_drive_is_enough(tmp_path: Path, machine: Machine) -> None:
    """A root without a known inode is not compared by it."""
    machine.mount(tmp_path)
    assert why_offline(here(tmp_path), None, machine.system) is None


# --- drives ---------------------------------------------------------------------------------------


async def on_stick(ground: Ground, machine: Machine) -> None:
    """Add a location on the stick."""
    machine.mount(ground.folder)
    await add_location(ground.store, machine.system, os.fsencode(ground.folder), None, "shallow")


async def test_a_drive_that_is_pulled_has_no_mount_point(ground: Ground, machine: Machine) -> None:
    """The row says that it is nowhere, and what it was when it was last seen."""
    await on_stick(ground, machine)
    machine.mount(None)
    await refresh_volumes(ground.store, machine.system)
    query = "SELECT mount_point, display_name, total_bytes, available_bytes FROM volume"
    assert ground.query(query) == [(None, "stick", 100 * GIB, 50 * GIB)]


async def test_a_drive_that_is_back_has_its_mount_point(ground: Ground, machine: Machine) -> None:
    """Put in again, it is where its location is."""
    await on_stick(ground, machine)
    machine.mount(None)
    await refresh_volumes(ground.store, machine.system)
    machine.mount(ground.folder)
    await refresh_volumes(ground.store, machine.system)
    assert ground.query("SELECT mount_point FROM volume") == [(os.fsencode(ground.folder),)]


async def test_a_drive_that_fails_is_nowhere(ground: Ground, machine: Machine) -> None:
    """What cannot be asked for its size is not here."""
    await on_stick(ground, machine)
    machine.failing = True
    await refresh_volumes(ground.store, machine.system)
    assert ground.query("SELECT mount_point FROM volume") == [(None,)]


async def test_free_space_is_brought_up_to_date(ground: Ground, machine: Machine) -> None:
    """What was copied to a drive shows."""
    await on_stick(ground, machine)
    machine.free = 20 * GIB
    await refresh_volumes(ground.store, machine.system)
    assert ground.query("SELECT available_bytes FROM volume") == [(20 * GIB,)]


async def test_an_idle_drive_writes_nothing(ground: Ground, machine: Machine) -> None:
    """A drive whose free space hardly moved is no news."""
    await on_stick(ground, machine)
    before = ground.watermark()
    machine.free -= GIB // 2
    await refresh_volumes(ground.store, machine.system)
    assert ground.watermark() == before


async def test_a_drive_mounted_twice_does_not_waver(ground: Ground, machine: Machine) -> None:
    """With locations at both places of one drive, its row keeps to one of them."""
    plant(ground.folder, "a/", "b/")
    places = [ground.folder / "a", ground.folder / "b"]
    machine.mount(*places)
    for place in places:
        await add_location(ground.store, machine.system, os.fsencode(place), None, "shallow")
    before = ground.watermark()
    await refresh_volumes(ground.store, machine.system)
    await refresh_volumes(ground.store, machine.system)
    assert ground.watermark() == before


async def test_a_drive_whose_locations_were_removed_is_still_seen(
    ground: Ground, machine: Machine
) -> None:
    """It is looked for where it was last."""
    await on_stick(ground, machine)
    (uuid,) = ground.query("SELECT uuid FROM location")[0]
    ground.location = uuid
    await remove_location(ground.store, ground.held_location())
    await refresh_volumes(ground.store, machine.system)
    assert ground.query("SELECT mount_point FROM volume") == [(os.fsencode(ground.folder),)]
    machine.mount(None)
    await refresh_volumes(ground.store, machine.system)
    await refresh_volumes(ground.store, machine.system)
    assert ground.query("SELECT mount_point FROM volume") == [(None,)]


def test_a_folder_that_is_a_location_already_is_named_as_such() -> None:
    """The same folder twice is no matter of its name, and one inside another neither."""
    held = Location(
        1,
        b"u" * 16,
        b"v" * 16,
        "uuid:1",
        None,
        "docs",
        b"/docs",
        "shallow",
        None,
        None,
        None,
        "idle",
        None,
    )
    for path, text in ((b"/docs", "that folder is location docs"), (b"/docs/sub", "overlaps")):
        with pytest.raises(UsageError, match=text):
            check_apart([held], path, "docs")


# --- how it is indexed ----------------------------------------------------------------------------


async def test_a_mode_that_there_is_not_is_refused(ground: Ground) -> None:
    """And a location that there is not."""
    await ground.add()
    with pytest.raises(UsageError):
        await set_mode(ground.store, ground.location, "all")
    with pytest.raises(NotFoundError):
        await set_mode(ground.store, b"x" * 16, "content")


async def test_the_mode_that_holds_is_not_written_anew(ground: Ground) -> None:
    """No row goes out for it."""
    await ground.add()
    before = ground.held_location()
    await set_mode(ground.store, ground.location, before.index_mode)
    assert ground.held_location() == before


@pytest.mark.parametrize(
    ("mode", "verb"), [(None, "scan"), ("shallow", "scan"), ("content", "mode")]
)
def test_a_folder_that_is_a_location_is_refused_with_what_was_meant(
    tmp_path: Path, mode: str | None, verb: str
) -> None:
    """Another mode was meant as one; without one, or with the same, a scan."""
    held = here(tmp_path)
    with pytest.raises(UsageError) as refused:
        check_apart([held], held.path, held.name, mode)
    wanted = f"leaderless location {verb} {held.name}"
    assert refused.value.hint == (f"{wanted} content" if verb == "mode" else wanted)

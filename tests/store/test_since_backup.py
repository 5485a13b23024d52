"""What a restored device has written since its backup is there when it has got its rows back."""

from __future__ import annotations

from pathlib import Path

import pytest

from leaderless.store import meta, restoring
from leaderless.store.incarnations import begin_incarnation
from leaderless.store.restoring import RestoringError
from leaderless.store.since_backup import Regained
from tests.replicas import DEVICE_COLUMNS, Replica, add_device_row, add_tree
from tests.store.passing import Tree, held, pull, within
from tests.store.restored import NONCE, Lives


@pytest.fixture
def lives(tmp_path: Path, replicas: list[Replica]) -> Lives:
    """Return a device with two files, of which a backup was made."""
    lives = Lives(tmp_path, replicas)
    add_tree(lives.device, 2)
    lives.back_up()
    return lives


def root(lives: Lives) -> bytes:
    """Return the root of the first folder."""
    ((uuid,),) = lives.ask("SELECT uuid FROM entry WHERE parent IS NULL AND name = x'646f6373'")
    return bytes(uuid)


def test_files_that_were_found_alone_keep_their_ids(lives: Lives) -> None:
    """In folders that are new, too; beside those that others know, at later revs, and signed."""
    lives.add("known", root(lives))
    lives.tell()
    lives.put_back()
    folder = lives.add("folder", root(lives), "directory")
    file = lives.add("file", folder)
    assert lives.returned().regained == Regained(kept=2)
    names = lives.names()
    assert {*names.values()} == {"docs", "file0", "file1", "known", "folder", "file"}
    assert (names[folder], names[file]) == ("folder", "file")
    own = held(lives.device, lives.device)
    revs = lives.ask("SELECT rev FROM entry WHERE name IN (x'666f6c646572', x'66696c65')")
    assert own.watermark == own.verified == max(rev for (rev,) in revs)
    pull(lives.device, lives.peer, lives.device)
    assert held(lives.peer, lives.device).set_hash == own.set_hash


def test_folders_that_were_added_alone_stay(lives: Lives) -> None:
    """On the drive that is known; nobody is told of it twice."""
    lives.tell()
    lives.put_back()
    location, _ = add_tree(lives.device, 3, "more")
    assert lives.returned().regained == Regained(kept=5, joined=1)
    assert lives.ask("SELECT count(*) FROM volume") == [(1,)]
    assert (location,) in lives.ask("SELECT uuid FROM location WHERE dead = 0")


def test_what_was_found_in_both_lives_is_there_once(lives: Lives) -> None:
    """Under the id that others know; what only one of them has in it is in it."""
    theirs = lives.add("folder", root(lives), "directory")
    same = lives.add("same", theirs)
    lives.tell()
    lives.put_back()
    ours = lives.add("folder", root(lives), "directory")
    lives.add("same", ours)
    more = lives.add("more", ours)
    assert lives.returned().regained == Regained(kept=1, joined=2)
    assert {theirs, same, more} < lives.names().keys()
    assert ours not in lives.names()
    parent = "SELECT p.uuid FROM entry e JOIN entry p ON p.id = e.parent WHERE e.uuid = ?"
    assert lives.ask(parent, more) == [(theirs,)]


def test_what_was_moved_before_a_restored_device_knew_it_keeps_its_id(lives: Lives) -> None:
    """It had found it in the life that is lost, and finds it elsewhere; what is in it goes along."""
    file = lives.add("file", root(lives), inode=70)
    folder = lives.add("folder", root(lives), "directory", inode=71)
    inside = lives.add("inside", folder, inode=72)
    lives.tell()
    lives.put_back()
    moved = lives.add("called anew", root(lives), inode=70)
    renamed = lives.add("renamed", root(lives), "directory", inode=71)
    lives.add("inside", renamed, inode=72)
    assert lives.returned().regained == Regained(joined=3)
    names = lives.names()
    assert (names[file], names[folder], names[inside]) == ("called anew", "renamed", "inside")
    assert not {moved, renamed} & names.keys()
    parent = "SELECT p.uuid FROM entry e JOIN entry p ON p.id = e.parent WHERE e.uuid = ?"
    assert lives.ask(parent, inside) == [(folder,)]


@pytest.mark.parametrize(
    ("inode", "at", "links"), [(None, 7, 1), (71, 7, 1), (70, 8, 1), (70, 7, 2)]
)
def test_what_may_be_another_file_is_one(
    lives: Lives, inode: int | None, at: int, links: int
) -> None:
    """An inode is given out again soon, and a file may have several names."""
    file = lives.add("file", root(lives), inode=70)
    lives.tell()
    lives.put_back()
    found = {lives.add(f"other {link}", root(lives), inode=inode, at=at) for link in range(links)}
    assert lives.returned().regained == Regained(kept=links)
    assert {file, *found} < lives.names().keys()


def test_a_file_that_stands_where_it_was_is_not_moved(lives: Lives) -> None:
    """Its second name is another entry, as it was found in both."""
    file = lives.add("file", root(lives), inode=70)
    lives.tell()
    lives.put_back()
    lives.add("file", root(lives), inode=70)
    link = lives.add("link", root(lives), inode=70)
    assert lives.returned().regained == Regained(kept=1, joined=1)
    assert lives.names()[file] == "file"
    assert lives.names()[link] == "link"


def test_a_file_and_a_folder_of_one_name_are_two_things(lives: Lives) -> None:
    """The next look at the disk tells which of them is there."""
    theirs = lives.add("name", root(lives))
    lives.tell()
    lives.put_back()
    ours = lives.add("name", root(lives), "directory")
    assert lives.returned().regained == Regained(kept=1)
    assert {theirs, ours} < lives.names().keys()


def test_what_was_deleted_in_the_other_life_stays_deleted(lives: Lives) -> None:
    """And what was found in a folder that was deleted there is left behind, and counted."""
    folder = lives.add("folder", root(lives), "directory")
    lives.back_up()
    lives.drop("entry", folder)
    lives.tell()
    lives.put_back()
    inside = lives.add("inside", folder)
    lives.add("below", lives.add("deeper", folder, "directory"))
    assert lives.returned().regained == Regained(left=3)
    assert not {folder, inside} & lives.names().keys()
    assert lives.ask("SELECT count(*) FROM since_backup") == [(0,)]


def _steal(thief: Tree, lives: Lives, *uuids: bytes, deletes: bool = False) -> None:
    """Let a device write rows of its own under ids that it was told of, and the other hear of them."""
    for at, uuid in enumerate(uuids):
        thief.ids[f"stolen {at}"] = uuid
        thief.put(f"stolen {at}")
        if deletes:
            thief.drop(f"stolen {at}")
    pull(thief.replica, lives.device, thief.replica)


@pytest.mark.parametrize("deletes", [False, True])
def test_what_another_device_has_taken_meanwhile_is_taken_back(
    lives: Lives, replicas: list[Replica], *, deletes: bool
) -> None:
    """It had these ids from the device that found the files, which goes on with all of them."""
    lives.tell()
    lives.put_back()
    folder = lives.add("folder", root(lives), "directory")
    inside = lives.add("inside", folder)
    lives.take_back()
    _steal(Tree(replicas[2]), lives, folder, deletes=deletes)
    assert lives.go_on().regained == Regained(kept=2)
    names = lives.names()
    assert (names[folder], names[inside]) == ("folder", "inside")
    assert held(lives.device, replicas[2]).row_count == 0
    lives.drop("entry", inside, folder)


def test_rows_are_given_back_whose_ids_another_device_has_taken(
    lives: Lives, replicas: list[Replica]
) -> None:
    """The device has signed them; who has the ids of what it does not remember had them from it."""
    lost = lives.add("lost", root(lives))
    lives.tell()
    lives.put_back()
    _steal(Tree(replicas[2]), lives, lost)
    assert lives.names()[lost] == "stolen 0"
    lives.returned()
    assert lives.names()[lost] == "lost"
    assert held(lives.device, replicas[2]).row_count == 0


def test_what_is_put_aside_stays_so_though_another_device_has_taken_its_id(
    lives: Lives, replicas: list[Replica]
) -> None:
    """Who gives more afterwards takes nothing of it away."""
    lives.tell()
    lives.put_back()
    found = lives.add("found", root(lives))
    lives.take_back()
    _steal(Tree(replicas[2]), lives, found)
    lives.take_back()
    assert lives.go_on().regained == Regained(kept=1)
    assert lives.names()[found] == "found"


@pytest.mark.parametrize("removed", [False, True])
def test_what_was_found_below_what_has_moved_is_where_that_is_now(
    lives: Lives, *, removed: bool
) -> None:
    """In the location of its folder, whether that which it was in is there still or not."""
    old, _ = add_tree(lives.device, 0, "old")
    ((top,),) = lives.ask("SELECT uuid FROM entry WHERE name = x'6f6c64'")
    folder = lives.add("folder", top, "directory")
    lives.back_up()
    lives.add("known", root(lives))
    lives.move(folder, root(lives))
    if removed:
        lives.drop("entry", top)
        lives.drop("location", old)
    lives.tell()
    lives.put_back()
    file = lives.add("file", lives.add("deeper", folder, "directory"))
    assert lives.returned().regained == Regained(kept=2)
    location = "SELECT location FROM entry WHERE uuid = ?"
    assert lives.ask(location, file) == lives.ask(location, root(lives))


def _delete_untold(lives: Lives) -> set[bytes]:
    """Delete two files, the newest among them, of which nobody is told any more; return their ids."""
    gone = {uuid for uuid, name in lives.names().items() if name in ("last", "file0")}
    lives.drop("entry", *gone)
    own = held(lives.device, lives.device)
    lives.device.store.write_here(lambda tx: tx.raise_floor(own.watermark))
    within(lives.device, lambda c: c.exec_driver_sql("DELETE FROM tombstone"))
    lives.tell()
    lives.put_back()
    return gone


def test_what_was_deleted_and_is_not_told_of_any_more_stays_deleted(lives: Lives) -> None:
    """Below a floor the time of its making tells: what was made since the backup was found alone."""
    lives.add("last", root(lives))
    lives.back_up()
    lives.add("known", root(lives))
    gone = _delete_untold(lives)
    found = lives.add("found", root(lives))
    lives.start_anew()
    later = lives.add("later", root(lives))
    assert lives.returned().regained == Regained(kept=2)
    assert {found, later} < lives.names().keys()
    assert not gone & lives.names().keys()


def test_a_key_that_is_given_out_again_is_that_of_another_row(lives: Lives) -> None:
    """What was found alone has it from one that was deleted: its id tells that it is a later one."""
    last = lives.add("last", root(lives))
    lives.back_up()
    _delete_untold(lives)
    lives.drop("entry", last)
    lives.device.clock.ms += 1
    found = lives.add("found", root(lives))
    assert lives.ask("SELECT max(id) FROM entry") == lives.ask(
        "SELECT id FROM entry WHERE uuid = ?", found
    )
    assert lives.returned().regained == Regained(kept=1)
    assert found in lives.names()


def test_what_was_deleted_stays_so_where_the_backup_may_be_of_any_of_several_starts(
    lives: Lives,
) -> None:
    """Nothing deleted is back, at the price of what was found alone before the last of them."""
    lives.add("last", root(lives))
    lives.start_anew()
    lives.add("last", root(lives))
    lives.back_up()
    gone = _delete_untold(lives)
    found = lives.add("found", root(lives))
    assert len(gone) == 3
    assert lives.returned().regained == Regained(kept=1)
    assert found in lives.names()
    assert not gone & lives.names().keys()


def test_a_deletion_that_is_left_out_by_who_gives_the_rows_stays(lives: Lives) -> None:
    """No word of the owner covers it, so nothing is made of its not being told."""
    last = lives.add("last", root(lives))
    lives.back_up()
    lives.add("known", root(lives))
    lives.drop("entry", last)
    lives.tell()
    within(lives.peer, lambda c: c.exec_driver_sql("DELETE FROM tombstone"))
    lives.put_back()
    found = lives.add("found", root(lives))
    assert lives.returned().regained == Regained(kept=1)
    assert found in lives.names()
    assert last not in lives.names()


def test_what_was_deleted_before_a_later_incarnation_stays_deleted(lives: Lives) -> None:
    """That tells of all that there is, and of nothing that was deleted before it began."""
    lives.add("last", root(lives))
    lives.back_up()
    gone = {uuid for uuid, name in lives.names().items() if name in ("last", "file0")}
    lives.drop("entry", *gone)
    lives.device.store.write_here(lambda tx: begin_incarnation(tx, NONCE))
    lives.tell()
    lives.put_back()
    found = lives.add("found", root(lives))
    assert lives.returned().regained == Regained(kept=1)
    assert found in lives.names()
    assert not gone & lives.names().keys()


def test_a_device_that_noted_no_start_goes_by_what_others_know(lives: Lives) -> None:
    """What was made after all that they know was found alone."""
    own = held(lives.device, lives.device)
    lives.add("known", root(lives))
    lives.device.store.write_here(lambda tx: tx.raise_floor(own.watermark + 1))
    lives.tell()
    lives.put_back()
    found = lives.add("found", root(lives))
    within(lives.device, lambda c: meta.drop(c, meta.STARTS))
    assert lives.returned().regained == Regained(kept=1)
    assert found in lives.names()


def test_what_was_written_since_is_put_aside_once(lives: Lives) -> None:
    """Who gives more afterwards takes nothing of it away; nothing is written meanwhile."""
    lives.tell()
    lives.put_back()
    found = lives.add("found", root(lives))
    lives.take_back()
    assert found not in lives.names()
    with pytest.raises(RestoringError):
        lives.add("more", root(lives))
    lives.take_back()
    assert lives.go_on().regained == Regained(kept=1)
    assert found in lives.names()


def test_a_person_who_lets_a_device_go_on_loses_nothing_of_it(lives: Lives) -> None:
    """What was given back, and what was put aside, is both there."""
    known = lives.add("known", root(lives))
    lives.tell()
    lives.put_back()
    found = lives.add("found", root(lives))
    lives.take_back()
    begun = lives.device.store.write_here(lambda tx: restoring.claim(tx, NONCE))
    assert begun is not None
    assert begun.regained == Regained(kept=1)
    assert {known, found} < lives.names().keys()


def test_the_name_that_a_device_was_given_alone_stays(lives: Lives) -> None:
    """So does how a folder is indexed; the rest of these rows is as others know it."""
    ((location,),) = lives.ask("SELECT uuid FROM location")
    lives.device.store.write_here(
        lambda tx: tx.put(
            "device", DEVICE_COLUMNS, [(lives.device.identity.device, "old", "os", *[None] * 8)]
        )
    )
    lives.tell()
    lives.put_back()
    add_device_row(lives.device, "new")
    lives.set_mode(location, "content")
    lives.returned()
    assert lives.ask("SELECT name, os FROM device") == [("new", "os")]
    assert lives.ask("SELECT index_mode FROM location") == [("content",)]


def test_a_name_that_was_given_in_the_other_life_stays(lives: Lives) -> None:
    """A device that only says again what it knew has not been given a name alone."""
    add_device_row(lives.device, "named")
    lives.tell()
    lives.put_back()
    add_device_row(lives.device, "device0")
    lives.returned()
    assert lives.ask("SELECT name FROM device") == [("named",)]


def test_a_name_that_was_given_in_both_lives_is_not_said_again(lives: Lives) -> None:
    """Nothing is written where all is as others know it already."""
    add_device_row(lives.device, "new")
    lives.tell()
    told = held(lives.device, lives.device).watermark
    lives.put_back()
    lives.start_anew()
    add_device_row(lives.device, "between")
    add_device_row(lives.device, "new")
    lives.returned()
    assert lives.ask("SELECT name FROM device") == [("new",)]
    assert held(lives.device, lives.device).watermark == told

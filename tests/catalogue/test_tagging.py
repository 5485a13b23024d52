"""Tags on files: one action, whatever the files are and wherever their copies lie."""

from __future__ import annotations

import pytest

from leaderless.catalogue.find import Query, find_entries
from leaderless.catalogue.tagging import Files, add_tag, remove_tag
from leaderless.catalogue.tags import create_tag, delete_tag, restore_tag
from leaderless.errors import NotFoundError, UsageError
from leaderless.protocol.commits import decode_header
from tests.catalogue.files import Drive, meet
from tests.replicas import Replica, query_file
from tests.store.passing import dump

LINKS = "SELECT scope, context, source FROM user_metadata_tag ORDER BY uuid"


def commands(replica: Replica) -> list[tuple[str, dict[str, object]]]:
    """Return what was done here, with what it was about."""
    headers = query_file(replica.store.path, "SELECT header FROM commit_log ORDER BY feed, seq")
    decoded = [decode_header(header) for (header,) in headers]
    return [(header.command, dict(header.data)) for header in decoded]


async def carrying(replica: Replica, tag: bytes) -> set[str]:
    """Return the paths of what carries a tag."""
    own = replica.identity.device
    found = await replica.store.read(lambda c: find_entries(c, Query(tags=[tag]), own, ()))
    return {str(entry["path"]) for entry in found}


async def test_a_tag_goes_on_many_files_as_one_action(replica: Replica) -> None:
    """One commit, whose data says which tag and how many files."""
    drive = Drive(replica, "docs")
    for name in ("a.txt", "b.txt", "c.md"):
        drive.put(name, name)
    tag = await create_tag(replica.store, "trip", {})
    done = await add_tag(replica.store, "trip", Files((), lambda _: Query(text=".txt")))
    assert (done.tag, done.targets, done.touched) == (tag, 2, 2)
    assert commands(replica)[1:] == [("tag.add", {"tag": "trip", "count": 2})]
    assert await carrying(replica, tag) == {"/docs/a.txt", "/docs/b.txt"}


async def test_adding_what_is_there_says_how_many_were_new(replica: Replica) -> None:
    """It is no error; without anything new nothing is written at all."""
    drive = Drive(replica, "docs")
    drive.put("a", "a")
    drive.put("b")
    await create_tag(replica.store, "trip", {})
    await add_tag(replica.store, "trip", Files(("/docs/a",)))
    done = await add_tag(replica.store, "trip", Files(("/docs/a", "/docs/b", "/docs/b")))
    assert (done.targets, done.touched) == (2, 1)
    assert (await add_tag(replica.store, "trip", Files(("/docs/a",)))).touched == 0
    assert len(commands(replica)) == 3


async def test_a_tag_is_on_every_copy_of_a_hashed_file(replicas: list[Replica]) -> None:
    """It names the content where it is known, so a copy on another device carries it too."""
    a, b, _ = replicas
    Drive(a, "docs").put("mine", "same")
    other = Drive(b, "usb")
    other.put("theirs", "same")
    other.put("else", "other")
    tag = await create_tag(a.store, "trip", {})
    await add_tag(a.store, "trip", Files(("/docs/mine",)))
    meet(a, b)
    assert await carrying(b, tag) == {"/docs/mine", "/usb/theirs"}
    done = await remove_tag(b.store, "trip", Files(("/usb/theirs",)))
    meet(a, b)
    assert done.touched == 1
    assert await carrying(a, tag) == set()


async def test_scope_entry_is_this_file_alone(replica: Replica) -> None:
    """A copy of the same content does not carry what was said of one entry."""
    drive = Drive(replica, "docs")
    drive.put("one", "same")
    drive.put("two", "same")
    tag = await create_tag(replica.store, "trip", {})
    await add_tag(replica.store, "trip", Files(("/docs/one",), scope="entry"))
    assert await carrying(replica, tag) == {"/docs/one"}
    assert (await add_tag(replica.store, "trip", Files(("/docs/two",)))).touched == 1
    done = await remove_tag(replica.store, "trip", Files((), lambda _: Query(text="")))
    assert done.touched == 2
    assert query_file(replica.store.path, LINKS) == []


async def test_the_same_tag_from_two_devices_is_there_once(replicas: list[Replica]) -> None:
    """Both say it of the same content, offline: one link, one content."""
    a, b, _ = replicas
    Drive(a, "docs").put("mine", "same")
    Drive(b, "usb").put("theirs", "same")
    await create_tag(a.store, "trip", {})
    meet(a, b)
    await add_tag(a.store, "trip", Files(("/docs/mine",)), context="work")
    await add_tag(b.store, "trip", Files(("/usb/theirs",)), source="ai")
    meet(a, b)
    queries = ("SELECT * FROM user_metadata_tag", "SELECT * FROM content")
    assert dump(a, queries) == dump(b, queries)
    assert [len(rows) for rows in dump(a, queries)] == [1, 1]


async def test_another_context_replaces_the_old_one(replica: Replica) -> None:
    """The link stays what it is, and it counts as changed; no context leaves the old."""
    Drive(replica, "docs").put("a", "a")
    await create_tag(replica.store, "trip", {})
    files = Files(("/docs/a",))
    await add_tag(replica.store, "trip", files, context="work", source="import")
    assert (await add_tag(replica.store, "trip", files)).touched == 0
    assert (await add_tag(replica.store, "trip", files, context="home")).touched == 1
    assert query_file(replica.store.path, LINKS) == [("content", "home", "import")]


async def test_a_tag_that_was_taken_off_can_be_put_on_again(replica: Replica) -> None:
    """It starts anew, without what was said of it before."""
    Drive(replica, "docs").put("a", "a")
    await create_tag(replica.store, "trip", {})
    await add_tag(replica.store, "trip", Files(("/docs/a",)), context="work")
    await remove_tag(replica.store, "trip", Files(("/docs/a",)))
    assert (await add_tag(replica.store, "trip", Files(("/docs/a",)))).touched == 1
    assert query_file(replica.store.path, LINKS) == [("content", None, "user")]


async def test_what_hangs_on_a_deleted_tag_comes_back_with_it(replica: Replica) -> None:
    """Files lose nothing by a deletion that is taken back."""
    Drive(replica, "docs").put("a")
    tag = await create_tag(replica.store, "trip", {})
    await add_tag(replica.store, "trip", Files(("/docs/a",)))
    await delete_tag(replica.store, "trip")
    assert query_file(replica.store.path, LINKS) == []
    await restore_tag(replica.store, "trip")
    assert await carrying(replica, tag) == {"/docs/a"}


async def test_what_cannot_be_tagged_changes_nothing(replica: Replica) -> None:
    """No tag, no file, no such source: an error that says so, and no commit."""
    Drive(replica, "docs").put("a")
    with pytest.raises(NotFoundError, match="no tag"):
        await add_tag(replica.store, "nobody", Files(("/docs/a",)))
    await create_tag(replica.store, "trip", {})
    with pytest.raises(NotFoundError, match="not in the catalogue"):
        await add_tag(replica.store, "trip", Files(("/docs/a", "/docs/nobody")))
    with pytest.raises(UsageError, match="no source"):
        await add_tag(replica.store, "trip", Files(("/docs/a",)), source="dog")
    assert (await remove_tag(replica.store, "trip", Files(("/docs/a",)))).touched == 0
    assert len(commands(replica)) == 1

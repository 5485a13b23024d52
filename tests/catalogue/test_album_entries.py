"""What is in an album, and its order, on one device and on several."""

from __future__ import annotations

from typing import Any

import pytest

from leaderless.catalogue.album_entries import (
    Added,
    add_entries,
    files_in,
    links_of,
    move_entry,
    remove_entries,
)
from leaderless.catalogue.albums import album_name, create_album, find_album, show_album
from leaderless.catalogue.tagging import Files
from leaderless.errors import NotFoundError, UsageError
from registry.changes import Update
from tests.catalogue.files import Drive, meet
from tests.replicas import Replica, query_file
from tests.store.passing import within


def album(name: str = "best") -> Any:
    """Return what finds an album."""

    def find(connection: Any) -> tuple[bytes, str]:
        uuid = find_album(connection, name)
        return uuid, album_name(connection, uuid)

    return find


async def add(replica: Replica, *names: str, at: int | None = None, **more: Any) -> Added:
    """Put files of /docs into the album."""
    files = Files(tuple(name if "/" in name else f"/docs/{name}" for name in names))
    epoch = replica.store.own_epoch
    return await add_entries(replica.store, album(), lambda c: files.select(c, epoch), at, **more)


async def move(replica: Replica, name: str, **where: Any) -> bool:
    """Move a file of /docs within the album."""
    where = {key: f"/docs/{to}" if isinstance(to, str) else to for key, to in where.items()}
    return await move_entry(replica.store, album(), f"/docs/{name}", **where)


def names(replica: Replica) -> str:
    """Return the names of what is in the album, in order."""

    def read(connection: Any) -> list[str]:
        uuid = find_album(connection, "best")
        shown = show_album(connection, uuid, b"", (), 100)["entries"]
        return [entry["copies"][0]["path"].rsplit("/")[-1] for entry in shown]

    return "".join(within(replica, read))


@pytest.fixture
async def shelf(replica: Replica) -> Drive:
    """Make an album with files a to d, and two files beside it."""
    drive = Drive(replica, "docs")
    for name in "abcdef":
        drive.put(name, name)
    await create_album(replica.store, "best", {})
    await add(replica, *"abcd")
    return drive


async def test_files_stand_in_the_order_in_which_they_were_named(shelf: Drive) -> None:
    """At the end, or so that the first of them has a number; beyond the end is the end."""
    assert names(shelf.replica) == "abcd"
    await add(shelf.replica, "f", at=1)
    await add(shelf.replica, "e", at=3)
    assert names(shelf.replica) == "faebcd"
    await remove_entries(shelf.replica.store, album(), ["/docs/e", "/docs/f"])
    await add(shelf.replica, *"ef", at=99)
    assert names(shelf.replica) == "abcdef"
    with pytest.raises(UsageError, match="number 1"):
        await add(shelf.replica, "e", at=0, again=True)


async def test_one_command_is_one_commit(shelf: Drive) -> None:
    """However many files: a create, and an add of four."""
    commits = query_file(shelf.replica.store.path, "SELECT command FROM commit_log ORDER BY seq")
    assert commits == [("album.create",), ("album.add",)]


async def test_what_is_in_an_album_is_added_again_on_purpose_only(shelf: Drive) -> None:
    """Without `again` it stays where it is; with it there is a place of its own."""
    replica = shelf.replica
    assert await add(replica, *"ae") == Added(2, 1, 0)
    assert await add(replica, *"ae") == Added(2, 0, 0)
    assert names(replica) == "abcde"
    assert await add(replica, "a", again=True) == Added(1, 1, 0)
    assert names(replica) == "abcdea"
    with pytest.raises(UsageError, match="more than once") as refused:
        await move(replica, "a", number=2)
    last = refused.value.message.split(", ")[-1]
    assert await move_entry(replica.store, album(), last, number=2)
    assert names(replica) == "aabcde"
    assert await remove_entries(replica.store, album(), [last]) == 1
    await add(replica, "a", again=True)
    assert await remove_entries(replica.store, album(), ["/docs/a"]) == 2
    assert names(replica) == "bcde"
    await add(replica, "a", again=True)
    assert names(replica) == "bcdea"


async def test_a_caption_can_be_given_later(shelf: Drive) -> None:
    """What is in the album gets it without being added again."""
    assert await add(shelf.replica, *"ae", caption="x") == Added(2, 1, 1)
    rows = query_file(shelf.replica.store.path, "SELECT caption FROM album_entry ORDER BY position")
    assert rows == [("x",), (None,), (None,), (None,), ("x",)]


@pytest.mark.parametrize(
    ("name", "where", "expected"),
    [
        ("a", {"number": 3}, "bcad"),
        ("d", {"number": 1}, "dabc"),
        ("a", {"number": 99}, "bcda"),
        ("a", {"before": "d"}, "bcad"),
        ("d", {"before": "a"}, "dabc"),
        ("a", {"after": "d"}, "bcda"),
        ("c", {"after": "a"}, "acbd"),
    ],
)
async def test_one_place_is_moved_by_one_write(
    shelf: Drive, name: str, where: dict[str, Any], expected: str
) -> None:
    """To a number, before or after another; all others stay what they are."""
    query = "SELECT uuid, position FROM album_entry ORDER BY uuid"
    before = query_file(shelf.replica.store.path, query)
    assert await move(shelf.replica, name, **where)
    assert names(shelf.replica) == expected
    after = query_file(shelf.replica.store.path, query)
    assert sum(one != other for one, other in zip(before, after, strict=True)) == 1
    assert not await move(shelf.replica, name, **where)


async def test_a_move_that_cannot_be_meant_is_refused(shelf: Drive) -> None:
    """Nowhere, two places at once, beside itself, or of what is not in the album."""
    for where in ({}, {"number": 1, "before": "b"}, {"after": "a"}, {"number": 0}):
        with pytest.raises(UsageError):
            await move(shelf.replica, "a", **where)
    with pytest.raises(NotFoundError, match="not in the album"):
        await move(shelf.replica, "e", number=1)
    with pytest.raises(NotFoundError, match="not in the catalogue"):
        await remove_entries(shelf.replica.store, album(), ["/docs/a", "/docs/zzz"])
    assert names(shelf.replica) == "abcd"


async def test_what_no_device_has_is_hidden_and_keeps_its_place(shelf: Drive) -> None:
    """Numbers count what is shown; a copy that appears stands where the file stood."""
    replica = shelf.replica
    path = replica.store.path
    (gone,) = query_file(path, "SELECT uuid FROM entry WHERE name = x'62'")[0]
    shelf.drop(gone)
    assert names(replica) == "acd"
    await add(replica, "e", at=2)
    assert names(replica) == "aecd"
    shelf.put("b", "b")
    assert sorted(names(replica)) == list("abcde")
    assert names(replica).replace("b", "") == "aecd"


async def test_the_same_photo_from_two_devices_is_in_an_album_once(
    replicas: list[Replica],
) -> None:
    """Both add their copy offline: one place, with both copies."""
    a, b, _ = replicas
    Drive(a, "docs").put("a", "photo")
    Drive(b, "docs").put("b", "photo")
    await create_album(a.store, "best", {})
    meet(a, b)
    assert (await add(a, "a")).new == (await add(b, "b")).new == 1
    meet(a, b)
    for replica in (a, b):
        uuid = within(replica, lambda c: find_album(c, "best"))
        (copies,) = within(replica, lambda c, uuid=uuid: files_in(c, uuid)).values()
        assert len(copies) == 2


async def test_two_devices_that_reorder_show_the_same_order(replicas: list[Replica]) -> None:
    """Concurrent inserts and moves: nothing is lost, and every device shows one order."""
    a, b, c = replicas
    drive = Drive(a, "docs")
    for name in "abcdefgh":
        drive.put(name, name)
    await create_album(a.store, "best", {})
    await add(a, *"abcd")
    meet(a, b, c)
    other = f"{a.identity.device.hex()}:/docs/"
    await add(a, *"ef", at=2)
    await move(a, "d", number=1)
    await add(b, f"{other}g", f"{other}h", at=2)
    await move_entry(b.store, album(), f"{other}d", after=f"{other}a")
    meet(a, b, c)
    order = names(a)
    assert names(b) == names(c) == order
    assert sorted(order) == list("abcdefgh")
    assert "ef" in order
    assert "gh" in order


async def test_there_is_room_between_two_equal_positions(shelf: Drive) -> None:
    """Equal and unusable positions of others get new ones when something goes between."""
    replica = shelf.replica
    uuid = within(replica, lambda c: find_album(c, "best"))
    links = within(replica, lambda c: links_of(c, uuid))
    edits = [
        Update("album_entry", link.uuid, {"position": position})
        for link, position in zip(links, ("a5", "a5", None, "junk!"), strict=True)
    ]
    await replica.store.write(lambda tx: tx.commit("test", edits))
    order = names(replica)
    await add(replica, "e", at=2)
    await add(replica, "f", at=5)
    assert names(replica) == f"{order[0]}e{order[1:3]}f{order[3]}"

"""Albums from create to restore, as they are listed and shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from leaderless.catalogue import albums
from leaderless.catalogue.album_entries import add_entries
from leaderless.catalogue.references import NameTakenError
from leaderless.catalogue.tagging import Files
from leaderless.errors import NotFoundError, UsageError
from tests.catalogue.files import Drive, meet
from tests.replicas import Replica
from tests.store.passing import within


async def put(replica: Replica, uuid: bytes, *paths: str) -> None:
    """Put files into an album, some time after what was done before."""
    replica.clock.ms += 1_000
    epoch = replica.store.own_epoch
    await add_entries(
        replica.store, lambda _: (uuid, "best"), lambda c: Files(paths).select(c, epoch)
    )


def shown(replica: Replica, uuid: bytes, limit: int = 100, online: Any = ()) -> Mapping[str, Any]:
    """Return an album as it is shown at a device."""
    own = replica.identity.device
    return within(replica, lambda c: albums.show_album(c, uuid, own, online, limit))


def paths(album: Mapping[str, Any]) -> list[list[str]]:
    """Return the paths of all copies of what is in an album."""
    return [[copy["path"] for copy in entry["copies"]] for entry in album["entries"]]


async def test_an_album_lives_from_create_to_restore(replica: Replica) -> None:
    """Made, changed, renamed, deleted and brought back it is one album with what is in it."""
    Drive(replica, "docs").put("a")
    uuid = await albums.create_album(replica.store, "best", {"description": "sea"})
    await put(replica, uuid, "/docs/a")
    await albums.set_album(replica.store, "best", {"description": "", "cover": "/docs/a"})
    await albums.rename_album(replica.store, "best", "top")
    assert await albums.delete_album(replica.store, "top") == uuid
    assert within(replica, albums.list_albums) == []
    assert await albums.restore_album(replica.store, "top") == uuid
    (listed,) = within(replica, albums.list_albums)
    assert (listed["name"], listed["description"], listed["files"]) == ("top", None, "1")
    album = shown(replica, uuid)
    assert (album["cover"]["path"], paths(album)) == ("/docs/a", [["/docs/a"]])
    assert album["created_by"] == "device0"


async def test_an_album_shows_copies_of_devices_that_are_off(replicas: list[Replica]) -> None:
    """Each with its device, and whether it can be reached now."""
    a, b, _ = replicas
    Drive(a, "docs").put("mine", "same")
    Drive(b, "usb").put("theirs", "same")
    uuid = await albums.create_album(a.store, "best", {})
    await put(a, uuid, "/docs/mine")
    meet(a, b)
    (entry,) = shown(a, uuid)["entries"]
    found = {(copy["device"], copy["path"], copy["why"]) for copy in entry["copies"]}
    away = "its device is not connected"
    assert found == {("device0", "/docs/mine", None), ("device1", "/usb/theirs", away)}
    (entry,) = shown(a, uuid, online={b.identity.device})["entries"]
    assert all(copy["reachable"] for copy in entry["copies"])


@pytest.mark.parametrize(
    ("sort_order", "expected"), [("position", "cab"), ("name", "abc"), ("added", "bca")]
)
async def test_an_album_is_shown_by_its_sort_order(
    replica: Replica, sort_order: str, expected: str
) -> None:
    """As arranged, by name, or by when files came in; the numbers are those as arranged."""
    drive = Drive(replica, "docs")
    uuid = await albums.create_album(replica.store, "best", {"sort_order": sort_order})
    for name in "bca":
        drive.put(name)
    await put(replica, uuid, "/docs/b")
    replica.clock.ms += 1_000
    epoch = replica.store.own_epoch
    for name, number in (("c", 1), ("a", 2)):
        replica.clock.ms += 1_000
        await add_entries(
            replica.store,
            lambda _: (uuid, "best"),
            lambda c, name=name: Files((f"/docs/{name}",)).select(c, epoch),  # type: ignore[misc]
            number,
        )
    album = shown(replica, uuid)
    assert [copies[0][-1] for copies in paths(album)] == list(expected)
    assert [entry["number"] for entry in album["entries"]] == ["cab".index(c) + 1 for c in expected]


async def test_a_long_album_is_shown_in_part(replica: Replica) -> None:
    """As many as asked for; what no device has a copy of is counted, not shown."""
    drive = Drive(replica, "docs")
    entries = [drive.put(name) for name in "abc"]
    uuid = await albums.create_album(replica.store, "best", {})
    await put(replica, uuid, "/docs/a", "/docs/b", "/docs/c")
    drive.drop(entries[0])
    album = shown(replica, uuid, limit=1)
    assert (paths(album), album["more"], album["hidden"]) == ([["/docs/b"]], True, "1")
    assert (shown(replica, uuid, limit=2)["more"], album["files"]) == (False, "2")


async def test_albums_of_one_name_are_told_apart_by_their_ids(replica: Replica) -> None:
    """The name alone is ambiguous and says so; all of an id but a digit does as well."""
    one = await albums.create_album(replica.store, "best", {})
    with pytest.raises(NameTakenError):
        await albums.create_album(replica.store, "best", {})
    other = await albums.create_album(replica.store, "best", {}, another=True)
    with pytest.raises(UsageError, match=one.hex()[-4:]):
        await albums.rename_album(replica.store, "best", "x")
    await albums.rename_album(replica.store, other.hex()[:31], "worst")
    assert within(replica, lambda c: albums.find_album(c, "best")) == one
    with pytest.raises(NotFoundError) as refused:
        await albums.delete_album(replica.store, "nobody")
    assert "album create" in str(refused.value.hint)
    with pytest.raises(NotFoundError, match="deleted album"):
        await albums.restore_album(replica.store, "best")


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({}, UsageError),
        ({"nonsense": "1"}, UsageError),
        ({"description": 7}, UsageError),
        ({"sort_order": "random"}, UsageError),
        ({"cover": "/docs/nobody"}, NotFoundError),
    ],
)
async def test_what_cannot_be_set_is_refused(
    replica: Replica, fields: dict[str, object], error: type[Exception]
) -> None:
    """Nothing, unknown fields, wrong values and files that are not there."""
    await albums.create_album(replica.store, "best", {})
    with pytest.raises(error):
        await albums.set_album(replica.store, "best", fields)
    with pytest.raises(UsageError, match="1 to 256"):
        await albums.create_album(replica.store, "", {})


async def test_a_cover_is_cleared_by_nothing(replica: Replica) -> None:
    """An empty value takes a field away; a cover without a copy shows none."""
    drive = Drive(replica, "docs")
    entry = drive.put("a")
    uuid = await albums.create_album(replica.store, "best", {"cover": "/docs/a"})
    drive.drop(entry)
    assert shown(replica, uuid)["cover"] is None
    await albums.set_album(replica.store, "best", {"cover": None})
    assert shown(replica, uuid)["cover"] is None

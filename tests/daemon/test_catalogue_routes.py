"""What can be asked about the catalogue."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from leaderless.store import meta
from tests.daemon.rooms import open_rooms
from tests.replicas import Replica, add_tree


async def test_devices_are_listed(tmp_path: Path, replica: Replica) -> None:
    """The own device is among them."""
    async with open_rooms(tmp_path, replica) as rooms:
        found = (await rooms.data("GET", "/v1/devices"))["devices"]
        assert [(item["name"], item["lapsed"]) for item in found] == [("device0", False)]


async def test_this_device_can_be_renamed(tmp_path: Path, replica: Replica) -> None:
    """Its new name is in its row, whether it is named in the request or not."""
    async with open_rooms(tmp_path, replica) as rooms:
        await rooms.data("POST", "/v1/devices/rename", name="nas")
        await rooms.data("POST", "/v1/devices/rename", name="box", device="nas")
        assert rooms.rows("SELECT name FROM device") == [("box",)]


async def test_a_name_that_is_nobody_elses_has_no_namesakes(
    tmp_path: Path, replica: Replica
) -> None:
    """The own row does not count."""
    async with open_rooms(tmp_path, replica) as rooms:
        assert (await rooms.data("POST", "/v1/devices/rename", name="nas"))["namesakes"] == []


async def test_another_device_cannot_be_renamed_here(tmp_path: Path, pair: list[Replica]) -> None:
    """A device's name is its own word: the answer says where to change it."""
    row = pair[1].identity.device
    mine, other = pair
    del other
    async with open_rooms(tmp_path, mine) as rooms:
        await mine.store.write(
            lambda tx: tx.conn.exec_driver_sql(
                "INSERT INTO incarnation (device, generation, nonce, set_hash)"
                " SELECT ?, 1, nonce, set_hash FROM incarnation",
                (row,),
            )
        )
        await mine.store.write(
            lambda tx: tx.conn.exec_driver_sql(
                "INSERT INTO device (uuid, epoch, rev, name) SELECT ?, max(id), 1, 'laptop'"
                " FROM incarnation",
                (row,),
            )
        )
        answer = await rooms.ask("POST", "/v1/devices/rename", name="x", device="laptop")
        assert (answer.status, answer.data["error"]["hint"]) == (403, "run this on laptop")


async def test_drives_are_listed(tmp_path: Path, replica: Replica) -> None:
    """Each drive comes with its name."""
    add_tree(replica, 1)
    async with open_rooms(tmp_path, replica) as rooms:
        (found,) = (await rooms.data("GET", "/v1/volumes"))["volumes"]
        assert found["display_name"] == "disk"


async def test_a_folder_becomes_a_location(tmp_path: Path, replica: Replica) -> None:
    """It is indexed, and its progress and the paths that failed are shown."""
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(b"x")
    async with open_rooms(tmp_path / "home", replica) as rooms:
        added = await rooms.data("POST", "/v1/locations", path=str(folder))
        await rooms.indexer.wait_idle()
        (found,) = (await rooms.data("GET", "/v1/locations"))["locations"]
        assert (found["id"], found["name"]) == (added["id"], "photos")
        assert (found["entries_seen"], found["error_count"], found["errors"]) == ("1", "0", [])


async def test_a_location_needs_a_path(tmp_path: Path, replica: Replica) -> None:
    """What is no path is said to be none."""
    async with open_rooms(tmp_path, replica) as rooms:
        answer = await rooms.ask("POST", "/v1/locations", path=7)
        assert (answer.status, answer.data["error"]["code"]) == (400, "usage")


def _empty(folder: Path) -> None:
    """Take every file out of a folder."""
    for file in folder.iterdir():
        file.unlink()


@pytest.mark.parametrize(("accepted", "left"), [(True, 0), ("false", 1_001), (None, 1_001)])
async def test_a_mass_delete_needs_a_clear_yes(
    tmp_path: Path, replica: Replica, accepted: object, left: int
) -> None:
    """A scan that misses nearly everything counts only if `accept_deletes` is true itself."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(1_001):
        (folder / f"{number}.jpg").touch()
    async with open_rooms(tmp_path / "home", replica) as rooms:
        added = await rooms.data("POST", "/v1/locations", path=str(folder))
        await rooms.indexer.wait_idle()
        _empty(folder)
        await rooms.data(
            "POST", "/v1/locations/scan", location=added["id"], accept_deletes=accepted
        )
        await rooms.indexer.wait_idle()
        files = rooms.rows("SELECT count(*) FROM entry WHERE kind = 'file' AND dead = 0")
        assert files == [(left,)]


async def test_a_location_can_be_removed(tmp_path: Path, replica: Replica) -> None:
    """It leaves the catalogue with its entries; the folder stays."""
    folder = tmp_path / "photos"
    folder.mkdir()
    async with open_rooms(tmp_path / "home", replica) as rooms:
        await rooms.data("POST", "/v1/locations", path=str(folder))
        await rooms.indexer.wait_idle()
        await rooms.data("POST", "/v1/locations/remove", location="photos")
        assert (await rooms.data("GET", "/v1/locations"))["locations"] == []
        assert folder.exists()


async def test_what_a_location_would_take_along_is_answered_before(
    tmp_path: Path, pair: list[Replica]
) -> None:
    """Nothing is done by the question; a device that waits to take its rows back says so instead."""
    folder = tmp_path / "photos"
    folder.mkdir()
    replica = pair[0]
    async with open_rooms(tmp_path / "home", replica) as rooms:
        await rooms.data("POST", "/v1/locations", path=str(folder))
        await rooms.indexer.wait_idle()
        asked = await rooms.data("GET", "/v1/locations/remove", location="photos")
        assert (asked["name"], asked["gone"]["files"], asked["unseen"]["tags"]) == ("photos", 0, 0)
        assert len((await rooms.data("GET", "/v1/locations"))["locations"]) == 1
        await replica.store.write(lambda tx: meta.put(tx.conn, meta.RESTORING, 1))
        refused = await rooms.ask("GET", "/v1/locations/remove", location="photos")
        assert refused.data["error"]["code"] == "restoring"


async def test_entries_are_found_by_text(tmp_path: Path, replica: Replica) -> None:
    """Only what matches is answered, and no more than was asked for."""
    add_tree(replica, 12)
    async with open_rooms(tmp_path, replica) as rooms:
        one = (await rooms.data("GET", "/v1/find", text="file11"))["entries"]
        two = (await rooms.data("GET", "/v1/find", text="file", limit="2"))["entries"]
        assert (len(one), len(two)) == (1, 2)


async def test_a_search_says_whether_there_is_more(tmp_path: Path, replica: Replica) -> None:
    """As many as were asked for are all there are, or not."""
    add_tree(replica, 3)
    async with open_rooms(tmp_path, replica) as rooms:
        cut = await rooms.data("GET", "/v1/find", text="file", limit="2")
        whole = await rooms.data("GET", "/v1/find", text="file", limit="3")
        assert (cut["is_cut"], whole["is_cut"]) == (True, False)


@pytest.mark.parametrize("limit", ["0", "-1", "10001"])
async def test_a_limit_has_limits(tmp_path: Path, replica: Replica, limit: str) -> None:
    """Neither nothing nor everything is asked for by mistake."""
    async with open_rooms(tmp_path, replica) as rooms:
        assert (await rooms.ask("GET", "/v1/find", limit=limit)).status == 400


async def test_a_tag_that_no_file_carries_finds_nothing(tmp_path: Path, replica: Replica) -> None:
    """An empty list, as of any other search."""
    async with open_rooms(tmp_path, replica) as rooms:
        await rooms.data("POST", "/v1/tags/create", name="trip")
        tagged = await rooms.data("GET", "/v1/find", tag="trip")
        assert (tagged["entries"], tagged["is_cut"]) == ([], False)


async def test_deleted_tags_are_listed_when_asked_for(tmp_path: Path, replica: Replica) -> None:
    """They are in that list alone."""
    async with open_rooms(tmp_path, replica) as rooms:
        for name in ("gone", "here"):
            await rooms.data("POST", "/v1/tags/create", name=name)
        await rooms.data("POST", "/v1/tags/delete", tag="gone")
        (gone,) = (await rooms.data("GET", "/v1/tags", deleted="1"))["tags"]
        (here,) = (await rooms.data("GET", "/v1/tags"))["tags"]
        assert (gone["canonical_name"], here["canonical_name"]) == ("gone", "here")


async def test_entries_of_a_tag_that_is_not_there_are_an_error(
    tmp_path: Path, replica: Replica
) -> None:
    """A name that no tag has is not answered with an empty list; one that a tag has is."""
    async with open_rooms(tmp_path, replica) as rooms:
        assert (await rooms.ask("GET", "/v1/find", tag="trip")).status == 404
        await rooms.data("POST", "/v1/tags/create", name="trip")
        assert (await rooms.data("GET", "/v1/find", tag="trip"))["entries"] == []


async def test_entries_of_a_device_that_is_not_there_are_an_error(
    tmp_path: Path, replica: Replica
) -> None:
    """A device nobody knows is named as the reason."""
    async with open_rooms(tmp_path, replica) as rooms:
        assert (await rooms.ask("GET", "/v1/find", device="nobody")).status == 404


async def test_a_tag_lives_from_create_to_restore(tmp_path: Path, replica: Replica) -> None:
    """Made, changed, renamed, deleted and brought back, it is one tag with its fields."""
    async with open_rooms(tmp_path, replica) as rooms:
        made = await rooms.data("POST", "/v1/tags/create", name="trip", fields={"color": "red"})
        uuid = made["tag"]["id"]
        await rooms.data("POST", "/v1/tags/set", tag="trip", fields={"icon": "sun"})
        await rooms.data("POST", "/v1/tags/rename", tag="trip", name="travel")
        gone = await rooms.data("POST", "/v1/tags/delete", tag="travel")
        assert gone == {"id": uuid}
        assert (await rooms.data("GET", "/v1/tags"))["tags"] == []
        await rooms.data("POST", "/v1/tags/restore", tag=uuid)
        shown = (await rooms.data("GET", "/v1/tags/show", tag="travel"))["tag"]
        assert (shown["id"], shown["color"], shown["icon"]) == (uuid, "red", "sun")


async def test_fields_have_to_be_an_object(tmp_path: Path, replica: Replica) -> None:
    """Anything else is refused, and no tag is made."""
    async with open_rooms(tmp_path, replica) as rooms:
        assert (await rooms.ask("POST", "/v1/tags/create", name="x", fields=[1])).status == 400
        assert rooms.rows("SELECT * FROM tag") == []


async def test_a_device_alone_has_no_conflicts(tmp_path: Path, replica: Replica) -> None:
    """The journal is an empty list, not an error."""
    async with open_rooms(tmp_path, replica) as rooms:
        assert (await rooms.data("GET", "/v1/conflicts"))["conflicts"] == []


async def test_an_export_is_every_record_as_lines(tmp_path: Path, replica: Replica) -> None:
    """Each line is one JSON record; all that are synced are there."""
    add_tree(replica, 3)
    async with open_rooms(tmp_path, replica) as rooms:
        answer = await rooms.ask("GET", "/v1/export")
        assert answer.stream is not None
        text = b""
        async with answer.stream as chunks:
            async for chunk in chunks:
                text += chunk
        assert len([json.loads(line) for line in text.splitlines()]) == 7


async def test_an_export_that_nobody_reads_on_ends(tmp_path: Path, replica: Replica) -> None:
    """Who hangs up in the middle keeps no reader of the database busy."""
    add_tree(replica, 20_000)
    async with open_rooms(tmp_path, replica) as rooms:
        for _ in range(5):
            answer = await rooms.ask("GET", "/v1/export")
            assert answer.stream is not None
            async with answer.stream as chunks:
                async for _chunk in chunks:
                    break
        assert (await rooms.data("GET", "/v1/devices"))["devices"]


async def test_names_complete_in_the_shell(tmp_path: Path, replica: Replica) -> None:
    """Only those that begin as typed come."""
    async with open_rooms(tmp_path, replica) as rooms:
        for name in ("trip", "tree", "work"):
            await rooms.data("POST", "/v1/tags/create", name=name)
        found = await rooms.data("GET", "/v1/complete", kind="tag", prefix="tr")
        assert sorted(found["names"]) == ["tree", "trip"]


async def test_hashing_can_be_paused_and_go_on(tmp_path: Path, replica: Replica) -> None:
    """Of one location or all; each says what is so by then, what changed and how much is left."""
    folder = tmp_path / "photos"
    folder.mkdir()
    async with open_rooms(tmp_path / "home", replica) as rooms:
        added = await rooms.data("POST", "/v1/locations", path=str(folder), index_mode="content")
        await rooms.data("POST", "/v1/locations", path=str(tmp_path / "home"), name="shallow")
        await rooms.indexer.wait_idle()
        about = {"id": added["id"], "name": "photos", "index_mode": "content"}
        paused = {"paused": True, "unhashed_files": "0", "unhashed_bytes": "0"}
        runs = {"paused": False, "unhashed_files": None, "unhashed_bytes": None}
        answer = await rooms.data("POST", "/v1/locations/pause", location="photos")
        assert answer["locations"] == [{**about, **paused, "changed": True}]
        one, other = (await rooms.data("POST", "/v1/locations/pause"))["locations"]
        assert one == {**about, **paused, "changed": False}
        assert (other["name"], other["paused"], other["changed"]) == ("shallow", False, False)
        (listed, _) = (await rooms.data("GET", "/v1/locations"))["locations"]
        assert listed.items() >= paused.items()
        (scan, _) = (await rooms.data("GET", "/v1/status"))["locations"]
        assert scan.items() >= paused.items()
        answer = await rooms.data("POST", "/v1/locations/resume", location="photos")
        assert answer["locations"] == [{**about, **runs, "changed": True}]
        told = [kind for kind, _ in rooms.told if kind.startswith("hashing_")]
        assert told == ["hashing_paused", "hashing_resumed"]


@pytest.mark.parametrize("verb", ["pause", "resume"])
@pytest.mark.parametrize(("location", "status"), [("nowhere", 404), ("", 400), (7, 400)])
async def test_only_a_location_that_is_here_is_paused(
    tmp_path: Path, replica: Replica, verb: str, location: object, status: int
) -> None:
    """An empty name is none, not all of them."""
    async with open_rooms(tmp_path, replica) as rooms:
        answer = await rooms.ask("POST", f"/v1/locations/{verb}", location=location)
        assert answer.status == status

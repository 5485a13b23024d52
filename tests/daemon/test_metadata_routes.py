"""What can be said of files and asked about them over the socket."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.catalogue.files import Drive
from tests.daemon.rooms import open_rooms
from tests.replicas import Replica


async def test_what_is_said_of_a_file_is_shown(tmp_path: Path, replica: Replica) -> None:
    """One action per request, whose id is answered, so that it can be undone."""
    uuid = Drive(replica, "disk").put("a.jpg", "photo").hex()
    async with open_rooms(tmp_path, replica) as rooms:
        fields = {"note": "sea", "rating": 4, "custom_data": {"iso": 100}}
        done = await rooms.data("POST", "/v1/metadata", targets=["/disk/a.jpg"], fields=fields)
        assert (done["files"], done["count"], done["own"]) == ("1", "1", "0")
        shown = await rooms.data("GET", "/v1/show", target=uuid)
        assert shown["metadata"] == fields
        await rooms.data("POST", "/v1/undo", id=done["id"])
        assert (await rooms.data("GET", "/v1/show", target=uuid))["metadata"] == {}


@pytest.mark.parametrize(
    ("fields", "command"),
    [
        ({"note": "x" * 100}, "metadata.note"),
        ({"favorite": True}, "metadata.favorite"),
        ({"custom_data": {"k": "v"}}, "metadata.custom_data"),
        ({"note": "x", "rating": 1}, "metadata.set"),
    ],
)
async def test_the_history_tells_what_was_said_in_a_few_words(
    tmp_path: Path, replica: Replica, fields: dict[str, object], command: str
) -> None:
    """The command says which field, its data how many files and what, cut short."""
    uuid = Drive(replica, "disk").put("a.jpg", "photo").hex()
    async with open_rooms(tmp_path, replica) as rooms:
        await rooms.data("POST", "/v1/metadata", targets=[uuid], fields=fields)
        (action,) = (await rooms.data("GET", "/v1/history"))["actions"]
        assert (action["command"], action["data"]["count"]) == (command, 1)
        assert all(len(str(value)) <= 80 for value in action["data"].values())


async def test_what_a_search_finds_is_annotated(tmp_path: Path, replica: Replica) -> None:
    """`where` takes find's filters."""
    disk = Drive(replica, "disk")
    disk.put("a.jpg", "one")
    disk.put("b.txt", "two")
    async with open_rooms(tmp_path, replica) as rooms:
        body = {"where": {"text": ".jpg"}, "fields": {"favorite": True}, "scope": "entry"}
        assert (await rooms.data("POST", "/v1/metadata", **body))["count"] == "1"
        assert rooms.rows("SELECT scope, favorite FROM user_metadata") == [("entry", 1)]


@pytest.mark.parametrize(
    "body",
    [
        {"targets": ["/disk/a.jpg"]},
        {"targets": ["/disk/a.jpg"], "fields": {}},
        {"targets": ["/disk/a.jpg"], "fields": {"nonsense": 1}},
        {"targets": ["/disk/a.jpg"], "fields": {"custom_data": "x"}},
        {"targets": ["/disk/a.jpg"], "fields": {"custom_data": {"k": {"deep": 1}}}},
        {"targets": ["/disk/a.jpg"], "fields": {"rating": 9}},
        {"targets": ["/disk/a.jpg"], "fields": {"note": "x"}, "scope": "nonsense"},
        {"fields": {"note": "x"}},
    ],
)
async def test_what_cannot_be_said_is_a_mistake_of_the_one_who_asks(
    tmp_path: Path, replica: Replica, body: dict[str, object]
) -> None:
    """It is refused with a reason, and nothing is written."""
    Drive(replica, "disk").put("a.jpg", "photo")
    async with open_rooms(tmp_path, replica) as rooms:
        assert (await rooms.ask("POST", "/v1/metadata", **body)).status == 400
        assert rooms.rows("SELECT * FROM commit_log") == []


async def test_copies_and_risk_are_told(tmp_path: Path, replica: Replica) -> None:
    """With filters by name, a limit, and what is left out said to be."""
    disk = Drive(replica, "disk")
    for name in ("a.jpg", "b.jpg"):
        disk.put(name, "photo")
    disk.put("c.jpg")
    async with open_rooms(tmp_path, replica) as rooms:
        copies = await rooms.data("GET", "/v1/copies", target="/disk/a.jpg")
        assert (copies["count"], copies["at_risk"]) == (2, "one_device")
        await rooms.data("POST", "/v1/tags/create", name="trip")
        await rooms.data("POST", "/v1/tags/add", tag="trip", targets=["/disk/a.jpg"])
        named = {"location": "disk", "device": "device0", "tag": "trip"}
        risky = await rooms.data("GET", "/v1/at-risk", **named)
        assert risky["totals"]["all"] == {"files": 2, "bytes": "100"}
        few = await rooms.data("GET", "/v1/at-risk", limit="1")
        assert (len(few["files"]), few["more"]) == (1, True)
        twice = await rooms.data("GET", "/v1/duplicates", larger="10", device="device0")
        assert twice["totals"] == {"contents": 1, "files": 2, "wasted_bytes": "100"}


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/v1/show", {"target": "/disk/nothing"}),
        ("/v1/copies", {"target": "/disk/nothing"}),
        ("/v1/at-risk", {"location": "nowhere"}),
        ("/v1/at-risk", {"tag": "nothing"}),
        ("/v1/duplicates", {"device": "nobody"}),
    ],
)
async def test_a_name_that_nothing_has_is_an_error(
    tmp_path: Path, replica: Replica, path: str, query: dict[str, str]
) -> None:
    """It is not answered with an empty list."""
    Drive(replica, "disk")
    async with open_rooms(tmp_path, replica) as rooms:
        assert (await rooms.ask("GET", path, **query)).status == 404

"""What can be asked about records of any model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from entities import MODELS
from entities.content import content_id
from entities.user_metadata import metadata_id
from leaderless.ids import RecordIds
from leaderless.store.store import Store
from registry.changes import Create
from registry.derived import link_id
from registry.models import Registry
from tests.bookmark import models
from tests.daemon.rooms import Rooms, open_rooms
from tests.replicas import Replica

PAGE, ALBUM, TAG, ITEM = (bytes([at]) * 16 for at in range(1, 5))


@pytest.fixture
def with_bookmarks(replica: Replica) -> Iterator[Replica]:
    """Return a device that has the models of docs/models.md."""
    ids, registry = RecordIds(replica.clock), Registry([*MODELS, *models()])
    store = Store(replica.store.path, registry, replica.clock, ids, replica.identity.sign)
    store.load()
    yield replace(replica, store=store)
    store.close()


async def _create(rooms: Rooms, model: str, **fields: object) -> str:
    answer = await rooms.data("POST", "/v1/records/create", model=model, fields=fields)
    return str(answer["record"]["id"])


async def _fields(rooms: Rooms, model: str) -> list[dict[str, object]]:
    found = await rooms.data("GET", "/v1/records", model=model)
    return [item["fields"] for item in found["records"]]


async def test_a_record_of_a_package_lives_a_whole_life(
    tmp_path: Path, with_bookmarks: Replica
) -> None:
    """Made, changed, deleted and restored, by the beginning of its id."""
    async with open_rooms(tmp_path, with_bookmarks) as rooms:
        uuid = await _create(rooms, "bookmark", url="https://sqlite.org", tags=["+db", "+c"])
        about = {"model": "bookmark", "id": uuid[:20]}
        answer = await rooms.data(
            "POST", "/v1/records/set", **about, fields={"tags": "-c", "title": "SQLite"}
        )
        shown = {"url": "https://sqlite.org", "title": "SQLite", "tags": ["db"]}
        assert answer["record"] == {
            "id": uuid,
            "fields": shown,
            "hidden": False,
            "locked_by": None,
            "locked_by_id": None,
        }
        assert await _fields(rooms, "bookmark") == [shown]
        assert (await rooms.data("POST", "/v1/records/delete", **about))["id"] == uuid
        assert await _fields(rooms, "bookmark") == []
        assert (await rooms.ask("GET", "/v1/records/show", **about)).status == 404
        await rooms.data("POST", "/v1/records/restore", **about)
        assert (await rooms.data("GET", "/v1/records/show", **about))["record"]["fields"] == shown
        commands = "SELECT command FROM commit_log ORDER BY seq"
        names = ["bookmark.create", "bookmark.set", "bookmark.delete", "bookmark.restore"]
        assert rooms.rows(commands) == [(name,) for name in names]


async def test_models_are_listed_with_what_they_have(
    tmp_path: Path, with_bookmarks: Replica
) -> None:
    """Built-in ones, those of packages, and what is only kept for others."""
    async with open_rooms(tmp_path, with_bookmarks) as rooms:
        await _create(rooms, "bookmark", url="a")
        await rooms.replica.store.write(
            lambda tx: tx.conn.exec_driver_sql("UPDATE record SET model = 'stranger'")
        )
        found = {item["model"]: item for item in (await rooms.data("GET", "/v1/models"))["models"]}
        assert found["bookmark"]["fields"] == ["url", "title", "tags"]
        assert (found["tag"]["version"], found["tag"]["records"]) == (2, "0")
        kept = {"model": "stranger", "version": None, "package": None, "fields": None}
        assert found["stranger"] == {**kept, "records": "1"}
        assert "entry" not in found


async def test_built_in_records_are_edited_alike(tmp_path: Path, replica: Replica) -> None:
    """A tag is a record; numbers are decimal strings, as everywhere."""
    async with open_rooms(tmp_path, replica) as rooms:
        uuid = await _create(rooms, "tag", canonical_name="sea", search_weight="7")
        tag = (await rooms.data("GET", "/v1/tags/show", tag="sea"))["tag"]
        assert tag["id"] == uuid
        (fields,) = await _fields(rooms, "tag")
        assert (fields["search_weight"], fields["aliases"], fields["attributes"]) == ("7", [], {})


async def test_what_exists_once_gets_the_id_that_all_derive(
    tmp_path: Path, with_bookmarks: Replica
) -> None:
    """Links by their ends, contents by their hash, metadata by its target."""
    async with open_rooms(tmp_path, with_bookmarks) as rooms:
        ends = {"bookmark": PAGE.hex(), "album": ALBUM.hex()}
        link = await _create(rooms, "album_bookmark", **ends)
        assert link == link_id("album_bookmark", PAGE, ALBUM).hex()
        assert await _create(rooms, "content", hash="ab" * 32) == content_id(b"\xab" * 32).hex()
        said = await _create(rooms, "user_metadata", scope="content", target=ITEM.hex(), rating=5)
        assert said == metadata_id("content", ITEM).hex()
        again = await rooms.ask("POST", "/v1/records/create", model="album_bookmark", fields=ends)
        assert (again.status, "is there already" in str(again.data)) == (400, True)


async def test_a_repeatable_link_may_be_made_again(tmp_path: Path, replica: Replica) -> None:
    """The second one has an id of its own."""
    async with open_rooms(tmp_path, replica) as rooms:
        ends = {"item": ITEM.hex(), "scope": "content", "album": ALBUM.hex()}
        first, second = [await _create(rooms, "album_entry", **ends) for _ in range(2)]
        assert first == link_id("album_entry", ITEM, ALBUM).hex() != second


async def test_a_link_without_its_end_is_hidden_and_says_so(
    tmp_path: Path, with_bookmarks: Replica
) -> None:
    """It is not listed, can be shown by its id, and is there once both ends are."""
    async with open_rooms(tmp_path, with_bookmarks) as rooms:
        ends = {"bookmark": PAGE.hex(), "album": ALBUM.hex()}
        link = await _create(rooms, "album_bookmark", **ends)
        assert await _fields(rooms, "album_bookmark") == []
        about = {"model": "album_bookmark", "id": link}
        assert (await rooms.data("GET", "/v1/records/show", **about))["record"]["hidden"]
        both = [Create("bookmark", PAGE, {"url": "a"}), Create("album", ALBUM, {})]
        await rooms.replica.store.write(lambda tx: tx.commit("test", both))
        assert await _fields(rooms, "album_bookmark") == [{**ends, "caption": None}]


async def test_a_list_ends_at_its_limit(tmp_path: Path, replica: Replica) -> None:
    """The first by their ids are shown."""
    async with open_rooms(tmp_path, replica) as rooms:
        made = [await _create(rooms, "tag", canonical_name=name) for name in "abc"]
        found = await rooms.data("GET", "/v1/records", model="tag", limit="2")
        assert [item["id"] for item in found["records"]] == made[:2]


@pytest.mark.parametrize(
    ("path", "given", "status", "hint"),
    [
        ("create", {"model": "nobody"}, 404, "leaderless record models"),
        ("create", {"model": "entry"}, 404, "leaderless record models"),
        ("create", {"model": "bookmark"}, 400, "leaderless record create bookmark url=VALUE"),
        ("create", {"model": "bookmark", "fields": {"url": None}}, 400, "url: text"),
        ("create", {"model": "bookmark", "fields": {"x": "1"}}, 400, "fields: tags, title, url"),
        ("set", {"model": "tag", "id": "abcd", "fields": {}}, 400, "leaderless record set"),
        ("set", {"model": "tag", "id": "abcd", "fields": {"color": "a"}}, 404, "record list tag"),
        ("delete", {"model": "tag", "id": "ab"}, 404, "leaderless record list tag"),
        ("delete", {"model": "tag", "id": "%%%%"}, 404, "leaderless record list tag"),
        ("restore", {"model": "tag", "id": "abcd"}, 404, "leaderless history"),
    ],
)
async def test_what_cannot_be_done_says_what_can(
    tmp_path: Path,
    with_bookmarks: Replica,
    path: str,
    given: dict[str, object],
    status: int,
    hint: str,
) -> None:
    """Every refusal names the next command, or what the field takes."""
    async with open_rooms(tmp_path, with_bookmarks) as rooms:
        answer = await rooms.ask("POST", f"/v1/records/{path}", **given)
        assert answer.status == status
        assert hint in str(answer.data["error"]["hint"])


async def test_an_id_that_fits_several_lists_them(tmp_path: Path, replica: Replica) -> None:
    """Nothing is done to either."""
    async with open_rooms(tmp_path, replica) as rooms:
        both = [Create("tag", bytes(15) + bytes([at]), {}) for at in (1, 2)]
        await replica.store.write(lambda tx: tx.commit("test", both))
        answer = await rooms.ask("POST", "/v1/records/delete", model="tag", id="0000")
        assert (answer.status, "by these digits" in answer.data["error"]["hint"]) == (400, True)

"""Everything about one file: its copies, what was said of it, by whom, locks and conflicts."""

from __future__ import annotations

from typing import Any

import pytest

from entities.content import content_id
from entities.user_metadata import metadata_id
from leaderless.catalogue.metadata import annotate
from leaderless.catalogue.show import show
from leaderless.catalogue.tagging import Files
from leaderless.catalogue.undo import undo
from leaderless.errors import NotFoundError
from registry.changes import Create, Delete, Edit, Lock, Update
from registry.derived import link_id
from tests.catalogue.files import Drive, hash_of, meet
from tests.replicas import Replica
from tests.store.passing import within

CONTENT = content_id(hash_of("photo"))
TAG = b"t" * 16


def shown(replica: Replica, entry: bytes, *online: bytes) -> dict[str, Any]:
    """Return everything that a replica knows of a file."""
    registry, own = replica.store.registry, replica.identity.device
    return within(replica, lambda c: show(c, registry, entry, own, online))


def commit(replica: Replica, *edits: Edit) -> None:
    """Write edits as one action."""
    replica.store.write_here(lambda tx: tx.commit("test", edits))


async def say(replica: Replica, fields: Any, entry: bytes, scope: str | None = None) -> None:
    """Say something of a file."""
    files = Files([entry.hex()], None, scope)
    await annotate(replica.store, files, fields, "metadata.test", {})


def note_of(replica: Replica, entry: bytes) -> tuple[str, str, str]:
    """Return the note of a file, who wrote it, and when."""
    changes = shown(replica, entry)["changes"]
    change = next(change for change in changes if change["field"] == "note")
    return change["value"], change["by"], change["at_ms"]


def tagged(item: bytes, scope: str, tag: bytes, **fields: Any) -> Create:
    """Return the link that puts a tag on a file."""
    about = {"item": item, "scope": scope, "tag": tag, **fields}
    return Create("user_metadata_tag", link_id("user_metadata_tag", item, tag), about)


def test_a_file_that_nothing_was_said_of_shows_its_copies_alone(replicas: list[Replica]) -> None:
    """Every copy on every device comes with its reachability; all else is empty."""
    anna, ben, _ = replicas
    uuid = Drive(anna, "disk").put("a.jpg", "photo")
    Drive(ben, "stick").put("b.jpg", "photo")
    meet(anna, ben)
    found = shown(anna, uuid)
    assert (found["file"]["id"], found["file"]["hash"]) == (uuid.hex(), hash_of("photo").hex())
    copies = [(copy["device"], copy["reachable"]) for copy in found["copies"]["copies"]]
    assert copies == [("device0", True), ("device1", False)]
    assert found["metadata"] == {}
    for name in ("tags", "albums", "changes", "locks", "conflicts"):
        assert found[name] == []


def test_a_folder_is_shown_without_copies(replica: Replica) -> None:
    """What is no file has none."""
    disk = Drive(replica, "disk")
    found = shown(replica, disk.root)
    assert (found["file"]["kind"], "copies" in found) == ("directory", False)


def test_what_is_not_in_the_catalogue_cannot_be_shown(replica: Replica) -> None:
    """No file has that id."""
    with pytest.raises(NotFoundError):
        shown(replica, bytes(16))


async def test_metadata_of_the_entry_lies_over_that_of_the_content(replica: Replica) -> None:
    """Both are told with author and time; what is hidden is not in effect."""
    disk = Drive(replica, "disk")
    one, copy = disk.put("a", "photo"), disk.put("b", "photo")
    await say(replica, {"note": "all", "rating": 3}, one)
    replica.clock.ms += 5_000
    await say(replica, {"note": "this"}, one, "entry")
    found = shown(replica, one)
    assert found["metadata"] == {"note": "this", "rating": 3}
    notes = [
        (change["value"], change["scope"], change["in_effect"])
        for change in found["changes"]
        if change["field"] == "note"
    ]
    assert notes == [("this", "entry", True), ("all", "content", False)]
    assert shown(replica, copy)["metadata"] == {"note": "all", "rating": 3}


async def test_who_changed_what_last_is_told_by_field(replicas: list[Replica]) -> None:
    """Each field with the device that wrote it and when, the newest first."""
    anna, ben, _ = replicas
    uuid = Drive(anna, "disk").put("a", "photo")
    meet(anna, ben)
    await say(anna, {"note": "sea", ("custom_data", "place"): "Kiel"}, uuid)
    meet(anna, ben)
    ben.clock.ms += 60_000
    await say(ben, {"rating": 2}, uuid)
    meet(anna, ben)
    first, *others = [
        change
        for change in shown(anna, uuid)["changes"]
        if change["model"] == "user_metadata" and change["field"] not in ("scope", "target")
    ]
    assert (first["field"], first["value"], first["by"]) == ("rating", 2, "device1")
    assert first["by_id"] == ben.identity.device.hex()
    assert first["at_ms"] == str(ben.clock.ms)
    told = {(change["field"], change["subkey"], change["by"]) for change in others}
    assert told == {("note", None, "device0"), ("custom_data", "place", "device0")}


def test_a_link_among_the_changes_has_the_name_of_its_other_end(replica: Replica) -> None:
    """That of the tag as it was put there, and of the album; what is said of the file has none."""
    uuid = Drive(replica, "disk").put("a", "photo")
    album, link = replica.store.ids.new(), replica.store.ids.new()
    commit(
        replica,
        Create("tag", TAG, {"canonical_name": "sea"}),
        Create("album", album, {"name": "best"}),
        tagged(uuid, "entry", TAG, source="user"),
        Create("album_entry", link, {"item": uuid, "scope": "entry", "album": album}),
        Create("user_metadata", metadata_id("entry", uuid), {"target": uuid, "scope": "entry"}),
    )
    named = {change["model"]: change["name"] for change in shown(replica, uuid)["changes"]}
    assert named == {"user_metadata_tag": "sea", "album_entry": "best", "user_metadata": None}


async def test_a_lock_is_not_who_said_what_it_holds(replicas: list[Replica]) -> None:
    """It writes every value anew; who wrote it last is who wrote it before."""
    anna, ben, _ = replicas
    uuid = Drive(anna, "disk").put("a", "photo")
    meet(anna, ben)
    await say(anna, {"note": "sea"}, uuid)
    said_ms = anna.clock.ms
    meet(anna, ben)
    ben.clock.ms += 60_000
    commit(ben, Lock("user_metadata", metadata_id("content", CONTENT)))
    assert note_of(ben, uuid) == ("sea", "device0", str(said_ms))


async def test_an_undo_is_not_who_said_what_it_brings_back(replicas: list[Replica]) -> None:
    """The value is of who wrote it before, though another device took the later one back."""
    anna, ben, _ = replicas
    uuid = Drive(anna, "disk").put("a", "photo")
    meet(anna, ben)
    await say(anna, {"note": "sea"}, uuid)
    said_ms = anna.clock.ms
    meet(anna, ben)
    ben.clock.ms += 60_000
    await say(ben, {"note": "lake"}, uuid)
    await undo(ben.store, None)
    assert note_of(ben, uuid) == ("sea", "device0", str(said_ms))


async def test_a_link_that_an_undo_brought_back_is_of_who_made_it(replicas: list[Replica]) -> None:
    """Taken away and brought back by others, a tag is still who put it there."""
    anna, ben, _ = replicas
    uuid = Drive(anna, "disk").put("a", "photo")
    link = tagged(uuid, "entry", TAG)
    commit(anna, Create("tag", TAG, {"canonical_name": "sea"}), link)
    meet(anna, ben)
    commit(ben, Delete("user_metadata_tag", link.record))
    await undo(ben.store, None)
    assert [tag["by"] for tag in shown(ben, uuid)["tags"]] == ["device0"]


def test_tags_come_by_context_with_what_they_were_merged_into_and_what_is_above(
    replica: Replica,
) -> None:
    """Tags of the content and of the entry; a merged one is shown as the one it is."""
    uuid = Drive(replica, "disk").put("a", "photo")
    city, town, land, blurred = sorted(replica.store.ids.new() for _ in range(4))
    relation = link_id("tag_relation", city, land)
    commit(
        replica,
        Create("tag", city, {"canonical_name": "city"}),
        Create("tag", town, {"canonical_name": "town", "merged_into": city}),
        Create("tag", land, {"canonical_name": "land"}),
        Create("tag", blurred, {"canonical_name": "blurred"}),
        Create(
            "tag_relation", relation, {"child": city, "parent": land, "relation": "parent_child"}
        ),
        Create("content", CONTENT, {"hash": hash_of("photo")}),
        tagged(CONTENT, "content", town, context="travel", source="user"),
        tagged(uuid, "entry", blurred, source="ai", confidence=0.5),
    )
    first, second = shown(replica, uuid)["tags"]
    assert (first["name"], first["scope"], first["context"]) == ("blurred", "entry", None)
    assert (first["source"], first["confidence"]) == ("ai", 0.5)
    assert (second["name"], second["merged_from"], second["above"]) == ("city", "town", ["land"])
    assert (second["scope"], second["context"]) == ("content", "travel")


def test_albums_of_the_content_and_of_the_entry_are_named(replica: Replica) -> None:
    """With the caption there; an album that was deleted is not."""
    uuid = Drive(replica, "disk").put("a", "photo")
    new = replica.store.ids.new
    albums = {name: new() for name in ("sea", "best", "gone")}
    items = {"sea": (CONTENT, "content"), "best": (uuid, "entry"), "gone": (uuid, "entry")}
    commit(
        replica,
        *[Create("album", album, {"name": name}) for name, album in albums.items()],
        *[
            Create(
                "album_entry",
                new(),
                {"item": item, "scope": scope, "album": albums[name], "caption": name.upper()},
            )
            for name, (item, scope) in items.items()
        ],
    )
    commit(replica, Delete("album", albums["gone"]))
    found = [(album["name"], album["caption"]) for album in shown(replica, uuid)["albums"]]
    assert found == [("best", "BEST"), ("sea", "SEA")]


async def test_a_lock_is_shown_with_who_holds_it(replicas: list[Replica]) -> None:
    """By the device that locked, on every device."""
    anna, ben, _ = replicas
    uuid = Drive(anna, "disk").put("a", "photo")
    await say(anna, {"note": "fixed"}, uuid)
    commit(anna, Lock("user_metadata", metadata_id("content", CONTENT)))
    meet(anna, ben)
    (lock,) = shown(ben, uuid)["locks"]
    assert (lock["model"], lock["scope"], lock["by"]) == ("user_metadata", "content", "device0")


async def test_open_conflicts_of_the_file_are_shown_and_those_of_others_are_not(
    replicas: list[Replica],
) -> None:
    """A value that lost against another is told with both."""
    anna, ben, _ = replicas
    disk = Drive(anna, "disk")
    uuid, other = disk.put("a", "photo"), disk.put("b", "other")
    await say(anna, {"note": "first"}, uuid)
    await say(anna, {"note": "first"}, other)
    meet(anna, ben)
    for file in (uuid, other):
        await say(anna, {"note": "anna's"}, file)
    ben.clock.ms += 60_000
    for file in (uuid, other):
        await say(ben, {"note": "ben's"}, file)
    meet(anna, ben)
    (conflict,) = shown(anna, uuid)["conflicts"]
    assert (conflict["value"], conflict["winning_value"]) == ("anna's", "ben's")
    assert conflict["record"] == metadata_id("content", CONTENT).hex()


async def test_an_edit_lost_to_a_delete_is_a_conflict_of_the_file_still(
    replicas: list[Replica],
) -> None:
    """The record is gone, and the file is found by what it had been about."""
    anna, ben, _ = replicas
    uuid = Drive(anna, "disk").put("a", "photo")
    await say(anna, {"note": "first"}, uuid)
    meet(anna, ben)
    record = metadata_id("content", CONTENT)
    commit(anna, Delete("user_metadata", record))
    commit(ben, Update("user_metadata", record, {"note": "later"}))
    meet(anna, ben)
    found = shown(anna, uuid)
    assert found["metadata"] == {}
    assert [(item["value"], item["cause"]) for item in found["conflicts"]] == [("later", "deleted")]

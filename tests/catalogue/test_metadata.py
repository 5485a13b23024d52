"""Notes, favorites, ratings and data of one's own: of a content or of one entry, offline too."""

from __future__ import annotations

from typing import Any

import pytest

from entities.content import content_id
from entities.user_metadata import metadata_id
from leaderless.catalogue import metadata
from leaderless.catalogue.find import Query
from leaderless.catalogue.metadata import Said, annotate, overlay
from leaderless.catalogue.tagging import Files
from leaderless.errors import NotFoundError, UsageError
from leaderless.store.command import LockedRecordError
from registry.changes import UNSET, Delete, Lock
from tests.catalogue.files import Drive, hash_of, meet
from tests.replicas import Replica, query_file
from tests.store.passing import within

NOTE, RATING = ("note", None), ("rating", None)


async def say(replica: Replica, fields: Any, *files: bytes, scope: str | None = None) -> Said:
    """Say something of files on a replica."""
    named = Files([uuid.hex() for uuid in files], None, scope)
    return await annotate(replica.store, named, fields, "metadata.test", {})


def shown(replica: Replica, entry: bytes, text: str | None) -> dict[str, Any]:
    """Return what a file with that content shows on a replica."""
    ids = metadata.records_of(entry, None if text is None else hash_of(text))

    def read(connection: Any) -> dict[str, Any]:
        states = metadata.metadata_states(connection, [uuid for uuid in ids if uuid])
        said = [metadata.said(states.get(uuid or b"")) for uuid in ids]
        values = [{key: write.value for key, write in fields.items()} for fields in said]
        return metadata.metadata_json(overlay(values[0], values[1]))

    return within(replica, read)


def rows(replica: Replica, query: str) -> list[tuple[Any, ...]]:
    """Return what a query finds on a replica."""
    return query_file(replica.store.path, query)


# --- the overlay ----------------------------------------------------------------------------------


def test_what_an_entry_says_lies_over_what_its_content_says() -> None:
    """Field by field: what the entry does not say shows through."""
    assert overlay({NOTE: "all", RATING: 3}, {NOTE: "this"}) == {NOTE: "this", RATING: 3}


def test_an_empty_field_hides_and_an_unset_one_does_not() -> None:
    """None was written by somebody; what was never written is not there."""
    assert overlay({NOTE: "all"}, {NOTE: None}) == {NOTE: None}
    assert overlay({NOTE: "all"}, {}) == {NOTE: "all"}
    assert metadata.metadata_json({NOTE: None}) == {"note": None}


def test_data_of_ones_own_is_overlaid_key_by_key() -> None:
    """An entry's key hides that key of the content alone; a removed key is not shown."""
    fields = overlay(
        {("custom_data", "a"): 1, ("custom_data", "b"): 2},
        {("custom_data", "b"): None, ("custom_data", "c"): 3},
    )
    assert metadata.metadata_json(fields) == {"custom_data": {"a": 1, "c": 3}}


# --- saying something -----------------------------------------------------------------------------


async def test_what_is_said_of_a_hashed_file_holds_for_its_content(replica: Replica) -> None:
    """The content is made in the same action, and every copy shows it."""
    disk = Drive(replica, "disk")
    one, copy = disk.put("a", "x"), disk.put("b", "x")
    done = await say(replica, {"note": "sea"}, one)
    assert (done.targets, done.records, done.own) == (1, 1, 0)
    assert shown(replica, copy, "x") == {"note": "sea"}
    assert rows(replica, "SELECT scope, target FROM user_metadata") == [
        ("content", content_id(hash_of("x")))
    ]
    assert rows(replica, "SELECT hash, size_bytes FROM content") == [(hash_of("x"), 100)]
    assert rows(replica, "SELECT count(*) FROM commit_log") == [(1,)]


async def test_what_is_said_of_a_file_that_was_not_hashed_is_said_of_its_entry(
    replica: Replica,
) -> None:
    """No content is made; the record's id comes from scope and target."""
    uuid = Drive(replica, "disk").put("a")
    await say(replica, {"rating": 4}, uuid)
    assert rows(replica, "SELECT uuid, rating FROM user_metadata") == [
        (metadata_id("entry", uuid), 4)
    ]
    assert rows(replica, "SELECT * FROM content") == []


async def test_one_copy_can_be_spoken_of_alone(replica: Replica) -> None:
    """Scope entry leaves the other copies as they are."""
    disk = Drive(replica, "disk")
    one, copy = disk.put("a", "x"), disk.put("b", "x")
    await say(replica, {"note": "all"}, one)
    await say(replica, {"note": "this"}, one, scope="entry")
    assert shown(replica, one, "x") == {"note": "this"}
    assert shown(replica, copy, "x") == {"note": "all"}


async def test_a_note_cleared_on_one_copy_hides_that_of_the_content(replica: Replica) -> None:
    """It is empty there, not unset, though nothing had been said of this copy before."""
    uuid = Drive(replica, "disk").put("a", "x")
    await say(replica, {"note": "all"}, uuid)
    await say(replica, {"note": None}, uuid, scope="entry")
    assert shown(replica, uuid, "x") == {"note": None}


async def test_a_copy_that_is_spoken_of_no_more_shows_what_is_said_of_all(replica: Replica) -> None:
    """Unset is not empty; where nothing was said of the copy there is nothing to unset."""
    uuid = Drive(replica, "disk").put("a", "x")
    await say(replica, {"note": "all"}, uuid)
    assert (await say(replica, {"note": UNSET}, uuid, scope="entry")).command_id is None
    await say(replica, {"note": "this"}, uuid, scope="entry")
    await say(replica, {"note": UNSET}, uuid, scope="entry")
    assert shown(replica, uuid, "x") == {"note": "all"}


async def test_who_speaks_of_a_content_hears_that_a_file_shows_its_own(replica: Replica) -> None:
    """A note of the entry stays over it, and is counted."""
    uuid = Drive(replica, "disk").put("a", "x")
    await say(replica, {"note": "this"}, uuid, scope="entry")
    assert (await say(replica, {"note": "all"}, uuid)).own == 1
    assert (await say(replica, {"rating": 1}, uuid)).own == 0
    assert shown(replica, uuid, "x") == {"note": "this", "rating": 1}


async def test_the_content_of_a_file_that_was_not_hashed_cannot_be_meant(replica: Replica) -> None:
    """The error says which scope can."""
    uuid = Drive(replica, "disk").put("a")
    with pytest.raises(UsageError) as raised:
        await say(replica, {"note": "x"}, uuid, scope="content")
    assert "--scope entry" in str(raised.value.hint)


async def test_fields_are_written_one_by_one(replica: Replica) -> None:
    """A second edit leaves the other fields, and the other keys, as they are."""
    uuid = Drive(replica, "disk").put("a", "x")
    await say(replica, {"note": "sea", ("custom_data", "camera"): "A7"}, uuid)
    await say(replica, {"favorite": True, ("custom_data", "iso"): 100}, uuid)
    await say(replica, {"favorite": False, ("custom_data", "camera"): None}, uuid)
    assert shown(replica, uuid, "x") == {
        "note": "sea",
        "favorite": False,
        "custom_data": {"iso": 100},
    }


@pytest.mark.parametrize("fields", [{"note": None}, {"favorite": False}])
async def test_clearing_what_was_never_said_changes_nothing(replica: Replica, fields: Any) -> None:
    """No record, no content and no commit come of it."""
    disk = Drive(replica, "disk")
    done = await say(replica, fields, disk.put("a", "x"), disk.put("b"))
    assert (done.command_id, done.targets, done.records) == (None, 2, 0)
    assert rows(replica, "SELECT * FROM commit_log") == []


@pytest.mark.parametrize(
    "fields",
    [
        {"note": "sea"},
        {"rating": None},
        {"hidden": False},
        {"favorite": UNSET},
        {("custom_data", "place"): None},
        {"note": "sea", "rating": None},
    ],
)
async def test_a_file_that_says_so_already_is_left_out(replica: Replica, fields: Any) -> None:
    """Also where something else is said of it; no commit comes of it."""
    uuid = Drive(replica, "disk").put("a", "x")
    await say(replica, {"note": "sea", ("custom_data", "iso"): 1}, uuid)
    done = await say(replica, fields, uuid)
    assert (done.command_id, done.records) == (None, 0)


@pytest.mark.parametrize(
    "fields",
    [{"note": None}, {"note": UNSET}, {("custom_data", "iso"): True}, {"note": "sea", "rating": 0}],
)
async def test_a_file_that_would_show_something_else_is_meant(
    replica: Replica, fields: Any
) -> None:
    """One register is enough, and a truth is no number."""
    uuid = Drive(replica, "disk").put("a", "x")
    await say(replica, {"note": "sea", ("custom_data", "iso"): 1}, uuid)
    assert (await say(replica, fields, uuid)).records == 1


async def test_a_record_that_was_deleted_starts_empty_again(replica: Replica) -> None:
    """What it had said before does not come back with what is said now."""
    uuid = Drive(replica, "disk").put("a", "x")
    await say(replica, {"note": "old", "rating": 1}, uuid)
    record = metadata_id("content", content_id(hash_of("x")))
    await replica.store.write(lambda tx: tx.commit("x", [Delete("user_metadata", record)]))
    await say(replica, {"note": "new"}, uuid)
    assert shown(replica, uuid, "x") == {"note": "new"}


@pytest.mark.parametrize(
    "fields",
    [
        {"rating": 6},
        {"rating": -1},
        {"rating": True},
        {"rating": "5"},
        {"note": 7},
        {"note": ""},
        {"note": "x" * 65_537},
        {"note": "\udce9"},
        {"favorite": 1},
        {("custom_data", ""): "x"},
        {("custom_data", "x" * 257): "x"},
        {("custom_data", "k"): [1]},
        {"nonsense": 1},
    ],
)
async def test_what_cannot_be_said_of_a_file_is_refused(replica: Replica, fields: Any) -> None:
    """Nothing is changed, and no content is made."""
    uuid = Drive(replica, "disk").put("a", "x")
    with pytest.raises(UsageError):
        await say(replica, fields, uuid)
    assert rows(replica, "SELECT * FROM content") == []


async def test_a_record_that_another_device_locked_cannot_be_changed(
    replicas: list[Replica],
) -> None:
    """The whole action fails, also for the files that are not locked."""
    anna, ben, _ = replicas
    disk = Drive(anna, "disk")
    locked, free = disk.put("a", "x"), disk.put("b", "y")
    await say(anna, {"note": "fixed"}, locked)
    record = metadata_id("content", content_id(hash_of("x")))
    await anna.store.write(lambda tx: tx.commit("lock", [Lock("user_metadata", record)]))
    meet(anna, ben)
    with pytest.raises(LockedRecordError):
        await say(ben, {"note": "other"}, free, locked)
    assert shown(ben, free, "y") == {}


# --- many at once, and by many --------------------------------------------------------------------


async def test_what_a_search_finds_is_one_action(replica: Replica) -> None:
    """However many files; copies of one content are one record."""
    disk = Drive(replica, "disk")
    for at in range(20):
        disk.put(f"{at}.jpg", f"text {at // 2}")
    found = Files((), lambda _: Query(text=".jpg"))
    done = await annotate(replica.store, found, {"rating": 5}, "metadata.rating", {"rating": 5})
    assert (done.targets, done.records) == (20, 10)
    assert rows(replica, "SELECT count(*) FROM user_metadata WHERE rating = 5") == [(10,)]
    assert rows(replica, "SELECT count(*) FROM commit_log") == [(1,)]


async def test_where_nothing_fits_nothing_is_said(replica: Replica) -> None:
    """A search without a result is an error, not a silent success."""
    found = Files((), lambda _: Query(text="nothing"))
    with pytest.raises(NotFoundError):
        await annotate(replica.store, found, {"rating": 5}, "metadata.rating", {})


async def test_two_devices_that_annotate_one_content_offline_meet_in_one_record(
    replicas: list[Replica],
) -> None:
    """Each has its own copy; both edits are in it, and the same is shown on both."""
    anna, ben, _ = replicas
    mine, yours = Drive(anna, "a").put("a", "photo"), Drive(ben, "b").put("b", "photo")
    await say(anna, {"note": "sea"}, mine)
    await say(ben, {"rating": 4, ("custom_data", "place"): "Kiel"}, yours)
    meet(anna, ben)
    both = {"note": "sea", "rating": 4, "custom_data": {"place": "Kiel"}}
    assert shown(anna, mine, "photo") == shown(ben, yours, "photo") == both
    assert shown(anna, yours, "photo") == both
    for replica in (anna, ben):
        assert rows(replica, "SELECT count(*) FROM user_metadata") == [(1,)]
        assert rows(replica, "SELECT count(*) FROM content") == [(1,)]


async def test_a_file_of_a_device_that_is_off_can_be_annotated(replicas: list[Replica]) -> None:
    """What is said here is there when that device comes back."""
    anna, ben, _ = replicas
    uuid = Drive(ben, "disk").put("a")
    meet(anna, ben)
    await say(anna, {"hidden": True}, uuid)
    meet(anna, ben)
    assert shown(ben, uuid, None) == {"hidden": True}

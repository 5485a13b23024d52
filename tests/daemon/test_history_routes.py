"""What can be asked about what was done: history, changes, undo, conflicts, locks, rebuild."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from leaderless.store import meta
from registry.changes import Create, Delete, Update
from tests.catalogue.files import Drive
from tests.daemon.rooms import Rooms, open_rooms
from tests.replicas import Replica
from tests.store.passing import log_of, own_feed, store_commits, within

TAG = b"t" * 16


def _set(replica: Replica, **fields: Any) -> None:
    replica.clock.ms += 1_000
    edit = Update("tag", TAG, fields)
    replica.store.write_here(lambda tx: tx.commit("tag.set", [edit], {"tag": "trip"}))


def _shared(a: Replica, b: Replica) -> None:
    """Give both a tag."""
    edit = Create("tag", TAG, {"canonical_name": "trip"})
    a.store.write_here(lambda tx: tx.commit("tag.create", [edit], {"tag": "trip"}))
    store_commits(b, *log_of(a, own_feed(a)))


async def _commands(rooms: Rooms, path: str, **query: Any) -> list[str]:
    return [item["command"] for item in (await rooms.data("GET", path, **query))["actions"]]


async def test_history_says_who_did_what(tmp_path: Path, pair: list[Replica]) -> None:
    """Newest first, of everybody or of one device, or of one thing alone."""
    a, b = pair
    _shared(a, b)
    _set(b, color="red")
    async with open_rooms(tmp_path, b) as rooms:
        assert await _commands(rooms, "/v1/history") == ["tag.set", "tag.create"]
        assert await _commands(rooms, "/v1/history", by="device1") == ["tag.set"]
        assert await _commands(rooms, "/v1/history", target="tag:trip", limit="1") == ["tag.set"]


async def test_history_of_a_thing_tells_who_took_its_links_away(
    tmp_path: Path, pair: list[Replica]
) -> None:
    """A tag that a file does not carry any more is part of the story of both."""
    replica, _ = pair
    entry = Drive(replica, "disk").put("a.jpg")
    link = {"item": entry, "scope": "entry", "tag": TAG}
    for command, edit in (
        ("tag.create", Create("tag", TAG, {"canonical_name": "trip"})),
        ("tag.add", Create("user_metadata_tag", b"l" * 16, link)),
        ("tag.remove", Delete("user_metadata_tag", b"l" * 16)),
    ):
        replica.clock.ms += 1_000
        replica.store.write_here(lambda tx, c=command, e=edit: tx.commit(c, [e]))
    async with open_rooms(tmp_path, replica) as rooms:
        wanted = ["tag.remove", "tag.add"]
        assert await _commands(rooms, "/v1/history", target=entry.hex()) == wanted
        assert await _commands(rooms, "/v1/history", target="tag:trip") == [*wanted, "tag.create"]


async def test_history_of_a_file_says_of_each_action_in_which_scope(
    tmp_path: Path, replica: Replica
) -> None:
    """What was said of it before it was hashed, of it alone, and of its content: by any copy."""
    disk = Drive(replica, "docs")
    entry = disk.put("a")
    async with open_rooms(tmp_path, replica) as rooms:

        async def note(target: str, text: str, scope: str | None = None) -> None:
            replica.clock.ms += 1_000
            fields = {"note": text}
            await rooms.data("POST", "/v1/metadata", targets=[target], scope=scope, fields=fields)

        await note("/docs/a", "unhashed")
        disk.put("a", "text", uuid=entry)
        disk.put("copy", "text")
        disk.put("other", "other text")
        await note("/docs/copy", "of all copies")
        await note("/docs/a", "of this one", "entry")
        await note("/docs/copy", "of the copy", "entry")
        await note("/docs/other", "of another")
        told = (await rooms.data("GET", "/v1/history", target="/docs/a"))["actions"]
        everything = (await rooms.data("GET", "/v1/history"))["actions"]
    assert [(item["data"]["note"], item["scopes"]) for item in told] == [
        ("of this one", ["entry"]),
        ("of all copies", ["content"]),
        ("unhashed", ["entry"]),
    ]
    assert not any("scopes" in item for item in everything)


async def test_changes_are_those_of_others_since_the_last_look(
    tmp_path: Path, pair: list[Replica]
) -> None:
    """Own actions neither show nor crowd out others', and a look counts only if it says so."""
    a, b = pair
    _shared(a, b)
    for at in range(5):
        _set(b, color=str(at))
    async with open_rooms(tmp_path, b) as rooms:
        assert await _commands(rooms, "/v1/changes", limit="1") == ["tag.create"]
        assert await _commands(rooms, "/v1/changes", seen="1") == ["tag.create"]
        assert await _commands(rooms, "/v1/changes") == []
        assert await _commands(rooms, "/v1/changes", all="1") == ["tag.create"]
        later = str(b.clock.ms + 60_000)
        assert await _commands(rooms, "/v1/changes", since_ms="1") == ["tag.create"]
        assert await _commands(rooms, "/v1/changes", since_ms=later) == []
        refused = await rooms.ask("GET", "/v1/changes", since_ms="1", all="1")
        assert refused.status == 400


async def test_a_look_that_shows_not_all_counts_for_nothing(
    tmp_path: Path, pair: list[Replica]
) -> None:
    """What did not fit is still new afterwards, and the answer says that there is more."""
    a, b = pair
    edit = Create("tag", TAG, {"canonical_name": "trip"})
    a.store.write_here(lambda tx: tx.commit("tag.create", [edit]))
    _set(a, color="red")
    store_commits(b, *log_of(a, own_feed(a)))
    async with open_rooms(tmp_path, b) as rooms:
        cut = await rooms.data("GET", "/v1/changes", seen="1", limit="1")
        assert (len(cut["actions"]), cut["more"]) == (1, True)
        assert len(await _commands(rooms, "/v1/changes", seen="1")) == 2
        assert await _commands(rooms, "/v1/changes") == []


async def test_a_clock_that_steps_back_hides_no_changes(
    tmp_path: Path, pair: list[Replica]
) -> None:
    """What takes effect after a look is new, whatever time it is by then."""
    a, b = pair
    _shared(a, b)
    async with open_rooms(tmp_path, b) as rooms:
        assert await _commands(rooms, "/v1/changes", seen="1") == ["tag.create"]
        _set(a, color="red")
        b.clock.ms -= 3_600_000
        store_commits(b, *log_of(a, own_feed(a), 1))
        assert await _commands(rooms, "/v1/changes", seen="1") == ["tag.set"]
        assert await _commands(rooms, "/v1/changes", seen="1") == []


async def test_a_look_between_two_commits_of_one_millisecond_hides_neither(
    tmp_path: Path, pair: list[Replica]
) -> None:
    """The second is new, though it had its effect at the very time of the first."""
    a, b = pair
    _shared(a, b)
    _set(a, color="red")
    async with open_rooms(tmp_path, b) as rooms:
        assert await _commands(rooms, "/v1/changes", seen="1") == ["tag.create"]
        store_commits(b, *log_of(a, own_feed(a), 1))
        assert await _commands(rooms, "/v1/changes", seen="1") == ["tag.set"]
        assert await _commands(rooms, "/v1/changes") == []


async def test_a_look_of_an_older_version_counts_by_its_time_once(
    tmp_path: Path, pair: list[Replica]
) -> None:
    """What it has seen is not shown again, but for its last millisecond."""
    a, b = pair
    _shared(a, b)
    b.clock.ms += 1_000
    within(b, lambda c: meta.put(c, "last_look_ms", b.clock.ms))
    _set(a, color="red")
    store_commits(b, *log_of(a, own_feed(a), 1))
    async with open_rooms(tmp_path, b) as rooms:
        assert await _commands(rooms, "/v1/changes", seen="1") == ["tag.set"]
        assert await _commands(rooms, "/v1/changes") == []


async def test_an_undone_restore_of_a_conflict_shows_what_was_in_effect(
    tmp_path: Path, pair: list[Replica]
) -> None:
    """The value that had won is back, not the one that was restored."""
    a, b = pair
    _shared(a, b)
    _set(a, color="red")
    b.clock.ms += 60_000
    _set(b, color="green")
    store_commits(b, *log_of(a, own_feed(a)))
    async with open_rooms(tmp_path, b) as rooms:
        (conflict,) = (await rooms.data("GET", "/v1/conflicts"))["conflicts"]
        assert (conflict["value"], conflict["winning_value"]) == ("red", "green")
        alone = await rooms.data("GET", "/v1/conflicts/show", id=conflict["short_id"])
        assert alone["conflict"] == conflict
        offered = await rooms.data("GET", "/v1/complete", kind="conflict", prefix="")
        assert offered["names"] == [conflict["short_id"]]
        await rooms.data("POST", "/v1/conflicts/restore", id=conflict["id"])
        assert rooms.rows("SELECT color FROM tag") == [("red",)]
        done = await rooms.data("POST", "/v1/undo")
        assert done["undone"]["command"] == "conflict.restore"
        assert rooms.rows("SELECT color FROM tag") == [("green",)]


async def test_a_dismissed_conflict_is_listed_no_more(tmp_path: Path, pair: list[Replica]) -> None:
    """One by its id, or all; something has to be named."""
    a, b = pair
    _shared(a, b)
    _set(a, color="red")
    b.clock.ms += 60_000
    _set(b, color="green")
    store_commits(b, *log_of(a, own_feed(a)))
    async with open_rooms(tmp_path, b) as rooms:
        assert (await rooms.ask("POST", "/v1/conflicts/dismiss")).status == 400
        assert (await rooms.ask("POST", "/v1/conflicts/restore")).status == 400
        for odd in ([], "aaaa", [1]):
            assert (await rooms.ask("POST", "/v1/conflicts/dismiss", ids=odd)).status == 400
        assert (await rooms.data("POST", "/v1/conflicts/dismiss", all=True))["dismissed"] == 1
        assert (await rooms.data("GET", "/v1/conflicts"))["conflicts"] == []


async def test_a_lock_of_another_device_is_named(tmp_path: Path, pair: list[Replica]) -> None:
    """What is locked there cannot be edited here until it is unlocked."""
    a, b = pair
    _shared(a, b)
    async with open_rooms(tmp_path / "a", a) as rooms:
        assert (await rooms.data("POST", "/v1/lock", target="tag:trip"))["name"] == "trip"
    store_commits(b, *log_of(a, own_feed(a)))
    async with open_rooms(tmp_path / "b", b) as rooms:
        refused = await rooms.ask("POST", "/v1/tags/set", tag="trip", fields={"color": "red"})
        assert (refused.status, refused.data["error"]["code"]) == (403, "locked")
        assert "“trip” is locked by " in refused.data["error"]["message"]
        await rooms.data("POST", "/v1/unlock", target="tag:trip")
        await rooms.data("POST", "/v1/tags/set", tag="trip", fields={"color": "red"})


async def test_a_file_of_which_nothing_is_said_has_nothing_to_lock(
    tmp_path: Path, replica: Replica
) -> None:
    """The refusal says so and names what can be done."""
    Drive(replica, "docs").put("a")
    async with open_rooms(tmp_path, replica) as rooms:
        refused = await rooms.ask("POST", "/v1/lock", target="/docs/a")
        assert (refused.status, refused.data["error"]["code"]) == (404, "not_found")
        assert "nothing is said of /docs/a" in refused.data["error"]["message"]
        assert "leaderless note" in refused.data["error"]["hint"]


async def test_a_lock_is_set_once_and_freed_once(tmp_path: Path, replica: Replica) -> None:
    """A second is refused with the name of who holds the first."""
    async with open_rooms(tmp_path, replica) as rooms:
        made = await rooms.data("POST", "/v1/albums/create", name="best")
        about = {"target": made["album"]["id"]}
        assert (await rooms.ask("POST", "/v1/unlock", **about)).status == 400
        await rooms.data("POST", "/v1/lock", **about)
        refused = await rooms.ask("POST", "/v1/lock", **about)
        assert "“best” is locked already, by device0" in refused.data["error"]["message"]
        await rooms.data("POST", "/v1/albums/delete", album="best")
        refused = await rooms.ask("POST", "/v1/unlock", **about)
        assert (refused.status, "is deleted" in refused.data["error"]["message"]) == (404, True)


async def test_lists_say_by_whom_something_is_locked(tmp_path: Path, replica: Replica) -> None:
    """Tags and albums alike, in the list and alone; of merged tags whichever is locked."""
    async with open_rooms(tmp_path, replica) as rooms:
        for name in ("one", "two"):
            await rooms.data("POST", "/v1/tags/create", name=name)
        await rooms.data("POST", "/v1/albums/create", name="best")
        assert (await rooms.data("GET", "/v1/tags"))["tags"][0]["locked_by"] is None
        for target in ("tag:two", "album:best"):
            await rooms.data("POST", "/v1/lock", target=target)
        await rooms.data("POST", "/v1/tags/merge", tag="one", other="two")
        (tag,) = (await rooms.data("GET", "/v1/tags"))["tags"]
        (album,) = (await rooms.data("GET", "/v1/albums"))["albums"]
        shown = (await rooms.data("GET", "/v1/albums/show", album="best"))["album"]
        assert [item["locked_by"] for item in (tag, album, shown)] == ["device0"] * 3
        assert tag["locked_by_id"] == replica.identity.device.hex()


async def test_a_rebuild_of_what_is_right_says_equal(tmp_path: Path, pair: list[Replica]) -> None:
    """Nothing differs, and the numbers are those of the log."""
    a, b = pair
    _shared(a, b)
    async with open_rooms(tmp_path, b) as rooms:
        done = await rooms.data("POST", "/v1/rebuild")
    assert (done["equal"], done["commits"]) == (True, 1)
    assert (done["records"], done["deleted"]) == (1, 0)


async def test_a_restored_conflict_of_a_deleted_record_is_one_action(
    tmp_path: Path, pair: list[Replica]
) -> None:
    """The record is back with the value that had lost, and one undo takes both back."""
    a, b = pair
    _shared(a, b)
    _set(a, color="red")
    b.clock.ms += 60_000
    b.store.write_here(lambda tx: tx.commit("tag.delete", [Delete("tag", TAG)]))
    store_commits(b, *log_of(a, own_feed(a)))
    async with open_rooms(tmp_path, b) as rooms:
        (conflict,) = (await rooms.data("GET", "/v1/conflicts"))["conflicts"]
        assert conflict["cause"] == "deleted"
        await rooms.data("POST", "/v1/conflicts/restore", id=conflict["id"])
        assert rooms.rows("SELECT canonical_name, color FROM tag") == [("trip", "red")]
        await rooms.data("POST", "/v1/undo")
        assert rooms.rows("SELECT * FROM tag") == []


async def test_a_refused_undo_names_an_older_action_that_can_be_taken_back(
    tmp_path: Path, pair: list[Replica]
) -> None:
    """By its id, as the refused one stays the last; the later edit of the other device as well."""
    a, b = pair
    other = Create("tag", b"o" * 16, {"canonical_name": "other"})
    a.store.write_here(lambda tx: tx.commit("tag.create", [other], {"tag": "other"}))
    a.clock.ms += 1_000
    _shared(a, b)
    b.clock.ms += 60_000
    _set(b, canonical_name="tour")
    store_commits(a, *log_of(b, own_feed(b)))
    async with open_rooms(tmp_path, a) as rooms:
        refused = (await rooms.ask("POST", "/v1/undo")).data["error"]
        assert " takes back tag.set tour, by " in refused["hint"]
        assert " first; leaderless undo " in refused["hint"]
        older = refused["hint"].rpartition("leaderless undo ")[2].split()[0]
        done = await rooms.data("POST", "/v1/undo", id=older)
        assert done["undone"]["data"] == {"tag": "other"}
        # Nothing older is left.
        refused = (await rooms.ask("POST", "/v1/undo")).data["error"]
        assert ";" not in refused["hint"]


async def test_a_history_of_one_thing_says_up_to_when_it_may_lack_some(
    tmp_path: Path, pair: list[Replica]
) -> None:
    """Where the content of an action is gone nobody knows what it was done to; all are in the log."""
    a, b = pair
    _shared(a, b)
    _set(b, color="red")
    forgotten_ms = b.clock.ms
    _set(b, color="blue")
    async with open_rooms(tmp_path, b) as rooms:
        asked = {"target": "tag:trip"}
        assert (await rooms.data("GET", "/v1/history", **asked))["forgotten_until_ms"] is None
        forget = (
            "UPDATE commit_log SET body = NULL WHERE stamp < (SELECT max(stamp) FROM commit_log)"
        )
        await b.store.write(lambda tx: tx.conn.exec_driver_sql(forget))
        told = await rooms.data("GET", "/v1/history", **asked)
        assert [item["command"] for item in told["actions"]] == ["tag.set"]
        assert told["forgotten_until_ms"] == str(forgotten_ms)
        everything = await rooms.data("GET", "/v1/history")
        assert (len(everything["actions"]), everything["forgotten_until_ms"]) == (3, None)


async def test_an_undo_in_the_history_names_what_it_took_back(
    tmp_path: Path, replica: Replica
) -> None:
    """As that has its own line; and an action is found by the id that the history shows."""
    async with open_rooms(tmp_path, replica) as rooms:
        await rooms.data("POST", "/v1/tags/create", name="trip")
        await rooms.data("POST", "/v1/undo")
        undo, create = (await rooms.data("GET", "/v1/history"))["actions"]
        assert (undo["undid"]["id"], undo["undid"]["data"]) == (create["id"], create["data"])
        named = await rooms.data("GET", "/v1/history", target=create["short_id"])
        assert named["actions"] == [create]

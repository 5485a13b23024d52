"""What was said of a file that was found twice is there under the id that stays."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from entities.user_metadata import metadata_id
from leaderless.catalogue.conflicts import OVERWRITTEN, conflicts, restore_conflict
from leaderless.catalogue.history import Filter, actions
from leaderless.catalogue.undo import undo
from leaderless.protocol import limits
from leaderless.protocol.commits import decode_body
from leaderless.protocol.packing import unpack
from leaderless.store import log, meta
from leaderless.store.registers import read_state
from leaderless.store.since_backup import Regained
from registry.changes import UNSET, Create, Delete, Edit, FieldWrite, Lock, RecordId, Update
from registry.derived import link_id
from tests.replicas import Replica, add_tree
from tests.store.passing import log_of, own_feed, signed_anew, store_commits, within
from tests.store.restored import Lives

TAG, ALBUM = b"t" * 16, b"a" * 16


class Twice(Lives):
    """A device that found a file, was put back, and found it again."""

    def __init__(self, folder: Path, replicas: list[Replica]) -> None:
        super().__init__(folder, replicas)
        _, root = add_tree(self.device, 1)
        self.say(Create("tag", TAG, {}), Create("album", ALBUM, {"name": "album"}))
        self.back_up()
        self.theirs = self.add("file", root)
        self.tell()
        self.put_back()
        self.ours = self.add("file", root)

    def say(self, *edits: Edit) -> None:
        """Edit shared records at the device."""
        self.device.clock.ms += 1_000
        self.device.store.write_here(lambda tx: tx.commit("said", edits))

    def note(self, entry: bytes, **fields: Any) -> None:
        """Write metadata of an entry."""
        record = metadata_id("entry", entry)
        self.say(Create("user_metadata", record, {"scope": "entry", "target": entry, **fields}))

    def shown(self, columns: str, table: str) -> list[tuple[Any, ...]]:
        """Return what a table shows."""
        return self.ask(f"SELECT {columns} FROM {table} ORDER BY 1")  # noqa: S608


@pytest.fixture
def twice(tmp_path: Path, replicas: list[Replica]) -> Twice:
    """Return a device that is about to take its rows back."""
    return Twice(tmp_path, replicas)


def link(item: bytes, **fields: Any) -> Create:
    """Return the edit that tags an entry."""
    ends = {"item": item, "scope": "entry", "tag": TAG}
    record = link_id("user_metadata_tag", item, TAG)
    return Create("user_metadata_tag", record, {**ends, **fields})


def place(item: bytes, record: bytes | None = None, **fields: Any) -> Create:
    """Return the edit that puts an entry into an album."""
    ends = {"item": item, "scope": "entry", "album": ALBUM}
    chosen = record or link_id("album_entry", item, ALBUM)
    return Create("album_entry", chosen, {**ends, **fields})  # type: ignore[arg-type]


def test_notes_tags_and_albums_follow(twice: Twice) -> None:
    """With all that was said there, under the ids that every device derives; nothing is left over."""
    twice.note(twice.ours, note="mine", rating=3)
    twice.say(link(twice.ours, context="c"), place(twice.ours, caption="x"))
    assert twice.returned().regained == Regained(joined=1)
    theirs = twice.theirs
    assert twice.shown("target, note, rating", "user_metadata") == [(theirs, "mine", 3)]
    assert twice.shown("uuid, item, context", "user_metadata_tag") == [
        (link_id("user_metadata_tag", theirs, TAG), theirs, "c")
    ]
    assert twice.shown("uuid, item, caption", "album_entry") == [
        (link_id("album_entry", theirs, ALBUM), theirs, "x")
    ]


async def test_it_is_one_action_of_this_device(twice: Twice) -> None:
    """It reaches everybody, and the history names the file; an undo passes it over."""
    twice.note(twice.ours, note="mine")
    twice.say(Create("tag", b"o" * 16, {}))
    twice.returned()
    commits = "SELECT command, count(DISTINCT command_id) FROM commit_log GROUP BY 1 ORDER BY 1"
    assert twice.ask(commits) == [("device.restore", 1), ("said", 3)]
    (newest, *_) = within(twice.device, lambda c: [*actions(c, Filter(limit=5))])
    assert (newest.command, newest.data) == ("device.restore", {"count": 1})
    undone = await undo(twice.device.store, None)
    assert undone.action.command == "said"
    assert twice.shown("target, note", "user_metadata") == [(twice.theirs, "mine")]


async def test_it_is_taken_back_by_its_id(twice: Twice) -> None:
    """What was said at several times goes back with the record; what was listed as lost hinders not."""
    twice.note(twice.ours, note="mine")
    twice.say(Update("user_metadata", metadata_id("entry", twice.ours), {"rating": 5}))
    twice.note(twice.theirs, note="theirs")
    twice.say(link(twice.ours, context="c"))
    twice.returned()
    (newest, *_) = within(twice.device, lambda c: [*actions(c, Filter(limit=1))])
    assert (await undo(twice.device.store, newest.command_id.hex())).action.key == newest.key
    shown = twice.shown("target, note, rating", "user_metadata")
    assert set(shown) == {(twice.ours, "mine", 5), (twice.theirs, "theirs", None)}
    assert twice.shown("item, context", "user_metadata_tag") == [(twice.ours, "c")]


async def test_what_was_said_at_several_times_is_taken_back_at_once(twice: Twice) -> None:
    """One edit of a record brings back all that it had said."""
    record = metadata_id("entry", twice.ours)
    twice.note(twice.theirs, favorite=True)
    twice.note(twice.ours, note="mine")
    twice.say(Update("user_metadata", record, {"rating": 5}))
    twice.returned()
    (newest, *_) = within(twice.device, lambda c: [*actions(c, Filter(limit=1))])
    await undo(twice.device.store, newest.command_id.hex())
    shown = twice.shown("target, note, rating, favorite", "user_metadata")
    assert set(shown) == {(twice.ours, "mine", 5, None), (twice.theirs, None, None, 1)}


async def test_what_made_way_for_what_followed_is_back_once_that_is_taken_back(
    twice: Twice,
) -> None:
    """It is shown again, and no conflict any more."""
    twice.note(twice.theirs, note="theirs", rating=2)
    twice.note(twice.ours, note="mine", rating=5)
    twice.returned()
    (newest, *_) = within(twice.device, lambda c: [*actions(c, Filter(limit=1))])
    await undo(twice.device.store, newest.command_id.hex())
    shown = twice.shown("target, note, rating", "user_metadata")
    assert set(shown) == {(twice.ours, "mine", 5), (twice.theirs, "theirs", 2)}
    assert within(twice.device, lambda c: conflicts(c, twice.device.store.registry)) == []


def test_of_two_values_the_later_one_is_shown(twice: Twice) -> None:
    """As if both had been said of one file; what nobody has said there comes along."""
    twice.note(twice.ours, note="mine", favorite=True, rating=1)
    twice.note(twice.theirs, note="theirs", rating=2)
    twice.say(Update("user_metadata", metadata_id("entry", twice.ours), {"rating": 5}))
    twice.returned()
    shown = twice.shown("target, note, favorite, rating", "user_metadata")
    assert shown == [(twice.theirs, "theirs", 1, 5)]


def test_what_a_later_value_takes_the_place_of_is_a_conflict(twice: Twice) -> None:
    """Who said it had not seen what was said of the id that stays; what is alike is none."""
    twice.note(twice.theirs, note="theirs", rating=2, favorite=True)
    twice.note(twice.ours, note="mine", rating=5, favorite=True)
    twice.returned()
    lost = twice.ask("SELECT field, value FROM journal")
    assert {(name, unpack(value)) for name, value in lost} == {("note", "theirs"), ("rating", 2)}
    assert twice.shown("note, rating", "user_metadata") == [("mine", 5)]


def test_what_a_later_value_of_the_id_that_stays_hides_is_a_conflict(twice: Twice) -> None:
    """It went with the other id; what is alike is none, nor what nothing else is said of."""
    twice.note(twice.ours, note="mine", rating=5, favorite=True, hidden=True)
    twice.note(twice.theirs, note="theirs", favorite=True)
    twice.say(Update("user_metadata", metadata_id("entry", twice.theirs), {"rating": 2}))
    twice.returned()
    listed = within(twice.device, lambda c: conflicts(c, twice.device.store.registry))
    staying = metadata_id("entry", twice.theirs)
    assert {(item.record, item.field, item.value, item.winning) for item in listed} == {
        (staying, "note", "mine", "theirs"),
        (staying, "rating", 5, 2),
    }
    assert len(twice.ask("SELECT * FROM journal")) == 2


def test_of_several_values_that_follow_all_but_the_last_are_conflicts(twice: Twice) -> None:
    """A file may have been found more than once; of how a value came about nothing is listed."""
    ((root,),) = twice.ask("SELECT p.uuid FROM entry e JOIN entry p ON p.id = e.parent LIMIT 1")
    again = twice.add("file", root)
    twice.note(twice.ours, note="mine", rating=1)
    twice.note(again, note="again", rating=1)
    assert twice.returned().regained == Regained(joined=2)
    assert twice.shown("target, note, rating", "user_metadata") == [(twice.theirs, "again", 1)]
    lost = twice.ask("SELECT record, field, value FROM journal")
    assert [(record, field, unpack(value)) for record, field, value in lost] == [
        (metadata_id("entry", twice.theirs), "note", "mine")
    ]


def test_a_value_that_a_lock_hides_stays_where_it_was_said(twice: Twice) -> None:
    """Nothing is listed of what another device has locked, and nothing goes."""
    twice.note(twice.ours, note="mine")
    twice.note(twice.theirs, note="theirs")
    _lock_elsewhere(twice, "user_metadata", metadata_id("entry", twice.theirs))
    assert twice.returned().regained == Regained(joined=1, unsaid=1)
    assert {note for (note,) in twice.shown("note", "user_metadata")} == {"mine", "theirs"}
    assert twice.ask("SELECT * FROM journal") == []


async def test_a_value_that_was_hidden_can_be_taken_after_all(twice: Twice) -> None:
    """It is said of the file that is there then, and the conflict is over."""
    twice.note(twice.ours, note="mine")
    twice.note(twice.theirs, note="theirs")
    twice.returned()
    store = twice.device.store
    (listed,) = within(twice.device, lambda c: conflicts(c, store.registry))
    await restore_conflict(store, listed.id.hex())
    assert twice.shown("target, note", "user_metadata") == [(twice.theirs, "mine")]
    assert within(twice.device, lambda c: conflicts(c, store.registry)) == []


@pytest.mark.parametrize("mine_first", [False, True])
def test_every_device_lists_the_same(twice: Twice, *, mine_first: bool) -> None:
    """Whichever was said later, and whatever another device has said meanwhile."""
    order = [(twice.ours, "mine"), (twice.theirs, "theirs")]
    for entry, note in order if mine_first else reversed(order):
        twice.note(entry, note=note)
    store_commits(twice.peer, *log_of(twice.device, own_feed(twice.device)))
    record = metadata_id("entry", twice.theirs)
    twice.peer.clock.ms = twice.device.clock.ms + 60_000
    edit = Update("user_metadata", record, {"note": "third"})
    twice.peer.store.write_here(lambda tx: tx.commit("said", [edit]))
    twice.returned()
    meet_all(twice)
    query = "SELECT record, field, value, loser FROM journal ORDER BY 1, 2, 3"
    held = [
        within(one, lambda c: c.exec_driver_sql(query).all()) for one in (twice.device, twice.peer)
    ]
    assert held[0] == held[1]
    assert "mine" in {unpack(value) for _, field, value, _ in held[0] if field == "note"}


def meet_all(twice: Twice) -> None:
    """Let both devices hear all that the other one has said."""
    for source, target in ((twice.device, twice.peer), (twice.peer, twice.device)):
        for feed in within(source, log.feeds):
            store_commits(target, *log_of(source, feed.feed))


def _say_elsewhere(twice: Twice, edit: Edit) -> None:
    """Let another device say something, a minute from now; the restored one goes on later still."""
    twice.peer.clock.ms = twice.device.clock.ms + 60_000
    twice.peer.store.write_here(lambda tx: tx.commit("said", [edit]))
    twice.device.clock.ms += 3_600_000


@pytest.mark.parametrize("known", [False, True])
def test_what_was_said_meanwhile_and_is_not_heard_of_wins(twice: Twice, *, known: bool) -> None:
    """What follows is as old as it was; the value that lost is listed, with its time."""
    record = metadata_id("entry", twice.theirs)
    if known:
        twice.note(twice.theirs, note="theirs")
        store_commits(twice.peer, *log_of(twice.device, own_feed(twice.device)))
    twice.note(twice.ours, note="mine", rating=1)
    said_ms = twice.device.clock.ms
    fields = {"scope": "entry", "target": twice.theirs, "note": "third"}
    made = Update("user_metadata", record, {"note": "third"})
    _say_elsewhere(twice, made if known else Create("user_metadata", record, fields))
    twice.returned()
    meet_all(twice)
    assert twice.shown("target, note, rating", "user_metadata") == [(twice.theirs, "third", 1)]
    (lost,) = within(twice.device, lambda c: conflicts(c, twice.device.store.registry))
    assert (lost.value, lost.loser.stamp.ms, lost.cause) == ("mine", said_ms, OVERWRITTEN)


def test_a_cover_that_was_chosen_meanwhile_stays(twice: Twice) -> None:
    """That the one before it is known under another id now makes it no later choice."""
    twice.say(Update("album", ALBUM, {"cover": twice.ours}))
    store_commits(twice.peer, *log_of(twice.device, own_feed(twice.device)))
    other = b"c" * 16
    _say_elsewhere(twice, Update("album", ALBUM, {"cover": other}))
    twice.returned()
    meet_all(twice)
    assert twice.shown("cover", "album") == [(other,)]


def test_what_was_said_at_different_times_keeps_its_order(twice: Twice) -> None:
    """A file has one value of each field, and each is as old as it was said."""
    twice.note(twice.ours, note="mine")
    first_ms = twice.device.clock.ms
    twice.say(Update("user_metadata", metadata_id("entry", twice.ours), {"rating": 4}))
    twice.device.clock.ms += 3_600_000
    twice.returned()
    state = within(
        twice.device,
        lambda c: read_state(c, "user_metadata", metadata_id("entry", twice.theirs)),
    )
    times = {name: write.ref.stamp.ms for (name, _), write in state.shown().items()}
    assert (times["note"], times["rating"]) == (first_ms, first_ms + 1_000)


def test_what_was_said_of_both_alike_is_said_once(twice: Twice) -> None:
    """Nothing is written where the one that stays says all of it, and later."""
    twice.say(link(twice.ours))
    twice.say(link(twice.theirs))
    twice.returned()
    assert twice.shown("item", "user_metadata_tag") == [(twice.theirs,)]


def test_what_a_person_took_back_alone_is_not_said(twice: Twice) -> None:
    """A value that is unset hides none of the one that stays."""
    twice.note(twice.theirs, note="theirs")
    twice.note(twice.ours, note="mine")
    twice.say(Update("user_metadata", metadata_id("entry", twice.ours), {"note": UNSET}))
    twice.returned()
    assert twice.shown("note", "user_metadata") == [("theirs",)]


def test_a_file_that_is_in_an_album_again_stays_so(twice: Twice) -> None:
    """The second time has an id of its own, there as here."""
    twice.say(place(twice.ours, caption="1"), place(twice.ours, b"s" * 16, caption="2"))
    twice.returned()
    shown = twice.shown("caption, item", "album_entry")
    assert shown == [("1", twice.theirs), ("2", twice.theirs)]


def test_an_album_keeps_its_cover(twice: Twice) -> None:
    """It names the file that stays."""
    twice.say(Update("album", ALBUM, {"cover": twice.ours}))
    twice.returned()
    assert twice.shown("cover, name", "album") == [(twice.theirs, "album")]


def _lock_elsewhere(twice: Twice, model: str, record: bytes) -> None:
    """Let another device hold a record locked."""
    store_commits(twice.peer, *log_of(twice.device, own_feed(twice.device)))
    lock = Lock(model, RecordId(record))
    twice.peer.clock.ms = twice.device.clock.ms
    twice.peer.store.write_here(lambda tx: tx.commit("lock", [lock]))
    store_commits(twice.device, *log_of(twice.peer, own_feed(twice.peer)))


def test_what_another_device_has_locked_stays_as_it_is(twice: Twice) -> None:
    """What is said there is said of the one that stays; nothing is said over a lock on that."""
    twice.note(twice.ours, note="mine")
    twice.note(twice.theirs, note="theirs", rating=1)
    twice.say(link(twice.ours))
    _lock_elsewhere(twice, "user_metadata", metadata_id("entry", twice.theirs))
    _lock_elsewhere(twice, "user_metadata_tag", link_id("user_metadata_tag", twice.ours, TAG))
    twice.say(Update("user_metadata", metadata_id("entry", twice.ours), {"rating": 2}))
    assert twice.returned().regained == Regained(joined=1, unsaid=1)
    assert twice.shown("note, rating", "user_metadata") == [("mine", 2), ("theirs", 1)]
    items = {item for (item,) in twice.shown("item", "user_metadata_tag")}
    assert items == {twice.ours, twice.theirs}


def test_what_cannot_be_said_is_counted_and_keeps_no_row(
    twice: Twice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record that needs more than one change holds stays where it is."""
    twice.say(link(twice.ours))
    twice.note(twice.ours, note="n" * 2_000)
    monkeypatch.setattr(limits, "MAX_HEAD_BYTES", 1_000)
    assert twice.returned().regained == Regained(joined=1, unsaid=4)
    assert twice.shown("item", "user_metadata_tag") == [(twice.ours,)]


def test_what_only_a_later_version_knows_stays_where_it_was_said(twice: Twice) -> None:
    """It cannot be said again by this one; what else was said of the file follows."""
    twice.note(twice.ours, note="mine")
    store_commits(twice.peer, *log_of(twice.device, own_feed(twice.device)))
    record = metadata_id("entry", twice.ours)
    edit = Update("user_metadata", record, {"rating": 3})
    twice.peer.clock.ms = twice.device.clock.ms
    twice.peer.store.write_here(lambda tx: tx.commit("said", [edit]))
    (item,) = log_of(twice.peer, own_feed(twice.peer))
    (change,) = decode_body(item.header, item.signed.body)
    later = replace(change, writes=(FieldWrite("mood", None, "fine"),))
    store_commits(twice.device, signed_anew(twice.peer.identity, item, [later]))
    assert twice.returned().regained == Regained(joined=1, unsaid=1)
    assert twice.shown("note", "user_metadata") == [("mine",), ("mine",)]
    state = within(twice.device, lambda c: read_state(c, "user_metadata", record))
    assert state.shown()["mood", None].value == "fine"


def test_who_was_revoked_says_nothing(twice: Twice) -> None:
    """It would reach nobody; the rows are its own."""
    twice.say(link(twice.ours))
    within(twice.device, lambda c: meta.put(c, meta.REVOKED, 1))
    assert twice.returned().regained == Regained(joined=1, unsaid=2)


def test_a_tag_that_was_taken_off_in_the_other_life_is_on_again(twice: Twice) -> None:
    """It was put on later, by somebody who had not seen that."""
    twice.say(link(twice.theirs))
    twice.say(Delete("user_metadata_tag", link_id("user_metadata_tag", twice.theirs, TAG)))
    twice.say(link(twice.ours))
    twice.returned()
    assert twice.shown("item", "user_metadata_tag") == [(twice.theirs,)]

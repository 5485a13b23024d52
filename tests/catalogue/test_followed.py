"""What was said of a file under another id is found from the one that it has now."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from entities.user_metadata import metadata_id
from leaderless.catalogue.followed import Followed
from leaderless.catalogue.history import Filter, action_json, actions
from leaderless.catalogue.pages import Pages
from leaderless.catalogue.story import story_of
from leaderless.store.registers import read_state
from leaderless.store.sayings import COMMAND as FOLLOWED
from registry.changes import Create, Delete, Update, WriteRef
from tests.replicas import Replica
from tests.store.passing import within
from tests.store.test_sayings import Twice, link


@pytest.fixture
def twice(tmp_path: Path, replicas: list[Replica]) -> Twice:
    """Return a device that is about to take its rows back."""
    return Twice(tmp_path, replicas)


def _told(twice: Twice, entry: bytes) -> list[tuple[str, str | None]]:
    """Return the actions in the history of a file, with the file that they name."""
    store = twice.device.store

    def read(connection: Connection) -> Any:
        story = story_of(connection, store.own_epoch, entry.hex())
        stands_for = Followed(connection, Pages(connection)).stands_for
        assert story.scopes == {"entry": story.records}
        return [
            action_json(connection, action, stands_for=stands_for)
            for action in actions(connection, Filter(records=story.records))
        ]

    told = within(twice.device, read)
    return [(item["command"], item["records"][0]["file"]) for item in told]


def test_the_history_of_a_file_tells_what_was_said_of_its_other_id(twice: Twice) -> None:
    """By whom and when, each under the name of the file, and that it followed."""
    twice.note(twice.ours, rating=3)
    twice.say(link(twice.ours))
    twice.returned()
    told = _told(twice, twice.theirs)
    assert told == [(FOLLOWED, "file"), ("said", "file"), ("said", "file")]


def test_what_followed_stands_in_the_history_where_it_was_done(twice: Twice) -> None:
    """Though one part of it says something with the time at which that was said."""
    twice.note(twice.theirs, favorite=True)
    twice.note(twice.ours, rating=3)
    twice.say(Update("user_metadata", metadata_id("entry", twice.ours), {"rating": 4}))
    twice.note(twice.add("other", _root(twice)), rating=1)
    twice.say(Update("user_metadata", metadata_id("entry", twice.theirs), {"note": "later"}))
    twice.device.clock.ms += 60_000
    twice.returned()
    # Asked of the record that stays alone: in it there is but what was said earlier.
    records = frozenset([metadata_id("entry", twice.theirs)])
    found = within(twice.device, lambda c: [*actions(c, Filter(records=records))])
    assert [action.command for action in found] == [FOLLOWED, "said", "said"]
    times = [action.stamp_ms for action in found]
    assert times == sorted(times, reverse=True)


def test_what_was_said_of_another_file_is_not_told(twice: Twice) -> None:
    """Though it followed in the same action."""
    other = twice.add("other", _root(twice))
    twice.note(twice.ours, rating=3)
    twice.note(other, rating=3)
    twice.returned()
    assert len(_told(twice, twice.theirs)) == 2


def _root(twice: Twice) -> bytes:
    ((root,),) = twice.ask("SELECT p.uuid FROM entry e JOIN entry p ON p.id = e.parent LIMIT 1")
    return bytes(root)


def test_where_nothing_followed_nothing_is_looked_for(twice: Twice) -> None:
    """A record is what it is, and repeats nothing."""
    twice.note(twice.ours, rating=3)
    record = metadata_id("entry", twice.ours)

    def read(connection: Connection) -> Any:
        followed = Followed(connection, Pages(connection))
        return followed.stands_for("user_metadata", record), followed.ids_before([record])

    assert within(twice.device, read) == (record, frozenset())


def test_what_followed_twice_is_found_from_the_last_id(twice: Twice) -> None:
    """A device may be put back once more: each id leads to the one before it."""
    twice.note(twice.ours, rating=3)
    twice.returned()
    again = b"again" + bytes(11)
    first, second = (metadata_id("entry", entry) for entry in (twice.theirs, again))
    fields = {"scope": "entry", "target": again}
    refs = within(twice.device, lambda c: _refs(c, first))
    edits = [Create("user_metadata", second, fields, refs), Delete("user_metadata", first)]
    twice.device.store.write_here(lambda tx: tx.commit(FOLLOWED, edits))

    def read(connection: Connection) -> Any:
        followed = Followed(connection, Pages(connection))
        mine = metadata_id("entry", twice.ours)
        return followed.stands_for("user_metadata", mine), followed.ids_before([second])

    assert within(twice.device, read) == (second, {first, metadata_id("entry", twice.ours)})


def _refs(connection: Connection, record: bytes) -> tuple[WriteRef, ...]:
    state = read_state(connection, "user_metadata", record)
    return tuple({write.ref for write in state.writes})

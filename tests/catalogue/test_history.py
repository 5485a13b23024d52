"""Who did what, when."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Connection, event

from leaderless.catalogue.history import (
    Filter,
    action_json,
    actions,
    actions_called,
    find_action,
    in_words,
)
from leaderless.protocol import limits
from leaderless.store.registers import read_state
from registry.changes import Create, Delete, Dismiss, Edit, Restore, Update, Value
from tests.replicas import Replica
from tests.store.passing import log_of, own_feed, store_commits, within

SEA, TRIP, LINK, PAGE = (bytes([at]) * 16 for at in range(1, 5))
ON_PAGE = {"item": PAGE, "scope": "entry", "tag": SEA}
STEP_MS = 1_000


def _edit(replica: Replica, *edits: Edit, command: str = "test") -> bytes:
    replica.clock.ms += STEP_MS
    return replica.store.write_here(lambda tx: tx.commit(command, edits))


def _found(replica: Replica, wanted: Filter) -> list[bytes]:
    return within(replica, lambda c: [item.command_id for item in actions(c, wanted)])


def _told(replica: Replica, command_id: bytes) -> dict[str, Any]:
    def read(connection: Connection) -> dict[str, Any]:
        (action,) = actions_called(connection, command_id)
        return action_json(connection, action)

    return within(replica, read)


def test_the_newest_comes_first_and_no_more_than_was_asked_for(replica: Replica) -> None:
    """The limit is of actions, in the order of their times."""
    done = [_edit(replica, Create("tag", bytes([at]) * 16)) for at in range(4)]
    assert _found(replica, Filter(limit=3)) == done[:0:-1]


def test_what_is_not_asked_for_is_not_read(replica: Replica) -> None:
    """Of a long log the first lines cost no body of any other action."""
    for at in range(20):
        _edit(replica, Create("tag", bytes([at]) * 16))
    read: list[str] = []

    def note(_: object, __: object, statement: str, *___: object) -> None:
        read.append(statement)

    def first(connection: Connection) -> dict[str, Any]:
        event.listen(connection, "before_cursor_execute", note)
        return action_json(connection, next(actions(connection, Filter())))

    within(replica, first)
    assert sum("c.body FROM" in statement for statement in read) == 1


def test_an_action_in_parts_is_one_line_that_names_a_few_and_counts_all(replica: Replica) -> None:
    """However many records it changes."""
    many = limits.MAX_CHANGES + 5
    edits = [Create("tag", at.to_bytes(16, "big"), {"canonical_name": f"t{at}"})
             for at in range(many)]  # fmt: skip
    done = _edit(replica, *edits)
    told = _told(replica, done)
    assert _found(replica, Filter()) == [done]
    assert (told["commits"], told["changes"]) == (2, many)
    assert [item["name"] for item in told["records"]] == [f"t{at}" for at in range(8)]


def test_the_records_that_an_action_names_may_stand_in_two_parts(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the first part holds less than are named, the second one goes on."""
    monkeypatch.setattr(limits, "MAX_CHANGES", 5)
    done = _edit(replica, *(Create("tag", bytes([at]) * 16) for at in range(12)))
    told = _told(replica, done)
    assert (told["commits"], told["changes"], len(told["records"])) == (3, 12, 8)


def test_contents_are_no_news_however_many_stand_first(replica: Replica) -> None:
    """They are made so that something can be said of them; what is said is named."""
    contents = [Create("content", bytes([9, at]) * 8, {"hash": bytes([at]) * 32})
                for at in range(20)]  # fmt: skip
    told = _told(replica, _edit(replica, *contents, Create("user_metadata_tag", LINK, ON_PAGE)))
    assert told["changes"] == 21
    assert [item["model"] for item in told["records"]] == ["user_metadata_tag"]


@pytest.mark.parametrize(
    ("edit", "verb"),
    [
        (Create("tag", TRIP), "create"),
        (Update("tag", SEA, {"color": "red"}), "update"),
        (Delete("tag", SEA), "delete"),
        (Dismiss("tag", SEA), "dismiss"),
    ],
)
def test_every_form_of_a_change_has_a_word(replica: Replica, edit: Edit, verb: str) -> None:
    """What was done to a record is said."""
    _edit(replica, Create("tag", SEA, {"color": "blue"}))
    if isinstance(edit, Dismiss):
        state = within(replica, lambda c: read_state(c, "tag", SEA))
        edit = Dismiss("tag", SEA, tuple((key, held.ref) for key, held in state.shown().items()))
    (record,) = _told(replica, _edit(replica, edit))["records"]
    assert record["what"] == verb


def test_a_record_brought_back_is_restored(replica: Replica) -> None:
    """A restore is told from a create."""
    _edit(replica, Create("tag", SEA))
    _edit(replica, Delete("tag", SEA))
    (record,) = _told(replica, _edit(replica, Restore("tag", SEA)))["records"]
    assert record["what"] == "restore"


def test_actions_of_a_record_are_those_that_change_it_or_link_to_it(replica: Replica) -> None:
    """The rest of the log is left out."""
    made = _edit(replica, Create("tag", SEA, {"color": "blue"}))
    _edit(replica, Create("tag", TRIP, {"color": "red"}))
    linked = _edit(replica, Create("user_metadata_tag", LINK, ON_PAGE))
    assert _found(replica, Filter(records=frozenset([SEA]))) == [linked, made]
    assert _found(replica, Filter(records=frozenset([PAGE]))) == [linked]


def test_actions_of_many_records_are_found_too(replica: Replica) -> None:
    """More of them than are looked for in the bytes of the log."""
    made = _edit(replica, Create("tag", SEA))
    _edit(replica, Create("tag", TRIP))
    linked = _edit(replica, Create("user_metadata_tag", LINK, ON_PAGE))
    many = frozenset([SEA, *(bytes([7, at]) * 8 for at in range(100))])
    assert _found(replica, Filter(records=many)) == [linked, made]


def test_an_id_within_other_bytes_is_no_change_of_its_record(replica: Replica) -> None:
    """What only looks like it in the bytes of the log is not shown."""
    _edit(replica, Create("tag", TRIP, {"description": f"…{'A' * 16}…"}))
    assert _found(replica, Filter(records=frozenset([b"A" * 16]))) == []


def test_actions_are_those_of_a_device_or_of_all_others(replicas: list[Replica]) -> None:
    """By whom is asked of the feed."""
    a, b, _ = replicas
    ours = _edit(a, Create("tag", SEA))
    theirs = _edit(b, Create("tag", TRIP))
    store_commits(a, *log_of(b, own_feed(b)))
    assert _found(a, Filter(author=b.identity.device)) == [theirs]
    assert _found(a, Filter(not_author=b.identity.device)) == [ours]


def test_actions_since_a_time_are_those_at_it_and_after(replica: Replica) -> None:
    """The time is that at which they were authored; before all times is no limit."""
    done = [_edit(replica, Create("tag", bytes([at]) * 16)) for at in range(3)]
    assert _found(replica, Filter(since_ms=replica.clock.ms - STEP_MS)) == done[:0:-1]
    assert _found(replica, Filter(since_ms=-5)) == done[::-1]


def test_what_took_effect_after_a_time_is_new(replica: Replica) -> None:
    """What had its effect at that time is left out."""
    _edit(replica, Create("tag", SEA))
    looked = replica.clock.ms
    new = _edit(replica, Create("tag", TRIP))
    assert _found(replica, Filter(after_applied_ms=looked)) == [new]


def test_what_stands_behind_what_was_seen_of_a_feed_is_new(replicas: list[Replica]) -> None:
    """Newest first over all feeds; of a feed that nobody has seen, all."""
    a, b, _ = replicas
    first = _edit(b, Create("tag", SEA))
    ours = [_edit(a, Create("tag", bytes([9, at]) * 8)) for at in range(3)]
    store_commits(a, *log_of(b, own_feed(b)))
    assert _found(a, Filter(seen={own_feed(a): 1})) == [*ours[:0:-1], first]
    assert _found(a, Filter(seen={own_feed(a): 3, own_feed(b): 1})) == []
    assert _found(a, Filter(seen={own_feed(a): 2}, not_author=b.identity.device)) == [ours[2]]


@pytest.mark.parametrize(
    "wanted",
    [
        Filter(),
        Filter(since_ms=5, author=SEA),
        Filter(after_applied_ms=5, not_author=SEA),
        Filter(seen={}, not_author=SEA),
    ],
    ids=["history", "history of a device", "changes since", "changes since last"],
)
def test_a_list_of_actions_passes_over_no_body(replica: Replica, wanted: Filter) -> None:
    """What tells which actions are listed stands in an index, however long bodies are."""
    _edit(replica, Create("tag", SEA))
    asked: list[tuple[str, Any]] = []

    def note(_: object, __: object, statement: str, values: Any, *___: object) -> None:
        asked.append((statement, values))

    def planned(connection: Connection) -> list[str]:
        event.listen(connection, "before_cursor_execute", note)
        list(actions(connection, wanted))
        (question,) = [item for item in asked if item[0].startswith("SELECT f.feed, c.command_id")]
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {question[0]}", question[1])
        return [step[3] for step in plan if step[3].startswith(("SCAN c ", "SEARCH c "))]

    steps = within(replica, planned)
    assert len(steps) == 1
    assert "USING COVERING INDEX commit_by_" in steps[0]


@pytest.mark.parametrize("digits", ["begin", "end"])
def test_an_action_is_found_by_either_end_of_its_id(replica: Replica, digits: str) -> None:
    """As people tell them apart."""
    done = _edit(replica, Create("tag", SEA))
    reference = done.hex()[:6] if digits == "begin" else done.hex()[-6:]
    found = within(replica, lambda c: [item.command_id for item in find_action(c, reference)])
    assert found == [done]


@pytest.mark.parametrize("reference", ["abc", "nothing hexadecimal"])
def test_what_is_no_id_finds_no_action(replica: Replica, reference: str) -> None:
    """Fewer than four digits tell nothing."""
    assert within(replica, lambda c: find_action(c, reference)) == []


@pytest.mark.parametrize(("data", "words"), [({"count": 2}, "1 more"), ({}, "3 more")])
def test_in_words_it_was_done_to_as_many_as_it_says_itself(
    replica: Replica, data: dict[str, Value], words: str
) -> None:
    """As the list of actions has it: two files, though it changed four records."""
    edits = [Create("tag", bytes([at]) * 16, {"canonical_name": f"t{at}"}) for at in range(4)]
    replica.store.write_here(lambda tx: tx.commit("tag.many", edits, data))
    (newest, *_) = within(replica, lambda c: [*actions(c, Filter(limit=1))])
    told = within(replica, lambda c: in_words(c, newest))
    assert told == f"tag.many t0 and {words}"

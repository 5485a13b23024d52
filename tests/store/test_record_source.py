"""What is said of the shared records to whoever lacks forgotten commits."""

from __future__ import annotations

import pytest

from leaderless.protocol import limits
from leaderless.protocol.transfer import cursor, decode_record
from leaderless.store.record_source import read_records
from registry.changes import Create, Update
from tests.merge.devices import edit, meet, state_of
from tests.replicas import Replica
from tests.store.passing import own_feed, within
from tests.store.test_staging import batches

TAGS = [bytes([at]) * 16 for at in range(1, 6)]


def test_every_record_comes_once_in_order(replica: Replica) -> None:
    """With its state, and with how much of every feed had been applied when it was read."""
    for tag in TAGS:
        edit(replica, Create("tag", tag, {"canonical_name": "tag"}))
    found = []
    for batch in batches(replica, 2):
        assert batch.as_of == {own_feed(replica): 5}
        found += [decode_record(packed, batch.as_of) for packed in batch.records]
    assert [key for key, _ in found] == [("tag", tag) for tag in TAGS]
    assert all(memory.state == state_of(replica, *key) for key, memory in found)


def test_a_batch_ends_where_it_is_large_enough(replica: Replica) -> None:
    """However many records there are; the one that crosses the limit still comes along."""
    for tag in TAGS:
        edit(replica, Create("tag", tag, {"description": "x" * (limits.RECORDS_BYTES // 2)}))
    sizes = [len(batch.records) for batch in batches(replica, 100)]
    assert sizes == [2, 2, 1]


def test_a_library_without_records_says_so(replica: Replica) -> None:
    """In one batch, which is the last."""
    batch = within(replica, lambda conn: read_records(conn, b""))
    assert (batch.records, batch.as_of, batch.done) == ((), {}, True)
    after = cursor(("tag", TAGS[0]))
    assert within(replica, lambda conn: read_records(conn, after)).after == after


def test_what_was_lost_of_a_record_travels_with_it(replicas: list[Replica]) -> None:
    """Of each record its own, without deletes in vain: these follow from its state."""
    one, two, _ = replicas
    for tag in TAGS[:2]:
        edit(one, Create("tag", tag, {"canonical_name": "tag"}))
    meet(one, two)
    edit(one, Update("tag", TAGS[1], {"color": "red"}))
    edit(two, Update("tag", TAGS[1], {"color": "blue"}), after_ms=9)
    meet(one, two)
    batch = within(one, lambda conn: read_records(conn, b""))
    first, second = (decode_record(packed, batch.as_of)[1].losses for packed in batch.records)
    assert first == {}
    assert [(key, value) for (key, _), value in second.items()] == [(("color", None), "red")]


def test_a_record_too_large_for_a_message_goes_without_its_losses(
    replicas: list[Replica], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record itself is what others need; its conflicts stay listed here."""
    one, two, _ = replicas
    edit(one, Create("tag", TAGS[0], {"canonical_name": "tag"}))
    meet(one, two)
    edit(one, Update("tag", TAGS[0], {"description": "x" * 1_000}))
    edit(two, Update("tag", TAGS[0], {"description": "y"}), after_ms=9)
    meet(one, two)
    monkeypatch.setattr(limits, "MAX_RECORD_BYTES", 1_000)
    batch = within(one, lambda conn: read_records(conn, b""))
    _, memory = decode_record(batch.records[0], batch.as_of)
    assert memory.losses == {}
    assert memory.state == state_of(one, "tag", TAGS[0])

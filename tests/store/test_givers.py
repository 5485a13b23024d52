"""Whose word the shared records are, and what is done where most others hold other ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from leaderless.protocol.messages import Records
from leaderless.store import fetched, givers, meta, staging
from leaderless.store.forgotten import want_state
from leaderless.store.holdings import read_holdings
from registry.changes import Create
from tests.merge.devices import agreed, edit, receive_all
from tests.replicas import Replica
from tests.store.passing import within
from tests.store.test_staging import TAGS, batches

GIVER, OTHER = b"g" * 16, b"o" * 16


def _as_it_is(batch: Records) -> Records:
    return batch


def _altered(batch: Records) -> Records:
    return replace(batch, records=tuple(item.replace(b"tag 3", b"bad 3") for item in batch.records))


def _given(
    source: Replica, target: Replica, by: bytes, lie: Callable[[Records], Records] = _as_it_is
) -> staging.Taken:
    """Have a device take the state of another one, as it was handed on."""
    receive_all(source, target)
    within(target, lambda conn: conn.exec_driver_sql("UPDATE commit_log SET body = NULL"))
    for batch in batches(source):
        assert within(target, lambda conn, batch=batch: staging.stage(conn, lie(batch), by))  # type: ignore[misc]
    return within(target, lambda conn: staging.take(conn, target.store.registry, target.clock.ms))


@pytest.fixture
def two(replicas: list[Replica]) -> list[Replica]:
    """Return a device with tags, and one that has nothing."""
    for at, tag in enumerate(TAGS):
        edit(replicas[0], Create("tag", tag, {"canonical_name": f"tag {at}"}))
    return replicas[:2]


def test_who_gave_a_state_is_remembered_and_told(two: list[Replica]) -> None:
    """All that had a part in what is here, until one replaces all of it."""
    one, other = two
    assert _given(one, other, GIVER).altered == frozenset()
    assert within(other, read_holdings).givers == {GIVER}
    _given(one, other, OTHER)
    assert within(other, givers.givers) == {GIVER, OTHER}
    within(other, want_state)
    _given(one, other, OTHER)
    assert within(other, givers.givers) == {OTHER}


def test_what_nobody_gave_is_not_doubted(two: list[Replica]) -> None:
    """What authors have signed needs no other word; what is doubted already is not doubted again."""
    one, other = two
    assert not within(one, givers.doubt)
    _given(one, other, GIVER)
    assert within(other, givers.doubt)
    assert not within(other, givers.doubt)
    held = within(other, read_holdings)
    assert (held.damaged, held.outvoted, held.state_digest()) == (True, True, None)


def test_an_altered_state_is_replaced_and_its_giver_named(two: list[Replica]) -> None:
    """What it said of a record goes, as if it had never been here."""
    one, other = two
    _given(one, other, GIVER, _altered)
    assert agreed(one) != agreed(other)
    within(other, givers.doubt)
    assert _given(one, other, OTHER).altered == {GIVER}
    assert agreed(one) == agreed(other)
    assert within(other, givers.givers) == {OTHER}
    assert not within(other, read_holdings).outvoted


def test_a_state_that_turns_out_to_be_right_is_doubted_no_more(two: list[Replica]) -> None:
    """The difference is of something else: nobody is named, and it is not fetched once more."""
    one, other = two
    _given(one, other, GIVER)
    within(other, givers.doubt)
    assert _given(one, other, OTHER).altered == frozenset()
    assert within(other, givers.givers) == frozenset()
    assert not within(other, givers.doubt)


def test_who_gave_a_state_cannot_end_the_doubt_of_it(two: list[Replica]) -> None:
    """It says the same once more: the records are there again, and most may doubt them again."""
    one, other = two
    _given(one, other, GIVER, _altered)
    within(other, givers.doubt)
    assert _given(one, other, GIVER, _altered).altered == frozenset()
    assert within(other, givers.givers) == {GIVER}
    assert within(other, givers.doubt)


def test_what_is_doubted_is_not_mixed_with_what_most_hold(two: list[Replica]) -> None:
    """Who goes on where one of the others had begun has all of it begun anew."""
    one, other = two
    _given(one, other, GIVER, _altered)
    within(other, givers.doubt)
    first, second, *_ = batches(one, 2)
    for begins, goes_on in ((OTHER, GIVER), (GIVER, OTHER)):
        assert within(other, lambda conn: staging.stage(conn, first, begins))  # noqa: B023
        assert not within(other, lambda conn: staging.stage(conn, second, goes_on))  # noqa: B023
        assert within(other, fetched.read_staging) is None
        assert within(other, lambda conn: staging.stage(conn, first, begins))  # noqa: B023
        assert within(other, lambda conn: staging.stage(conn, second, begins))  # noqa: B023


def test_nobody_is_named_where_more_has_been_written_since(two: list[Replica]) -> None:
    """Other positions have other records: what replaces them says nothing of those before."""
    one, other = two
    _given(one, other, GIVER, _altered)
    within(other, givers.doubt)
    edit(one, Create("tag", b"new!" * 4, {"canonical_name": "since"}))
    assert _given(one, other, OTHER).altered == frozenset()
    assert (agreed(one), within(other, givers.givers)) == (agreed(other), {OTHER})


def test_a_doubt_discards_what_is_staged(two: list[Replica]) -> None:
    """It may be of the one that is doubted."""
    one, other = two
    _given(one, other, GIVER)
    edit(one, Create("tag", b"new!" * 4, {}))
    receive_all(one, other)
    batch = next(batches(one, 2))
    assert within(other, lambda conn: staging.stage(conn, batch, GIVER))
    assert within(other, givers.doubt)
    assert within(other, fetched.read_staging) is None
    assert within(other, lambda conn: meta.get(conn, meta.STAGING)) is None

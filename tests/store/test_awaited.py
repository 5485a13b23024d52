"""Commits of closed feeds that others wait for: taken, and counted, once they are known."""

from __future__ import annotations

from dataclasses import replace

import pytest

from leaderless.store import awaited, log, staging
from leaderless.store.holdings import read_holdings
from leaderless.store.record_source import read_records
from registry.changes import Dependency
from tests.replicas import Replica
from tests.store.passing import chained, own_feed, signed_anew, store_commits, within
from tests.store.test_closing import _edit, _feed, revoke


def test_a_branch_that_is_not_here_is_taken_once_somebody_waits_for_it(
    replicas: list[Replica],
) -> None:
    """It counts as far as that, and the branch that is here no further than before."""
    a, b, c = replicas
    made = _edit(c, 3)
    first = signed_anew(c.identity, made[1], command="other")
    twin = chained(c.identity, first, signed_anew(c.identity, made[2], command="other"))
    store_commits(a, *made[:2])
    store_commits(b, made[0], *twin)
    revoke(a, c)
    life = made[0].header.feed[:28]
    assert store_commits(a, *twin) == [True, False]  # the first shows that there is a branch
    built = _edit(b)
    store_commits(a, *built)
    assert within(a, awaited.lacking) == {twin[1].hash: Dependency(own_feed(c), 3, twin[1].hash)}
    assert twin[0].header.feed[:28] + twin[0].hash[:16] not in within(a, read_holdings).closed
    assert store_commits(a, *twin, made[2]) == [False, True, False]
    assert within(a, awaited.lacking) == {}
    found = {feed.feed[28:32]: feed for feed in within(a, log.feeds) if feed.feed[:28] == life}
    assert {name: (feed.applied, feed.counts) for name, feed in found.items()} == {
        bytes(4): (1, 3),
        made[1].hash[:4]: (2, 2),
        twin[0].hash[:4]: (3, 3),
    }
    assert own_feed(b) in within(a, read_holdings).vectors.feeds


def test_a_branch_that_came_before_the_turn_of_who_builds_on_it_counts_then(
    replicas: list[Replica],
) -> None:
    """Who builds on it had come first, but was not the next of its feed, and so was not asked."""
    a, b, c = replicas
    made = _edit(c, 3)
    twin = signed_anew(c.identity, made[1], command="other")
    store_commits(a, *made[:2])
    store_commits(b, *made)
    _edit(b)
    store_commits(b, twin)
    revoke(a, c)
    assert store_commits(a, *_edit(b)) == [True, True]
    assert store_commits(a, twin) == [True]
    assert _feed(a, b).applied == 0
    assert store_commits(a, made[2]) == [True]
    assert _feed(a, b).applied == 2
    branch = own_feed(c)[:28] + twin.hash[:16]
    found = within(a, lambda conn: log.feed_of_or_none(conn, branch))
    assert found is not None
    assert (found.applied, found.counts) == (2, 2)


def test_what_is_here_does_not_count_in_the_place_of_another_branch(
    replicas: list[Replica],
) -> None:
    """Who builds on a commit means that one, and not what stands at its number here."""
    a, b, c = replicas
    made = _edit(c, 3)
    upon = (Dependency(b.identity.device + own_feed(c)[16:], 9, bytes(32)),)
    other = signed_anew(c.identity, made[1], command="other", dependencies=upon)
    store_commits(a, made[0], *chained(c.identity, other, made[2]))
    store_commits(b, *made)
    revoke(a, c)
    store_commits(a, *_edit(b))
    assert (_feed(a, c).counts, [*within(a, awaited.lacking)]) == (1, [made[2].hash])
    assert store_commits(a, *made[1:]) == [True, True]
    life = made[0].header.feed[:28]
    found = {feed.feed[28:32]: feed for feed in within(a, log.feeds) if feed.feed[:28] == life}
    assert {name: (feed.applied, feed.counts) for name, feed in found.items()} == {
        bytes(4): (1, 3),
        made[1].hash[:4]: (3, 3),
        other.hash[:4]: (1, 1),
    }


def _bare(items: list[log.Received]) -> list[log.Received]:
    """Return commits as they come from somebody who has forgotten their bodies."""
    return [item._replace(changes=(), signed=replace(item.signed, body=b"")) for item in items]


@pytest.mark.parametrize("at", [1, 2])
def test_all_that_a_fetched_state_covers_is_waited_for_together(
    replicas: list[Replica], at: int
) -> None:
    """None of it has its turn before the state takes effect, and that waits for what it builds on."""
    a, b, c = replicas
    made = _edit(c, 3)
    first = signed_anew(c.identity, made[1], command="other")
    twin = chained(c.identity, first, signed_anew(c.identity, made[2], command="other"))
    store_commits(a, *made)
    store_commits(b, *made)
    _edit(b)
    store_commits(b, *twin[:at])
    built = _edit(b)
    revoke(a, c)
    store_commits(a, *_bare(built))
    assert store_commits(a, twin[0]) == [True]  # the first shows that there is a branch
    batch = within(b, lambda conn: read_records(conn, b""))
    assert within(a, lambda conn: staging.stage(conn, batch, b.identity.device))
    lacking = [item.hash for item in twin[1:at]]
    assert [*within(a, awaited.lacking)] == lacking
    assert store_commits(a, *twin[1:at]) == [True] * len(lacking)
    within(a, lambda conn: staging.take(conn, a.store.registry, 5))
    branch = within(a, lambda conn: log.feed_of(conn, own_feed(c)[:28] + twin[0].hash[:16]))
    assert (_feed(a, b).applied, branch.applied, branch.counts) == (2, 1 + at, 1 + at)

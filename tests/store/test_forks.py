"""What a fork shows of its author: restored, gone on, revoked, or writing on though it knew of both."""

from __future__ import annotations

import pytest

from leaderless.store.feeds import forked
from leaderless.store.forks import Fork, open_forks
from leaderless.store.holdings import read_holdings
from leaderless.store.log import Received
from leaderless.store.state import add_incarnation
from registry.changes import LIFE_BYTES, Create, Dependency, FeedId, Incarnation
from tests.replicas import Replica
from tests.store.passing import chained, log_of, own_feed, signed_anew, store_commits, within


def _write(replica: Replica, number: int) -> list[Received]:
    for at in range(number):
        edit = Create("tag", bytes([at]) * 16, {})
        replica.store.write_here(lambda tx: tx.commit("t", [edit]))  # noqa: B023
    return log_of(replica, own_feed(replica))


def _open(replica: Replica) -> list[Fork]:
    return within(replica, lambda c: open_forks(c, forked(c), read_holdings(c).vectors.owned))


def test_two_commits_at_one_number_are_a_fork_since_the_second_came(
    replicas: list[Replica],
) -> None:
    """Nothing shows more of its author than that it was restored."""
    a, b, _ = replicas
    made = _write(a, 2)
    store_commits(b, *made)
    b.clock.ms += 5
    store_commits(b, signed_anew(a.identity, made[1], command="other"))
    assert _open(b) == [Fork(a.identity.device, 2, b.clock.ms, knew=False)]


def test_one_feed_is_no_fork(replicas: list[Replica]) -> None:
    """Nobody is named who writes on as all do."""
    a, b, _ = replicas
    store_commits(b, *_write(a, 2))
    assert _open(b) == []


def test_who_goes_on_in_a_new_life_is_over_it(replicas: list[Replica]) -> None:
    """As a restored device does."""
    a, b, _ = replicas
    made = _write(a, 1)
    store_commits(b, *made, signed_anew(a.identity, made[0], command="other"))
    begun = Incarnation(2, bytes(8))
    b.store.write_here(lambda tx: add_incarnation(tx.conn, a.identity.device, begun))
    assert _open(b) == []


def test_of_who_was_revoked_nothing_more_is_to_be_said(replicas: list[Replica]) -> None:
    """It is no member already."""
    a, b, _ = replicas
    made = _write(a, 1)
    store_commits(b, *made, signed_anew(a.identity, made[0], command="other"))
    revoke = "INSERT INTO revoked (device, statement) VALUES (?, x'')"
    within(b, lambda conn: conn.exec_driver_sql(revoke, (a.identity.device,)))
    assert _open(b) == []


@pytest.mark.parametrize("knows", [True, False])
def test_who_builds_on_the_other_branch_of_its_own_life_knew_of_both(
    replicas: list[Replica], knows: bool
) -> None:
    """A device that was restored writes nothing more in that life once it has heard of it."""
    a, b, _ = replicas
    made = _write(a, 2)
    twin = signed_anew(a.identity, made[0], command="other")
    branch = FeedId(made[0].header.feed[:LIFE_BYTES] + made[0].hash[:16])
    heads = (Dependency(branch, 1, made[0].hash),) if knows else ()
    follows = signed_anew(a.identity, made[1], previous=twin.hash, dependencies=heads, command="on")
    store_commits(b, *made, *chained(a.identity, twin), follows)
    (fork,) = _open(b)
    assert fork.knew is knows

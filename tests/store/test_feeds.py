"""Feeds and branches: where a commit of one stands, and how much of them is told and asked for."""

from __future__ import annotations

from functools import partial

from sqlalchemy import Connection

from leaderless.store.feeds import Feed, asked_for, branches_of, feed_of, shown, standing_in
from registry.changes import Create
from tests.replicas import Replica
from tests.store.passing import log_of, own_feed, signed_anew, store_commits, within


def _keys(branch: Feed, connection: Connection) -> list[int]:
    return [standing_in(connection, branch, seq).key for seq in (1, 2, 3)]


def test_what_is_before_a_branch_stands_in_what_it_begins_behind(replicas: list[Replica]) -> None:
    """Up to the commit before its first; from that on in the branch itself."""
    a, b, _ = replicas
    for at in range(3):
        edit = Create("tag", bytes([at]) * 16, {})
        a.store.write_here(lambda tx: tx.commit("t", [edit]))  # noqa: B023
    made = log_of(a, own_feed(a))
    store_commits(b, *made, signed_anew(a.identity, made[2], command="other"))
    trunk = within(b, lambda conn: feed_of(conn, made[0].header.feed))
    branches = within(b, lambda conn: branches_of(conn, trunk))
    assert len(branches) == 2
    for branch in branches:
        keys = within(b, partial(_keys, branch))
        assert keys == [trunk.key, trunk.key, branch.key]


def _feed(received: int, counts: int | None) -> Feed:
    return Feed(1, b"f" * 44, received, b"h" * 32, 0, b"h" * 32, 0, None, counts)


def test_no_more_is_shown_than_is_here_and_counts() -> None:
    """Of a closed feed more may be wanted than has come."""
    feed = _feed(3, 5)
    assert [shown(feed, end) for end in (None, 0, 2, 5)] == [3, 0, 2, 3]
    assert [_feed(3, counts).reach for counts in (None, 2, 5)] == [3, 2, 3]


def test_of_a_fork_at_the_first_commit_of_which_nothing_counts_nothing_is_asked(
    replicas: list[Replica],
) -> None:
    """Of a closed feed: nobody names anything of it."""
    a, b, _ = replicas
    a.store.write_here(lambda tx: tx.commit("t", [Create("tag", b"t" * 16, {})]))
    (made,) = log_of(a, own_feed(a))
    store_commits(b, made, signed_anew(a.identity, made, command="other"))
    within(b, lambda conn: conn.exec_driver_sql("UPDATE feed SET counts = 0"))
    trunk = within(b, lambda conn: feed_of(conn, made.header.feed))
    branches = within(b, lambda conn: branches_of(conn, trunk))
    assert [within(b, partial(_asked_for, branch)) for branch in branches] == [0, 0]
    within(b, lambda conn: conn.exec_driver_sql("UPDATE feed SET counts = 1 WHERE trunk NOTNULL"))
    branches = within(b, lambda conn: branches_of(conn, trunk))
    assert [within(b, partial(_asked_for, branch)) for branch in branches] == [1, 1]


def _asked_for(branch: Feed, connection: Connection) -> int | None:
    return asked_for(connection, branch)

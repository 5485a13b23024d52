"""Feeds and branches: where a commit of one stands."""

from __future__ import annotations

from functools import partial

from sqlalchemy import Connection

from leaderless.store.feeds import Feed, branches_of, feed_of, standing_in
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

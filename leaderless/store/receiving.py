"""Commits on their way into the log: each in its place, chained to the one before it.

Most come many at a time, one after another in a feed that is open and has no branches: those are
stored together. What makes a commit valid was checked before (leaderless/sync).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from leaderless.store import awaited, branches, closing
from leaderless.store.feeds import Feed, asked_for, feed_of_or_none, put_feed
from leaderless.store.revocations import revoked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from leaderless.protocol.messages import SignedCommit
    from registry.changes import CommitHeader, SharedChange

_STORE = (
    "INSERT INTO commit_log (feed, seq, header, signature, body, hash, stamp, command,"
    " command_id, received_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


class Received(NamedTuple):
    """A commit whose signature and bytes were found valid; without changes if its body is forgotten."""

    header: CommitHeader
    changes: tuple[SharedChange, ...]
    signed: SignedCommit
    hash: bytes


def receive(connection: Connection, commit: Received, now_ms: int) -> bool:
    """Store the next commit of a feed; return whether it was new.

    A commit beyond the next is not stored (it will be asked for again), nor is one of a closed feed
    that does not count, unless it shows that there is a branch, or one may lead by it to a commit
    that somebody waits for. One that differs from what stands at its position is a fork, and begins
    a branch. Of one that does not follow from what is here there must be a fork further below: the
    feed says so, to be looked at from its start, unless nothing more of it is wanted.
    """
    header = commit.header
    place = branches.place_of(connection, header, commit.hash)
    feed = place.feed
    if place.astray is not None and (
        feed.counts is None or awaited.lacking_of(connection, feed.feed)
    ):
        put_feed(connection, feed._replace(fault=place.astray))
    if place.astray is not None or place.held or header.seq > feed.received + 1:
        return False
    beyond = feed.counts is not None and header.seq > feed.counts
    lacking = awaited.lacking_of(connection, feed.feed) if beyond else {}
    if beyond and not lacking and header.seq > (asked_for(connection, feed) or 0):
        return False
    connection.exec_driver_sql(_STORE, _row(feed, commit, now_ms))
    put_feed(connection, feed._replace(received=header.seq, received_hash=commit.hash))
    if commit.hash in lacking:
        closing.count(connection, lacking[commit.hash])
    elif not beyond:
        closing.note(connection, header)
    return True


def receive_all(connection: Connection, commits: Sequence[Received], now_ms: int) -> list[bool]:
    """Store commits of one feed in their order, as `receive` does; return which of them were new."""
    new: list[bool] = []
    while len(new) < len(commits):
        count = _receive_run(connection, commits[len(new) :], now_ms)
        if count:
            new += [True] * count
        else:
            new.append(receive(connection, commits[len(new)], now_ms))
    return new


def _receive_run(connection: Connection, commits: Sequence[Received], now_ms: int) -> int:
    """Store together what simply comes next in an open feed; return how many commits that were."""
    feed = feed_of_or_none(connection, commits[0].header.feed)
    if feed is None or feed.forked is not None or feed.counts is not None or revoked(connection):
        return 0
    rows = []
    for commit in commits:
        header = commit.header
        follows = header.seq == feed.received + 1 and header.previous == feed.received_hash
        if header.feed != feed.feed or not follows:
            break
        rows.append(_row(feed, commit, now_ms))
        feed = feed._replace(received=header.seq, received_hash=commit.hash)
    if rows:
        connection.exec_driver_sql(_STORE, rows)
        put_feed(connection, feed)
    return len(rows)


def _row(feed: Feed, commit: Received, now_ms: int) -> tuple[Any, ...]:
    header = commit.header
    return (
        feed.key,
        header.seq,
        *(commit.signed.header, commit.signed.signature, commit.signed.body or None),
        commit.hash,
        header.stamp.pack(),
        header.command,
        header.command_id,
        now_ms,
    )


def settle(connection: Connection, feed: bytes, last: Received) -> None:
    """A peer has no more of a feed than up to `last`: doubt the feed no more if that stands here.

    Commits are chained by their hashes, so all before it is the same on both sides. What gave rise
    to the doubt is held by somebody else, and told again by whoever that is; or by nobody any more.
    """
    held = feed_of_or_none(connection, feed)
    if held is None or held.fault is None:
        return
    here = connection.exec_driver_sql(
        "SELECT 1 FROM commit_log WHERE feed = ? AND hash = ?", (held.key, last.hash)
    ).first()
    if here is not None:
        put_feed(connection, held._replace(fault=None))

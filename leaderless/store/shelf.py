"""The shelf: commits that are stored and have not taken effect, and what each of them waits for.

That is its causal past, the other parts of its own command, or a content that was forgotten; nothing
else. When a commit is looked at, and what it does once it waits for nothing, is store/log.py's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from leaderless.protocol import commits
from leaderless.store import meant
from leaderless.store.feeds import feed_of_or_none, feed_with, put_feed
from registry.changes import CommitKind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection

    from leaderless.store.feeds import Feed
    from leaderless.store.receiving import Received
    from registry.changes import CommitHeader

    Group = Sequence[tuple[CommitHeader, bytes]]

NEWER: Final = "a newer leaderless on this device: this one does not know its kind"
"""Why a commit waits that only later versions can apply."""

FORGOTTEN: Final = "its content was forgotten: the state of the records is fetched"
"""What a commit waits for whose body is not here."""

TURN: Final = "its turn"
"""What a commit waits for at which nobody has looked yet."""


def waits_for(
    connection: Connection,
    feed: Feed,
    group: Group,
    fresh: Mapping[bytes, Received],
    missing: str | None = None,
) -> str | None:
    """Return why a command cannot take effect yet, or None: `group` are its parts that are here.

    Those in `fresh`, by their hashes, were stored in this transaction, with their content; `missing`
    says which part is not here, if one is not.
    """
    return (
        _needs_later(group)
        or missing
        or _forgotten(connection, feed, group, fresh)
        or _waits_for(connection, group)
        or _waits_for_named(connection, feed, group, fresh)
    )


def _needs_later(group: Group) -> str | None:
    """Return that a group is of a kind that this version does not know, or None."""
    later = any(header.kind is CommitKind.LATER for header, _ in group)
    return NEWER if later else None


def _forgotten(
    connection: Connection, feed: Feed, group: Group, fresh: Mapping[bytes, Received]
) -> str | None:
    """Return that the body of some part of a group is not here, or None if all are."""
    if all(commit_hash in fresh for _, commit_hash in group):
        return None
    found = connection.exec_driver_sql(
        "SELECT 1 FROM commit_log WHERE feed = ? AND seq BETWEEN ? AND ? AND body IS NULL LIMIT 1",
        (feed.key, group[0][0].seq, group[-1][0].seq),
    ).first()
    return None if found is None else FORGOTTEN


def _waits_for(connection: Connection, group: Group) -> str | None:
    """Return why a group cannot take effect yet, or None."""
    for header, _ in group:
        for needed in header.dependencies:
            said = f"commit {needed.seq} of {needed.feed[:16].hex()}"
            held = feed_of_or_none(connection, needed.feed)
            if held is None or held.received < needed.seq:
                held = feed_with(connection, needed)
            if held is None or held.applied < needed.seq:
                return said
            here = connection.exec_driver_sql(
                "SELECT hash FROM commit_log WHERE feed = ? AND seq = ?", (held.key, needed.seq)
            ).scalar()
            if here is not None and here != needed.hash:
                # Either its author invents, or there is a branch that nobody has told of yet.
                fault = f"somebody builds on another commit {needed.seq} of it than is here"
                put_feed(connection, held._replace(fault=held.fault or fault))
                return f"another {said} than is here"
    return None


def _waits_for_named(
    connection: Connection, feed: Feed, group: Group, fresh: Mapping[bytes, Received]
) -> str | None:
    """Return which commit that the changes of a group name has not taken effect here, or None.

    An honest author depends on all that it has seen. The merge relies on it, so it is not left to
    what a header says.
    """
    named: dict[bytes, int] = {}
    for header, commit_hash in group:
        known = fresh.get(commit_hash)
        body = _body(connection, feed, header) if known is None else known.signed.body
        if commits.names_others(header, body):
            changes = commits.decode_body(header, body) if known is None else known.changes
            names = meant.names_for(connection, feed, header.seq, changes)
            for at in commits.positions(changes):
                of = at.feed if names is None else names.feed(at.feed, at.seq)
                named[of] = max(named.get(of, 0), at.seq)
    named.pop(feed.feed, None)
    for of, seq in named.items():
        held = feed_of_or_none(connection, of)
        if held is None or held.applied < seq:
            return f"commit {seq} of {of[:16].hex()}, which it names"
    return None


def _body(connection: Connection, feed: Feed, header: CommitHeader) -> bytes:
    return bytes(
        connection.exec_driver_sql(
            "SELECT body FROM commit_log WHERE feed = ? AND seq = ?", (feed.key, header.seq)
        ).scalar_one()
    )


def put(connection: Connection, feed: Feed, reason: str) -> None:
    """Note what the next commit of a feed waits for."""
    connection.exec_driver_sql(
        "UPDATE commit_log SET waits_for = ? WHERE feed = ? AND seq = ?",
        (reason, feed.key, feed.applied + 1),
    )


class Shelved(NamedTuple):
    """A commit that is stored and has not taken effect."""

    feed: bytes
    seq: int
    command: str
    waits_for: str


def waiting(connection: Connection) -> list[Shelved]:
    """Return the first waiting commit of each feed, with its reason.

    What stands in a branch is not looked at before what the branch begins behind has taken effect.
    """
    found = connection.exec_driver_sql(
        "SELECT f.feed, c.seq, c.command, c.waits_for, t.feed, t.received"
        " FROM feed f CROSS JOIN commit_log c ON c.feed = f.id AND c.seq = f.applied + 1"
        " LEFT JOIN feed t ON t.id = f.trunk AND t.applied < t.received"
        " WHERE f.received > f.applied AND (f.counts IS NULL OR f.counts > f.applied)"
    )
    return [
        Shelved(feed, seq, command, reason or TURN)
        if trunk is None
        else Shelved(feed, seq, command, f"commit {end} of {trunk[:16].hex()}, which is before it")
        for feed, seq, command, reason, trunk, end in found
    ]


def forgotten(connection: Connection) -> dict[bytes, int]:
    """Return, by feed, the next commit where the log cannot go on as its body is not here."""
    found = connection.exec_driver_sql(
        "SELECT f.feed, c.seq FROM feed f CROSS JOIN commit_log c ON c.feed = f.id"
        " AND c.seq = f.applied + 1 WHERE f.received > f.applied AND c.waits_for = ?"
        " AND (f.counts IS NULL OR f.counts > f.applied)",
        (FORGOTTEN,),
    )
    return {feed: seq for feed, seq in found}

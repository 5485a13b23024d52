"""Feeds of devices that were revoked: closed, and how far each still counts.

A commit of a closed feed counts if it has taken effect here before that was known, or if a commit
that counts refers to it; all commits of open feeds count. What does not count is not taken, stays on
the shelf if it was here already, and is handed on to nobody. Each member says in a commit of its own,
the closing one, what it had applied, and how far it holds the rows: so all come to hold the same.

Its own feeds are open to a device that was admitted anew. What a backup from before that brings back of
them nobody else builds on, so it names them itself, in the incarnation in which it is a member again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from leaderless.identity import device_id
from leaderless.protocol import commits, membership
from leaderless.store import meta, state
from leaderless.store.feeds import feed_of_or_none, feed_with, feeds
from leaderless.store.revocations import NONCE_BYTES, NOTHING, revoked
from leaderless.store.sayings import COMMAND as RESTORE
from registry.changes import (
    CommitKind,
    Dependency,
    feed_device,
    feed_incarnation,
    is_branch,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sqlalchemy import Connection

    from leaderless.protocol.membership import Membership
    from leaderless.store.feeds import Feed
    from leaderless.store.revocations import Revoked
    from leaderless.store.transaction import Transaction
    from registry.changes import CommitHeader, Value
    from registry.models import Registry

COMMAND: Final = "device.revoke"
"""The name of closing commits in the history."""
NOT_COUNTED: Final = "somebody who builds on it: its device was revoked"
_MAX_REV: Final = 1 << 62


# --- what counts ----------------------------------------------------------------------------------


def note(connection: Connection, header: CommitHeader) -> None:
    """A commit that counts is stored: what it refers to counts, too."""
    gone = revoked(connection)
    if gone:
        _note(connection, gone, [header])


def _note(
    connection: Connection, gone: Mapping[bytes, Revoked], counting: list[CommitHeader]
) -> None:
    while counting:
        header = counting.pop()
        if header.kind is CommitKind.CLOSING:
            _name(connection, gone, header.data)
        for needed in of_closed(gone, header):
            counting += _raise(connection, needed)


def of_closed(gone: Mapping[bytes, Revoked], header: CommitHeader) -> Iterator[Dependency]:
    """Return what a commit depends on that is in closed feeds."""
    for needed in header.dependencies:
        known = gone.get(feed_device(needed.feed))
        if known is not None and known.closes(needed.feed):
            yield needed


def _raise(connection: Connection, needed: Dependency) -> list[CommitHeader]:
    """Let a closed feed count up to a commit; return those of it that count by that."""
    feed = _meant_by(connection, needed)
    if feed is None and not _is_made_by_name(connection, needed.feed):
        return []  # it is `awaited` until it is here
    if feed is None:
        connection.exec_driver_sql(
            "INSERT INTO feed (feed, received_hash, applied_hash, counts) VALUES (?, ?, ?, ?)",
            (needed.feed, commits.NO_HASH, commits.NO_HASH, needed.seq),
        )
        return []
    raised: list[CommitHeader] = []
    key, counts, trunk, seq = feed.key, feed.counts, feed.trunk, needed.seq
    while counts is not None and counts < seq:
        connection.exec_driver_sql("UPDATE feed SET counts = ? WHERE id = ?", (seq, key))
        found = connection.exec_driver_sql(
            "SELECT header FROM commit_log WHERE feed = ? AND seq > ? AND seq <= ?",
            (key, counts, seq),
        )
        raised += [commits.decode_header(header) for (header,) in found]
        if trunk is None:
            break
        # A branch counts with all that is before it.
        key, counts, trunk, seq = connection.exec_driver_sql(
            "SELECT id, counts, trunk, forked - 1 FROM feed WHERE id = ?", (trunk,)
        ).one()
    return raised


def _meant_by(connection: Connection, needed: Dependency) -> Feed | None:
    """Return the feed or branch that a dependency means; None if it is not known."""
    held = feed_with(connection, needed)
    if held is not None:
        return held
    named = feed_of_or_none(connection, needed.feed)
    # What is there and does not count may be of another branch than is meant.
    return named if named is not None and named.reach == named.received else None


def _is_made_by_name(connection: Connection, feed: bytes) -> bool:
    """Return whether nothing of a feed is known; a branch is made where it begins, not before."""
    return feed_of_or_none(connection, feed) is None and not is_branch(feed)


def count(connection: Connection, needed: Dependency) -> None:
    """A commit of a closed feed is here that others wait for: it counts, with all before it."""
    _note(connection, revoked(connection), _raise(connection, needed))


def _name(connection: Connection, gone: Mapping[bytes, Revoked], data: Mapping[str, Value]) -> None:
    """Take in which rows of a revoked device a closing commit names."""
    match data:
        case {
            "closes": bytes(device),
            "generation": int(generation),
            "nonce": bytes(nonce),
            "rev": int(rev),
        } if device in gone and len(nonce) == NONCE_BYTES and max(generation, rev) < _MAX_REV:
            connection.exec_driver_sql(
                "UPDATE revoked SET generation = ?, nonce = ?, rev = ? WHERE device = ?"
                " AND (rev IS NULL OR (generation, nonce, rev) < (?, ?, ?))",
                (generation, nonce, rev, device, generation, nonce, rev),
            )


def recount(connection: Connection) -> None:
    """Find anew which feeds are closed, and how far each counts."""
    connection.exec_driver_sql("UPDATE revoked SET generation = NULL, nonce = NULL, rev = NULL")
    gone = revoked(connection)
    for key, feed in connection.exec_driver_sql("SELECT id, feed FROM feed").all():
        known = gone.get(feed_device(feed))
        # Nothing is ever taken back: what has taken effect here is in our own closing commit.
        counts = "applied" if known is not None and known.closes(feed) else "NULL"
        connection.exec_driver_sql(
            f"UPDATE feed SET counts = {counts} WHERE id = ?",  # noqa: S608 - one of two words
            (key,),
        )
    for device in gone:
        found = connection.exec_driver_sql(
            "SELECT c.header FROM commit_log c JOIN feed f ON f.id = c.feed"
            " WHERE instr(c.header, ?) > 0 AND (f.counts IS NULL OR c.seq <= f.counts)",
            (device,),
        ).all()
        _note(connection, gone, [commits.decode_header(header) for (header,) in found])


# --- learning of it -------------------------------------------------------------------------------


def learn(transaction: Transaction, members: Membership) -> None:
    """Hold what is known of revoked devices to the membership, and close what is to be closed."""
    connection, own = transaction.conn, transaction.own_device
    wanted: dict[bytes, tuple[bytes, int | None]] = {}
    for key, former in members.former.items():
        wanted[device_id(key)] = (former.statement, None)
    for key, member in members.members.items():
        if member.since:
            wanted[device_id(key)] = (b"", member.since)
    since = wanted.pop(own, (b"", 0))[1]
    if since is not None:
        meta.drop(connection, meta.REVOKED)
    elif meta.get(connection, meta.REVOKED) is None:
        meta.put(connection, meta.REVOKED, transaction.now_ms)
    if _remember(connection, transaction.registry, wanted):
        recount(connection)
        close_pending(transaction)
    if meta.get(connection, meta.READMITTED) != (since or None):
        if since:
            meta.put(connection, meta.READMITTED, since)
        else:
            meta.drop(connection, meta.READMITTED)
        name_own(transaction)


def _remember(
    connection: Connection, registry: Registry, wanted: Mapping[bytes, tuple[bytes, int | None]]
) -> bool:
    """Write down who is revoked; return whether that is another than was known."""
    known = {
        device: (statement, below)
        for device, statement, below in connection.exec_driver_sql(
            "SELECT device, statement, below FROM revoked"
        )
    }
    if known == wanted:
        return False
    for device in known.keys() - wanted.keys():
        connection.exec_driver_sql("DELETE FROM revoked WHERE device = ?", (device,))
    for device, (statement, below) in wanted.items():
        if known.get(device) == (statement, below):
            continue
        if device in known and known[device][1] is None:
            # Its feeds were closed already.
            query = "UPDATE revoked SET statement = ?, below = ? WHERE device = ?"
            connection.exec_driver_sql(query, (statement, below, device))
            continue
        if below is None:
            _drop_unproved(connection, registry, device)
        connection.exec_driver_sql(
            "INSERT OR REPLACE INTO revoked (device, statement, below) VALUES (?, ?, ?)",
            (device, statement, below),
        )
    return True


def _is_proved(copy: state.Copy) -> bool:
    """Return whether a copy can be shown to others with the word of its owner that covers it."""
    is_verified = copy.exact and copy.verified == copy.watermark and copy.fault is None
    return is_verified and copy.checkpoint_rev == copy.watermark


def close_pending(transaction: Transaction) -> None:
    """Write the closing commits that are due, unless this device may write none now."""
    connection = transaction.conn
    if not _may_write(connection):
        return
    query = "SELECT device, below, statement FROM revoked WHERE closed_at IS NULL ORDER BY device"
    for device, below, statement in connection.exec_driver_sql(query).all():
        heads = _applied_of(connection, device)
        named = _rows_of(connection, device) if below is None else {}
        if heads or named:
            about = {"closes": device, **_whose(connection, statement), **named}
            transaction.close_feeds(COMMAND, about, heads)
        connection.exec_driver_sql(
            "UPDATE revoked SET closed_at = ? WHERE device = ?", (transaction.now_ms, device)
        )


def _may_write(connection: Connection) -> bool:
    return not meta.known(connection, meta.RESTORING, meta.CLONED, meta.REVOKED)


def name_own(transaction: Transaction) -> None:
    """Name what this device wrote before it was admitted anew, where no commit since then does.

    Nothing is written by a device that may not, nor in a feed that is closed itself.
    """
    connection, own = transaction.conn, transaction.own_device
    since = meta.get(connection, meta.READMITTED)
    copy = state.copy_of(connection, own)
    if since is None or copy is None or copy.incarnation.generation < since:
        return
    if _may_write(connection) and any(
        feed.applied > feed.told
        for feed in feeds(connection)
        if feed_device(feed.feed) == own and feed_incarnation(feed.feed).generation < since
    ):
        transaction.close_feeds(RESTORE, {}, ())


def _whose(connection: Connection, statement: bytes) -> dict[str, Value]:
    """Return by which statement a device is revoked, and whose that is; nothing if it is not now."""
    query = "SELECT body FROM statement WHERE hash = ?"
    body = connection.exec_driver_sql(query, (statement,)).scalar()
    if body is None:
        return {}
    return {"by": device_id(membership.decode(body).author_key), "statement": statement}


def _applied_of(connection: Connection, device: bytes) -> list[Dependency]:
    """Return what has taken effect here of the closed feeds of a device, each branch by itself."""
    found = connection.exec_driver_sql(
        "SELECT f.feed, f.applied, f.applied_hash FROM feed f LEFT JOIN feed t ON t.id = f.trunk"
        " WHERE substr(f.feed, 1, 16) = ? AND f.applied > coalesce(t.received, 0)"
        " AND f.counts IS NOT NULL ORDER BY f.feed",
        (device,),
    )
    return [Dependency(*row) for row in found]


def _rows_of(connection: Connection, device: bytes) -> dict[str, Value]:
    """Return how far the rows of a device are held here and proved to be its own."""
    copy = state.copy_of(connection, device)
    if copy is None or not copy.watermark or not _is_proved(copy):
        return {}
    generation, nonce = copy.incarnation
    return {"generation": generation, "nonce": nonce, "rev": copy.watermark}


def _drop_unproved(connection: Connection, registry: Registry, device: bytes) -> None:
    """Drop rows of a device that are not proved to be its own: nobody can say so any more."""
    copy = state.copy_of(connection, device)
    if copy is None or (copy.watermark and _is_proved(copy)):
        return
    state.forget(connection, registry, copy)
    connection.exec_driver_sql("DELETE FROM incarnation WHERE device = ?", (device,))
    # A position of nothing, below all that may be named: peers are told of less than there was.
    state.add_incarnation(connection, device, NOTHING)

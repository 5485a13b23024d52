"""Forgetting, as it is done: one small piece in a transaction, resumable at any of them.

What may go is decided in protocol/retention.py. Here are the facts for it (who holds what, by what
was told and by what is signed in headers; of which commits something is left in a record), and the
dropping. A commit of which nothing is left stays so: what is gone from a record never returns but
through its own commit. So records are looked through page by page while others write to them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from leaderless.identity import certificate_key, device_id
from leaderless.protocol import commits, membership
from leaderless.protocol.retention import (
    Marks,
    Remembered,
    Retention,
    held_by_all,
    lapsed,
    outlives_us,
)
from leaderless.protocol.traces import in_record, replaced_by
from leaderless.store import log, meta
from leaderless.store.meant import signed_name
from leaderless.store.statements import statements
from registry.hlc import Stamp

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from sqlalchemy import Connection

    from leaderless.protocol.retention import Held, Terms
    from leaderless.protocol.traces import Place

HEADERS: Final = 500
"""Headers that are read for what they prove, in one transaction."""
RECORDS: Final = 2_000
COMMITS: Final = 500
"""Commits that are looked at, of which as many may go, in one transaction."""
BODIES_BYTES: Final = 4 << 20
"""Of bodies that are looked into at once; one may be larger."""

Key = tuple[str, bytes]
"""A record: (model, uuid)."""


_STAMPS: Final = 1_000
"""Commits of a feed whose stamps are looked at: what is said once more is as old as it was."""

# What a row has behind its body is read from an index: a body may be as long as 8 MiB.
_LAST_COMMITS = (
    "SELECT f.feed, (SELECT max(c.stamp) FROM commit_log c INDEXED BY commit_by_feed"
    f" WHERE c.feed = f.id AND c.seq > f.received - {_STAMPS} AND c.seq <= f.received),"
    " coalesce((SELECT c.received_at FROM commit_log c INDEXED BY commit_remembered"
    " WHERE c.feed = f.id AND c.seq = f.received AND c.body IS NOT NULL),"
    " (SELECT c.received_at FROM commit_log c WHERE c.feed = f.id AND c.seq = f.received))"
    " FROM feed f"
)


class At(NamedTuple):
    """How far the remembered commits were gone through: local key of the feed, and seq."""

    feed: int = 0
    seq: int = 0


# --- who holds what -------------------------------------------------------------------------------


def note_evidence(connection: Connection) -> bool:
    """Take in what the next headers prove: their authors hold what they name. False at the end.

    The caller holds a write transaction. It counts as if it had been told: it never goes back.
    """
    after = meta.get(connection, meta.EVIDENCE) or 0
    own = meta.get(connection, meta.OWN_DEVICE)
    rows = connection.exec_driver_sql(
        "SELECT rowid, header FROM commit_log WHERE rowid > ? ORDER BY rowid LIMIT ?",
        (after, HEADERS),
    ).all()
    proved: dict[tuple[bytes, bytes], int] = {}
    for _, packed in rows:
        header = commits.decode_header(packed)
        for needed in header.dependencies if header.feed[:16] != own else ():
            at = (header.feed[:16], needed.feed)
            proved[at] = max(proved.get(at, 0), needed.seq)
    if proved:
        connection.exec_driver_sql(
            "INSERT INTO confirmation (device, feed, received, applied) VALUES (?1, ?2, ?3, ?3)"
            " ON CONFLICT (device, feed) DO UPDATE SET received = max(received, excluded.received),"
            " applied = max(applied, excluded.applied)",
            [(*at, seq) for at, seq in proved.items()],
        )
    if rows:
        meta.put(connection, meta.EVIDENCE, rows[-1][0])
    return len(rows) == HEADERS


def seen_ms(
    connection: Connection, others: Collection[bytes], connected: Collection[bytes], now_ms: int
) -> dict[bytes, int]:
    """Return when each of these members was seen last: by us, or by others who brought its commits.

    Its admission counts, and who is connected is seen now. No clock but ours puts it ahead.
    """
    seen = dict.fromkeys(others, 0)
    for signed, received in _admissions(connection):
        if signed in seen:
            seen[signed] = max(seen[signed], received)
    for device, at in connection.exec_driver_sql("SELECT device, last_seen_at FROM presence"):
        if device in seen and at is not None:
            seen[device] = max(seen[device], at)
    for feed, stamp, received in connection.exec_driver_sql(_LAST_COMMITS):
        if feed[:16] in seen and stamp is not None:
            seen[feed[:16]] = max(seen[feed[:16]], min(Stamp.parse(stamp).ms, received))
    return seen | dict.fromkeys(set(connected) & set(seen), now_ms)


def _admissions(connection: Connection) -> Iterator[tuple[bytes, int]]:
    """Yield (device, when we heard that it is a member)."""
    found = connection.exec_driver_sql("SELECT hash, received_at FROM statement")
    times: dict[bytes, int] = {known: received for known, received in found}
    for signed in statements(connection):
        subject = membership.decode(signed.body).certificate
        yield device_id(certificate_key(subject)), times[signed.hash]


def away_since(
    connection: Connection,
    others: Collection[bytes],
    connected: Collection[bytes],
    now_ms: int,
    lease_ms: int,
) -> dict[bytes, int]:
    """Return the lapsed ones of these members, each with when it was seen last (ms)."""
    return lapsed(seen_ms(connection, others, connected, now_ms), now_ms, lease_ms)


def _told(connection: Connection) -> tuple[dict[Held, int], dict[Held, int]]:
    """Return how much of each feed members have received, and how much they have applied."""
    found = connection.exec_driver_sql(
        "SELECT device, feed, received, applied FROM confirmation"
    ).all()
    return (
        {(device, feed): received for device, feed, received, _ in found},
        {(device, feed): applied for device, feed, _, applied in found},
    )


# --- what may go ----------------------------------------------------------------------------------


class Survey(NamedTuple):
    """What a pass over the log begins with."""

    retention: Retention
    newest: int
    """The rowid from which on commits are the newest."""
    keys: Mapping[int, bytes]
    """The feeds by their local keys."""


def survey(connection: Connection, holding: Collection[bytes], terms: Terms, now_ms: int) -> Survey:
    """Return what is known at the start of a pass; `holding` are the other members not lapsed."""
    feeds = log.feeds(connection)
    applied = {feed.feed: feed.applied for feed in feeds}
    received, effective = _told(connection)
    own = meta.get(connection, meta.OWN_DEVICE)
    known = Retention(
        applied,
        held_by_all(applied, holding, received),
        outlives_us(own, applied, holding, effective),
        Marks(applied),
        Marks(applied),
        now_ms - terms.history_ms,
    )
    newest = newest_rowid(connection, terms.history_commits)
    return Survey(known, newest, {feed.key: feed.feed for feed in feeds})


def newest_rowid(connection: Connection, count: int) -> int:
    """Return the rowid from which on commits are the `count` that came last."""
    found = connection.exec_driver_sql(
        "SELECT rowid FROM commit_log ORDER BY rowid DESC LIMIT 1 OFFSET ?", (count,)
    ).scalar()
    return 0 if found is None else int(found) + 1


def remembered(connection: Connection, newest: int) -> int:
    """Return how many commits have a body and are not among the newest."""
    # Counted by the index alone: the newest are few, and have one each.
    return int(
        connection.exec_driver_sql(
            "SELECT count(*) FROM commit_log INDEXED BY commit_remembered"
            " WHERE body IS NOT NULL AND rowid < ?",
            (newest,),
        ).scalar_one()
    )


def mark_records(connection: Connection, into: Marks, after: Key) -> Key | None:
    """Mark what the next records hold; return the last of them, None at the end."""
    rows = connection.exec_driver_sql(
        "SELECT model, uuid, state, deaths, remains FROM record WHERE (model, uuid) > (?, ?)"
        " ORDER BY model, uuid LIMIT ?",
        (*after, RECORDS),
    ).all()
    for _, _, *packed in rows:
        into.update(in_record(*packed))
    return (rows[-1][0], rows[-1][1]) if len(rows) == RECORDS else None


def mark_replaced(connection: Connection, known: Survey, after: At) -> At | None:
    """Mark what the next commits have replaced that people may take back; None at the end.

    The records have to be marked before.
    """
    retention, size = known.retention, 0
    rows = _next(connection, known, after)
    branches = _branches(connection)
    for rowid, at, commit in rows:
        if retention.is_reversible(commit):
            body = connection.exec_driver_sql(
                "SELECT body FROM commit_log WHERE rowid = ?", (rowid,)
            ).scalar()
            if body is not None:
                retention.replaced.update(_anywhere(replaced_by(body), branches))
                size += len(body)
        if size > BODIES_BYTES:
            return at
    return rows[-1][1] if len(rows) == COMMITS else None


def _branches(connection: Connection) -> dict[bytes, list[bytes]]:
    """Return the branches of each feed that has some, by the name that commits sign."""
    found: dict[bytes, list[bytes]] = {}
    for feed in log.feeds(connection):
        if feed.trunk is not None:
            found.setdefault(signed_name(feed.feed), []).append(feed.feed)
    return found


def _anywhere(
    positions: Iterable[Place], branches: Mapping[bytes, Sequence[bytes]]
) -> Iterator[Place]:
    """Yield positions as they are signed, and in all branches in which they may stand."""
    for feed, seq in positions:
        yield feed, seq
        for branch in branches.get(feed, ()):
            yield branch, seq


def drop_bodies(connection: Connection, known: Survey, after: At) -> tuple[int, At | None]:
    """Forget the bodies that may go among the next commits; return how many, and how far it came.

    The caller holds a write transaction; what is to be marked is marked.
    """
    rows = _next(connection, known, after)
    gone = [rowid for rowid, _, commit in rows if known.retention.may_go(commit)]
    _write_bare(connection, gone)
    return len(gone), rows[-1][1] if len(rows) == COMMITS else None


def _write_bare(connection: Connection, rowids: Sequence[int]) -> None:
    """Write commits anew without their bodies, in the places where they stood.

    A row that only gets shorter leaves its page as empty as that makes it, for ever: pages are joined
    where rows are taken out. With bodies of 1 to 4 KB that is a page for each commit.
    """
    if not rowids:
        return
    columns = connection.exec_driver_sql("SELECT name FROM pragma_table_info('commit_log')")
    names = list(columns.scalars())
    kept = ", ".join("NULL" if name == "body" else name for name in names)
    rows = [
        connection.exec_driver_sql(
            f"SELECT rowid, {kept} FROM commit_log WHERE rowid = ?",
            (rowid,),
        ).one()
        for rowid in rowids
    ]
    connection.exec_driver_sql(
        "DELETE FROM commit_log WHERE rowid = ?", [(rowid,) for rowid in rowids]
    )
    connection.exec_driver_sql(
        f"INSERT INTO commit_log (rowid, {', '.join(names)})"
        f" VALUES ({', '.join('?' * (len(names) + 1))})",
        [tuple(row) for row in rows],
    )


def _next(connection: Connection, known: Survey, after: At) -> list[tuple[int, At, Remembered]]:
    """Return the next commits that have a body, in the order of their feeds."""
    rows = connection.exec_driver_sql(
        "SELECT rowid, feed, seq, received_at FROM commit_log INDEXED BY commit_remembered"
        " WHERE body IS NOT NULL AND (feed, seq) > (?, ?) ORDER BY feed, seq LIMIT ?",
        (*after, COMMITS),
    )
    return [
        (
            rowid,
            At(key, seq),
            Remembered(known.keys.get(key, b""), seq, received, rowid >= known.newest),
        )
        for rowid, key, seq, received in rows
    ]


# --- what is kept beside the log ------------------------------------------------------------------


def drop_replaced(connection: Connection, before_ms: int, newest: int) -> int:
    """Drop values that were replaced before that time, and before the newest commits came."""
    came = connection.exec_driver_sql(
        "SELECT min(received_at) FROM commit_log INDEXED BY commit_remembered"
        " WHERE body IS NOT NULL AND rowid >= ?",
        (newest,),
    ).scalar()
    return connection.exec_driver_sql(
        "DELETE FROM replaced WHERE noted_at < ?",
        (before_ms if came is None else min(before_ms, came),),
    ).rowcount


def drop_journal(connection: Connection, before_ms: int, limit: int = COMMITS) -> int:
    """Drop losses that were noted before that time, at most `limit`; return how many."""
    dropped = connection.exec_driver_sql(
        "DELETE FROM journal WHERE id IN (SELECT id FROM journal WHERE noted_at < ?"
        " ORDER BY id LIMIT ?)",
        (before_ms, limit),
    ).rowcount
    if dropped:
        meta.put(connection, meta.JOURNAL_DROPPED, before_ms)
    return dropped

"""What whoever reads the log has to know of what is forgotten, and values that outlived it.

A value that goes out of effect after the content of its commit has been forgotten is written down,
so that taking back what replaced it can show it again. What is forgotten, and when, is decided
elsewhere (store/forgetting.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgpack

from leaderless.errors import LeaderlessError
from leaderless.protocol.packing import from_extension, pack
from leaderless.protocol.records import encode_ref
from leaderless.store import meta

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sqlalchemy import Connection

    from registry.changes import FieldKey, Value, WriteRef
    from registry.state import Write


_LOOKUP = 500


class ForgottenError(LeaderlessError):
    """The content of a commit that is needed for this is not here any more."""

    code = "forgotten"


def is_whole(connection: Connection) -> bool:
    """Return whether the log has the content of every commit, so that it can be run again."""
    # Counted by an index that has nothing but the commits with content; a branch begins behind a fork.
    found = connection.exec_driver_sql(
        "SELECT (SELECT coalesce(sum(f.received - coalesce(t.forked - 1, 0)), 0)"
        " FROM feed f LEFT JOIN feed t ON t.id = f.trunk)"
        " = (SELECT count(*) FROM commit_log WHERE body IS NOT NULL)"
    ).scalar_one()
    return bool(found)


def want_state(connection: Connection) -> None:
    """Note that the shared records here are damaged and only a peer's state can mend them."""
    meta.put(connection, meta.STATE_WANTED, 1)


class Forgotten:
    """What goes out of effect in a transaction, and of it what the log cannot tell again."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._gone: list[tuple[str, bytes, Write]] = []

    def keep(self, model: str, record: bytes, writes: Iterable[Write]) -> None:
        """Remember writes of a record that are out of effect now, for `write`."""
        self._gone += [(model, record, write) for write in writes]

    def write(self, now_ms: int) -> None:
        """Write down those whose commits have lost their content."""
        gone, self._gone = self._gone, []
        asked: dict[bytes, set[int]] = {}
        for _, _, write in gone:
            asked.setdefault(write.ref.feed, set()).add(write.ref.seq)
        lost = {(feed, seq) for feed, seqs in asked.items() for seq in self._lost(feed, seqs)}
        rows: list[tuple[Any, ...]] = [
            (*(model, record, write.field, write.subkey or ""), encode_ref(write.ref),
             pack(write.value), now_ms)
            for model, record, write in gone
            if (write.ref.feed, write.ref.seq) in lost
        ]  # fmt: skip
        if rows:
            self._connection.exec_driver_sql(
                "INSERT INTO replaced (model, record, field, subkey, ref, value, noted_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                rows,
            )

    def _lost(self, feed: bytes, seqs: Iterable[int]) -> Iterator[int]:
        """Yield those numbers of a feed whose commits are here without their content."""
        asked = sorted(seqs)
        for at in range(0, len(asked), _LOOKUP):
            chunk = asked[at : at + _LOOKUP]
            marks = ", ".join("?" * len(chunk))
            query = (
                "SELECT c.seq FROM feed f CROSS JOIN commit_log c ON c.feed = f.id"
                f" WHERE f.feed = ? AND c.body IS NULL AND c.seq IN ({marks})"
            )
            yield from self._connection.exec_driver_sql(query, (feed, *chunk)).scalars()


def replaced_value(
    connection: Connection, model: str, record: bytes, key: FieldKey, ref: WriteRef
) -> Value:
    """Return what a write whose commit is forgotten gave a register; raises ForgottenError."""
    found = connection.exec_driver_sql(
        "SELECT value FROM replaced WHERE record = ? AND ref = ? AND field = ? AND subkey = ?"
        " AND model = ?",
        (record, encode_ref(ref), key[0], key[1] or "", model),
    ).scalar()
    if found is None:
        raise ForgottenError("the value that it had replaced has been forgotten")
    value: Value = msgpack.unpackb(found, ext_hook=from_extension)
    return value

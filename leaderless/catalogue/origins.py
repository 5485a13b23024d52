"""Where a shown value came from, by the log: behind what an undo wrote stands what was before."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from leaderless.catalogue.history import whole_action
from leaderless.protocol import commits
from registry.changes import LOCK_FIELD, Form

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from leaderless.catalogue.history import Action
    from registry.changes import CommitHeader, FieldKey, Position, SharedChange, WriteRef
    from registry.state import Write

UNDO: Final = "undo"
_LOCK: Final[FieldKey] = (LOCK_FIELD, None)
_COMMITS = 8
"""Decoded commits that are kept: one of 10,000 changes is some 20 MiB of objects."""

Decoded = tuple["CommitHeader", "tuple[SharedChange, ...]"]


class Origins:
    """Reads the log for one undo; commits are decoded once."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._commit = lru_cache(_COMMITS)(self._read)

    def change(self, ref: WriteRef) -> SharedChange | None:
        """Return the change that a reference names, None if the log has lost it."""
        found = self._commit(ref.feed, ref.seq)
        if found is None or ref.place >= len(found[1]):
            return None
        return found[1][ref.place]

    def is_undo(self, position: Position) -> bool:
        """Return whether the commit at a position took something back."""
        found = self._commit(*position)
        return found is not None and found[0].command == UNDO

    def is_lock(self, position: Position, of: SharedChange) -> bool:
        """Return whether the commit at a position locked the record that a change is about."""
        found = self._commit(*position)
        return found is not None and any(
            (change.model, change.record) == (of.model, of.record) and _writes(change, _LOCK)
            for change in found[1]
        )

    def of(self, held: Write) -> WriteRef | None:
        """Return the write that first gave a register the value it shows, None for that of none.

        What an undo wrote is the value from before the action that it took back; what a lock wrote
        is the value that stood there.
        """
        ref: WriteRef | None = held.ref
        while ref is not None:
            found, change = self._commit(ref.feed, ref.seq), self.change(ref)
            if found is None or change is None:
                return ref
            if held.key != _LOCK and _writes(change, _LOCK):
                ref = max(_over(change, held.key), default=None)
                continue
            if found[0].command != UNDO:
                return ref
            of = found[0].data.get("command_id")
            taken = whole_action(self._connection, of) if isinstance(of, bytes) else None
            if taken is None:
                return ref
            ref = self._replaced(taken, change, held.key)
        return None

    def _replaced(self, taken: Action, change: SharedChange, key: FieldKey) -> WriteRef | None:
        """Return the write that an action took out of effect in one register of a record."""
        for _, _, item in taken.changes(self._connection):
            if (item.model, item.record) != (change.model, change.record):
                continue
            seen = item.seen if item.form is Form.DELETE else _over(item, key)
            return max((ref for ref in seen if self._wrote(ref, key)), default=None)
        return None

    def _wrote(self, ref: WriteRef, key: FieldKey) -> bool:
        change = self.change(ref)
        return change is not None and _writes(change, key)

    def _read(self, feed: bytes, seq: int) -> Decoded | None:
        row = self._connection.exec_driver_sql(
            "SELECT c.header, c.body FROM commit_log c JOIN feed f ON f.id = c.feed"
            " WHERE f.feed = ? AND c.seq = ?",
            (feed, seq),
        ).first()
        if row is None:
            return None
        header = commits.decode_header(row[0])
        return header, commits.decode_body(header, row[1])


def _writes(change: SharedChange, key: FieldKey) -> bool:
    return any((write.field, write.subkey) == key for write in change.writes)


def _over(change: SharedChange, key: FieldKey) -> tuple[WriteRef, ...]:
    """Return what a change replaced in one register."""
    found = (write.over for write in change.writes if (write.field, write.subkey) == key)
    return next(found, ())

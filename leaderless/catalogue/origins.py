"""Where a shown value came from, by the log: behind what an undo wrote stands what was before.

Behind what followed to the id that stays for a file stands what had been said of the other one.

What the log says was written by any member: a chain that leads back to itself ends there.
"""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from leaderless.catalogue.conflicts import LOSER, RESTORE
from leaderless.catalogue.followed import Followed
from leaderless.catalogue.history import ActionKey
from leaderless.catalogue.pages import Pages
from leaderless.catalogue.undone import UNDO, taken_back
from leaderless.protocol.records import decode_ref
from leaderless.store import meant
from leaderless.store.feeds import forked
from leaderless.store.sayings import COMMAND as FOLLOWED
from registry.changes import LOCK_FIELD, UNSET, Form, Position, WriteRef
from registry.errors import InvalidStampError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sqlalchemy import Connection

    from leaderless.catalogue.history import Action
    from registry.changes import FieldKey, SharedChange, Value
    from registry.state import Write

_LOCK: Final[FieldKey] = (LOCK_FIELD, None)
_CHANGES = 4_096
"""Decoded changes that are kept: the few that concern one record are asked for several times."""


class Origins:
    """Reads the log for one undo."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._pages = Pages(connection)
        self.followed = Followed(connection, self._pages)
        self._change = lru_cache(_CHANGES)(self._decoded)
        self._taken: dict[ActionKey, Action | None] = {}
        self._repeats: dict[tuple[bytes, int], bool] = {}
        self._is_forked = bool(forked(connection))

    def change(self, ref: WriteRef) -> SharedChange | None:
        """Return the change that a reference names, None if the log does not have its content."""
        return self._change(ref.feed, ref.seq, ref.place)

    def taken_by(self, feed: bytes, seq: int) -> Action | None:
        """Return the action that the commit at a position took back, None if it is no undo."""
        page = self._pages.page(feed, seq)
        if page is None or page.header.command != UNDO:
            return None
        key = ActionKey(feed, page.header.command_id)
        if key not in self._taken:
            self._taken[key] = taken_back(self._connection, page.header)
        return self._taken[key]

    def is_lock(self, position: Position, of: SharedChange) -> bool:
        """Return whether the commit at a position locked the record that a change is about."""
        place = self._pages.place(*position, of.model, of.record)
        change = None if place is None else self._change(*position, place)
        return change is not None and _writes(change, _LOCK)

    def find(self, action: Action, of: SharedChange) -> tuple[WriteRef, SharedChange] | None:
        """Return what an action did to the record that a change is about, None for nothing."""
        about = of.model, bytes(of.record)
        found = self._find(action, *about)
        if found is None:
            others = (self._find(action, *one) for one in sorted(self.followed.before([about])))
            found = next((one for one in others if one is not None), None)
        return found

    def _find(
        self, action: Action, model: str, record: bytes
    ) -> tuple[WriteRef, SharedChange] | None:
        for header in action.headers:
            place = self._pages.place(*header.position, model, record)
            if place is not None:
                ref = WriteRef(header.stamp, *header.position, place)
                change = self.change(ref)
                return None if change is None else (ref, change)
        return None

    def of(self, held: Write) -> WriteRef | None:
        """Return the write that first gave a register the value it shows, None for that of none.

        What an undo wrote is the value from before the action that it took back; what a lock wrote
        is the value that stood there, and what followed was said of another record.
        """
        ref: WriteRef | None = held.ref
        passed: set[WriteRef] = set()
        while ref is not None and ref not in passed and self._may_repeat(ref.feed, ref.seq):
            passed.add(ref)
            change = self.change(ref)
            if change is None:
                return ref
            if held.key != _LOCK and _writes(change, _LOCK):
                ref = max(_over(change, held.key), default=None)
                continue
            if self.follows(ref):
                said = self.repeated(change, held.key)
                if said is None:
                    return ref
                ref = said
                continue
            taken = self.taken_by(ref.feed, ref.seq)
            if taken is None:
                return ref
            found = self.find(taken, change)
            if found is None and taken.forgotten:
                return ref  # what stood there before it is not to be told any more
            before = None if found is None else self.before(taken, found[1], held.key)
            ref = before or self._alike(_over(change, held.key), change, held.key)
        return ref

    def repeated(self, change: SharedChange, key: FieldKey) -> WriteRef | None:
        """Return what was said of another record that a change says of its own, None for nothing."""
        said = [
            ref
            for ref in change.seen
            if (of := self.change(ref)) is not None and of.model == change.model
        ]
        wrote = [ref for ref in said if self._wrote(ref, key)]
        return (
            self._alike(wrote, change, key)
            or max(wrote, default=None)  # the row that it is about has another id
            or max((ref for ref in _over(change, key) if self._wrote(ref, key)), default=None)
        )

    def _alike(
        self, refs: Iterable[WriteRef], change: SharedChange, key: FieldKey
    ) -> WriteRef | None:
        """Return the last of some writes that gave a register what a change gives it."""
        value = _value(change, key)
        if value is UNSET:
            return None
        found = ((ref, self.change(ref)) for ref in refs)
        return max(
            (ref for ref, of in found if of is not None and _value(of, key) == value), default=None
        )

    def makers(self, model: str, record: bytes, dots: Iterable[Position]) -> Iterator[Position]:
        """Yield by whom a record was made at `dots`, or those whose changes it repeats.

        What brought back what an undo had taken made nothing.
        """
        for dot in sorted(dots):
            if self.taken_by(*dot):
                continue
            place = self._pages.place(*dot, model, record)
            change = None if place is None else self._change(*dot, place)
            if change is None or not self.follows(dot):
                yield dot
                continue
            for ref in change.seen:
                of = self.change(ref)
                if of is not None and of.form in (Form.CREATE, Form.RESTORE):
                    yield Position(ref.feed, ref.seq)

    def follows(self, at: Position | WriteRef) -> bool:
        """Return whether the commit at a position says what had been said of other records."""
        page = self._pages.page(at.feed, at.seq)
        return page is not None and page.header.command == FOLLOWED

    def before(self, action: Action, change: SharedChange, key: FieldKey) -> WriteRef | None:
        """Return the write that a change of an action took out of effect in a register, or None."""
        loser = self.let_win(action)
        if change.form is Form.DELETE:
            replaced = [ref for ref in change.seen if self._wrote(ref, key)]
        else:
            replaced = [ref for ref in _over(change, key) if ref != loser]
        if replaced:
            return max(replaced)
        # An undo that lets a conflict be one again does not name what it replaces.
        first = action.headers[0].position
        undone = self.taken_by(*first)
        found = self.find(undone, change) if undone is not None else None
        return found[0] if found is not None and _writes(found[1], key) else None

    def let_win(self, action: Action) -> WriteRef | None:
        """Return the write that the restore of a conflict let win, by the name that it has here."""
        loser = loser_of(action)
        if loser is None or not self._is_forked:
            return loser
        first = action.headers[0]
        return meant.write_as_here(self._connection, first.feed, first.seq, loser)

    def _may_repeat(self, feed: bytes, seq: int) -> bool:
        """Return whether a commit may write what stood there before: cheap, as nothing is decoded.

        Of a large action a file is one of many, so each commit is looked at once.
        """
        if (feed, seq) not in self._repeats:
            self._repeats[feed, seq] = self._looks_repeated(feed, seq)
        return self._repeats[feed, seq]

    def _looks_repeated(self, feed: bytes, seq: int) -> bool:
        found = self._connection.exec_driver_sql(
            "SELECT c.command IN (?, ?) OR instr(c.body, ?) > 0 FROM commit_log c"
            " JOIN feed f ON f.id = c.feed WHERE f.feed = ? AND c.seq = ?",
            (UNDO, FOLLOWED, LOCK_FIELD.encode(), feed, seq),
        ).scalar()
        return bool(found)

    def _wrote(self, ref: WriteRef, key: FieldKey) -> bool:
        change = self.change(ref)
        return change is not None and _writes(change, key)

    def _decoded(self, feed: bytes, seq: int, place: int) -> SharedChange | None:
        page = self._pages.page(feed, seq)
        change = None if page is None else page.change(place)
        if page is None or change is None or not self._is_forked:
            return change
        return meant.as_here(self._connection, feed, page.header.seq, (change,))[0]


def loser_of(action: Action) -> WriteRef | None:
    """Return the write that the restore of a conflict let win, None for any other action.

    None, too, where its author wrote something else in that place.
    """
    packed = action.data.get(LOSER)
    if action.command == RESTORE and isinstance(packed, bytes):
        with suppress(ValueError, TypeError, InvalidStampError):
            return decode_ref(packed)
    return None


def _writes(change: SharedChange, key: FieldKey) -> bool:
    return any((write.field, write.subkey) == key for write in change.writes)


def _value(change: SharedChange, key: FieldKey) -> Value:
    """Return what a change gives a register; UNSET, too, where it gives it nothing."""
    found = (write.value for write in change.writes if (write.field, write.subkey) == key)
    return next(found, UNSET)


def _over(change: SharedChange, key: FieldKey) -> tuple[WriteRef, ...]:
    """Return what a change replaced in one register."""
    found = (write.over for write in change.writes if (write.field, write.subkey) == key)
    return next(found, ())

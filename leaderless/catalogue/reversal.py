"""The edits that do the opposite of an action, where nothing later stands on it.

A created record is deleted, a deleted one restored, a value replaced by the one it had replaced,
which the log still has. What was edited since, by anyone, is not touched: it stands in the way.
Nothing is written here.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property, partial
from itertools import islice
from typing import TYPE_CHECKING, Final

from leaderless.catalogue.at_once import at_once
from leaderless.catalogue.conflicts import RESTORE
from leaderless.catalogue.names import device_name, record_name
from leaderless.catalogue.origins import Origins
from leaderless.catalogue.revival import deaths_of, fields_before
from leaderless.errors import LeaderlessError
from leaderless.protocol.records import decode_ref
from leaderless.store import meta
from leaderless.store.forgotten import replaced_value
from leaderless.store.registers import Records, read_state
from leaderless.store.sayings import COMMAND as FOLLOWED
from registry.changes import (
    LOCK_FIELD,
    UNSET,
    Delete,
    Dismiss,
    Form,
    Lock,
    Position,
    RecordId,
    Restore,
    Unlock,
    Update,
    WriteRef,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sqlalchemy import Connection

    from leaderless.catalogue.history import Action
    from registry.changes import CommitHeader, Edit, FieldKey, FieldWrite, SharedChange, Value
    from registry.models import Registry
    from registry.state import RecordState, Write

_LOCK: Final[FieldKey] = (LOCK_FIELD, None)
_AHEAD: Final = 500
"""Changes whose records are read together."""


class StandsOnError(LeaderlessError):
    """Something later stands on what was to be undone: what was written `at`, where that is known."""

    code = "stands_on"

    def __init__(
        self, message: str, *, hint: str | None = None, at: Position | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.at = at


class Reversal:
    """One action and what stands now, while the edits are made that take it back."""

    def __init__(
        self,
        connection: Connection,
        registry: Registry,
        now_ms: int,
        author: bytes,
        action: Action,
    ) -> None:
        self._connection = connection
        self._author = author
        self._registry = registry
        self._records = partial(Records, connection, registry, now_ms)
        self._read = self._records()
        self._linked: dict[bytes, set[tuple[str, bytes]]] = {}
        self._action = action
        self._origins = Origins(connection)
        self._tick = meta.clock(connection).tick(now_ms, 0)[1]
        self.taken_over: list[tuple[str, bytes, bytes]] = []
        """Locks of another device that are set anew, and so are this device's: (model, record, by)."""
        self._own = {header.position for header in action.headers}

    def edits(self) -> Iterator[Edit]:
        """Yield what takes the action back; raises StandsOnError, also where that is nothing."""
        any_left = False
        each = self._each()
        # What was said of several records may be said of one now.
        for edit in at_once(each) if self._origins.followed.any else each:
            any_left = True
            yield edit
        if not any_left:
            raise StandsOnError("there is nothing left of it to take back")

    def _each(self) -> Iterator[Edit]:
        for header, place, change in self._changes():
            edit = self._reverse(header, place, change)
            if edit is not None:
                yield edit
            if isinstance(edit, Delete) and self._action.command == RESTORE:
                yield from self._resting(replace(change, record=RecordId(edit.record)))

    def _resting(self, change: SharedChange) -> Iterator[Dismiss]:
        """Yield that no more is lost again than what was restored: the rest only came along."""
        shown = self._read.state(change.model, change.record).shown()
        won = self._origins.let_win(self._action)
        along = [(write.field, write.subkey) for write in change.writes if won not in write.over]
        losers = tuple((key, shown[key].ref) for key in along if key in shown)
        if losers:
            yield Dismiss(change.model, change.record, losers)

    def state(self, edit: Edit) -> RecordState:
        """Return what stands now of the record of an edit that was just yielded."""
        return self._read.state(edit.model, bytes(edit.record))

    def _changes(self) -> Iterator[tuple[CommitHeader, int, SharedChange]]:
        """Yield the action's changes; what stands now is read ahead of them, many at a time."""
        source = self._action.changes(self._connection)
        while chunk := list(islice(source, _AHEAD)):
            self._read = self._records()
            self._read.load((change.model, change.record) for _, _, change in chunk)
            self._linked = self._links([bytes(change.record) for _, _, change in chunk])
            yield from chunk

    def _links(self, targets: Sequence[bytes]) -> dict[bytes, set[tuple[str, bytes]]]:
        """Return the records that refer to these."""
        linked: dict[bytes, set[tuple[str, bytes]]] = {}
        for target, model, record in self._connection.exec_driver_sql(
            "SELECT target, model, record FROM reference WHERE target IN"
            f" ({', '.join('?' * len(targets))})",
            tuple(targets),
        ):
            linked.setdefault(target, set()).add((model, record))
        return linked

    @cached_property
    def _made(self) -> set[tuple[str, bytes]]:
        """Return the records that the action changes."""
        return {
            (item.model, bytes(item.record))
            for _, _, item in self._action.changes(self._connection)
        }

    def _reverse(self, header: CommitHeader, place: int, change: SharedChange) -> Edit | None:
        """Return the edit that takes one change back; raises StandsOnError."""
        ref = WriteRef(header.stamp, *header.position, place)
        about = change.model, bytes(change.record)
        state = self._read.state(*about)
        joined = self._joined_to(change, state)
        if joined is not None:
            return self._reverse_joined(change, joined, ref)
        if lock := tuple(write for write in change.writes if write.field == LOCK_FIELD):
            # The values that a lock writes anew were not its doing; and what was deleted and came
            # back is as free as an unlock had left it.
            is_free = lock[0].value is not True and _LOCK not in state.shown()
            if not (is_free and state.alive):
                self._check_current(replace(change, writes=lock), state, ref)
            if state.locked_by is not None:
                return Unlock(*about)
            self._note_holder(*about, lock[0])
            return Lock(*about)
        if change.form is Form.DISMISS or self._is_loss(change, state):
            return None
        if change.form is Form.DELETE:
            if state.alive:
                raise self._stands(change, "it is there again", max(state.dots))
            return self._revived(change, state, ref)
        if change.form is not Form.UPDATE:
            self._check_made_alone(change, state)
        self._check_current(change, state, ref)
        if change.form is Form.UPDATE:
            return self._written_back(change, state, ref)
        self._check_not_written(change, state)
        if change.form is Form.CREATE:
            self._check_unlinked(change)
        # Contents stay: what others say of them hangs on the same record.
        if change.model == "content":
            return None
        return Delete(*about, unseen=self._unseen(change, state))

    def _joined_to(self, change: SharedChange, state: RecordState) -> bytes | None:
        """Return the record that says now what was said of the one of a change, None for itself."""
        if self._action.command == FOLLOWED or change.form in (Form.DELETE, Form.DISMISS):
            return None
        return self._origins.followed.now(change.model, state)

    def _reverse_joined(
        self, change: SharedChange, record: bytes, ref: WriteRef
    ) -> Update | Delete | None:
        """Return what takes back what is said of another record now; raises StandsOnError."""
        state = self._read.state(change.model, record)
        writes = tuple(write for write in change.writes if self._is_said(change.model, write))
        said = replace(change, record=RecordId(record), writes=writes)
        if not state.alive:
            self._check_current(said, state, ref)
        if any(write.field == LOCK_FIELD for write in change.writes):
            hint = "leaderless lock and leaderless unlock do so"
            raise StandsOnError("it is locked under another id now", hint=hint)
        if change.form is not Form.UPDATE:
            made = self._origins.makers(change.model, record, state.dots - self._own)
            others = [position for position in made if position not in self._own]
            if not others:
                self._check_current(said, state, ref)
                self._check_not_written(said, state)
                return Delete(change.model, record, unseen=self._unseen(said, state))
            shown = state.shown()
            said = replace(
                said, writes=tuple(w for w in writes if not self._is_alike(shown, w, ref))
            )
            if not said.writes:
                by = device_name(self._connection, others[0].feed[:16])
                raise self._stands(said, f"{by} made it, too", others[0])
        self._check_current(said, state, ref)
        return self._written_back(said, state, ref, change)

    def _is_said(self, model: str, write: FieldWrite) -> bool:
        """Return whether a value is what somebody said, and not what a record is about."""
        known = self._registry.get(model)
        field = None if known is None else known.field(write.field)
        return field is None or (field.nullable and not field.bookkeeping and field.about is None)

    def _is_alike(self, shown: Mapping[FieldKey, Write], write: FieldWrite, ref: WriteRef) -> bool:
        """Return whether a record shows the same value, but not for what `ref` wrote."""
        held = shown.get((write.field, write.subkey))
        alike = held is not None and held.value == write.value
        return held is not None and alike and self._origins.of(held) != ref

    def _is_loss(self, change: SharedChange, state: RecordState) -> bool:
        """Return whether a change only lists what was lost: by dots that its record never had."""
        if self._action.command != FOLLOWED or change.form is not Form.UPDATE:
            return False
        return (state.dots | state.remembered.dots).isdisjoint(change.dots)

    def _lost_to(
        self, own: WriteRef, change: SharedChange, write: FieldWrite, *, is_joined: bool
    ) -> WriteRef | None:
        """Return what was listed as lost when something followed: a change does not name it."""
        if self._action.command != FOLLOWED and not is_joined:
            return None
        found = self._connection.exec_driver_sql(
            "SELECT loser FROM journal WHERE record = ? AND field = ? AND subkey = ? AND model = ?",
            (change.record, write.field, write.subkey or "", change.model),
        ).scalars()
        losers = (decode_ref(packed) for packed in found)
        others = (ref for ref in losers if ref < own and (ref.feed, ref.seq) not in self._own)
        return max(others, default=None)

    def _written_back(
        self,
        change: SharedChange,
        state: RecordState,
        own: WriteRef,
        original: SharedChange | None = None,
    ) -> Update:
        """Return the update that shows the values from before a change.

        `original` is what that was where it was said of another record.
        """
        fields: dict[str | tuple[str, str], Value] = {}
        settles: list[WriteRef] = []
        for write in change.writes:
            known = original or change
            ref = self._origins.before(self._action, known, (write.field, write.subkey))
            lost = self._lost_to(own, change, write, is_joined=original is not None)
            if lost is not None and (ref is None or ref < lost):
                ref, known = lost, change
            fields[_key(write)] = self._value(ref, write, known)
            if ref is not None and ref not in write.over:
                settles.append(ref)  # it was replaced unseen, and is listed: that is over now
        unseen = self._unseen(change, state)
        if any(ref.stamp >= self._tick for ref in unseen):
            # A clock that goes ahead wrote it: who replaces it has to name it, or would lose to it.
            unseen = ()
        about = change.model, bytes(change.record)
        return Update(*about, fields, tuple(settles), unseen)

    def _unseen(self, change: SharedChange, state: RecordState) -> tuple[WriteRef, ...]:
        """Return what stands there of how a conflict was decided: it is to be its loser again."""
        if self._action.command != RESTORE:
            return ()
        shown, keys = state.shown(), [(write.field, write.subkey) for write in change.writes]
        return tuple({shown[key].ref for key in keys if key in shown})

    def _note_holder(self, model: str, record: bytes, unlock: FieldWrite) -> None:
        """Remember who held the lock that an unlock took away, if that was another device."""
        by = max(unlock.over).feed[:16] if unlock.over else self._author
        if by != self._author:
            self.taken_over.append((model, record, by))

    def _revived(self, change: SharedChange, state: RecordState, ref: WriteRef) -> Restore:
        """Return what takes a delete back; raises StandsOnError where another took its place."""
        deaths = deaths_of(self._origins, state, ref, change)
        if not deaths:
            at = _position(max(state.died_of, default=None))
            raise self._stands(change, "it was restored and deleted again since", at)
        about = change.model, bytes(change.record)
        unseen = deaths if self._action.command == RESTORE else ()
        if ref in deaths:
            return Restore(*about, unseen=unseen)
        # What is remembered is what was made in between, and undone.
        model = self._registry.get(change.model)
        fields = fields_before(self._origins, model, state, change)
        if fields is None:
            raise StandsOnError("the values it had are not in the log any more")
        return Restore(*about, fields, unseen=unseen)

    def _check_current(self, change: SharedChange, state: RecordState, ref: WriteRef) -> None:
        """Raise StandsOnError where a value of this change is not what is shown now."""
        if not state.alive:
            at = _position(max(state.died_of, default=None))
            alike = at is not None and self._origins.follows(at)
            why = "the same was said of that file once more" if alike else "it was deleted since"
            raise self._stands(change, why, at)
        shown = state.shown()
        for write in change.writes:
            held = shown.get((write.field, write.subkey))
            if held is None:
                raise self._stands(change, f"its {write.field} was changed since", max(state.dots))
            if held.ref == ref:
                continue
            origin = self._origins.of(held)
            if origin != ref:
                # What an undo wrote as there had been nothing is its own.
                wrote = origin or held.ref
                by = device_name(self._connection, wrote.feed[:16])
                why = f"its {write.field} was changed since by {by}"
                raise self._stands(change, why, _position(wrote))

    def _check_made_alone(self, change: SharedChange, state: RecordState) -> None:
        """Raise StandsOnError where others have made a record, too, or again since."""
        for dot in sorted(state.dots - self._own):
            if self._origins.taken_by(*dot) or self._origins.is_lock(dot, change):
                continue  # it brought back what this action had made, or wrote it anew
            by = device_name(self._connection, dot.feed[:16])
            how = "made it, too" if state.dots & self._own else "made it again since"
            raise self._stands(change, f"{by} {how}", dot)

    def _check_not_written(self, change: SharedChange, state: RecordState) -> None:
        """Raise StandsOnError where others have written to a record since."""
        for write in state.shown().values():
            if (write.ref.feed, write.ref.seq) in self._own:
                continue
            origin = self._origins.of(write)
            if origin is not None and (origin.feed, origin.seq) not in self._own:
                by = device_name(self._connection, origin.feed[:16])
                why = f"its {write.field} was written since by {by}"
                raise self._stands(change, why, _position(origin))

    def _check_unlinked(self, change: SharedChange) -> None:
        """Raise StandsOnError where others were linked to a record since it was made."""
        linked = self._linked.get(bytes(change.record))
        others = sorted((linked or set()) - self._made)
        if others:
            dots = read_state(self._connection, *others[0]).dots
            why = "other things were linked to it since"
            raise self._stands(change, why, max(dots, default=None))

    def _value(self, ref: WriteRef | None, of: FieldWrite, change: SharedChange) -> Value:
        """Return what a write gave a register; raises ForgottenError if nobody here knows it."""
        if ref is None:
            return UNSET
        key = (of.field, of.subkey)
        before = self._origins.change(ref)
        if before is None:
            about = change.model, bytes(change.record)
            return replaced_value(self._connection, *about, key, ref)
        values = (held.value for held in before.writes if (held.field, held.subkey) == key)
        return next(values, UNSET)

    def _stands(self, change: SharedChange, why: str, at: Position | None) -> StandsOnError:
        name = record_name(self._connection, change.model, change.record)
        return StandsOnError(
            f"{change.model} {name}: {why.replace(LOCK_FIELD, 'lock')}",
            hint="leaderless history shows what came after",
            at=at,
        )


def _position(ref: WriteRef | None) -> Position | None:
    return None if ref is None else Position(ref.feed, ref.seq)


def _key(write: FieldWrite) -> str | tuple[str, str]:
    return write.field if write.subkey is None else (write.field, write.subkey)

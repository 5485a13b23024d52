"""From what a person asks for to the change that is signed.

Adds to an edit what its author saw: the dots of the record, the writes it replaces, the deletes it
takes back and the lock it knows of, so that every replica can tell a correction from a conflict
without the log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry.changes import (
    LOCK_FIELD,
    MAX_GUARD,
    Create,
    Delete,
    Dismiss,
    Edit,
    FieldWrite,
    Form,
    Guard,
    Lock,
    Lose,
    RecordId,
    Restore,
    SharedChange,
    Unlock,
)
from registry.errors import InvalidChangeError, LockedError
from registry.state import NOTHING, set_registers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from registry.changes import FieldKey, Value, WriteRef
    from registry.state import RecordState, Write


def change_for(edit: Edit, state: RecordState, author: bytes) -> SharedChange:
    """Return the change by which the device `author` does `edit` to a record in `state`.

    Raises InvalidChangeError where the edit cannot be meant: creating or restoring what is alive,
    changing or deleting what is not, or writing nothing; LockedError where another device holds a
    lock.
    """
    record = RecordId(edit.record)
    name = f"{edit.model} {edit.record.hex()}"
    deaths = tuple(sorted(state.died_of))
    if isinstance(edit, Dismiss):
        return _dismissal(edit)
    if isinstance(edit, Lose):
        return _loss(edit, state)
    if isinstance(edit, Create | Restore):
        if state.alive:
            raise InvalidChangeError(f"{name} is there already")
        form = Form.CREATE if isinstance(edit, Create) else Form.RESTORE
        if isinstance(edit, Create):
            writes = _writes(edit.fields, state)
            deaths = tuple(sorted({*deaths, *edit.repeats}))
        else:
            before = state.remembered
            held = set_registers(before)
            deaths = tuple(death for death in deaths if death not in edit.unseen)
            old = {key: value for key, value in held.items() if key not in edit.fields}
            writes = (*_writes(old, before), *_writes(edit.fields, before, edit.settles))
        return SharedChange(form, edit.model, record, writes=writes, seen=deaths)
    if not state.alive:
        raise InvalidChangeError(f"{name} is not there")
    if state.locked_by not in (None, author) and not isinstance(edit, Unlock):
        raise LockedError(edit.model, record, state.locked_by or b"")
    if isinstance(edit, Lock):
        return _lock(edit, record, state)
    if isinstance(edit, Unlock):
        return _unlock(edit, record, state)
    dots, guard = tuple(sorted(state.dots)), state.guard
    if isinstance(edit, Delete):
        seen = {write.ref for write in state.shown().values()} | state.died_of
        seen.difference_update(edit.unseen)
        return SharedChange(
            Form.DELETE, edit.model, record, dots=dots, seen=tuple(sorted(seen)), guard=guard
        )
    if not edit.fields:
        raise InvalidChangeError(f"an update of {name} names no field")
    writes = _writes(edit.fields, state, edit.settles, edit.unseen)
    repeated = tuple(sorted(edit.repeats))
    return SharedChange(Form.UPDATE, edit.model, record, dots, writes, repeated, guard)


def _dismissal(edit: Dismiss) -> SharedChange:
    over: dict[FieldKey, list[WriteRef]] = {}
    for register, loser in edit.losers:
        over.setdefault(register, []).append(loser)
    writes = tuple(
        FieldWrite(*register, None, tuple(sorted(losers))) for register, losers in over.items()
    )
    deletes = tuple(sorted(edit.deletes))
    return SharedChange(
        Form.DISMISS, edit.model, RecordId(edit.record), writes=writes, seen=deletes
    )


def _loss(edit: Lose, state: RecordState) -> SharedChange:
    """An update on dots that the record has never had: such a write is lost wherever it is heard."""
    dots = {*edit.dots} - state.dots - state.remembered.dots
    if not dots:
        raise InvalidChangeError(f"{edit.model} {edit.record.hex()} was made with what it replaces")
    writes, seen = _writes(edit.fields, NOTHING), tuple(sorted(edit.repeats))
    about = edit.model, RecordId(edit.record)
    return SharedChange(Form.UPDATE, *about, tuple(sorted(dots)), writes, seen)


def _lock(edit: Lock, record: RecordId, state: RecordState) -> SharedChange:
    """All values anew, on a dot of their own: neither an edit nor a delete unseen reaches them."""
    if state.locked_by is not None:
        raise InvalidChangeError(f"{edit.model} {record.hex()} is locked already")
    _check_level(state)
    values = _writes({_named(key): write.value for key, write in _held(state)}, state)
    lock = _writes({LOCK_FIELD: True}, state)
    guard = Guard(state.guard.level + 1)
    deaths = tuple(sorted(state.died_of))
    return SharedChange(
        Form.RESTORE, edit.model, record, writes=(*lock, *values), seen=deaths, guard=guard
    )


def _held(state: RecordState) -> list[tuple[FieldKey, Write]]:
    """Return what a lock writes anew: all that is in effect, what was unset knowingly, too."""
    return [(key, write) for key, write in state.shown().items() if key[0] != LOCK_FIELD]


def _named(key: FieldKey) -> str | tuple[str, str]:
    name, subkey = key
    return name if subkey is None else (name, subkey)


def _check_level(state: RecordState) -> None:
    if state.guard.level >= MAX_GUARD:
        raise InvalidChangeError("it was locked and unlocked too often to be so once more")


def _unlock(edit: Unlock, record: RecordId, state: RecordState) -> SharedChange:
    if state.locked_by is None:
        raise InvalidChangeError(f"{edit.model} {record.hex()} is not locked")
    _check_level(state)
    held = state.floor
    below = [held.level, b"" if held.stamp is None else held.stamp.pack(), held.feed]
    writes = _writes({LOCK_FIELD: below}, state)
    dots = tuple(sorted(state.dots))
    guard = Guard(state.guard.level + 1)
    return SharedChange(Form.UPDATE, edit.model, record, dots, writes, guard=guard)


def _writes(
    fields: Mapping[str | tuple[str, str], Value],
    state: RecordState,
    settles: Sequence[WriteRef] = (),
    unseen: Sequence[WriteRef] = (),
) -> tuple[FieldWrite, ...]:
    """Return writes that replace what is shown but for `unseen`, and the losers that they settle.

    What else is hidden is not replaced knowingly.
    """
    shown = state.shown()
    writes = []
    for key, value in fields.items():
        register: FieldKey = (key, None) if isinstance(key, str) else key
        held = shown.get(register)
        over = {*settles} if held is None or held.ref in unseen else {held.ref, *settles}
        writes.append(FieldWrite(*register, value, tuple(sorted(over))))
    return tuple(writes)

"""Bringing back what a delete took: whether anything later stands on it, and with which values.

A record that was deleted may have been made again or restored since, and that undone: then nothing
of it is left, and the delete can be taken back as if it had been the last word.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry.changes import LOCK_FIELD, UNSET, Form, Guard, Value, WriteRef
from registry.models import FieldKind
from registry.state import set_registers

if TYPE_CHECKING:
    from leaderless.catalogue.origins import Origins
    from registry.changes import FieldKey, SharedChange
    from registry.models import Model
    from registry.state import RecordState

Fields = dict[str | tuple[str, str], Value]


def deaths_of(
    origins: Origins, state: RecordState, ref: WriteRef, change: SharedChange
) -> tuple[WriteRef, ...]:
    """Return what a record is dead of that is the delete `ref`, or an undo of what came over it.

    Empty where something else took the record away since.
    """
    deaths = tuple(death for death in state.died_of if _leads_back(origins, death, ref, change))
    return deaths if ref in deaths or len(deaths) == len(state.died_of) else ()


def _leads_back(origins: Origins, death: WriteRef, ref: WriteRef, change: SharedChange) -> bool:
    waiting, passed = [death], set[WriteRef]()
    while waiting:
        at = waiting.pop()
        if at == ref:
            return True
        if at in passed:
            continue
        passed.add(at)
        made = _taken_by(origins, at, change)
        if made is None or made[1].form not in (Form.CREATE, Form.RESTORE):
            continue
        # What was made had these deletes before it; an undo restores one that it does not name.
        waiting += made[1].seen
        undone = _taken_by(origins, made[0], change)
        if undone is not None:
            waiting.append(undone[0])
    return False


def _taken_by(
    origins: Origins, ref: WriteRef, change: SharedChange
) -> tuple[WriteRef, SharedChange] | None:
    """Return the change of the same record that the undo at a reference took back."""
    taken = origins.taken_by(ref.feed, ref.seq)
    return None if taken is None else origins.find(taken, change)


def fields_before(
    origins: Origins, model: Model | None, state: RecordState, delete: SharedChange
) -> Fields | None:
    """Return the fields with which a restore shows what `delete` took, None if the log lost them.

    Those are left out that the record would show by itself, or that the model does not know.
    """
    best: dict[FieldKey, tuple[tuple[object, WriteRef], Value]] = {}
    for ref in delete.seen:
        change = origins.change(ref)
        if change is None:
            return None
        guard = change.guard
        if guard.level and guard.stamp is None:
            guard = Guard(guard.level, ref.stamp, ref.feed)
        for write in change.writes:
            key, order = (write.field, write.subkey), (guard.order, ref)
            if change.form is not Form.DISMISS and (key not in best or best[key][0] < order):
                best[key] = (order, write.value)
    held = set_registers(state.remembered)
    wanted: Fields = dict.fromkeys(held, UNSET)
    wanted |= {
        name if subkey is None else (name, subkey): value
        for (name, subkey), (_, value) in best.items()
        if name != LOCK_FIELD
    }
    return {
        key: value
        for key, value in wanted.items()
        if held.get(key, UNSET) != value and _is_known(model, key, value)
    }


def _is_known(model: Model | None, key: str | tuple[str, str], value: Value) -> bool:
    """Return whether an edit may write that value there."""
    name, subkey = (key, None) if isinstance(key, str) else key
    item = None if model is None else model.field(name)
    if item is None or (item.kind is FieldKind.PLAIN) != (subkey is None) or subkey == "":
        return False
    return value is UNSET or item.accepts(value)

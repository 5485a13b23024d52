"""From what a person asks for to the change that is signed.

Adds to an edit what its author saw: the dots of the record and the writes it replaces, so that
every replica can tell a correction from a conflict without the log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry.changes import (
    Create,
    Delete,
    Edit,
    FieldWrite,
    Form,
    RecordId,
    Restore,
    SharedChange,
    WriteRef,
)
from registry.errors import InvalidChangeError
from registry.merge import flat_fields

if TYPE_CHECKING:
    from collections.abc import Mapping

    from registry.changes import FieldKey, Value
    from registry.merge import RecordState


def change_for(edit: Edit, state: RecordState, kept: Mapping[str, Value]) -> SharedChange:
    """Return the change that does `edit` to a record in `state`.

    `kept` are the fields the record had when it was deleted, for a restore. Raises
    InvalidChangeError where the edit cannot be meant: creating or restoring what is alive, changing
    or deleting what is not, or writing nothing.
    """
    record = RecordId(edit.record)
    name = f"{edit.model} {edit.record.hex()}"
    if isinstance(edit, Create | Restore):
        if state.alive:
            raise InvalidChangeError(f"{name} is there already")
        if isinstance(edit, Create):
            return SharedChange(Form.CREATE, edit.model, record, writes=_writes(edit.fields, state))
        writes = tuple(FieldWrite(*key, value) for key, value in flat_fields(kept).items())
        return SharedChange(Form.RESTORE, edit.model, record, writes=writes)
    if not state.alive:
        raise InvalidChangeError(f"{name} is not there")
    dots = tuple(sorted(state.dots))
    if isinstance(edit, Delete):
        seen = tuple(write.ref for write in state.writes)
        return SharedChange(Form.DELETE, edit.model, record, dots=dots, seen=seen)
    if not edit.fields:
        raise InvalidChangeError(f"an update of {name} names no field")
    return SharedChange(
        Form.UPDATE, edit.model, record, dots=dots, writes=_writes(edit.fields, state)
    )


def _writes(
    fields: Mapping[str | tuple[str, str], Value], state: RecordState
) -> tuple[FieldWrite, ...]:
    keys: dict[FieldKey, Value] = {
        (key, None) if isinstance(key, str) else key: value for key, value in fields.items()
    }
    return tuple(
        FieldWrite(*key, value, tuple(sorted(_refs(state, key)))) for key, value in keys.items()
    )


def _refs(state: RecordState, key: FieldKey) -> set[WriteRef]:
    return {write.ref for write in state.on(key)}

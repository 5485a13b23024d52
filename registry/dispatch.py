"""From a batch to the function that applies it: find the model, check the owner, name the failure.

Order matters and is decided here: rows parents first, tombstones children first, then the dead rows
that nothing refers to any more. The caller holds one transaction around a call.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from registry.changes import SharedRow, StateChange
from registry.errors import ApplyError, InvalidChangeError, NotOwnerError, RegistryError
from registry.models import FieldKind, Ownership, needed
from registry.rows import StateEffect

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from registry.changes import Value
    from registry.models import Model, Registry
    from registry.rows import Epochs


class StateOutcome(NamedTuple):
    """The effects per model name, and the changes of models that nobody here knows."""

    effects: Sequence[tuple[str, StateEffect]]
    unknown: Sequence[StateChange]


def dispatch_state(
    registry: Registry,
    connection: Any,
    epochs: Epochs,
    changes: Sequence[StateChange],
    owner: bytes,
) -> StateOutcome:
    """Apply owned rows and tombstones of one owner through their models.

    `owner` is the device that was proved to speak (by its connection or by its signed checkpoint).
    Raises NotOwnerError if a change names another, InvalidChangeError for a shared model or a value
    that cannot stand where it is, ApplyError for anything a model's function raises.
    """
    by_model = _grouped(registry, changes, owner)
    known = [model for model in registry.owned() if model.sync_name in by_model]
    effects: list[tuple[str, StateEffect]] = []
    for model in known:
        for change in by_model[model.sync_name]:
            check_state_values(model, change)
            effects.append(_apply_state(model, connection, epochs, replace(change, removed=())))
    for model in reversed(known):
        for change in by_model[model.sync_name]:
            gone = replace(change, rows=(), dead=frozenset())
            effects.append(_apply_state(model, connection, epochs, gone))
    for model in reversed(registry.owned()):
        needed(model.sweep_state)(connection)
    names = {model.sync_name for model in known}
    return StateOutcome(effects, [change for change in changes if change.model not in names])


def _grouped(
    registry: Registry, changes: Sequence[StateChange], owner: bytes
) -> dict[str, list[StateChange]]:
    by_model: dict[str, list[StateChange]] = {}
    for change in changes:
        if change.owner != owner:
            raise NotOwnerError(
                f"{owner.hex()} offered rows of {change.model} that belong to {change.owner.hex()}"
            )
        model = registry.get(change.model)
        if model is not None and model.ownership is not Ownership.DEVICE:
            raise InvalidChangeError(f"{change.model} is shared; it does not travel as state")
        by_model.setdefault(change.model, []).append(change)
    return by_model


def check_state_values(model: Model, change: StateChange) -> None:
    """Raise InvalidChangeError where a row has a value its field does not accept."""
    fields = [model.field(name) for name in change.columns]
    width = len(fields) + 2
    for row in change.rows:
        if len(row) != width:
            raise InvalidChangeError(f"a row of {model.sync_name} has {len(row)} values of {width}")
    columns = list(zip(*change.rows, strict=True))[2:]
    for item, values in zip(fields, columns, strict=False):
        if item is not None and not item.accepts_all(values):
            wrong = next(value for value in values if not item.accepts(value))
            raise InvalidChangeError(
                f"{model.sync_name}.{item.name} cannot be a {type(wrong).__name__}"
            )


def _apply_state(
    model: Model, connection: Any, epochs: Epochs, change: StateChange
) -> tuple[str, StateEffect]:
    if not change.rows and not change.removed:
        return model.sync_name, StateEffect()
    try:
        return model.sync_name, needed(model.apply_state_change)(connection, epochs, change)
    except RegistryError:
        raise
    except Exception as error:
        raise ApplyError(model.sync_name, error) from error


def dispatch_shared(
    registry: Registry, connection: Any, rows: Mapping[str, Sequence[SharedRow]]
) -> tuple[str, ...]:
    """Make the visible tables agree with merged records, parents first.

    Returns the names of what is not shown: models that nobody here knows, and owned ones (a valid
    commit never fails, whatever its author named); their records live on in the registers. Raises
    ApplyError for what a model's function raises.
    """
    shown: set[str] = set()
    for model in registry:
        merged = rows.get(model.sync_name)
        if not merged or model.ownership is not Ownership.SHARED:
            continue
        shown.add(model.sync_name)
        try:
            needed(model.apply_shared_change)(connection, [_accepted(model, row) for row in merged])
        except RegistryError:
            raise
        except Exception as error:
            raise ApplyError(model.sync_name, error) from error
    return tuple(name for name in rows if name not in shown)


def _accepted(model: Model, row: SharedRow) -> SharedRow:
    """Return the row without values that its model cannot show; the registers keep them.

    Nothing that a commit may hold can make an apply fail: it would hold up whoever it depends on.
    """
    if row.fields is None:
        return row
    fields: dict[str, Value] = {}
    for name, value in row.fields.items():
        item = model.field(name)
        if item is None:
            fields[name] = value
        elif (item.kind is FieldKind.PLAIN) == isinstance(value, dict):
            continue
        elif isinstance(value, dict):
            fields[name] = {key: entry for key, entry in value.items() if item.accepts(entry)}
        elif item.accepts(value):
            fields[name] = value
    return SharedRow(row.record, fields, row.order)

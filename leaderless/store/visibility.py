"""What is shown of shared records, by which others are there: a pure function of the registers.

A link whose end is not there is hidden, a reference to what is gone shows as null; both come back
with what they refer to. Nothing is ever written for it: `reference` only remembers whom to look at
again when a record comes to life or dies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry.models import FieldKind, WhenGone
from registry.state import RecordState, visible_fields

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sqlalchemy import Connection

    from registry.changes import Value
    from registry.models import Registry

Key = tuple[str, bytes]


class Visibility:
    """What is shown of the records that one transaction touches."""

    def __init__(
        self,
        connection: Connection,
        registry: Registry,
        state: Callable[[str, bytes], RecordState],
    ) -> None:
        self._connection = connection
        self._registry = registry
        self._state = state
        self._there: dict[Key, bool] = {}
        self._said: dict[Key, dict[str, Value]] = {}
        self._keyed_by: dict[str, dict[str, bool]] = {}

    def concerned(self, touched: Iterable[Key], flipped: Iterable[Key]) -> list[Key]:
        """Return the records to show anew: `touched`, and all that refer to `flipped` ones.

        Or to touched ones whose fields decide whether they are seen while they are alive.
        """
        keys = dict.fromkeys(touched)
        self._remember(keys)
        referred = self._registry.referred()
        may_flip = referred & _judged_by_fields(self._registry)
        turned = dict.fromkeys([*flipped, *(key for key in keys if key[0] in may_flip)])
        waiting = [key for key in turned if key[0] in referred]
        seen = set(waiting)
        while waiting:
            _, target = waiting.pop()
            for model, record in self._connection.exec_driver_sql(
                "SELECT model, record FROM reference WHERE target = ?", (target,)
            ).all():
                key = (model, record)
                keys[key] = None
                if key not in seen and model in referred:
                    seen.add(key)
                    waiting.append(key)
        return list(keys)

    def _remember(self, keys: Iterable[Key]) -> None:
        """Write down whom the living ones of these records refer to."""
        old: list[Key] = []
        new: list[tuple[bytes, str, bytes, str]] = []
        for model_name, record in keys:
            model = self._registry.get(model_name)
            if model is None or not model.references():
                continue
            old.append((model_name, record))
            said = self._says((model_name, record))
            for item in model.references():
                target = said.get(item.name)
                if isinstance(target, bytes) and len(target) == 16:
                    new.append((target, model_name, record, item.name))
        if old:
            self._connection.exec_driver_sql(
                "DELETE FROM reference WHERE model = ? AND record = ?", old
            )
        if new:
            self._connection.exec_driver_sql(
                "INSERT INTO reference (target, model, record, field) VALUES (?, ?, ?, ?)", new
            )

    def fields(self, model_name: str, record: bytes) -> dict[str, Value] | None:
        """Return what is shown of a record, None if it is not to be seen."""
        if not self._is_there((model_name, record)):
            return None
        fields = dict(self._says((model_name, record)))
        model = self._registry.get(model_name)
        for item in () if model is None else model.references():
            shows_null = item.when_gone is WhenGone.SET_NULL and item.name in fields
            if shows_null and not self._refers(item.reference, fields[item.name]):
                fields[item.name] = None
        return fields

    def _says(self, key: Key) -> dict[str, Value]:
        """Return the fields that a record's registers show, whether or not it is to be seen."""
        if key not in self._said:
            self._said[key] = visible_fields(self._state(*key), self._keyed(key[0]))
        return self._said[key]

    def _keyed(self, model_name: str) -> dict[str, bool]:
        """Return of each field of a model whether its registers have subkeys."""
        known = self._keyed_by.get(model_name)
        if known is None:
            model = self._registry.get(model_name)
            fields = () if model is None else model.fields
            known = {item.name: item.kind is not FieldKind.PLAIN for item in fields}
            self._keyed_by[model_name] = known
        return known

    def _is_there(self, key: Key) -> bool:
        if key not in self._there:
            self._there[key] = self._judge(*key)
        return self._there[key]

    def _judge(self, model_name: str, record: bytes) -> bool:
        state = self._state(model_name, record)
        model = self._registry.get(model_name)
        if not state.alive or model is None:
            return state.alive
        fields = self._says((model_name, record))
        for item in model.fields:
            value = fields.get(item.name)
            if not item.nullable and not item.accepts(value):
                return False
            cascades = item.when_gone is WhenGone.CASCADE and value is not None
            if cascades and not self._refers(item.reference, value):
                return False
        return True

    def _refers(self, model: str | None, target: Value) -> bool:
        """Return whether a value names a record of `model` that is to be seen."""
        return model is not None and isinstance(target, bytes) and self._is_there((model, target))


def _judged_by_fields(registry: Registry) -> set[str]:
    """Return the models of which a living record may be hidden for what its fields say."""
    return {
        model.sync_name
        for model in registry.shared()
        if any(not item.nullable or item.when_gone is WhenGone.CASCADE for item in model.fields)
    }

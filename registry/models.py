"""The declaration of a model, and the registry that is built from a tuple of them.

A model is data plus function pointers: the registry, the store and the session know models through
these alone, so one more model changes nothing outside its own file. Connections are opaque here
(typed `Any`): the ground floor knows no SQL.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from types import NoneType
from typing import Any, NamedTuple, TypeVar

from registry.changes import RecordId, SharedRow, StateChange, Value
from registry.errors import ModelError
from registry.rows import Epochs, StateEffect, StateQuery

_Function = TypeVar("_Function", bound=Callable[..., Any])


class Ownership(Enum):
    """Whose word on a record counts."""

    DEVICE = "device"
    """One device owns each row; its state is upserted by uuid."""
    SHARED = "shared"
    """Anybody edits; commits are merged."""


class WhenGone(Enum):
    """What a shared record shows while one that it refers to is not there (no write, ever)."""

    CASCADE = "cascade"
    """It is hidden, too, and comes back with what it refers to."""
    SET_NULL = "set null"
    """The reference shows as null."""
    KEEP = "keep"
    """Nothing changes; whoever looks finds nothing there."""


class FieldKind(Enum):
    """How a shared field is split into registers."""

    PLAIN = "plain"
    MAP = "map"
    """One register per key."""
    SET = "set"
    """One register per element: True while it is in."""


@dataclass(frozen=True, slots=True)
class Field:
    """A synced field: its name, the types of its values, and how it merges or refers.

    `reference` names the model of the same ownership whose uuid the value is: a referred owned row
    travels ahead, a shared one decides what is shown (`when_gone`). A `bookkeeping` field says how a
    value came about; when it loses against another that is no conflict to speak of. Numbers lie
    between `least` and `most`.
    """

    name: str
    types: tuple[type, ...] = (str,)
    kind: FieldKind = FieldKind.PLAIN
    nullable: bool = True
    reference: str | None = None
    when_gone: WhenGone = WhenGone.KEEP
    bookkeeping: bool = False
    least: float | None = None
    most: float | None = None
    about: str | None = None
    said: bool = False

    def accepts(self, value: Value) -> bool:
        """Return whether `value` may stand in this field (of a map or set: in one register)."""
        if value is None:
            return self.nullable or self.kind is not FieldKind.PLAIN
        if isinstance(value, bool) and bool not in self.types:
            return False
        if not isinstance(value, self.types):
            return False
        if isinstance(value, bool) or not isinstance(value, int | float):
            return True
        if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
            return False  # no column of a database holds it
        if not math.isfinite(value):
            return False  # nor does JSON
        return (self.least is None or self.least <= value) and (
            self.most is None or value <= self.most
        )

    def accepts_all(self, values: Sequence[Value]) -> bool:
        """Return whether all of these values may stand in this field, which a batch asks of columns."""
        kinds = set(map(type, values))
        if not kinds - {int, NoneType} and int in kinds:
            numbers = [value for value in values if isinstance(value, int)]
            ends = (min(numbers), max(numbers), *({None} if NoneType in kinds else ()))
            return all(map(self.accepts, ends))
        if kinds <= {*self.types, NoneType} and kinds.isdisjoint((int, float)):
            return NoneType not in kinds or self.accepts(None)
        return all(map(self.accepts, values))


ApplyState = Callable[[Any, Epochs, StateChange], StateEffect]
ApplyShared = Callable[[Any, Sequence[SharedRow]], None]
QueryState = Callable[[Any, int, int, int, int], StateQuery]
QueryRows = Callable[[Any, int, int, Sequence[int]], StateQuery]
Sweep = Callable[[Any], None]
RecordIdOf = Callable[[Mapping[Any, Value]], RecordId]


class Link(NamedTuple):
    """The two fields that a many-to-many link joins.

    A link that may exist once has an id derived from both ends, so the same link made on two
    devices is one. Of a `repeatable` one more than that one may be made, with ids of their own.
    """

    item: str
    group: str
    repeatable: bool = False


@dataclass(frozen=True, slots=True)
class Model:
    """A synced model.

    `schema` are the statements that create the table of a model that is not built in.

    Owned models carry `apply_state_change(connection, epochs, change)`, which upserts and removes
    one batch and returns its effect; `query_state(connection, epoch, lo, hi, limit)`, the rows with
    lo < rev <= hi in rev order; `query_rows(connection, epoch, lo, keys)`, rows by local key; and
    `sweep_state(connection)`, which removes dead rows nothing refers to any more. Two rows of one owner
    that agree in the fields of `identity` are one thing under two uuids; the first of these fields
    has an index, and what they refer to is the same for a row as for the one above it. So are two that
    agree in those of `body` at different places, none of which but the last may be absent: the thing
    was moved; the first two of these have an index. Shared models
    carry `apply_shared_change(connection, rows)`, which makes the visible table agree with `rows`, and
    `record_id(fields)` where no link but what is said makes the id.
    """

    sync_name: str
    version: int
    ownership: Ownership
    fields: tuple[Field, ...]
    local_only: tuple[str, ...] = ()
    depends_on: tuple[str, ...] = ()
    link: Link | None = None
    schema: tuple[str, ...] = ()
    apply_state_change: ApplyState | None = None
    apply_shared_change: ApplyShared | None = None
    query_state: QueryState | None = None
    query_rows: QueryRows | None = None
    sweep_state: Sweep | None = None
    identity: tuple[str, ...] = ()
    body: tuple[str, ...] = ()
    record_id: RecordIdOf | None = None
    _by_name: Mapping[str, Field] = field(init=False, repr=False, compare=False)
    _references: tuple[Field, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Asked for of each record: found once.
        object.__setattr__(self, "_by_name", {item.name: item for item in self.fields})
        object.__setattr__(self, "_references", _references(self.fields))
        owned = (self.apply_state_change, self.query_state, self.query_rows, self.sweep_state)
        if self.ownership is Ownership.DEVICE and (None in owned or self.apply_shared_change):
            raise ModelError(f"{self.sync_name}: an owned model has the four state functions only")
        if self.ownership is Ownership.SHARED and (
            self.apply_shared_change is None or any(part is not None for part in owned)
        ):
            raise ModelError(f"{self.sync_name}: a shared model has apply_shared_change only")
        names = [item.name for item in self.fields]
        if len(set(names)) != len(names) or set(names) & set(self.local_only):
            raise ModelError(f"{self.sync_name}: a field is named twice")
        if not {*self.identity, *self.body} <= set(names):
            raise ModelError(f"{self.sync_name}: its identity and body are of its fields")
        if self.link and not {self.link.item, self.link.group} <= set(names):
            raise ModelError(f"{self.sync_name}: a link joins two of its fields")
        for item in self.fields:
            cascades = item.when_gone is WhenGone.CASCADE
            if cascades and item.reference in (None, self.sync_name):
                raise ModelError(f"{self.sync_name}.{item.name} cascades from no other model")

    def references(self) -> tuple[Field, ...]:
        """Return the fields by which other records decide what is shown of this one."""
        return self._references

    def above(self) -> Field | None:
        """Return the field by which rows of this model hang below one another, None if they do not."""
        return next((item for item in self.fields if item.reference == self.sync_name), None)

    def field(self, name: str) -> Field | None:
        """Return the synced field of that name, or None where this version has none."""
        return self._by_name.get(name)


def _references(fields: Iterable[Field]) -> tuple[Field, ...]:
    return tuple(
        item
        for item in fields
        if item.reference is not None and item.when_gone is not WhenGone.KEEP
    )


def needed(function: _Function | None) -> _Function:
    """Return a function of a model that its ownership promises, as `Model` has checked."""
    if function is None:
        raise ModelError("a function that this ownership needs is missing")
    return function


class Registry:
    """The models of a daemon, parents first; built once from a tuple, never changed."""

    def __init__(self, models: Iterable[Model]) -> None:
        self._models: dict[str, Model] = {}
        for model in models:
            if model.sync_name in self._models:
                raise ModelError(f"two models are called {model.sync_name}")
            missing = [name for name in model.depends_on if name not in self._models]
            if missing:
                raise ModelError(f"{model.sync_name} stands before {missing[0]}, which it needs")
            for item in model.fields:
                if item.reference is None or item.reference == model.sync_name:
                    continue
                if item.reference not in model.depends_on:
                    raise ModelError(f"{model.sync_name}.{item.name} refers outside depends_on")
                if self._models[item.reference].ownership is not model.ownership:
                    raise ModelError(f"{model.sync_name}.{item.name} refers across ownerships")
            self._models[model.sync_name] = model
        all_of = self._models.values()
        self._owned = tuple(item for item in all_of if item.ownership is Ownership.DEVICE)
        self._shared = tuple(item for item in all_of if item.ownership is Ownership.SHARED)
        self._referred = frozenset(
            str(item.reference) for model in self._shared for item in model.references()
        )

    def __iter__(self) -> Iterator[Model]:
        return iter(self._models.values())

    def get(self, sync_name: str) -> Model | None:
        """Return the model of that name, or None for one that this daemon does not know."""
        return self._models.get(sync_name)

    def owned(self) -> tuple[Model, ...]:
        """Return the device-owned models, parents first."""
        return self._owned

    def shared(self) -> tuple[Model, ...]:
        """Return the shared models, parents first."""
        return self._shared

    def referred(self) -> frozenset[str]:
        """Return the models whose records decide what is shown of others."""
        return self._referred

    def versions(self) -> dict[str, int]:
        """Return the version of each model, as hello says it."""
        return {model.sync_name: model.version for model in self}

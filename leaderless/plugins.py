"""Models that other packages bring, found by the entry point group `leaderless.models`.

An entry point is a `Model` or a tuple of them; docs/models.md builds one. Nothing that a package
does wrong stops the daemon: each model is tried on a database in memory before it is believed, and
a package that fails is left out, with the reason.
"""

from __future__ import annotations

import re
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

from registry.changes import DeviceId, Incarnation, RecordId, SharedRow, StateChange
from registry.errors import ModelError, RegistryError
from registry.models import FieldKind, Model, Ownership, Registry, needed
from registry.rows import Epochs

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from importlib.metadata import EntryPoint

    from sqlalchemy import Connection

    from registry.changes import Value
    from registry.models import Field

GROUP = "leaderless.models"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_KEPT_NAMES = frozenset(["id", "uuid", "epoch", "rev", "dead", "extra"])
_ID = bytes(15) + b"\1"


class LeftOut(NamedTuple):
    """A package whose models are not used, and why."""

    package: str
    why: str


class Loaded(NamedTuple):
    """All models, the package that each of those not built in is from, and what was left out."""

    models: tuple[Model, ...]
    packages: dict[str, str]
    left_out: tuple[LeftOut, ...]

    def without(self, failed: Mapping[str, str]) -> tuple[LeftOut, ...]:
        """Return what is left out once models (name → reason) have failed in the library, too."""
        more = [LeftOut(self.packages[name], why) for name, why in failed.items()]
        return (*self.left_out, *more)


def load_models(
    built_in: Sequence[Model],
    tables: Collection[str],
    found: Iterable[EntryPoint] | None = None,
) -> Loaded:
    """Return the built-in models with those of packages behind them, parents first.

    `tables` are names that no model may have. Never raises for what a package does: one entry
    point counts as a whole or not at all.
    """
    offered = entry_points(group=GROUP) if found is None else found
    waiting: list[tuple[str, tuple[Model, ...]]] = []
    left_out: list[LeftOut] = []
    for entry_point in sorted(offered, key=lambda item: (_package(item), item.name)):
        try:
            waiting.append((_package(entry_point), _models(entry_point)))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a package's code does
            left_out.append(LeftOut(_package(entry_point), _reason(error)))
    models, packages = tuple(built_in), dict[str, str]()
    while waiting:
        late: list[tuple[str, tuple[Model, ...]]] = []
        why: list[LeftOut] = []
        for package, brought in waiting:
            try:
                Registry((*models, *brought))
                for model in brought:
                    check_model(model, (*models, *brought), built_in, tables)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - the same
                # It may depend on a model of a package that has not had its turn.
                late.append((package, brought))
                why.append(LeftOut(package, _reason(error)))
                continue
            models += brought
            packages.update((model.sync_name, package) for model in brought)
        if len(late) == len(waiting):
            left_out += why
            break
        waiting = late
    return Loaded(models, packages, tuple(left_out))


def _package(entry_point: EntryPoint) -> str:
    return entry_point.module if entry_point.dist is None else entry_point.dist.name


def _models(entry_point: EntryPoint) -> tuple[Model, ...]:
    brought = entry_point.load()
    models = (brought,) if isinstance(brought, Model) else brought
    if not isinstance(models, tuple) or any(not isinstance(item, Model) for item in models):
        raise ModelError(f"{entry_point.value} is neither a Model nor a tuple of Models")
    return models


def _reason(error: BaseException) -> str:
    cause = error.__cause__ if isinstance(error, RegistryError) else None
    text = str(error) or type(error).__name__
    return text if cause is None else f"{text} ({cause})"


# --- is it sound? ---------------------------------------------------------------------------------


def check_model(
    model: Model, known: Iterable[Model], built_in: Iterable[Model], tables: Collection[str]
) -> None:
    """Raise ModelError unless a model that is not built in can do what its declaration says.

    It may refer to models among `known`.
    """
    name = model.sync_name
    if name in tables:
        raise ModelError(f"{name} is the name of a table that leaderless has itself")
    for item in (name, *(item.name for item in model.fields)):
        if not _NAME.fullmatch(item):
            raise ModelError(f"“{item}” is no name: a to z, 0 to 9 and _, a letter first")
    kept = _KEPT_NAMES.intersection(item.name for item in model.fields)
    if kept:
        raise ModelError(f"{name}.{min(kept)}: every table has a column of that name")
    if type(model.version) is not int or model.version < 1:
        raise ModelError(f"the version of {name} is a number from 1")
    if not model.schema:
        raise ModelError(f"{name} has no schema to make its table by")
    owned = {other.sync_name for other in built_in if other.ownership is Ownership.DEVICE}
    if owned & {item.reference for item in model.fields}:
        # Its rows would hold up deletes there: nobody asks them when a dead row may go.
        raise ModelError(f"{name} refers to a built-in owned model; keep its id without reference")
    engine = create_engine("sqlite://", poolclass=StaticPool)
    try:
        with engine.connect() as connection:
            _try_schema(connection, model)
            for other in known:
                if other.sync_name in model.depends_on:
                    _make(connection, other)
            (_try_owned if model.ownership is Ownership.DEVICE else _try_shared)(connection, model)
    except ModelError:
        raise
    except Exception as error:  # noqa: BLE001 - the same
        raise ModelError(f"{name} was tried, and failed: {error}") from None
    finally:
        engine.dispose()


def _try_schema(connection: Connection, model: Model) -> None:
    """Raise ModelError unless the schema makes this one table, strict, and its indexes."""
    name = model.sync_name
    _make(connection, model)
    _make(connection, model)
    made = connection.exec_driver_sql("SELECT type, name, tbl_name FROM sqlite_master").all()
    for kind, item, table in made:
        if table != name or kind not in ("table", "index"):
            raise ModelError(f"the schema of {name} makes a {kind} {item}")
        if not item.startswith((name, "sqlite_autoindex")):
            raise ModelError(f"the name of {item} does not begin with {name}")
    strict = "SELECT strict FROM pragma_table_list WHERE schema = 'main' AND name = ?"
    if connection.exec_driver_sql(strict, (name,)).scalar() != 1:
        raise ModelError(f"the schema of {name} makes no STRICT table {name}")


def _make(connection: Connection, model: Model) -> None:
    for statement in model.schema:
        connection.exec_driver_sql(statement)


def _try_shared(connection: Connection, model: Model) -> None:
    """Raise ModelError unless records are shown and taken away again, however little they say."""
    apply = needed(model.apply_shared_change)
    full = {item.name: _sample(item) for item in model.fields}
    plain = [item for item in model.fields if item.kind is FieldKind.PLAIN]
    least = {item.name: _sample(item) for item in plain if not item.nullable}
    nulls = {item.name: None for item in plain if item.nullable}
    query = f"SELECT count(*) FROM {model.sync_name} WHERE uuid = ?"  # noqa: S608 - checked name
    tries: tuple[dict[str, Value] | None, ...]
    tries = (full, {**full, **nulls}, {**least, "field_of_a_newer_version": 1}, None)
    for fields in tries:
        apply(connection, [SharedRow(RecordId(_ID), fields)])
        if connection.exec_driver_sql(query, (_ID,)).scalar() != int(fields is not None):
            shown = "shown" if fields is not None else "taken away"
            raise ModelError(f"a record of {model.sync_name} is not {shown}")


def _try_owned(connection: Connection, model: Model) -> None:
    """Raise ModelError unless a row comes out as it went in, and goes."""
    name = model.sync_name
    connection.exec_driver_sql(
        "CREATE TABLE tombstone (uuid BLOB PRIMARY KEY, model TEXT, epoch INTEGER, rev INTEGER)"
    )
    known = tuple(item.name for item in model.fields)
    row = (_ID, 1, *(None if item.reference else _sample(item) for item in model.fields))
    apply = needed(model.apply_state_change)
    change = StateChange(name, DeviceId(bytes(16)), Incarnation(1, bytes(8)), known, [row])
    apply(connection, Epochs(1, frozenset([1])), change)
    query = f"SELECT count(*) FROM {name} WHERE uuid = ?"  # noqa: S608 - checked name
    if connection.exec_driver_sql(query, (_ID,)).scalar() != 1:
        raise ModelError(f"a row of {name} is in another table")
    found = needed(model.query_state)(connection, 1, 0, 1, 1)
    if (found.columns, [tuple(item) for item in found.rows]) != (known, [row]):
        raise ModelError(f"a row of {name} does not come out as it went in")
    gone = StateChange(name, change.owner, change.incarnation, (), (), [(_ID, 2)])
    apply(connection, Epochs(1, frozenset([1])), gone)
    needed(model.query_rows)(connection, 1, 0, [1])
    needed(model.sweep_state)(connection)
    if connection.exec_driver_sql(query, (_ID,)).scalar() != 0:
        raise ModelError(f"a row of {name} does not go")


def _sample(item: Field) -> Value:
    """Return a value that a field takes."""
    least = int(-(-(item.least or 0) // 1))
    values = {str: "", bytes: bytes(16), bool: True, int: least, float: float(item.least or 0)}
    value: Value = next((values[kind] for kind in item.types if kind in values), None)
    return value if item.kind is FieldKind.PLAIN else {"key": value}

"""Models that come, change and go: the tables of those that are not built in.

What a package's models show is made from what every device keeps of them, known or not: registers,
and opaque rows. So a table is made when its model comes, made anew when the model changes, and
dropped when it goes; then its rows are opaque again. What is held, hashed and handed on stays the
same bytes all along. A model that fails here is left out and stops nothing. What a new version of
leaderless itself knows is shown from the same bytes (store/hoisting.py, `show_again`).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import msgpack

from leaderless.store import hoisting, meta, opaque
from leaderless.store.forgotten import is_whole
from leaderless.store.rebuild import rebuild, show_again
from registry.errors import ModelError
from registry.models import Ownership, Registry
from registry.rows import StateRow

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from registry.models import Model

TABLES = frozenset(
    [
        "commit_log",
        "confirmation",
        "feed",
        "given_back",
        "incarnation",
        "journal",
        "meta",
        "opaque_row",
        "own_word",
        "owned_confirmation",
        "presence",
        "record",
        "reference",
        "replaced",
        "revoked",
        "schema_version",
        "since_backup",
        "staged_position",
        "staged_record",
        "statement",
        "tombstone",
    ]
)
"""The tables that are no model's; none may have their names."""


class Adopted(NamedTuple):
    """The models that can be used, and why others cannot: model → reason."""

    registry: Registry
    failed: dict[str, str]


def adopt(connection: Connection, registry: Registry, now_ms: int) -> Adopted:
    """Do what a new schema, new models, changed and missing ones ask for; cheap if nothing does.

    The caller holds one transaction around it.
    """
    built_in = [model for model in registry if not model.schema]
    usable = Registry(built_in)
    known = json.loads(meta.get(connection, meta.MODELS) or "{}")
    held: dict[str, Any] = json.loads(meta.get(connection, meta.INSTALLED) or "{}")
    wanted = {model.sync_name: _about(model) for model in registry if model.schema}
    for name in _changed(held, wanted):
        _put_away(connection, name, held.pop(name))
    if meta.get(connection, meta.REBUILD):
        if is_whole(connection):
            rebuild(connection, usable, now_ms)
        meta.drop(connection, meta.REBUILD)
        known = {}
    shown = {model.sync_name: model.version for model in usable}
    changed = [name for name, version in shown.items() if known.get(name) != version]
    for model in usable.owned():
        # What waits for something else is looked at again at the next start.
        if model.sync_name in changed and not hoisting.hoist(connection, usable, model):
            del shown[model.sync_name]
    new = [model.sync_name for model in usable.shared() if model.sync_name in changed]
    if new:
        show_again(connection, usable, new, now_ms)
    failed: dict[str, str] = {}
    for model in registry:
        if not model.schema:
            continue
        name = model.sync_name
        # What built-in models show decides what is shown of models that refer to them.
        fresh = name not in held or bool(new)
        try:
            with connection.begin_nested():
                usable = _taken_in(connection, usable, model, now_ms, fresh=fresh)
        except Exception as error:  # noqa: BLE001 - whatever a package's code does
            failed[name] = str(error)
            left = {other: about for other, about in held.items() if other != name}
            for gone in _changed(held, left):
                _put_away(connection, gone, held.pop(gone))
            continue
        held[name] = wanted[name]
    _remember(connection, meta.MODELS, known, shown)
    _remember(connection, meta.INSTALLED, None, held)
    return Adopted(usable, failed)


def _remember(connection: Connection, name: str, was: Any, now: dict[str, Any]) -> None:  # noqa: ANN401 - JSON
    if was != now:
        meta.put(connection, name, json.dumps(now))


def _about(model: Model) -> dict[str, Any]:
    """Return what has to be remembered of a model to put it away without it."""
    return {
        "version": model.version,
        "owned": model.ownership is Ownership.DEVICE,
        "schema": list(model.schema),
        "fields": [[item.name, item.reference] for item in model.fields],
    }


def _changed(held: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """Return the models whose tables go, children first: they changed, or what they refer to did."""
    gone: list[str] = []
    for name, about in held.items():
        above = [reference for _, reference in about["fields"]]
        if wanted.get(name) != about or any(other in gone for other in above):
            gone.append(name)
    return gone[::-1]


def _taken_in(
    connection: Connection, usable: Registry, model: Model, now_ms: int, *, fresh: bool
) -> Registry:
    """Make a model's table and show in it what is held of it; return the registry with it."""
    name = model.sync_name
    registry = Registry([*usable, model])
    if fresh:
        for statement in model.schema:
            connection.exec_driver_sql(statement)
    if model.ownership is Ownership.DEVICE:
        hoisting.out_of_opaque(connection, registry, model)
    elif fresh:
        show_again(connection, registry, [name], now_ms)
    if fresh and connection.exec_driver_sql(f"PRAGMA foreign_key_check({name})").first():
        raise ModelError(f"rows of {name} refer to nothing")
    return registry


# --- owned models ---------------------------------------------------------------------------------


def _put_away(connection: Connection, name: str, about: dict[str, Any]) -> None:
    """Drop the table of a model that is not known any more; owned rows are kept as opaque ones."""
    if about["owned"]:
        rows = _rows(connection, name, about["fields"])
        for epoch in {epoch for epoch, _ in rows}:
            opaque.put(connection, name, epoch, (row for at, row in rows if at == epoch))
        connection.exec_driver_sql(f"DELETE FROM {name}")
    connection.exec_driver_sql(f"DROP TABLE IF EXISTS {name}")
    connection.exec_driver_sql("DELETE FROM reference WHERE model = ?", (name,))


def _rows(
    connection: Connection, name: str, fields: list[tuple[str, str | None]]
) -> list[tuple[int, StateRow]]:
    """Return the live rows of an owned model's table with their epochs, as they are on the wire."""
    values = [
        f"e.{field}"
        if reference is None
        else f"(SELECT r.uuid FROM {reference} r WHERE r.id = e.{field})"
        for field, reference in fields
    ]
    listed = ", ".join(["e.epoch", "e.uuid", "e.rev", "e.extra", *values])
    found = []
    for epoch, uuid, rev, extra, *held in connection.exec_driver_sql(
        f"SELECT {listed} FROM {name} e WHERE e.dead = 0"
    ):
        named = {field: value for (field, _), value in zip(fields, held, strict=True)}
        said = {field: value for field, value in named.items() if value is not None}
        more = {} if extra is None else msgpack.unpackb(extra)
        found.append((epoch, StateRow(uuid, rev, {**said, **more})))
    return found

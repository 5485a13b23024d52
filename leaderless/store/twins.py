"""Own rows that are one thing under two ids: found in two lives of a device that was restored.

What makes them one is declared by their model (`Model.identity`). Of what was put aside
(store/since_backup.py) this says where it belongs among the rows of now, and what stands there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from sqlalchemy import Connection

    from leaderless.store.state import Copy
    from registry.models import Field, Model

_LOOKUP: Final = 500
Rows = dict[bytes, dict[str, Any]]
"""By uuid the fields of rows, without absent ones."""


def placed(connection: Connection, own: Copy, model: Model, rows: Rows) -> Rows:
    """Return the rows of which all that they refer to is here, by the ids under which it is here.

    What hangs below a row that was moved is where that is now.
    """
    above = model.above()
    references = [field for field in model.fields if field.reference is not None]
    for field in sorted(references, key=lambda field: field != above):
        if above is not None and field != above and field.name in model.identity:
            _go_along(connection, model, above, field, rows)
        rows = _referring(connection, own, field, rows)
    return rows


def _referring(connection: Connection, own: Copy, field: Field, rows: Rows) -> Rows:
    """Return the rows of which what a field refers to is here."""
    named = {row[field.name] for row in rows.values() if field.name in row}
    stays = dict(_standing_for(connection, named))
    here = set(_living(connection, own, field, {stays.get(uuid, uuid) for uuid in named}))
    for row in rows.values():
        if field.name in row:
            row[field.name] = stays.get(row[field.name], row[field.name])
    return {
        uuid: row for uuid, row in rows.items() if field.name not in row or row[field.name] in here
    }


def _go_along(connection: Connection, model: Model, above: Field, field: Field, rows: Rows) -> None:
    """Have rows refer by a field to what those above them do."""
    for some in _chunks({row[above.name] for row in rows.values() if above.name in row}):
        found = connection.exec_driver_sql(
            f"SELECT r.uuid, o.uuid FROM {model.sync_name} r JOIN {field.reference} o"
            f" ON o.id = r.{field.name} WHERE r.uuid IN ({', '.join('?' * len(some))})",
            some,
        )
        inside = {uuid: referred for uuid, referred in found}
        for row in rows.values():
            if row.get(above.name) in inside:
                row[field.name] = inside[row[above.name]]


def known(
    connection: Connection, own: Copy, model: Model, rows: Mapping[bytes, Mapping[str, Any]]
) -> dict[bytes, bytes]:
    """Return of rows of a model which row that is here already is the same thing."""
    if not model.identity or not rows:
        return {}
    fields = _identity(model)
    prepare(connection, model)
    connection.exec_driver_sql(
        f"INSERT INTO temp.sought VALUES (?, {', '.join(map(_as_stored, fields))})",
        [(uuid, *(row.get(field.name) for field in fields)) for uuid, row in rows.items()],
    )
    found = connection.exec_driver_sql(question(model, own)).all()
    connection.exec_driver_sql("DROP TABLE temp.sought")
    return {uuid: stays for uuid, stays in found}


def prepare(connection: Connection, model: Model) -> None:
    """Make a table of what is sought; its columns compare as those of the model do."""
    columns = [f"f{at}" for at in range(len(_identity(model)))]
    kinds = ["BLOB" if field.reference is None else "INTEGER" for field in _identity(model)]
    typed = ", ".join(map(" ".join, zip(columns, kinds, strict=True)))
    connection.exec_driver_sql(f"CREATE TEMP TABLE sought (uuid BLOB, {typed})")
    connection.exec_driver_sql(f"CREATE INDEX temp.sought_by ON sought ({', '.join(columns)})")


def question(model: Model, own: Copy) -> str:
    """Return the query of which rows are the same thing as those that are sought.

    The rows that may be meant are looked for first, by index: there may be many more of others.
    """
    fields = _identity(model)
    same = " AND ".join(f"s.f{at} IS r.{field.name}" for at, field in enumerate(fields))
    return (
        "SELECT s.uuid, min(r.uuid) FROM (SELECT DISTINCT f0 FROM temp.sought) d"
        f" CROSS JOIN {model.sync_name} r ON r.{fields[0].name} IS d.f0 CROSS JOIN temp.sought s"
        f" ON {same} WHERE r.epoch = {own.epoch:d} AND r.dead = 0 GROUP BY s.uuid"
    )


def _identity(model: Model) -> list[Field]:
    return [field for name in model.identity if (field := model.field(name)) is not None]


def _as_stored(field: Field) -> str:
    """Return the value of a field as its table has it: a reference is a local key."""
    return "?" if field.reference is None else f"(SELECT id FROM {field.reference} WHERE uuid = ?)"


def _standing_for(connection: Connection, uuids: Iterable[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Yield the rows that are put aside as known under another id, and that id."""
    for some in _chunks(uuids):
        query = (
            "SELECT uuid, stays FROM since_backup WHERE stays IS NOT NULL"
            f" AND uuid IN ({', '.join('?' * len(some))})"
        )
        yield from ((uuid, stays) for uuid, stays in connection.exec_driver_sql(query, some))


def _living(
    connection: Connection, own: Copy, field: Field, uuids: Iterable[bytes]
) -> Iterator[bytes]:
    for some in _chunks(uuids):
        query = (
            f"SELECT uuid FROM {field.reference} WHERE epoch = {own.epoch:d} AND dead = 0"
            f" AND uuid IN ({', '.join('?' * len(some))})"
        )
        yield from connection.exec_driver_sql(query, some).scalars()


def _chunks(uuids: Iterable[bytes]) -> Iterator[tuple[bytes, ...]]:
    listed = tuple(uuids)
    for at in range(0, len(listed), _LOOKUP):
        yield listed[at : at + _LOOKUP]

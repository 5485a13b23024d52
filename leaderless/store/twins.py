"""Own rows that are one thing under two ids: found in two lives of a device that was restored.

What makes them one is declared by their model (`Model.identity`, and `Model.body` for what was moved).
Of what was put aside (store/since_backup.py) this says where it belongs among the rows of now, and
what stands there.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

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
    return _same(connection, own, model, rows, _named(model, model.identity), 1)


def moved(
    connection: Connection, own: Copy, model: Model, rows: Mapping[bytes, Mapping[str, Any]]
) -> dict[bytes, bytes]:
    """Return of rows of a model which row that is here already is the same thing at another place.

    Where several rows have one body (hard links) nothing tells which of them was moved; and what stands
    for another row already was not.
    """
    told = {
        uuid: row
        for uuid, row in rows.items()
        if all(row.get(name) is not None for name in model.body[:-1])
    }
    found = _same(connection, own, model, told, _named(model, model.body), 2)
    once = Counter(found.values())
    taken = set(_taken(connection, once))
    return {uuid: stays for uuid, stays in found.items() if once[stays] == 1 and stays not in taken}


def _taken(connection: Connection, uuids: Iterable[bytes]) -> Iterator[bytes]:
    """Yield those of some rows that stand for one that is put aside."""
    for some in _chunks(uuids):
        query = f"SELECT stays FROM since_backup WHERE stays IN ({', '.join('?' * len(some))})"
        yield from connection.exec_driver_sql(query, some).scalars()


def _same(
    connection: Connection,
    own: Copy,
    model: Model,
    rows: Mapping[bytes, Mapping[str, Any]],
    fields: Sequence[Field],
    indexed: int,
) -> dict[bytes, bytes]:
    """Return of rows which row that is here agrees with each in all of some fields."""
    if not fields or not rows:
        return {}
    prepare(connection, fields)
    connection.exec_driver_sql(
        f"INSERT INTO temp.sought VALUES (?, {', '.join(map(_as_stored, fields))})",
        [(uuid, *(row.get(field.name) for field in fields)) for uuid, row in rows.items()],
    )
    found = connection.exec_driver_sql(question(model, own, fields, indexed)).all()
    connection.exec_driver_sql("DROP TABLE temp.sought")
    return {uuid: stays for uuid, stays in found}


def prepare(connection: Connection, fields: Sequence[Field]) -> None:
    """Make a table of what is sought; its columns compare as those of the model do."""
    columns = [f"f{at}" for at in range(len(fields))]
    kinds = ["BLOB" if field.reference is None else "INTEGER" for field in fields]
    typed = ", ".join(map(" ".join, zip(columns, kinds, strict=True)))
    connection.exec_driver_sql(f"CREATE TEMP TABLE sought (uuid BLOB, {typed})")
    connection.exec_driver_sql(f"CREATE INDEX temp.sought_by ON sought ({', '.join(columns)})")


def question(model: Model, own: Copy, fields: Sequence[Field], indexed: int) -> str:
    """Return the query of which rows are the same thing as those that are sought.

    The rows that may be meant are looked for first, by an index that begins with the first `indexed`
    of the fields: there may be many more of others.
    """
    same = " AND ".join(f"s.f{at} IS r.{field.name}" for at, field in enumerate(fields))
    first = ", ".join(f"f{at}" for at in range(indexed))
    meant = " AND ".join(f"r.{field.name} IS d.f{at}" for at, field in enumerate(fields[:indexed]))
    return (
        f"SELECT s.uuid, min(r.uuid) FROM (SELECT DISTINCT {first} FROM temp.sought) d"
        f" CROSS JOIN {model.sync_name} r ON {meant} CROSS JOIN temp.sought s"
        f" ON {same} WHERE r.epoch = {own.epoch:d} AND r.dead = 0 GROUP BY s.uuid"
    )


def _named(model: Model, names: Iterable[str]) -> list[Field]:
    return [field for name in names if (field := model.field(name)) is not None]


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

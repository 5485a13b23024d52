"""What a restored device has written since its backup was made, kept while it takes its rows back.

Its rows are those that peers know (store/given_back.py); what it has found alone, and what was said of
its rows there, is not among them. That is put aside before they are taken, and written again, under
the same ids, in the incarnation in which the device goes on. A row that is not given back was
found since, or was deleted in the life that others know. Its owner's word covers no deletion: one may
be forgotten (below a floor, or before a later incarnation), or left out by who gives the rows. So it
was found since if it was made after the start at which the backup was put back (store/starts.py): the
last one at which nothing was known yet of what that life did otherwise. Else it stays deleted. What
was found in both lives is one thing under two ids
(`Model.identity`): the id that others know stays, and what is said of the other one follows
(store/sayings.py). A row that hangs below one that was deleted is left behind, and counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgpack

from leaderless.protocol.packing import pack, unpack
from leaderless.store import meta, sayings, starts, state, twins
from leaderless.store.displacing import displace
from registry.models import needed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sqlalchemy import Connection

    from leaderless.protocol.messages import StateBatch
    from leaderless.store.state import Copy
    from leaderless.store.transaction import Transaction
    from registry.models import Model, Registry

_AT_ONCE: Final = 2_000
"""Rows that are read or written together."""
_LOOKUP: Final = 500
_HIGHEST: Final = b"\xff" * 16
_MOST_BYTES: Final = 1 << 16


class Regained(NamedTuple):
    """What became of what a device had written since its backup."""

    kept: int = 0
    """Rows that were written again."""
    joined: int = 0
    """Rows that others know under another id, which stays."""
    left: int = 0
    """Rows that had no place any more: what they hung below was deleted."""
    unsaid: int = 0
    """Records that could not follow to the id that stays."""


def put_aside(
    connection: Connection, registry: Registry, own: Copy, batches: Iterable[StateBatch]
) -> None:
    """Keep own rows that `batches`, all that is given back, do not name; once, until `write_again`."""
    if meta.get(connection, meta.SINCE_BACKUP) is not None:
        return
    _name(connection, batches)
    models = registry.owned()
    known = {model.sync_name: _newest_known(connection, own, model) for model in models}
    start = starts.last_before(connection, known, _parted(connection, registry, own))
    for model in models:
        for chunk in _unnamed(connection, own, model):
            _keep(connection, own, model, chunk)
    if start is not None:
        _keep_said(connection, registry, own, start)
    keys = {model: (key, _HIGHEST) for model, key in known.items()}
    upto = keys if start is None else start.keys
    meta.put(connection, meta.SINCE_BACKUP, pack([[model, *item] for model, item in upto.items()]))
    connection.exec_driver_sql("DROP TABLE temp.named")


def _name(connection: Connection, batches: Iterable[StateBatch]) -> None:
    connection.exec_driver_sql(
        "CREATE TEMP TABLE named (uuid BLOB PRIMARY KEY, rev INTEGER, gone INTEGER) WITHOUT ROWID"
    )
    query = (
        "INSERT INTO temp.named VALUES (?, ?, ?) ON CONFLICT (uuid) DO UPDATE"
        " SET rev = max(rev, excluded.rev), gone = max(gone, excluded.gone)"
    )
    for batch in batches:
        for change in batch.changes:
            rows = [(row[0], row[1], 0) for row in change.rows]
            rows += [(uuid, rev, 1) for uuid, rev in change.removed]
            if rows:
                connection.exec_driver_sql(query, rows)


def _parted(connection: Connection, registry: Registry, own: Copy) -> int | None:
    """Return a rev at which the two lives had parted, the first that shows; None if none does.

    A row that is named and is not here, or was older here, was written by the other. What is said to
    be deleted tells nothing: whoever gives the rows may have made that up.
    """
    tables = (*(model.sync_name for model in registry.owned()), "opaque_row")
    as_there = " OR ".join(
        f"EXISTS (SELECT 1 FROM {table} r WHERE r.uuid = n.uuid AND r.rev >= n.rev)"
        for table in tables
    )
    rev = connection.exec_driver_sql(
        f"SELECT min(n.rev) FROM temp.named n WHERE n.rev > ? AND n.gone = 0 AND NOT ({as_there})"
        " AND NOT EXISTS (SELECT 1 FROM tombstone t WHERE t.uuid = n.uuid)",
        (own.floor,),
    ).scalar()
    return None if rev is None else int(rev)


def _newest_known(connection: Connection, own: Copy, model: Model) -> int:
    """Return the highest local key of our rows that are named: they were there at the backup."""
    query = (
        f"SELECT max(id) FROM {model.sync_name}"
        " WHERE epoch = ? AND uuid IN (SELECT uuid FROM temp.named)"
    )
    return int(connection.exec_driver_sql(query, (own.epoch,)).scalar() or 0)


def _unnamed(connection: Connection, own: Copy, model: Model) -> Iterator[list[int]]:
    """Yield the local keys of our living rows that are not named."""
    query = (
        f"SELECT id FROM {model.sync_name} WHERE epoch = ? AND dead = 0 AND id > ?"
        " AND uuid NOT IN (SELECT uuid FROM temp.named) ORDER BY id LIMIT ?"
    )
    after = -1
    while keys := list(connection.exec_driver_sql(query, (own.epoch, after, _AT_ONCE)).scalars()):
        yield keys
        after = keys[-1]


def _keep(connection: Connection, own: Copy, model: Model, keys: list[int]) -> None:
    found = needed(model.query_rows)(connection, own.epoch, 0, keys)
    uuids = dict(_by_uuid(connection, model, keys))
    field = model.above()
    rows = []
    for uuid, _, *values in found.rows:
        named = zip(found.columns, values, strict=True)
        fields = {name: value for name, value in named if value is not None}
        above = None if field is None else fields.get(field.name)
        rows.append((uuid, model.sync_name, uuids[uuid], above, msgpack.packb(fields)))
    connection.exec_driver_sql(
        "INSERT INTO since_backup (uuid, model, key, above, fields) VALUES (?, ?, ?, ?, ?)", rows
    )


def _by_uuid(connection: Connection, model: Model, keys: list[int]) -> Iterator[tuple[bytes, int]]:
    for at in range(0, len(keys), _LOOKUP):
        some = tuple(keys[at : at + _LOOKUP])
        query = f"SELECT uuid, id FROM {model.sync_name} WHERE id IN ({_places(some)})"
        yield from ((uuid, key) for uuid, key in connection.exec_driver_sql(query, some))


def _keep_said(connection: Connection, registry: Registry, own: Copy, start: starts.Start) -> None:
    """Keep what a person has said of rows that are named, where it was said since a start."""
    models = {
        uuid: model.sync_name
        for model in registry.owned()
        if any(field.said for field in model.fields)
        for uuid in connection.exec_driver_sql(
            f"SELECT uuid FROM {model.sync_name} WHERE epoch = ? AND dead = 0"
            " AND uuid IN (SELECT uuid FROM temp.named)",
            (own.epoch,),
        ).scalars()
    }
    rows = []
    for uuid, now in starts.said_now(connection, registry, own.epoch).items():
        before = start.said.get(uuid)
        if uuid in models and before is not None and before != now:
            news = {name: value for name, value in now.items() if before.get(name) != value}
            rows.append((uuid, models[uuid], msgpack.packb(news), uuid))
    if rows:
        connection.exec_driver_sql(
            "INSERT INTO since_backup (uuid, model, key, fields, stays) VALUES (?, ?, 0, ?, ?)",
            rows,
        )


def leave_out(connection: Connection, registry: Registry, own: Copy) -> None:
    """Drop of what is kept what was taken after all, and what was deleted by all that can be told.

    `own` is our copy as it was taken.
    """
    packed = meta.get(connection, meta.SINCE_BACKUP)
    if packed is None:
        return
    keys = unpack(packed, _MOST_BYTES)
    ours = _epochs(connection, own)
    for table in (*(model.sync_name for model in registry.owned()), "tombstone", "opaque_row"):
        connection.exec_driver_sql(
            "DELETE FROM since_backup WHERE stays IS NULL"
            f" AND uuid IN (SELECT uuid FROM {table} WHERE epoch IN ({ours}))"
        )
    connection.exec_driver_sql(
        "DELETE FROM since_backup WHERE stays IS NULL AND model = ? AND key <= ? AND uuid <= ?",
        [(*item,) for item in keys],
    )


def discard(connection: Connection) -> None:
    """Forget what is kept."""
    connection.exec_driver_sql("DELETE FROM since_backup")
    meta.drop(connection, meta.SINCE_BACKUP)


# --- written again --------------------------------------------------------------------------------


def write_again(transaction: Transaction) -> Regained:
    """Write what is kept as own rows of the incarnation of now; nothing is kept afterwards."""
    connection = transaction.conn
    own = state.copy_of(connection, transaction.own_device)
    if own is None or meta.get(connection, meta.SINCE_BACKUP) is None:
        return Regained()
    # Who has such an id has it from us, and took it while these rows were aside.
    taken = _taken(connection, transaction.registry, own)
    displace(connection, transaction.registry, own.owner, taken, is_ours=True)
    kept = 0
    for model in transaction.registry.owned():
        _say_again(transaction, own, model)
        for uuids in _in_order(connection, model):
            kept += _written(transaction, own, model, uuids)
    joined, left = connection.exec_driver_sql(
        "SELECT count(*) FILTER (WHERE stays <> uuid), count(*) FILTER (WHERE stays IS NULL)"
        " FROM since_backup"
    ).one()
    unsaid = sayings.follow(transaction) if joined else 0
    discard(connection)
    return Regained(kept, joined, left, unsaid)


def _taken(connection: Connection, registry: Registry, own: Copy) -> list[bytes]:
    """Return the ids of rows that are kept and that others have, or had."""
    found: set[bytes] = set()
    ours = _epochs(connection, own)
    for table in (*(model.sync_name for model in registry.owned()), "tombstone", "opaque_row"):
        query = (
            f"SELECT s.uuid FROM since_backup s JOIN {table} t ON t.uuid = s.uuid"
            f" WHERE s.stays IS NULL AND t.epoch NOT IN ({ours})"
        )
        found.update(connection.exec_driver_sql(query).scalars())
    return sorted(found)


def _epochs(connection: Connection, own: Copy) -> str:
    """Return the local keys of our incarnations, as a list in SQL."""
    return ", ".join(map(str, sorted(state.epochs_of(connection, own.owner, own.epoch).known)))


def _say_again(transaction: Transaction, own: Copy, model: Model) -> None:
    """Give rows that were given back what a person has said of them since the backup."""
    connection = transaction.conn
    said = connection.exec_driver_sql(
        f"SELECT s.fields, r.id FROM since_backup s JOIN {model.sync_name} r ON r.uuid = s.uuid"
        " WHERE s.model = ? AND s.stays = s.uuid AND r.epoch = ? AND r.dead = 0",
        (model.sync_name, own.epoch),
    ).all()
    for fields, key in said:
        found = needed(model.query_rows)(connection, own.epoch, 0, [key])
        ((uuid, _, *values),) = found.rows
        known = dict(zip(found.columns, values, strict=True))
        now = known | msgpack.unpackb(fields)
        if now != known:
            transaction.put(model.sync_name, ("uuid", *now), [(uuid, *now.values())])


def _in_order(connection: Connection, model: Model) -> Iterator[list[bytes]]:
    """Yield the ids of the rows of a model that are kept: whatever hangs below one comes after it."""
    connection.exec_driver_sql(
        "CREATE TEMP TABLE ordered (level INTEGER, uuid BLOB, PRIMARY KEY (level, uuid))"
        " WITHOUT ROWID"
    )
    connection.exec_driver_sql(
        "WITH RECURSIVE down (uuid, level) AS (SELECT s.uuid, 0 FROM since_backup s WHERE s.model = ?1"
        " AND s.stays IS NULL AND (s.above IS NULL OR s.above NOT IN (SELECT uuid FROM since_backup))"
        " UNION ALL SELECT s.uuid, down.level + 1 FROM down JOIN since_backup s"
        " ON s.model = ?1 AND s.above = down.uuid AND s.stays IS NULL)"
        " INSERT INTO temp.ordered SELECT level, uuid FROM down",
        (model.sync_name,),
    )
    query = "SELECT uuid FROM temp.ordered WHERE level = ? AND uuid > ? ORDER BY uuid LIMIT ?"
    levels = connection.exec_driver_sql("SELECT DISTINCT level FROM temp.ordered ORDER BY level")
    for level in list(levels.scalars()):
        after = b""
        while uuids := list(connection.exec_driver_sql(query, (level, after, _AT_ONCE)).scalars()):
            yield uuids
            after = uuids[-1]
    connection.exec_driver_sql("DROP TABLE temp.ordered")


def _written(transaction: Transaction, own: Copy, model: Model, uuids: list[bytes]) -> int:
    """Write rows that hang below none of each other, where they have a place; return how many."""
    connection = transaction.conn
    rows = twins.placed(connection, own, model, dict(_fields(connection, uuids)))
    known = twins.known(connection, own, model, rows)
    others = {uuid: fields for uuid, fields in rows.items() if uuid not in known}
    in_place = set(known.values())
    for uuid, stays in twins.moved(connection, own, model, others).items():
        if stays not in in_place:
            known[uuid] = stays
            _move(transaction, own, model, stays, rows[uuid])
    if known:
        connection.exec_driver_sql(
            "UPDATE since_backup SET stays = ? WHERE uuid = ?",
            [(stays, uuid) for uuid, stays in known.items()],
        )
    new = {uuid: fields for uuid, fields in rows.items() if uuid not in known}
    if new:
        columns = sorted({name for fields in new.values() for name in fields})
        values = [(uuid, *map(fields.get, columns)) for uuid, fields in new.items()]
        transaction.put(model.sync_name, ("uuid", *columns), values)
        connection.exec_driver_sql(
            "DELETE FROM since_backup WHERE uuid = ?", [(uuid,) for uuid in new]
        )
    return len(new)


def _move(
    transaction: Transaction, own: Copy, model: Model, stays: bytes, found: dict[str, Any]
) -> None:
    """Have a row be as it was found by itself, at another place: it was moved after the backup."""
    connection = transaction.conn
    query = f"SELECT id FROM {model.sync_name} WHERE uuid = ?"
    key = connection.exec_driver_sql(query, (stays,)).scalar_one()
    rows = needed(model.query_rows)(connection, own.epoch, 0, [key])
    ((_, _, *values),) = rows.rows
    now = dict(zip(rows.columns, values, strict=True)) | found
    transaction.put(model.sync_name, ("uuid", *now), [(stays, *now.values())])


def _fields(connection: Connection, uuids: list[bytes]) -> Iterator[tuple[bytes, dict[str, Any]]]:
    for at in range(0, len(uuids), _LOOKUP):
        some = tuple(uuids[at : at + _LOOKUP])
        query = f"SELECT uuid, fields FROM since_backup WHERE uuid IN ({_places(some)})"
        for uuid, fields in connection.exec_driver_sql(query, some):
            yield uuid, msgpack.unpackb(fields)


def _places(values: tuple[object, ...]) -> str:
    return ", ".join("?" * len(values))

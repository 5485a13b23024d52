"""How far this device's own rows were at each of its starts: where an older file of it went on.

A backup does not know when it was made. But whoever puts it back starts it: what was written before is
up to what was noted then, what was written since is above it. Local keys tell, as these are given out
in their order; but that of the newest row is given out again once that is deleted. So ids have to be
up to the highest of then, too, though one alone tells no time. A rev is that of the last change.
"""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgpack

from leaderless.protocol.packing import pack
from leaderless.store import meta

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

    from leaderless.store.transaction import Transaction
    from registry.models import Registry

KEPT: Final = 64
"""So many starts are remembered: a device that is alone for longer counts from the oldest of these."""
LOOKED_AT: Final = 10_000
"""So many of the newest rows, of whatever owner, before all own ones."""
_NONE: Final = (0, b"")


class Start(NamedTuple):
    """What a device held of itself when it was started."""

    rev: int
    keys: Mapping[str, tuple[int, bytes]]
    """Of each owned model, the highest local key, and the highest id of a row of its own."""
    said: Mapping[bytes, Mapping[str, Any]]
    """By uuid the fields of own rows that a person has said."""


def note(transaction: Transaction) -> None:
    """Remember how far the own rows are now, unless nothing was written since the last time."""
    connection, registry = transaction.conn, transaction.registry
    epoch = meta.get(connection, meta.OWN_EPOCH)
    rev = connection.exec_driver_sql(
        "SELECT watermark FROM incarnation WHERE id = ?", (epoch,)
    ).scalar_one()
    noted = _packed(connection)
    if noted and noted[-1][0] == rev:
        return
    keys = [
        [model.sync_name, *_highest(connection, epoch, model.sync_name)]
        for model in registry.owned()
    ]
    said = [
        [uuid, name, value]
        for uuid, fields in said_now(connection, registry, epoch).items()
        for name, value in fields.items()
    ]
    noted.append([rev, keys, said])
    meta.put(connection, meta.STARTS, pack(noted[-KEPT:]))


def said_now(connection: Connection, registry: Registry, epoch: int) -> dict[bytes, dict[str, Any]]:
    """Return by uuid the fields of the rows of an incarnation that a person has said."""
    found: dict[bytes, dict[str, Any]] = {}
    for model in registry.owned():
        names = [field.name for field in model.fields if field.said]
        if names:
            query = (
                f"SELECT uuid, {', '.join(names)} FROM {model.sync_name}"
                " WHERE epoch = ? AND dead = 0"
            )
            for uuid, *values in connection.exec_driver_sql(query, (epoch,)):
                found[uuid] = dict(zip(names, values, strict=True))
    return found


def last_before(
    connection: Connection, keys: Mapping[str, int], changed: int | None
) -> Start | None:
    """Return the start at which a backup was put back, as late as it can have been; None if unknown.

    All rows up to the local `keys` were there then, and what the other life did from the rev
    `changed` on was not. Where no such start is remembered any more, the first one with these rows.
    """
    fitting = [
        (rev, highest, said)
        for rev, held, said in _packed(connection)
        if all((highest := _keys(held)).get(model, _NONE)[0] >= key for model, key in keys.items())
    ]
    before = [start for start in fitting if changed is None or start[0] < changed]
    if not fitting:
        return None
    rev, highest, said = before[-1] if before else fitting[0]
    by_uuid = groupby(said, key=itemgetter(0))
    found = {uuid: {name: value for _, name, value in rows} for uuid, rows in by_uuid}
    return Start(rev, highest, found)


def forget(connection: Connection) -> None:
    """Forget all starts: the own rows are others than those that were counted then."""
    meta.drop(connection, meta.STARTS)


def _packed(connection: Connection) -> list[Any]:
    held = meta.get(connection, meta.STARTS)
    return [] if held is None else list(msgpack.unpackb(held))


def _keys(held: list[Any]) -> dict[str, tuple[int, bytes]]:
    return {model: (key, uuid) for model, key, uuid in held}


def _highest(connection: Connection, epoch: int, model: str) -> tuple[int, bytes]:
    """Return the highest local key, and the highest id of a row of an incarnation.

    Ids rise with time, so that one is near the end of their index, unless others have found much since.
    By the index of revs every own row would have to be looked up, in all of the file.
    """
    key = connection.exec_driver_sql(f"SELECT max(id) FROM {model}").scalar()
    newest = connection.exec_driver_sql(
        f"SELECT uuid FROM {model} WHERE +epoch = ? AND uuid > coalesce((SELECT uuid FROM {model}"
        " ORDER BY uuid DESC LIMIT 1 OFFSET ?), x'') ORDER BY uuid DESC LIMIT 1",
        (epoch, LOOKED_AT),
    ).scalar()
    if newest is None:
        newest = connection.exec_driver_sql(
            f"SELECT max(uuid) FROM {model} WHERE epoch = ?", (epoch,)
        ).scalar()
    return key or 0, newest or b""

"""Everything that is held, row by row, as it is hashed: owned rows by owner, and shared records.

Whoever doubts the set hashes that are kept along the way counts again from here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgpack

from leaderless.protocol import hashing
from leaderless.protocol.packing import pack
from leaderless.store.state import epochs_of
from registry.models import needed
from registry.rows import StateRow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

    from leaderless.store.state import Copy
    from registry.models import Model, Registry

PAGE: Final = 2_000


class Item(NamedTuple):
    """One row or record, and the bytes that it adds to a set hash."""

    model: str
    uuid: bytes
    data: bytes


def owned_items(connection: Connection, registry: Registry, copy: Copy) -> Iterator[Item]:
    """Yield the live rows of an owner, those of models that are not known here, too.

    Rows of earlier incarnations are among them, as long as they count.
    """
    for epoch in sorted(epochs_of(connection, copy.owner, copy.epoch).known):
        for model in registry.owned():
            yield from _rows(connection, model, epoch)
        for name, uuid, rev, fields in connection.exec_driver_sql(
            "SELECT model, uuid, rev, fields FROM opaque_row WHERE epoch = ?", (epoch,)
        ):
            row = StateRow(uuid, rev, msgpack.unpackb(fields))
            yield Item(name, uuid, hashing.row_bytes(name, row))


def _rows(connection: Connection, model: Model, epoch: int) -> Iterator[Item]:
    name, lo = model.sync_name, -1
    while True:
        found = needed(model.query_state)(connection, epoch, lo, 1 << 62, PAGE)
        hashed = hashing.columns_bytes(name, found.columns, found.rows)
        for row, data in zip(found.rows, hashed, strict=True):
            yield Item(name, row[0], data)
        if len(found.rows) < PAGE:
            return
        lo = found.rows[-1][1]


def shared_items(connection: Connection) -> Iterator[Item]:
    """Yield the shared records that are alive."""
    for model, uuid, state in connection.exec_driver_sql(
        "SELECT model, uuid, state FROM record WHERE state IS NOT NULL"
    ):
        yield Item(model, uuid, pack([model, uuid]) + state)

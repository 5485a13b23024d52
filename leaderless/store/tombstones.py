"""Dropping tombstones of owned rows, and giving an owner's floor its due.

An owner drops those that every member holds which is not lapsed, and says so by its floor
(protocol/floor.py). Whoever has a copy drops them after it, once it is up there itself. What comes
from below a floor begins anew (store/state.py): so nothing that was deleted comes back, whoever is
away for however long.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from leaderless.protocol.retention import covered
from leaderless.store import restoring, state

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy import Connection

    from leaderless.store.state import Copy
    from leaderless.store.transaction import Transaction
    from registry.models import Registry

AT_ONCE: Final = 1_000
"""Tombstones that are dropped in one transaction."""


def drop_own(transaction: Transaction, holding: Collection[bytes]) -> int:
    """Drop tombstones of ours that all of `holding` have; return how many.

    `holding` are the other members that are not lapsed. Where there are more, it is called again.
    """
    connection = transaction.conn
    own = state.copy_of(connection, transaction.own_device)
    if own is None or restoring.life(connection):
        return 0
    told = connection.exec_driver_sql(
        "SELECT device, watermark FROM owned_confirmation WHERE generation = ? AND nonce = ?",
        tuple(own.incarnation),
    )
    upto = covered(holding, {device: watermark for device, watermark in told})
    dropped = _drop(connection, transaction.registry, own, own.watermark if upto is None else upto)
    if dropped:
        transaction.raise_floor(max(dropped))
    return len(dropped)


def drop_copied(connection: Connection, registry: Registry, own_device: bytes) -> int:
    """Drop tombstones of others that are below their owners' floors; return how many."""
    dropped = 0
    for copy in state.copies(connection):
        # Until a copy is whole, what is dead in it may still be waited for.
        if copy.owner != own_device and copy.exact and copy.watermark >= copy.floor:
            dropped += len(_drop(connection, registry, copy, copy.floor))
    return dropped


def _drop(connection: Connection, registry: Registry, copy: Copy, upto: int) -> list[int]:
    """Drop the first tombstones up to a rev; return their revs.

    Those of rows that are still referred to stay: without them such a row would look alive.
    """
    dead = " UNION ALL ".join(
        f"SELECT 1 FROM {model.sync_name} m WHERE m.uuid = t.uuid" for model in registry.owned()
    )
    found = connection.exec_driver_sql(
        "DELETE FROM tombstone WHERE uuid IN (SELECT t.uuid FROM tombstone t WHERE t.epoch = ?"
        f" AND t.rev <= ? AND NOT EXISTS ({dead}) ORDER BY t.rev LIMIT ?) RETURNING rev",
        (copy.epoch, upto, AT_ONCE),
    )
    return list(found.scalars())

"""Batches whose ids are another device's already: unproved rows of other owners make way for them.

For our own rows, that we have signed or had here, all do: whoever has these ids heard of them from us.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from leaderless.protocol import checkpoint, floor
from leaderless.store import state
from leaderless.store.parts import drop, parts
from registry.errors import NotOwnerError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sqlalchemy import Connection

    from leaderless.protocol.checkpoint import Checkpoint
    from leaderless.protocol.messages import StateBatch
    from registry.models import Registry

_LOOKUP: Final = 500


def apply_all(
    connection: Connection,
    registry: Registry,
    batches: Iterable[StateBatch],
    *,
    are_ours: bool = False,
) -> tuple[tuple[bytes, bytes], ...]:
    """Apply batches that were kept aside, verified; return (owner, relay) of copies that went."""
    displaced: list[tuple[bytes, bytes]] = []
    for batch in batches:
        said = checkpoint.decode(batch.checkpoint) if batch.checkpoint else None
        upto = floor.decode(batch.floor).rev if batch.floor else 0
        made = apply_making_way(connection, registry, batch, said, upto, is_ours=are_ours)
        displaced += made[1]
    return tuple(displaced)


def apply_strictly(
    connection: Connection,
    registry: Registry,
    batch: StateBatch,
    said: Checkpoint | None,
    upto: int,
) -> tuple[state.Merged, tuple[tuple[bytes, bytes], ...]]:
    """Apply a batch for which nothing makes way, as `apply_making_way` does, and without its cost.

    Raises NotOwnerError where it would look for rows that have to go; the transaction has to fail.
    """
    return state.apply_batch(connection, registry, batch, said, upto), ()


def apply_making_way(
    connection: Connection,
    registry: Registry,
    batch: StateBatch,
    said: Checkpoint | None,
    upto: int,
    *,
    is_ours: bool = False,
) -> tuple[state.Merged, tuple[tuple[bytes, bytes], ...]]:
    """Apply a batch; unproved rows of other owners that stand in its way by their ids have to go.

    If it is of our own rows, proved ones, too. Return what `state.apply_batch` does, and (owner, relay)
    of the copies that went.
    """
    displaced: tuple[tuple[bytes, bytes], ...] = ()
    connection.exec_driver_sql("SAVEPOINT applying")
    try:
        merged = state.apply_batch(connection, registry, batch, said, upto)
    except NotOwnerError:
        connection.exec_driver_sql("ROLLBACK TO applying")
        displaced = displace(connection, registry, batch.owner, _ids(batch), is_ours=is_ours)
        if not displaced:
            raise
        merged = state.apply_batch(connection, registry, batch, said, upto)
    # One transaction may apply thousands of batches: each open savepoint keeps pages as they were.
    connection.exec_driver_sql("RELEASE applying")
    return merged, displaced


def displace(
    connection: Connection,
    registry: Registry,
    owner: bytes,
    uuids: Sequence[bytes],
    *,
    is_ours: bool = False,
) -> tuple[tuple[bytes, bytes], ...]:
    """Drop the copies of others that hold ids of `owner`, if a relay had a part in each of them.

    If we are that owner, in any case. Return (owner, relay) of those that went, of what no relay had a
    part in itself as both.
    """
    epochs = set(_epochs_that_hold(connection, registry, uuids))
    owners = {
        other
        for epoch, other in connection.exec_driver_sql("SELECT id, device FROM incarnation")
        if epoch in epochs and other != owner
    }
    holders = {other: parts(connection, other).devices for other in sorted(owners)}
    if not is_ours and not all(holders.values()):
        return ()
    gone: list[tuple[bytes, bytes]] = []
    for other, devices in holders.items():
        copy = state.copy_of(connection, other)
        if copy is not None:
            drop(connection, registry, copy)
            gone += [(other, device) for device in devices or (other,)]
    return tuple(gone)


def _ids(batch: StateBatch) -> list[Any]:
    return [
        uuid
        for change in batch.changes
        for uuid in (*(row[0] for row in change.rows), *(uuid for uuid, _ in change.removed))
    ]


def _epochs_that_hold(
    connection: Connection, registry: Registry, uuids: Sequence[bytes]
) -> Iterator[int]:
    tables = [*(model.sync_name for model in registry.owned()), "tombstone", "opaque_row"]
    for at in range(0, len(uuids), _LOOKUP):
        some = tuple(uuids[at : at + _LOOKUP])
        listed = ", ".join("?" * len(some))
        for table in tables:
            query = f"SELECT DISTINCT epoch FROM {table} WHERE uuid IN ({listed})"  # noqa: S608 - ours
            yield from connection.exec_driver_sql(query, some).scalars()

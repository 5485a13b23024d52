"""Counting again: what is held against the hashes that were kept, and mending what differs.

A copy that differs from its own hash was damaged here: by a disk, by memory, by a mistake of ours.
Another's rows are dropped, to be fetched anew. Our own are kept as they are, since nobody knows
better, and signed as they are in a new incarnation; where peers may, as the device takes its rows
back, that waits until it has asked them (store/restoring.py). Shared records are made anew from
the log, or where that is not whole any more, fetched from a peer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from leaderless.protocol import hashing
from leaderless.store import meta, restoring
from leaderless.store.forgotten import is_whole, want_state
from leaderless.store.incarnations import begin_incarnation
from leaderless.store.inventory import owned_items, shared_items
from leaderless.store.rebuild import rebuild
from leaderless.store.state import copies, copy_of, forget, put_copy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sqlalchemy import Connection

    from leaderless.store.inventory import Item
    from leaderless.store.transaction import Transaction
    from registry.models import Registry

_STEP = 10_000


class Count(NamedTuple):
    """What was counted of one owner's rows, or of the shared records (then `owner` is None)."""

    owner: bytes | None
    rows: int
    set_hash: bytes
    fault: str | None
    """Why this cannot be relied on, None if it is right."""


def verify(
    connection: Connection, registry: Registry, tell: Callable[[int], None] = lambda _: None
) -> list[Count]:
    """Count all that is held again; `tell` hears now and then how many rows were counted.

    Only reads, so it can run in a snapshot beside everything else.
    """
    done = 0

    def counted(items: Iterable[Item]) -> tuple[int, bytes]:
        nonlocal done
        total = rows = 0
        for item in items:
            total += hashing.element(item.data)
            rows += 1
            if (done + rows) % _STEP == 0:
                tell(done + rows)
        done += rows
        return rows, hashing.add(hashing.EMPTY_SET, total)

    found = []
    for copy in copies(connection):
        rows, set_hash = counted(owned_items(connection, registry, copy))
        fault = copy.fault
        if (rows, set_hash) != (copy.row_count, copy.set_hash):
            fault = f"{copy.row_count} rows were kept, here are {rows}, or rows that differ"
        found.append(Count(copy.owner, rows, set_hash, fault))
    rows, set_hash = counted(shared_items(connection))
    right = set_hash == meta.get(connection, meta.SHARED_HASH)
    found.append(Count(None, rows, set_hash, None if right else _records_differ(connection)))
    tell(done)
    return found


def _records_differ(connection: Connection) -> str:
    """Return what is wrong with the shared records, and where they can come from."""
    found = "records differ from their hash"
    if is_whole(connection):
        return found
    return f"{found}; a peer has to send them, as the log has forgotten what they were made from"


def mend(transaction: Transaction, nonce: bytes) -> list[Count]:
    """Mend all that is wrong here; return what was, as it was counted.

    `nonce` names the incarnation that our own rows go on in, if it is they that are damaged.
    """
    connection, registry = transaction.conn, transaction.registry
    wrong = [count for count in verify(connection, registry) if count.fault is not None]
    for count in wrong:
        if count.owner is None and not is_whole(connection):
            want_state(connection)
        elif count.owner is None:
            rebuild(connection, registry, transaction.now_ms)
        elif count.owner == transaction.own_device:
            copy = copy_of(connection, count.owner)
            if copy is not None:
                held = copy._replace(row_count=count.rows, set_hash=count.set_hash, fault=None)
                put_copy(connection, held)
            # What peers hold of the current one could not be taken back in a later one.
            if not restoring.life(connection):
                begin_incarnation(transaction, nonce)
        else:
            copy = copy_of(connection, count.owner)
            if copy is not None:
                forget(connection, registry, copy)
    return wrong

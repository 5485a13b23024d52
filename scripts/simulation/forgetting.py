"""Forgetting in a simulated library: devices that drop what they believe that nobody needs.

Whom a device waits for is left to chance: who is not among them is lapsed to it, however short its
absence was. What is right must not hang on that.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from leaderless.store.tombstones import drop_copied, drop_own

if TYPE_CHECKING:
    from leaderless.store.transaction import Transaction
    from scripts.simulation.device import Device
    from scripts.simulation.plan import Step
    from scripts.simulation.world import World


async def forget(world: World, step: Step) -> bool:
    """A device forgets what it has applied, all of it or what came first, and what was deleted."""
    device = world.devices[step.who]
    if device.up is None:
        return False
    store, number = device.up.store, step.numbers[0]
    waits_for = number & number >> 8
    holding = {
        other.identity.device
        for other in world.devices
        if other is not device and waits_for >> other.index & 1
    }
    own, registry = store.own_device, store.registry
    bodies = store.write_here(lambda tx: _drop_bodies(tx, number % 3 + 1))
    tombstones = store.write_here(lambda tx: drop_own(tx, holding))
    tombstones += store.write_here(lambda tx: drop_copied(tx.conn, registry, own))
    return bodies or tombstones > 0


def _drop_bodies(transaction: Transaction, part: int) -> bool:
    """Forget the bodies of a third, two thirds, or all of what is applied of each feed."""
    found = transaction.conn.exec_driver_sql(
        "UPDATE commit_log SET body = NULL WHERE body IS NOT NULL AND seq * ? <="
        " 3 * (SELECT applied FROM feed WHERE feed.id = commit_log.feed)"
        " AND seq <= (SELECT applied FROM feed WHERE feed.id = commit_log.feed)",
        (part,),
    )
    return found.rowcount > 0


def held_before(device: Device, owner: bytes) -> int:
    """Return the watermark of the copy that a device's present one takes the place of, 0 for none.

    What such a copy held is still there, until all has come again.
    """
    query = (
        "SELECT max(watermark) FROM incarnation"
        " WHERE device = ? AND generation = 1 AND substr(nonce, 1, 4) = ?"
    )
    with closing(sqlite3.connect(device.path)) as connection:
        (found,) = connection.execute(query, (owner, bytes(4))).fetchone()
    return int(found or 0)

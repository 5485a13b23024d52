"""Forgetting in a simulated library: devices that drop what they believe that nobody needs.

Whom a device waits for is left to chance: who is not among them is lapsed to it, however short its
absence was. What is right must not hang on that.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from leaderless.store import log
from leaderless.store.disk import DiskError
from leaderless.store.tombstones import drop_copied, drop_own

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from leaderless.store.transaction import Transaction
    from scripts.simulation.device import Device
    from scripts.simulation.plan import Step
    from scripts.simulation.world import World


async def forget(world: World, step: Step) -> bool:
    """A device forgets what it has applied, all of it or what came first, and what was deleted."""
    device = world.devices[step.who]
    if device.up is None or device.is_behind:
        return False
    store, number = device.up.store, step.numbers[0]
    waits_for = number & number >> 8
    holding = {
        other.identity.device
        for other in world.devices
        if other is not device and waits_for >> other.index & 1
    }
    own, registry = store.own_device, store.registry
    held = [world.witness.applied(other) for other in world.devices]
    forgot = False
    try:
        forgot = store.write_here(lambda tx: _drop_bodies(tx, number % 3 + 1, held))
        forgot |= store.write_here(lambda tx: drop_own(tx, holding)) > 0
        forgot |= store.write_here(lambda tx: drop_copied(tx.conn, registry, own)) > 0
    except DiskError:
        # It goes on another time; what was forgotten before is durable.
        world.counts["forget (full)"] += 1
    return forgot


def _drop_bodies(transaction: Transaction, part: int, held: Sequence[Mapping[bytes, int]]) -> bool:
    """Forget the bodies of a third, two thirds, or all of what is safe to forget of each feed.

    That is what all but one device at most have applied: if fewer have, and these are restored from
    backups, what a commit had said is gone for good. So nobody forgets it.
    """
    dropped = 0
    for feed in log.feeds(transaction.conn):
        safe = sorted(applied.get(feed.feed, 0) for applied in held)[1]
        dropped += transaction.conn.exec_driver_sql(
            "UPDATE commit_log SET body = NULL WHERE body IS NOT NULL AND feed = ? AND seq <= ?",
            (feed.key, min(safe, feed.applied) * part // 3),
        ).rowcount
    return dropped > 0


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

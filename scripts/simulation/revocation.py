"""The fault `revoke`: an admin takes another device's membership away, in the middle of everything.

The one that is revoked works on alone and is held to nothing any more but to what it keeps; the others
have to agree about how much of it counts. Whoever stays reaches each other without it.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from leaderless.daemon.members import revocation
from leaderless.errors import LeaderlessError
from leaderless.store.statements import take_statements
from scripts.simulation.copies import let_go, may_leave
from scripts.simulation.device import GoneError

if TYPE_CHECKING:
    from leaderless.store.store import Store
    from scripts.simulation.device import Device
    from scripts.simulation.plan import Step
    from scripts.simulation.world import World

OFTEN = 0.25
"""Of the plans with devices to spare so many have a revoke."""
LEAST_DEVICES = 4


def with_revoke(steps: list[Step], seed: int, devices: int) -> list[Step]:
    """Return the steps of a plan, one of them a revoke in some plans."""
    chance = random.Random(f"revoke/{seed}")
    if devices < LEAST_DEVICES or chance.random() >= OFTEN or len(steps) < LEAST_DEVICES:
        return steps
    at = chance.randrange(len(steps) // 4, len(steps) * 3 // 4)
    if steps[at].kind == "settle":
        return steps
    return [*steps[:at], steps[at]._replace(kind="revoke"), *steps[at + 1 :]]


async def revoke(world: World, step: Step) -> bool:
    """Somebody who runs revokes somebody else, if those who stay reach each other without it."""
    admins = [
        device for device in world.members() if device.up is not None and not device.is_behind
    ]
    subjects = [device for device in world.members() if _can_go(world, device.index)]
    if not admins or not subjects:
        return False
    admin = admins[step.who % len(admins)]
    subject = subjects[step.numbers[0] % len(subjects)]
    if subject is admin or not may_leave(world, subject):
        return False
    try:
        await admin.do(lambda store: _say(admin, subject, step, store))
    except (GoneError, LeaderlessError):
        # It may be durable all the same: a device died right after it.
        return _is_said(world, admin, subject)
    _goes(world, subject)
    return True


async def _say(admin: Device, subject: Device, step: Step, store: Store) -> None:
    if admin.up is None:
        raise GoneError
    driver = admin.up.driver
    nonce = b"%016d" % step.numbers[1]
    members = driver.applier.members
    said = revocation(admin.identity, members, subject.id, store.now_ms(), nonce)
    driver.applier.members = await store.write(lambda tx: take_statements(tx, [said]))
    await driver.members_changed()


def _is_said(world: World, admin: Device, subject: Device) -> bool:
    with world.witness.at(admin).begin() as connection:
        query = "SELECT 1 FROM revoked WHERE device = ?"
        said = connection.exec_driver_sql(query, (subject.id,)).first() is not None
    if said:
        _goes(world, subject)
    return said


def _goes(world: World, subject: Device) -> None:
    """A device is no member: nobody gets from it what it alone holds, from others' commits on."""
    world.revoked.add(subject.index)
    let_go(world)


def _can_go(world: World, subject: int) -> bool:
    """Return whether those who stay are two or more, and reach each other."""
    stay = {device.index for device in world.members()} - {subject}
    reached, edge = set[int](), set(list(stay)[:1])
    while edge:
        reached |= edge
        near = {b for a, b in world.lines() if a in edge} | {
            a for a, b in world.lines() if b in edge
        }
        edge = (near & stay) - reached
    return len(stay) > 1 and reached == stay

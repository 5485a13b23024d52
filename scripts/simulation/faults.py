"""What goes wrong, kind by kind, and how all of it is mended.

A fault is a function of the world and the step that asks for it; it returns whether it could happen.
Older and second copies of a device's files stand in `copies`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.simulation import behind, lies, models
from scripts.simulation.copies import adopt, back_up, clone, end_clones, restore
from scripts.simulation.forgetting import forget
from scripts.simulation.oracles import demand
from scripts.simulation.revocation import revoke

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from leaderless.store.transaction import Transaction
    from scripts.simulation.device import Device
    from scripts.simulation.plan import Step
    from scripts.simulation.workload import Author
    from scripts.simulation.world import World

_NO_LIMIT = 0xFFFFFFFE
YEAR_MS = 400 * 86_400_000


async def _cut(world: World, step: Step) -> bool:
    """A line breaks; what is under way on it is lost."""
    lines = [line for line in world.network.lines if not line.broken]
    if not lines:
        return False
    lines[step.numbers[0] % len(lines)].cut()
    return True


async def _partition(world: World, step: Step) -> bool:
    """Devices fall into two groups that do not reach each other."""
    sides = {device.index: step.numbers[0] >> device.index & 1 for device in world.devices}
    if len(set(sides.values())) < 2:
        return False
    world.network.partition(sides)
    return True


async def _mend(world: World, _: Step) -> bool:
    """The network is whole again."""
    if world.network.is_whole():
        return False
    world.network.partition({})
    return True


async def _slow(world: World, step: Step) -> bool:
    """Messages take longer or shorter from now on."""
    low = (0, 1, 10, 100, 800)[step.numbers[0] % 5]
    world.network.latency_ms = (low, low + (0, 5, 50, 1_000)[step.numbers[1] % 4])
    return True


async def _redial(world: World, step: Step) -> bool:
    """Two devices have a second path to each other, and use it at once."""
    a, b = world.plan.edges[step.numbers[0] % len(world.plan.edges)]
    if step.numbers[1] % 2:
        a, b = b, a
    up = world.devices[a].up
    if up is None:
        return False
    up.nursery.start_soon(world.devices[a].call_again, b)
    return True


async def _crash(world: World, step: Step) -> bool:
    """A device dies: now, or at one of its next commits, before it is durable or right after."""
    device = world.devices[step.who]
    if device.up is None:
        return False
    how = step.numbers[0] % 4
    if how == 0:
        device.die(power=step.numbers[1] % 2 == 0)
    else:
        device.die_at_write(1 + step.numbers[1] % 6, after=how == 1)
    return True


async def _revive(world: World, step: Step) -> bool:
    """A dead device is started."""
    dead = [device for device in world.devices if device.up is None]
    if not dead:
        return False
    await world.start(dead[step.numbers[0] % len(dead)])
    return True


async def _clock(world: World, step: Step) -> bool:
    """Somebody's clock is set, by a little or by much."""
    steps = (-3, 5, -2_000, 5_000, -90_000, 3_600_000, -86_400_000)
    world.devices[step.who].clock.offset_ms += steps[step.numbers[0] % len(steps)]
    return True


async def _full(world: World, step: Step) -> bool:
    """A device's disk has room for a few pages more."""
    device = world.devices[step.who]
    if device.up is None:
        return False
    room = step.numbers[0] % 4

    def fill(transaction: Transaction) -> None:
        pages = transaction.conn.exec_driver_sql("PRAGMA page_count").scalar_one()
        transaction.conn.exec_driver_sql(f"PRAGMA max_page_count = {pages + room}")

    device.up.store.write_here(fill)
    return True


async def _space(world: World, step: Step) -> bool:
    """There is room again on a device's disk."""
    device = world.devices[step.who]
    return _make_room(device)


def _make_room(device: Device) -> bool:
    if device.up is None:
        return False

    def free(transaction: Transaction) -> bool:
        was = transaction.conn.exec_driver_sql("PRAGMA max_page_count").scalar_one()
        transaction.conn.exec_driver_sql(f"PRAGMA max_page_count = {_NO_LIMIT}")
        return bool(was < _NO_LIMIT)

    return device.up.store.write_here(free)


async def _upgrade(world: World, step: Step) -> bool:
    """A device that is a version behind, or did not know some models, is started by today's."""
    old = [
        device for device in world.devices if device.is_behind or models.is_older(device.registry)
    ]
    if not old:
        return False
    device = old[step.numbers[0] % len(old)]
    device.registry = models.todays()
    await behind.upgrade(world, device)
    return True


async def _away(world: World, step: Step) -> bool:
    """A device is off for more than a year, past any lease: all clocks are that much later."""
    device = world.devices[step.who]
    if device.index in world.clones:
        return False
    device.die(power=False)
    for other in world.devices:
        other.clock.offset_ms += YEAR_MS
    return True


FAULTS: dict[str, Callable[[World, Step], Awaitable[bool]]] = {
    "cut": _cut,
    "partition": _partition,
    "mend": _mend,
    "slow": _slow,
    "redial": _redial,
    "crash": _crash,
    "revive": _revive,
    "clock": _clock,
    "full": _full,
    "space": _space,
    "upgrade": _upgrade,
    "behind": behind.fall_behind,
    "lie": lies.lie,
    "forget": forget,
    "backup": back_up,
    "restore": restore,
    "clone": clone,
    "away": _away,
    "revoke": revoke,
}


async def heal(world: World) -> None:
    """End every fault that lasts: all devices run, have room, and reach each other."""
    world.network.partition({})
    world.network.latency_ms = world.plan.latency_ms
    lies.repent(world)
    await end_clones(world)
    await behind.catch_up(world)
    for device in world.devices:
        device.spare()
        await world.start(device)
        _make_room(device)


async def remember(world: World, author: Author) -> None:
    """Hold a device that was started to what it had acknowledged.

    What it was doing when it died has happened whole or not at all; which of the two is known now.
    """
    device = author.device
    with world.witness.at(device).begin() as connection:
        world.witness.wrote(device, connection)
    held = world.witness.tree_of(device)
    if author.pending is not None and held == author.pending.shape():
        author.tree = author.pending
    author.pending = None
    is_there = held == author.tree.shape()
    if author.is_unsure and not is_there:
        adopt(world, author)
    else:
        demand(is_there, f"{device.name} does not hold what it had acknowledged")
    kept = world.witness.commits_of(device)
    lost = [seq for hashed, seq in author.kept.items() if hashed not in kept]
    demand(not lost, f"{device.name} has lost commits {lost[:3]} that it had acknowledged")

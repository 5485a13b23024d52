"""Older and second copies of a device's files: a backup that is put back, a clone that runs beside it.

What may be missing afterwards is known exactly: of the log what no file holds any more, of owned rows
what came after the copy that its owner took back. Nothing else may be.
"""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import trio

from leaderless.protocol.returning import knows_more
from leaderless.protocol.trusting import MOST_DISTRUST_S
from leaderless.store import restoring
from scripts.simulation.device import Device
from scripts.simulation.oracles import File, demand
from scripts.simulation.regained import all_is_regained, tree_of_both

if TYPE_CHECKING:
    from collections.abc import Sequence

    from leaderless.store.transaction import Transaction
    from scripts.simulation.plan import Step
    from scripts.simulation.trees import Tree
    from scripts.simulation.workload import Author
    from scripts.simulation.world import World

LOST_PAST = "lost past"
EXEMPT = {
    LOST_PAST: "commits that build on one that nobody holds any more, or of which nobody knows any"
    " more what it said or did, wait for ever: nothing is put"
    " back then, and nobody is revoked",
}
"""What the product does not do yet, so it is not asked of it, and why. To ask for it, take it out."""
SPREAD_S = 60
"""So long a clone stays for those who wait for rows that only it has."""
CALM_S = 1.0
"""What had arrived of a device's messages is written, or lost, by then."""


class Backup(NamedTuple):
    """A copy of a device's files, and what it had acknowledged when it was made."""

    path: Path
    tree: Tree
    kept: dict[bytes, int]


async def back_up(world: World, step: Step) -> bool:
    """The files of a device are copied, to be put back some day."""
    author = world.authors[step.who]
    device = author.device
    if device.up is None or author.pending is not None or not author.tree.rev or author.is_unsure:
        return False
    path = device.path.with_name(f"{device.name}-backup-{world.counts['backup']}.db")
    _copy(device.path, path)
    author.backup = Backup(path, author.tree, dict(author.kept))
    return True


async def restore(world: World, step: Step) -> bool:
    """A device is put back to an older copy of its files, and started."""
    author = world.authors[step.who]
    backup, device = author.backup, author.device
    if backup is None or device.index in world.clones:
        return False
    await _stop(world, device)
    if not _may_replace(world, device, backup.path):
        return False
    _replace(device, backup.path)
    author.tree, author.pending, author.kept = backup.tree, None, dict(backup.kept)
    _look_again(world, author)
    await world.start(device)
    return True


async def clone(world: World, step: Step) -> bool:
    """A copy of a device's files is started as a second machine, which calls all that it knew.

    There is one at a time; the one before it ends first.
    """
    await end_clones(world)
    author = world.authors[step.who]
    device = author.device
    if device.up is None or author.is_unsure or device.is_behind:
        return False
    number = world.counts["clone"]
    path = device.path.with_name(f"{device.name}-clone-{number}.db")
    _copy(device.path, path)
    second = Device(
        len(world.devices) + device.index,
        f"{device.name}2",
        device.identity,
        path,
        device.registry,
        world.network,
        random.Random(f"clone/{world.plan.seed}/{device.index}/{number}"),
        world.plan.batch_rows,
    )
    second.clock.offset_ms, second.clock.speed = device.clock.offset_ms, device.clock.speed
    second.dials = sorted(
        {a + b - device.index for a, b in world.plan.edges if device.index in (a, b)}
    )
    second.on_write = device.on_write
    world.witness.forget(second)
    world.clones[device.index] = second
    author.is_unsure, author.alone = True, []
    await world.start_beside(second)
    return True


async def end_clones(world: World) -> None:
    """One of the two machines is switched off for good, and the other goes on."""
    for index, second in list(world.clones.items()):
        author = world.authors[index]
        device = author.device
        for _ in range(SPREAD_S):
            if _may_replace(world, device, device.path):
                break
            await trio.sleep(1)
        await _stop(world, second)
        await _stop(world, device)
        may_stay = _may_replace(world, device, device.path) and (world.taken + index) % 2
        if not may_stay and _may_replace(world, device, second.path):
            _replace(device, second.path)
            author.pending = None
            author.tree = _tree_in(world, author)
            author.kept = {
                hashed: seq
                for hashed, seq in world.witness.commits_of(device).items()
                if hashed in author.kept
            }
            device.is_stopped = device.is_stopped or second.is_stopped
            _look_again(world, author)
        del world.clones[index]


async def claim(world: World) -> None:
    """Whoever stopped because another machine ran as it is told to go on."""
    for author in world.authors:
        device = author.device
        if not device.is_stopped or device.up is None or device.index in world.clones:
            continue
        nonce = random.Random(f"claim/{world.plan.seed}/{trio.current_time()}").randbytes(8)

        def write(transaction: Transaction, nonce: bytes = nonce) -> None:
            if restoring.life(transaction.conn) == restoring.CLONED:
                restoring.claim(transaction, nonce)

        device.is_stopped = False
        await device.do(lambda store, write=write: store.write(write))  # type: ignore[misc]
        world.counts["claim"] += 1
        author.is_unsure = True
        adopt(world, author)


def went_on(world: World, author: Author) -> None:
    """A device has begun a new incarnation: with the best that anybody gave whom it could reach."""
    device = author.device
    adopt(world, author)
    all_is_regained(world, author)
    author.alone = []
    if device.up is None:
        return
    exchange = device.up.driver.exchange
    own = device.id
    for peer in exchange.peers.values():
        said, other = peer.owned.get(own), world.device_of(peer.device)
        if said is None or other is None or other.liar is not None:
            continue
        if trio.current_time() < other.lied_until + MOST_DISTRUST_S:
            continue
        if not knows_more(peer, own, exchange.ours):
            continue
        place = world.witness.place_of(other, own)
        better = (place.incarnation, place.proved) == (said.incarnation, said.watermark)
        # That there was a later life is told without rows of it, too.
        better &= bool(said.watermark)
        demand(not better, f"{device.name} went on without rows that {other.name} held for it")


def adopt(world: World, author: Author) -> None:
    """A device holds other rows than it did: some that it had acknowledged once."""
    demand(author.is_unsure, f"{author.device.name} took itself for restored, and never was")
    before = [tree for tree in (author.tree, author.pending) if tree is not None]
    author.tree, author.pending = _tree_in(world, author), None
    if not author.alone and author.tree not in before:
        author.alone = before


def _tree_in(world: World, author: Author) -> Tree:
    """Return the tree that stands in a device's file: one that it has had."""
    shape = world.witness.tree_of(author.device)
    found = [tree for tree in author.history if tree.shape() == shape]
    if not found and (both := tree_of_both(world, author)) is not None:
        author.history.append(both)
        return both
    demand(bool(found), f"{author.device.name} took rows for its own that it never had")
    return found[-1]


def _look_again(world: World, author: Author) -> None:
    """A file is an older one now: what is in no file any more may be gone for good."""
    world.witness.forget(author.device)
    author.is_unsure, author.alone = True, []
    let_go(world)


def let_go(world: World) -> None:
    """Ask no more for commits that no member holds: they may be gone for good."""
    held: set[bytes] = set()
    for device in world.members():
        held |= world.witness.all_commits(device)
    for author in world.authors:
        author.commits = {hashed: seq for hashed, seq in author.commits.items() if hashed in held}


def may_leave(world: World, device: Device) -> bool:
    """Return whether a member can go, and all that commits of the others build on stays."""
    others = [other for other in world.members() if other is not device]
    return LOST_PAST not in EXEMPT or not world.witness.lacks_past(others)


def _may_replace(world: World, device: Device, source: Path) -> bool:
    """Return whether nothing is lost for good that the product cannot do without yet.

    Nor a revoke that no member would remember: who was revoked would be one again.
    """
    files: list[Device | File] = [File(-1, source)]
    files += [other for other in world.members() if other is not device]
    if not all(_is_remembered(world, index, files) for index in world.revoked):
        return False
    return LOST_PAST not in EXEMPT or not world.witness.lacks_past(files)


def _is_remembered(world: World, revoked: int, files: Sequence[Device | File]) -> bool:
    """Return whether a file of these tells that a device was revoked."""
    subject = world.devices[revoked].id
    for file in files:
        with world.witness.at(file).begin() as connection:
            query = "SELECT 1 FROM revoked WHERE device = ?"
            if connection.exec_driver_sql(query, (subject,)).first() is not None:
                return True
    return False


async def _stop(world: World, device: Device) -> None:
    """Switch a machine off, and let what it had sent arrive or be lost."""
    for line in world.network.lines:
        if line.is_of(device):
            line.cut()
    device.die(power=False)
    await device.ended()
    await trio.sleep(CALM_S)


def _copy(source: Path, target: Path) -> None:
    for suffix in ("", "-wal"):
        there = Path(f"{target}{suffix}")
        there.unlink(missing_ok=True)
        if Path(f"{source}{suffix}").exists():
            shutil.copyfile(f"{source}{suffix}", there)


def _replace(device: Device, source: Path) -> None:
    """Put other files in the place of a device's own."""
    before = device.path
    device.replaced += 1
    device.is_behind = False
    device.path = before.with_name(f"{device.name}-copy-{device.replaced}.db")
    _copy(source, device.path)
    for gone in before.parent.glob(f"{before.name}*"):
        gone.unlink()

"""A plan carried out: devices start, step after step happens, everything heals, the oracles judge."""

from __future__ import annotations

import gc
import random
import shutil
import tempfile
import time
import traceback
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from leaderless.protocol.returning import RESTORING
from scripts.simulation import copies, faults, models, once, schedule
from scripts.simulation.agreement import settled
from scripts.simulation.device import Device
from scripts.simulation.library import identity_of, make_file, statements_of
from scripts.simulation.lies import Truth
from scripts.simulation.network import Network
from scripts.simulation.oracles import ViolationError, Witness, demand
from scripts.simulation.plan import WORK
from scripts.simulation.promises import Promises
from scripts.simulation.transcript import NAMES, Transcript
from scripts.simulation.workload import RECORDS, Author, known_to
from tests.merge import world as about

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from scripts.simulation.plan import Plan, Step

once.share()
SETTLED_WITHIN_S = 200.0
"""After a heal everybody is in sync within this much virtual time: the silence that ends a dead line
(45 s), the longest wait between two calls (60 s) twice, a source that stalls (30 s), and work."""
STEP_WITHIN_S = 120.0
"""No step takes longer than this: what a device does for a person never waits for another device."""


@dataclass
class Result:
    """What came of a plan."""

    plan: Plan
    violation: str | None = None
    digest: str = ""
    virtual_s: float = 0.0
    cpu_s: float = 0.0
    taken: int = 0
    """How many steps had begun."""
    counts: Counter[str] = field(default_factory=Counter)
    """Steps and faults by kind, commits, rows, refusals."""
    slowest_heal_s: float = 0.0
    lines: list[str] = field(default_factory=list)


class World:
    """The devices of a plan and what happens to them."""

    def __init__(self, plan: Plan, folder: Path, *, readable: bool) -> None:
        self.plan = plan
        self.taken = 0
        self.slowest_heal_s = 0.0
        self.counts: Counter[str] = Counter()
        chance = random.Random(f"world/{plan.seed}")
        names = NAMES[: plan.devices]
        identities = [identity_of(chance, folder) for _ in names]
        known = {item.device: name for item, name in zip(identities, names, strict=True)}
        self.transcript = Transcript(known, readable=readable)
        self.network = Network(random.Random(f"net/{plan.seed}"), plan.latency_ms, self.transcript)
        said = statements_of(identities, names)
        self.witness = Witness(Truth())
        self.promises = Promises()
        self.devices: list[Device] = []
        for at, (name, identity) in enumerate(zip(names, identities, strict=True)):
            path = folder / f"{name}.db"
            make_file(path, identity, bytes([at + 1]) * 8, said)
            device = Device(
                at,
                name,
                identity,
                path,
                models.older() if at in plan.unknowing else models.todays(),
                self.network,
                random.Random(f"device/{plan.seed}/{at}"),
                plan.batch_rows,
            )
            device.clock.offset_ms, device.clock.speed = plan.clocks[at]
            device.dials = [b for a, b in plan.edges if a == at]
            device.on_write = self._wrote
            device.on_returning = self._returning
            self.devices.append(device)
        self.network.devices = self.devices
        self.authors = [Author(device) for device in self.devices]
        keys = sorted(RECORDS)
        chosen = chance.sample(keys, chance.randint(4, 10))
        self.clones: dict[int, Device] = {}
        """Second machines that run as a device, by the device."""
        self.keys = sorted({*chosen, *(end for key in chosen for end in about.ends(key))})
        self.revoked: set[int] = set()
        """Devices that are no members any more: they are left out of what has to agree."""
        self._violation: Exception | None = None
        self._nursery: trio.Nursery | None = None

    def _wrote(self, device: Device) -> None:
        try:
            with self.witness.at(device).begin() as connection:
                self.witness.wrote(device, connection)
                self.promises.wrote(self, device, connection)
        except Exception as error:  # noqa: BLE001 - an oracle that fails looks like no device's fault
            self._violation = self._violation or error

    def _returning(self, device: Device, kind: str) -> None:
        """A device that was restored has taken rows back, or has gone on with them."""
        act = copies.adopt if kind == "took_back" else copies.went_on
        try:
            act(self, self.authors[device.index])
        except Exception as error:  # noqa: BLE001 - as above
            self._violation = self._violation or error

    def device_of(self, uuid: bytes) -> Device | None:
        """Return the device of this id that runs."""
        found = (device for device in self.devices if device.id == uuid and device.up is not None)
        return next(found, None)

    def members(self) -> list[Device]:
        """Return the devices that are members."""
        return [device for device in self.devices if device.index not in self.revoked]

    def lines(self) -> list[tuple[int, int]]:
        """Return which members dial whom."""
        gone = self.revoked
        return [(a, b) for a, b in self.plan.edges if a not in gone and b not in gone]

    # --- running ----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Carry out the plan; raises ViolationError."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            try:
                for device in self.devices:
                    if device.index not in self.plan.late:
                        await self.start(device)
                for step in self.plan.steps:
                    await self._take(step)
                await self.settle()
            finally:
                for device in (*self.devices, *self.clones.values()):
                    device.die(power=False)
                nursery.cancel_scope.cancel()

    async def start(self, device: Device) -> None:
        """Start a device, and hold it to what it acknowledged before it died."""
        if device.up is not None or self._nursery is None:
            return
        await device.ended()
        await self._nursery.start(device.live)
        author = self.authors[device.index]
        await faults.remember(self, author)
        if not author.alone:
            author.started = author.tree
        await author.begin()

    async def start_beside(self, device: Device) -> None:
        """Start a machine that is none of the devices."""
        if self._nursery is not None:
            await self._nursery.start(device.live)

    async def _take(self, step: Step) -> None:
        self.taken += 1
        await trio.sleep(step.gap_ms / 1000)
        self.transcript.say(str(step))
        within_s = float("inf") if step.kind == "settle" else STEP_WITHIN_S
        with trio.move_on_after(within_s) as scope:
            happened = await self._perform(step)
            self.counts[f"{step.kind}" if happened else f"{step.kind} (void)"] += 1
        demand(not scope.cancelled_caught, f"a step took over {STEP_WITHIN_S:.0f} s: {step}")
        self.verify()

    def verify(self) -> None:
        """Raise what was found meanwhile, or is found now at a glance."""
        self.witness.claims(self.devices, self.clones)
        if self._violation is not None:
            raise self._violation
        for device in (*self.devices, *self.clones.values()):
            if device.failure is not None:
                raise ViolationError(f"{device.name} stopped: {_described(device.failure)}")

    async def _perform(self, step: Step) -> bool:
        """Do what a step says; return whether there was anything to do.

        Work falls to somebody whose device runs; faults can hit any device.
        """
        if step.kind in WORK:
            return await self._work(step)
        match step.kind:
            case "check":
                self.witness.check(self.devices, self.authors, self.clones)
            case "settle":
                await self.settle()
            case "wait":
                pass
            case _:
                return await faults.FAULTS[step.kind](self, step)
        return True

    async def _work(self, step: Step) -> bool:
        """Have somebody do something at a device that runs."""
        running = [author for author in self.authors if author.device.up is not None]
        if not running:
            return False
        author = running[step.who % len(running)]
        match step.kind:
            case "own":
                return await author.own(step.numbers)
            case "share":
                keys = known_to(author.device.registry, self.keys)
                return bool(keys) and await author.share(keys, step.numbers)
            case "note":
                entries = sorted(self.authors[step.numbers[0] % len(self.authors)].tree.entries)
                return bool(entries) and await author.note(
                    entries[step.numbers[1] % len(entries)], step.numbers[2]
                )
            case "undo":
                return await author.undo()
            case "job":
                return await author.job(step.numbers[0])
            case "empty":
                return await author.empty(step.numbers[0])
            case _:
                return await author.rename(step.numbers[0] % 9)

    async def settle(self) -> None:
        """Heal everything; all devices come to be in sync in bounded time, and are then equal."""
        await faults.heal(self)
        self.transcript.say("everything is healed")
        began = trio.current_time()
        with trio.move_on_after(SETTLED_WITHIN_S) as scope:
            while not self._is_in_sync():
                await copies.claim(self)
                self.verify()
                await trio.sleep(0.5)
        self.verify()
        if scope.cancelled_caught:
            self.witness.check(self.devices, self.authors, self.clones)
            raise ViolationError(f"not in sync after {SETTLED_WITHIN_S:.0f} s: {self._why_not()}")
        self.slowest_heal_s = max(self.slowest_heal_s, trio.current_time() - began)
        for author in self.authors:
            if author.is_unsure:
                copies.adopt(self, author)
                # Of who was revoked others may know another life, and neither hears of it.
                author.is_unsure = author.device.index in self.revoked
                author.unheard = frozenset(self.devices[index].id for index in self.revoked)
        self.witness.check(self.devices, self.authors, self.clones)
        self.witness.truth.has_been_behind = False
        authors = [author for author in self.authors if author.device.index not in self.revoked]
        commits, rows = settled(self.witness, self.members(), authors)
        self.counts["commits"], self.counts["rows"] = commits, rows
        self.transcript.say(f"all are equal: {commits} commits, {rows} records")

    def _claims(self, a: int, b: int) -> bool:
        """Return whether device `a` says that it is in sync with device `b`."""
        up = self.devices[a].up
        other = self.devices[b].id
        return up is not None and any(
            peer.device == other and up.driver.exchange.is_proved(peer)
            for peer in up.driver.exchange.peers.values()
        )

    def _is_in_sync(self) -> bool:
        return not self._returning_ones() and all(
            self._claims(a, b) and self._claims(b, a) for a, b in self.lines()
        )

    def _returning_ones(self) -> list[str]:
        """Return the names of the members that write nothing, as they take their rows back."""
        return [
            device.name
            for device in self.members()
            if device.up is not None and device.up.driver.exchange.ours.life == RESTORING
        ]

    def _why_not(self) -> str:
        names = [device.name for device in self.devices]
        missing = [
            f"{names[a]} and {names[b]}"
            for a, b in self.lines()
            if not (self._claims(a, b) and self._claims(b, a))
        ]
        missing += [f"{name} still takes its rows back" for name in self._returning_ones()]
        return ", ".join(dict.fromkeys(missing))


def _described(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"


@contextmanager
def seldom_collected() -> Iterator[None]:
    """Look for cycles of objects a hundred times less often, and not among what was there before.

    A run makes few of them.
    """
    was = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)
    try:
        yield
    finally:
        gc.set_threshold(*was)
        gc.unfreeze()


def simulate(
    plan: Plan, *, readable: bool = False, watch: Callable[[World], None] | None = None
) -> Result:
    """Carry out a plan in a folder of its own, in memory where there is a place for it."""
    base = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
    folder = Path(tempfile.mkdtemp(prefix="leaderless-", dir=base if base.is_dir() else None))
    result = Result(plan)
    began_s = time.process_time()
    world = World(plan, folder, readable=readable)
    if watch is not None:
        watch(world)

    async def work() -> None:
        try:
            await world.run()
        finally:
            result.virtual_s = trio.current_time()

    try:
        with seldom_collected():
            schedule.run(work, plan.seed)
    except ExceptionGroup as errors:
        # Whatever else ends a run is told as well, and ends no run of other seeds.
        found, rest = errors.split(ViolationError)
        if rest is not None:
            traceback.print_exception(rest)
        result.violation = _described(found or errors)
    finally:
        world.witness.close()
        shutil.rmtree(folder)
    result.cpu_s = time.process_time() - began_s
    result.digest = world.transcript.digest()
    result.counts, result.taken = world.counts, world.taken
    result.slowest_heal_s = world.slowest_heal_s
    result.counts["messages"] = world.transcript.messages
    result.counts["refused"] = sum(len(author.refused) for author in world.authors)
    result.lines = world.transcript.lines
    return result

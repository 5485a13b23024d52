"""One change among devices that are all connected: how often it is sent, and how soon all have it.

The network is the simulator's. Messages take a hop or less, so some overtake others; disks take no
time, and time is virtual: what is counted is the same on every machine.
"""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Final, NamedTuple

import trio

from leaderless.protocol import codec
from leaderless.protocol.limits import BATCH_ROWS
from leaderless.protocol.messages import LogBatch, StateBatch
from registry.changes import Create
from scripts.benchmarks.figures import Figure, at_most, at_most_of_floor
from scripts.benchmarks.filling import VOLUME_COLUMNS
from scripts.simulation import models, once, schedule
from scripts.simulation.device import Device
from scripts.simulation.library import identity_of, make_file, statements_of
from scripts.simulation.network import Network
from scripts.simulation.transcript import Transcript

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from leaderless.store.transaction import Transaction
    from scripts.benchmarks.setting import Setting

SIZES: Final = (8, 32)
HOP_MS: Final = (10, 20)
"""What a message takes; a hop is the longest of it."""
QUIET_S: Final = 5.0
"""After all have a change: who was told of it and did not get it has asked for it by then."""
_MEETING_S: Final = 600.0
_LOOK_S: Final = 0.5
_QUERIES: Final = {
    "edit": "SELECT count(*) FROM tag WHERE uuid = ?",
    "row": "SELECT count(*) FROM volume WHERE uuid = ? AND dead = 0",
}


class _Even(random.Random):
    """Chance by which no disk is slow."""

    def random(self) -> float:
        """Return what is the same each time."""
        return 0.5


class Copies(Transcript):
    """Counts the changes that arrive, and keeps nothing else."""

    def __init__(self) -> None:
        super().__init__({}, readable=False)
        self.count = 0

    def say(self, text: str) -> None:
        """Nobody reads it."""

    def delivered(self, sender: str, receiver: str, frame: bytes) -> None:  # noqa: ARG002 - whoever
        """Count the commits and rows in a frame; introductions are no change."""
        message = codec.decode(frame)
        if isinstance(message, LogBatch):
            self.count += len(message.commits)
        elif isinstance(message, StateBatch) and not message.introduction:
            self.count += sum(len(change.rows) for change in message.changes)


class Spread(NamedTuple):
    """How a change got around."""

    copies: int
    hops: float
    """Until the last device showed it."""


class Mesh:
    """Devices that are all connected with each other."""

    def __init__(self, folder: Path, count: int) -> None:
        chance = random.Random(count)  # noqa: S311 - it has to be repeatable
        names = [f"device{at}" for at in range(count)]
        identities = [identity_of(chance, folder) for _ in names]
        said = statements_of(identities, names)
        self._copies = Copies()
        network = Network(random.Random(count), HOP_MS, self._copies)  # noqa: S311 - as above
        self._devices = []
        for at, (name, identity) in enumerate(zip(names, identities, strict=True)):
            path = folder / f"{name}.db"
            make_file(path, identity, chance.randbytes(8), said)
            about = models.todays(), network, _Even(at), BATCH_ROWS
            device = Device(at, name, identity, path, *about)
            device.dials = list(range(at + 1, count))
            device.on_write = self._wrote
            self._devices.append(device)
        network.devices = self._devices
        self._lacking: set[int] = set()
        self._shows: Callable[[Device], bool] = lambda _: True
        self._all_have_it = trio.Event()

    async def spread(self, authors: Sequence[int], say: Callable[[str], None]) -> list[Spread]:
        """Have everybody meet, then an edit and a row made by each author; return how both went."""
        found = []
        async with trio.open_nursery() as nursery:
            for device in self._devices:
                await nursery.start(device.live)
            await self._meet(say)
            for at, author in enumerate(authors, start=1):
                say(f"run {at} of {len(authors)}")
                found += [await self._change(self._devices[author], kind) for kind in _QUERIES]
            for device in self._devices:
                device.die(power=False)
            nursery.cancel_scope.cancel()
        return found

    async def _meet(self, say: Callable[[str], None]) -> None:
        pairs = len(self._devices) * (len(self._devices) - 1)
        with trio.fail_after(_MEETING_S):
            while (proved := sum(map(_proved, self._devices))) < pairs:
                say(f"{len(self._devices)} devices: {proved} of {pairs} in sync")
                await trio.sleep(_LOOK_S)
                self._check()

    def _check(self) -> None:
        for device in self._devices:
            if device.failure is not None:
                raise device.failure

    async def _change(self, author: Device, kind: str) -> Spread:
        """Have a device change something; return how that got around."""
        uuid = random.Random(f"{author.index}/{kind}").randbytes(16)  # noqa: S311 - as above

        def write(transaction: Transaction) -> None:
            if kind == "edit":
                transaction.commit("tag.create", [Create("tag", uuid, {})])
            else:
                transaction.put("volume", VOLUME_COLUMNS, [(uuid, uuid.hex(), "disk")])

        self._copies.count = 0
        self._lacking = {device.index for device in self._devices} - {author.index}
        self._shows = lambda device: _shows(device, kind, uuid)
        self._all_have_it = trio.Event()
        await author.do(lambda store: store.write(write))
        began = trio.current_time()
        with trio.fail_after(_MEETING_S):
            await self._all_have_it.wait()
        took = trio.current_time() - began
        await trio.sleep(QUIET_S)
        self._check()
        return Spread(self._copies.count, round(1_000 * took / HOP_MS[1], 3))

    def _wrote(self, device: Device) -> None:
        if device.index in self._lacking and self._shows(device):
            self._lacking.remove(device.index)
            if not self._lacking:
                self._all_have_it.set()


def _proved(device: Device) -> int:
    """Return how many others a device is proved to be in sync with."""
    if device.up is None:
        return 0
    exchange = device.up.driver.exchange
    return sum(exchange.is_proved(peer) for peer in exchange.peers.values())


def _shows(device: Device, kind: str, uuid: bytes) -> bool:
    with closing(sqlite3.connect(device.path)) as database:
        return bool(database.execute(_QUERIES[kind], (uuid,)).fetchone()[0])


def mesh(setting: Setting) -> Iterator[Figure]:
    """Yield how often an edit and a row are sent among few and many devices, and when all have them."""
    once.share()
    for count in SIZES:
        yield from among(count, setting)


def among(count: int, setting: Setting) -> Iterator[Figure]:
    """Yield the figures of so many devices; as many of them make changes as there are runs."""
    folder = setting.folder / f"mesh{count}"
    folder.mkdir()
    devices = Mesh(folder, count)
    authors = [at * count // setting.counted for at in range(setting.counted)]
    found = schedule.run(lambda: devices.spread(authors, setting.say), count)
    others = (float(count - 1),) * setting.counted
    for at, kind in enumerate(_QUERIES):
        those = found[at :: len(_QUERIES)]
        what, sent = f"{count} devices, {kind}", tuple(float(item.copies) for item in those)
        yield Figure("mesh", what, "copies", sent, others, (at_most_of_floor(1.2),))
        hops = tuple(item.hops for item in those)
        yield Figure("mesh", f"{what}, until all have it", "hops", hops, goals=(at_most(3),))

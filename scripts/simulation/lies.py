"""A member that relays wrong bytes for a while, and what the oracles know of the right ones.

A liar is a device like any other, whose frames about others' rows and commits are changed on their
way out: altered, left out, lost, invented, put in another order, said twice; and it says that it
holds more than it does. It does so on every line that it has, until everything is healed: then its
lines are cut, and it is as honest as any other.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, cast

import trio

from leaderless.protocol import codec
from leaderless.protocol.batches import in_columns
from leaderless.protocol.messages import (
    Credit,
    LogBatch,
    Positions,
    SignedCommit,
    StateBatch,
    Vectors,
)
from leaderless.store import restoring
from scripts.simulation.oracles import demand

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection

    from leaderless.protocol.messages import Message
    from leaderless.store.feeds import Feed
    from registry.changes import StateChange
    from scripts.simulation.behind import OldLine
    from scripts.simulation.device import Device
    from scripts.simulation.network import End
    from scripts.simulation.plan import Step
    from scripts.simulation.world import World

_OFTEN = (0.1, 0.4, 1.0)
"""How many of its frames about others are lies."""


@dataclass
class Liar:
    """What one device does to what it hands on."""

    own: bytes
    chance: random.Random
    share: float

    def lie(self, message: Message) -> list[Message]:
        """Return what is sent in the place of a message."""
        if self.chance.random() >= self.share:
            return [message]
        if isinstance(message, StateBatch) and message.owner != self.own:
            if message.changes:
                return self.chance.choice(_ABOUT_ROWS)(message, self.chance)
        elif isinstance(message, LogBatch) and message.feed[:16] != self.own and message.commits:
            return self.chance.choice(_ABOUT_COMMITS)(message, self.chance)
        elif isinstance(message, Positions):
            return self._boast(message)
        return [message]

    def _boast(self, message: Positions) -> list[Message]:
        """Say that one holds more of somebody's rows, or of a feed, than there is."""
        owned, feeds = dict(message.vectors.owned), dict(message.vectors.feeds)
        others = [owner for owner in sorted(owned) if owner != self.own]
        written = [feed for feed in sorted(feeds) if feed[:16] != self.own]
        if others and self.chance.random() < 0.5:
            owner = self.chance.choice(others)
            owned[owner] = owned[owner]._replace(watermark=owned[owner].watermark + 100)
        elif written:
            feed = self.chance.choice(written)
            feeds[feed] = feeds[feed]._replace(received=feeds[feed].received + 100)
        return [replace(message, vectors=Vectors(owned, feeds))]


class Mouth:
    """A line as a device uses it: what it says goes as it is, unless the device lies."""

    def __init__(self, end: End | OldLine, device: Device) -> None:
        self.peer_key = end.peer_key
        self.address = end.address
        self.dialed = end.dialed
        self._end = end
        self._device = device

    async def send(self, data: bytes) -> None:
        """Send a message, or what a liar makes of it."""
        liar = self._device.liar
        if liar is None:
            await self._end.send(data)
            return
        for said in liar.lie(codec.decode(data)):
            # In the form that it had: it is credited for what it has counted.
            packed = None
            if isinstance(said, StateBatch) and codec.is_in_columns(data):
                packed = in_columns(said)
            await self._end.send(codec.encode(packed or said))

    async def receive(self) -> bytes:
        """Return the next message; a liar is never credited more than it believes to have sent."""
        data = await self._end.receive()
        if self._device.liar is None:
            return data
        message = codec.decode(data)
        if isinstance(message, Credit) and self._device.up is not None:
            peers = self._device.up.driver.exchange.peers.values()
            sent = [peer.unacknowledged for peer in peers if peer.device == self._end.other.id]
            return codec.encode(Credit(min([message.amount, *sent])))
        return data

    async def aclose(self) -> None:
        """End this side."""
        await self._end.aclose()


# --- rows -----------------------------------------------------------------------------------------


def _in_one(
    batch: StateBatch, chance: random.Random, change: Callable[[StateChange], StateChange]
) -> list[Message]:
    """Change the rows and tombstones of one model."""
    at = chance.randrange(len(batch.changes))
    changed = change(batch.changes[at])
    return [replace(batch, changes=(*batch.changes[:at], changed, *batch.changes[at + 1 :]))]


def _alter(batch: StateBatch, chance: random.Random) -> list[Message]:
    def change(item: StateChange) -> StateChange:
        if "size_bytes" not in item.columns:
            return replace(item, removed=[(uuid, 1) for uuid, _ in item.removed])
        at = 2 + item.columns.index("size_bytes")
        return replace(item, rows=[(*row[:at], 666, *row[at + 1 :]) for row in item.rows])

    return _in_one(batch, chance, change)


def _leave_out(batch: StateBatch, chance: random.Random) -> list[Message]:
    def change(item: StateChange) -> StateChange:
        items = [*item.rows, *item.removed]
        gone = chance.randrange(len(items)) if items else 0
        rows = [row for at, row in enumerate(item.rows) if at != gone]
        removed = [one for at, one in enumerate(item.removed) if at + len(item.rows) != gone]
        return replace(item, rows=rows, removed=removed)

    return _in_one(batch, chance, change)


def _invent(batch: StateBatch, chance: random.Random) -> list[Message]:
    def change(item: StateChange) -> StateChange:
        if not item.rows:
            return item
        return replace(item, rows=[*item.rows, (chance.randbytes(16), *item.rows[-1][1:])])

    return _in_one(batch, chance, change)


def _bury(batch: StateBatch, chance: random.Random) -> list[Message]:
    def change(item: StateChange) -> StateChange:
        buried = [(cast("bytes", row[0]), cast("int", row[1])) for row in item.rows[:1]]
        return replace(item, removed=[*item.removed, *buried])

    return _in_one(batch, chance, change)


def _reorder(batch: StateBatch, chance: random.Random) -> list[Message]:
    return _in_one(batch, chance, lambda item: replace(item, rows=item.rows[::-1]))


def _cut_short(batch: StateBatch, _: random.Random) -> list[Message]:
    return [replace(batch, changes=(), lo=batch.lo, hi=batch.lo, head=batch.lo, as_of=batch.lo)]


def _twice(message: Message, _: random.Random) -> list[Message]:
    return [message, message]


def _lose(_: Message, __: random.Random) -> list[Message]:
    return []


_ABOUT_ROWS: Sequence[Callable[[StateBatch, random.Random], list[Message]]] = (
    _alter,
    _leave_out,
    _invent,
    _bury,
    _reorder,
    _cut_short,
    _twice,
    _lose,
)


# --- commits --------------------------------------------------------------------------------------


def _commits(
    change: Callable[[list[SignedCommit], random.Random], list[SignedCommit]],
) -> Callable[[LogBatch, random.Random], list[Message]]:
    def lie(batch: LogBatch, chance: random.Random) -> list[Message]:
        return [replace(batch, commits=tuple(change(list(batch.commits), chance)))]

    return lie


def _altering(part: str) -> Callable[[list[SignedCommit], random.Random], list[SignedCommit]]:
    def alter(commits: list[SignedCommit], chance: random.Random) -> list[SignedCommit]:
        at = chance.randrange(len(commits))
        was = getattr(commits[at], part)
        other = was[:-1] + bytes([was[-1] ^ 1]) if was else b"x"
        commits[at] = replace(commits[at], **{part: other})
        return commits

    return alter


def _leave_one_out(commits: list[SignedCommit], chance: random.Random) -> list[SignedCommit]:
    del commits[chance.randrange(len(commits))]
    return commits


_ABOUT_COMMITS: Sequence[Callable[[LogBatch, random.Random], list[Message]]] = (
    _commits(_altering("header")),
    _commits(_altering("signature")),
    _commits(_altering("body")),
    _commits(_leave_one_out),
    _commits(lambda commits, _: commits[::-1]),
    _commits(lambda commits, _: [*commits, commits[-1]]),
    _commits(lambda _, __: []),
    _twice,
    _lose,
)


# --- the fault ------------------------------------------------------------------------------------


async def lie(world: World, step: Step) -> bool:
    """A device begins to lie about what is others': one that hands on, if there is any."""
    lines = Counter(
        end for edge in {tuple(sorted(edge)) for edge in world.plan.edges} for end in edge
    )
    between = [device for device in world.devices if lines[device.index] > 1] or world.devices
    device = between[step.who % len(between)]
    if device.up is None or device.liar is not None:
        return False
    chance = random.Random(f"lie/{world.plan.seed}/{step.numbers}")
    device.liar = Liar(device.id, chance, _OFTEN[step.numbers[0] % len(_OFTEN)])
    world.witness.truth.has_liars = True
    return True


def repent(world: World) -> None:
    """End all lies."""
    for device in world.devices:
        if device.liar is not None:
            device.liar, device.lied_until = None, trio.current_time()
            _cut_lines(world, device)


def _cut_lines(world: World, device: Device) -> None:
    for line in world.network.lines:
        if line.is_of(device) and not line.broken:
            line.cut()


# --- what is right --------------------------------------------------------------------------------


@dataclass
class Truth:
    """What owners and authors have written, seen in their own files as they wrote it."""

    rows: dict[bytes, set[tuple[bytes, int, bytes, int]]] = field(default_factory=dict)
    commits: dict[bytes, bytes] = field(default_factory=dict)
    """Of each commit, by its hash, the signature."""
    has_liars: bool = False
    has_been_behind: bool = False
    """Whether since the last heal a device was of a version that knows no floors."""
    _upto: dict[int, dict[bytes, int]] = field(default_factory=dict)
    """Of each machine and each of its own incarnations, the rev that was looked at."""
    _feeds: dict[int, dict[int, int]] = field(default_factory=dict)
    """The same of each of its own feeds, the number of the commit."""

    def forget(self, device: Device) -> None:
        """A device has other files than before."""
        self._upto.pop(device.index, None)
        self._feeds.pop(device.index, None)

    def wrote(self, connection: Connection, device: Device, feeds: Sequence[Feed]) -> None:
        """A device has written something: take in what is its own."""
        # What a restored device takes back is its own only once it is whole and proved.
        if not restoring.life(connection):
            self._take_rows(connection, device)
        self._take_commits(connection, device, feeds)

    def _take_rows(self, connection: Connection, device: Device) -> None:
        upto = self._upto.setdefault(device.index, {})
        mine = self.rows.setdefault(device.id, set())
        for epoch, nonce, mark in connection.exec_driver_sql(
            "SELECT id, nonce, watermark FROM incarnation WHERE device = ?", (device.id,)
        ).all():
            mine.update(
                (uuid, rev, name, size)
                for uuid, rev, name, size in connection.exec_driver_sql(
                    "SELECT uuid, rev, name, size_bytes FROM entry"
                    " WHERE epoch = ? AND rev > ? AND dead = 0",
                    (epoch, upto.get(nonce, 0)),
                )
            )
            upto[nonce] = mark

    def _take_commits(self, connection: Connection, device: Device, feeds: Sequence[Feed]) -> None:
        seen = self._feeds.setdefault(device.index, {})
        for feed in feeds:
            after = seen.get(feed.key, 0)
            if feed.received == after or not feed.feed.startswith(device.id):
                continue
            self.commits.update(
                (hashed, signature)
                for hashed, signature in connection.exec_driver_sql(
                    "SELECT hash, signature FROM commit_log WHERE feed = ? AND seq > ?",
                    (feed.key, after),
                )
            )
            seen[feed.key] = feed.received

    def check(self, connection: Connection, device: Device) -> None:
        """No commit is stored that nobody wrote; no row that counts as proved is another."""
        for hashed, signature in connection.exec_driver_sql(
            "SELECT hash, signature FROM commit_log"
        ):
            demand(
                self.commits.get(hashed) == signature,
                f"{device.name} holds a commit that nobody has signed",
            )
        for owner, *row in connection.exec_driver_sql(
            "SELECT i.device, e.uuid, e.rev, e.name, e.size_bytes FROM entry e"
            " JOIN incarnation i ON i.id = e.epoch WHERE e.dead = 0"
            " AND i.verified = i.watermark AND i.as_of = i.watermark AND i.fault IS NULL"
        ):
            demand(
                tuple(row) in self.rows.get(owner, ()),
                f"{device.name} takes a row for proved that its owner never had",
            )

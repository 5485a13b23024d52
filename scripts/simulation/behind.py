"""The fault `behind`: a device runs a version of protocol 1.0 for a while, and is upgraded in the end.

It says 1.0 and takes every other for one of 1.0, so what came with 1.1 is neither asked of it nor by
it; of what it is sent it knows no more than such a version does (PROTOCOL.md). What a version of 1.0
cannot read must not be sent to it: that is held against every message.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from leaderless.protocol import codec
from leaderless.protocol.membership import readable
from leaderless.protocol.messages import (
    Bye,
    Credit,
    Hello,
    LogBatch,
    Positions,
    PullRecords,
    Records,
    StateBatch,
    Statements,
)
from leaderless.store import log, meta, restoring, state
from leaderless.store.statements import statements
from registry.changes import is_branch
from scripts.simulation.oracles import ViolationError

if TYPE_CHECKING:
    from leaderless.protocol.messages import Message
    from scripts.simulation.device import Device
    from scripts.simulation.network import End
    from scripts.simulation.plan import Step
    from scripts.simulation.world import World

VERSION = (1, 0)


class OldLine:
    """A line as a device of 1.0 uses it."""

    def __init__(self, end: End, device: Device) -> None:
        self.peer_key = end.peer_key
        self.address = end.address
        self.dialed = end.dialed
        self.other = end.other
        self._end = end
        self._device = device
        self._is_known = False
        """Whether the other side has shown that it has read our hello."""
        self._unseen = 0
        """Bytes that came and that a device of 1.0 does not look at: they are credited as well."""

    async def send(self, data: bytes) -> None:
        """Send a message as a device of 1.0 does."""
        message = codec.decode(data)
        match message:
            case Hello():
                data = codec.encode(replace(message, version=VERSION))
            case Credit(amount):
                data = codec.encode(Credit(amount + self._unseen))
                self._unseen = 0
            case _:
                is_new = _is_new(message) or codec.is_in_columns(data)
                self._demand(not is_new, "says what came later", message)
        await self._end.send(data)

    async def receive(self) -> bytes:
        """Return the next message as far as a device of 1.0 knows it."""
        data = await self._end.receive()
        message, size = codec.decode_sized(data)
        # Who has not read our hello cannot know what we read.
        is_for_all = isinstance(message, Statements) and not self._is_known
        is_readable = is_for_all or not (_is_new(message) or codec.is_in_columns(data))
        self._demand(is_readable, "is sent what it cannot read", message)
        self._is_known |= not isinstance(message, Hello | Statements | Bye)
        match message:
            case Hello():
                return codec.encode(replace(message, version=VERSION))
            case StateBatch() if message.floor:
                known, left = codec.encode_sized(replace(message, floor=b""))
                self._unseen += 0 if message.introduction else size - left
                return known
        return data

    def _demand(self, holds: bool, what: str, message: Message) -> None:  # noqa: FBT001 - as `demand`
        """Note what must not be; the line would be ended for it, and nobody else would know."""
        name = f"{self._device.name}, which is of 1.0,"
        if not holds and self._device.failure is None:
            self._device.failure = ViolationError(f"{name} {what}: {type(message).__name__}")

    async def aclose(self) -> None:
        """End this side."""
        await self._end.aclose()


def _is_new(message: Message) -> bool:
    """Return whether a message is, or holds, what a version of 1.0 ends the connection at."""
    match message:
        case PullRecords() | Records():
            return True
        case Positions():
            return any(map(is_branch, message.vectors.feeds))
        case LogBatch():
            forgotten = not all(commit.body for commit in message.commits)
            return forgotten or is_branch(message.feed)
        case Statements():
            return readable(message.statements, VERSION) != message.statements
    return False


async def fall_behind(world: World, step: Step) -> bool:
    """A device is started as a version of 1.0, if its file might have been written by one."""
    device = world.devices[step.who]
    if device.is_behind or device.index in world.clones or not _could_be(world, device):
        return False
    device.die(power=False)
    await device.ended()
    # What it did when it died is durable by now, and may be what only a later version does.
    device.is_behind = _could_be(world, device)
    world.witness.truth.has_been_behind |= device.is_behind
    await world.start(device)
    return device.is_behind


def _could_be(world: World, device: Device) -> bool:
    """Return whether a file holds nothing that a version of 1.0 does not know."""
    with world.witness.at(device).begin() as connection:
        said = tuple(statements(connection))
        query = "SELECT 1 FROM commit_log WHERE body IS NULL LIMIT 1"
        return (
            connection.exec_driver_sql(query).first() is None
            and meta.get(connection, meta.STAGING) is None
            and not restoring.life(connection)
            and readable(said, VERSION) == said
            and not log.forked(connection)
            and not any(is_branch(feed.feed) for feed in log.feeds(connection))
            and not any(copy.floor or copy.base for copy in state.copies(connection))
        )


async def upgrade(world: World, device: Device) -> None:
    """Start a device anew by the version of today."""
    device.die(power=False)
    await device.ended()
    device.is_behind = False
    await world.start(device)


async def catch_up(world: World) -> None:
    """Upgrade whoever is behind: some of what there is by now is not for a version of 1.0."""
    for device in world.devices:
        if device.is_behind:
            await upgrade(world, device)

"""A whole session of two devices of one version, recorded frame by frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import trio

from leaderless import __version__
from leaderless.sync.driver import Driver, open_sync
from leaderless.transport.memory import MemoryLink, memory_pair
from registry.changes import Update
from scripts.releases.frames import Frame
from scripts.releases.library import SUMMER
from tests.replicas import add_tree, key_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.replicas import Replica

SERVING, FILLED = 0, 3
"""The devices that talk: one that holds all, one that holds nothing."""
FILLING, LIVE = 0, 1
"""The parts of a session: until both have proved that they are equal; what changes from then on."""
NAMES: Final = {SERVING: "old", FILLED: "new"}
DEADLINE_S: Final = 60.0


class _Recorded:
    """A connection that keeps what is sent on it."""

    def __init__(self, link: MemoryLink, sender: int, frames: list[Frame], part: list[int]) -> None:
        self.peer_key, self.address, self.dialed = link.peer_key, link.address, link.dialed
        self._link, self._sender, self._frames, self._part = link, sender, frames, part

    async def send(self, data: bytes) -> None:
        """Send one message."""
        self._frames.append(Frame(self._part[0], self._sender, bytes(data)))
        await self._link.send(data)

    async def receive(self) -> bytes:
        """Return the next message."""
        return await self._link.receive()

    async def aclose(self) -> None:
        """End the connection."""
        await self._link.aclose()


async def record(serving: Replica, filled: Replica) -> list[Frame]:
    """Let a device fill another one, compare itself with it, and send it changes as they come."""
    frames: list[Frame] = []
    part = [FILLING]
    members = await serving.store.membership(key_of)
    ends = memory_pair(filled.identity.public_key, serving.identity.public_key)
    async with (
        open_sync(serving.store, members, __version__, _unheard) as one,
        open_sync(filled.store, members, __version__, _unheard) as other,
        trio.open_nursery() as nursery,
    ):
        with trio.fail_after(DEADLINE_S):
            nursery.start_soon(other.run_link, _Recorded(ends[0], FILLED, frames, part))
            nursery.start_soon(one.run_link, _Recorded(ends[1], SERVING, frames, part))
            await _until_proved(one, other)
            await other.compare(serving.identity.device)
            part[0] = LIVE
            serving.clock.ms += 1_000
            edit = Update("tag", SUMMER, {"description": "while you were here"})
            await serving.store.write(lambda tx: tx.commit("fixture.live", [edit]))
            add_tree(serving, 3, "live")
            await one.look_again()
            await _until_proved(one, other)
        nursery.cancel_scope.cancel()
    return frames


def _unheard(kind: str, data: Mapping[str, Any]) -> None:
    """What a driver tells has no part in what it sends."""


async def _until_proved(*drivers: Driver) -> None:
    """Wait until each has shown the other that they hold the same, and nothing more is said."""
    quiet = 0
    while quiet < 3:
        await trio.sleep(0.1)
        proved = all(
            driver.exchange.peers
            and all(map(driver.exchange.is_proved, driver.exchange.peers.values()))
            for driver in drivers
        )
        quiet = quiet + 1 if proved else 0

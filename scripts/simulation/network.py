"""A network of our own: lines with delay that can be cut, fall silent, or be held up by a partition.

A line keeps the promises of a connection: messages whole and in order, a bounded queue, an end that
both sides notice, sooner or later. What is under way when a line is cut is lost. While a partition
lasts nothing arrives, not even the end of a line: it is noticed afterwards, or by silence.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

import trio

from leaderless.transport.base import ConnectionLostError, DialError, SelfDialError

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from scripts.simulation.device import Device
    from scripts.simulation.transcript import Transcript

_QUEUE = 16
_PATIENCE_S = 5.0
"""How long a call waits for an answer that never comes."""


class _Frame(NamedTuple):
    due: float
    data: bytes


class End:
    """One side of a line: a `Connection`."""

    def __init__(self, line: Line, own: Device, other: Device, *, dialed: bool) -> None:
        self.peer_key = other.identity.public_key
        self.address = f"{other.name}:{other.index}"
        self.dialed = dialed
        self.own, self.other = own, other
        self.line = line
        self.inbox: deque[_Frame] = deque()
        self.closed = False
        self.ends_at: float | None = None
        """When this side notices that the other one is gone."""
        self._changed = trio.Event()

    @property
    def far(self) -> End:
        """Return the other side."""
        return next(end for end in self.line.ends if end is not self)

    def wake(self) -> None:
        """Look again: something about this end is different."""
        self._changed.set()
        self._changed = trio.Event()

    async def send(self, data: bytes) -> None:
        """Put a message on its way."""
        await trio.lowlevel.checkpoint()
        while len(self.far.inbox) >= _QUEUE and not self._is_over():
            await self._changed.wait()
        if self._is_over():
            raise ConnectionLostError(f"{self.address} is gone")
        far = self.far
        due = trio.current_time() + self.line.network.latency_s()
        if far.inbox:
            due = max(due, far.inbox[-1].due)
        far.inbox.append(_Frame(due, bytes(data)))
        far.wake()

    def _is_over(self) -> bool:
        if self.closed or self.line.broken:
            return True
        gone = self.ends_at is not None and self.ends_at <= trio.current_time()
        return gone and not self.inbox and not self.line.held_up()

    async def receive(self) -> bytes:
        """Return the next message once it is here."""
        await trio.lowlevel.checkpoint()
        while True:
            if self._is_over():
                raise ConnectionLostError(f"{self.address} is gone")
            next_s = self.inbox[0].due if self.inbox else self.ends_at
            held_up = self.line.held_up()
            if self.inbox and not held_up and next_s is not None and next_s <= trio.current_time():
                frame = self.inbox.popleft()
                self.far.wake()
                network = self.line.network
                network.transcript.delivered(self.other.name, self.own.name, frame.data)
                return frame.data
            if held_up or next_s is None:
                await self._changed.wait()
                continue
            with trio.move_on_at(next_s):
                await self._changed.wait()

    async def aclose(self) -> None:
        """End this side; the other one notices a little later."""
        if not self.closed:
            self.closed = True
            self.far.ends_at = trio.current_time() + self.line.network.latency_s()
            self.far.wake()
            self.wake()
        await trio.lowlevel.checkpoint()


class Line:
    """A connection between two devices."""

    def __init__(self, network: Network, caller: Device, answerer: Device) -> None:
        self.network = network
        self.broken = False
        self.silent = False
        """Whether a side lost its power: the other hears nothing, not even an end."""
        self.ends = (
            End(self, caller, answerer, dialed=True),
            End(self, answerer, caller, dialed=False),
        )

    def held_up(self) -> bool:
        """Return whether nothing gets through now."""
        return self.silent or not self.network.is_open(self.ends[0].own, self.ends[1].own)

    def cut(self) -> None:
        """Lose what is under way; both sides notice at once."""
        self.broken = True
        self.wake()

    def wake(self) -> None:
        """Have both sides look again."""
        for end in self.ends:
            end.wake()

    def is_of(self, device: Device) -> bool:
        """Return whether a device is at one of the ends."""
        return any(end.own is device for end in self.ends)


class Network:
    """All lines, and what keeps messages from passing."""

    def __init__(
        self, chance: random.Random, latency_ms: tuple[int, int], transcript: Transcript
    ) -> None:
        self._chance = chance
        self.latency_ms = latency_ms
        self.transcript = transcript
        self.devices: Sequence[Device] = ()
        self.lines: list[Line] = []
        self._sides: dict[int, int] = {}

    def latency_s(self) -> float:
        """Return how long the next message takes."""
        return self._chance.uniform(*self.latency_ms) / 1000

    def is_open(self, a: Device, b: Device) -> bool:
        """Return whether no partition runs between two devices."""
        return self._sides.get(a.index, 0) == self._sides.get(b.index, 0)

    def partition(self, sides: dict[int, int]) -> None:
        """Let only devices of one side reach each other; those not named are on side 0."""
        self._sides = sides
        self._wake()

    def is_whole(self) -> bool:
        """Return whether there is no partition."""
        return not self._sides

    def _wake(self) -> None:
        self.lines = [line for line in self.lines if not line.broken]
        for line in self.lines:
            line.wake()

    async def dial(self, caller: Device, port: int) -> End:
        """Return the caller's end of a new line to the device at a port."""
        answerer = self.devices[port]
        if answerer is caller:
            raise SelfDialError("that is us")
        await trio.sleep(self.latency_s())
        if not self.is_open(caller, answerer):
            await trio.sleep(_PATIENCE_S)
            raise DialError("no answer came")
        if answerer.up is None:
            raise DialError("nobody answers there")
        line = Line(self, caller, answerer)
        self.lines = [*(line for line in self.lines if not self._is_done(line)), line]
        answerer.answer(line.ends[1])
        return line.ends[0]

    @staticmethod
    def _is_done(line: Line) -> bool:
        return line.broken or all(end.closed for end in line.ends)

    def killed(self, device: Device) -> None:
        """A process died: its system ends its lines."""
        for line in self.lines:
            if line.is_of(device):
                for end in line.ends:
                    if end.own is device:
                        end.closed = True
                        end.far.ends_at = trio.current_time() + self.latency_s()
                line.wake()

    def lost_power(self, device: Device) -> None:
        """A machine died: nobody is told."""
        for line in self.lines:
            if line.is_of(device):
                line.silent = True

    def came_back(self, device: Device) -> None:
        """A machine is up again: it knows nothing of its old lines, and says so when it is asked."""
        for line in self.lines:
            if line.is_of(device) and line.silent:
                line.cut()

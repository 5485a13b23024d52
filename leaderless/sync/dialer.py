"""Whom to call: every address that a member may be found at, until it is connected.

Addresses are hints, whatever they come from: typed, configured, announced by mDNS, named in a
device's own row, or where it was reached last. Who answers is for TLS to prove.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio

from leaderless.errors import LeaderlessError
from leaderless.transport.base import SelfDialError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from leaderless.sync.backoff import Backoff
    from leaderless.transport.base import Connection

MAX_ADDRESSES = 256
"""Hints come from anybody on the network; of more than this the worst that fail are forgotten."""
CONCURRENT = 8
_SELDOM = 32
"""So many failures make the longest wait there is."""
_REST_S = 5.0
LONG_S = 60.0
"""A connection that was used for so long was of use, however it ended."""


@dataclass
class Candidate:
    """An address and how calling it went."""

    host: str
    port: int
    due: float
    failures: int = 0
    busy: bool = False
    kept: bool = False
    """Whether a person named it: it is never forgotten."""
    device: bytes | None = None
    """Who answered there last."""
    named_by: bytes | None = None
    """Whose address it is said to be."""
    seen_off: bool = False
    """Whether it was called when it was a former member's already."""
    last_error: str | None = None


class Dialer:
    """Calls candidates when they are due; an answered call is used until it ends."""

    def __init__(
        self,
        dial: Callable[[trio.Nursery, str, int], Awaitable[Connection]],
        use: Callable[[Connection], Awaitable[bool]],
        connected: Callable[[], Mapping[bytes, str]],
        device_of: Callable[[bytes], bytes],
        backoff: Backoff,
        chance: Callable[[], float],
        tell: Callable[[str, Mapping[str, object]], None],
        may_call: Callable[[], bool] = lambda: True,
        is_former: Callable[[bytes], bool] = lambda _: False,
    ) -> None:
        """Call by `dial`; nobody while `may_call` says no, as for a device that is no member.

        Who `is_former`, a member once and no more, is called a last time, to be told so.

        Everybody is called as soon as it says yes again. `use` returns False where one side refused
        the other: that is like a call that failed.
        """
        self._dial = dial
        self._use = use
        self._connected = connected
        self._device_of = device_of
        self._backoff = backoff
        self._chance = chance
        self._tell = tell
        self._may_call = may_call
        self._is_former = is_former
        self._wake = trio.Event()
        self.candidates: dict[tuple[str, int], Candidate] = {}

    def suggest(
        self,
        host: str,
        port: int,
        *,
        now: bool = False,
        keep: bool = False,
        of: bytes | None = None,
    ) -> None:
        """Take an address into the list, in place of one that fails if it is full.

        `now` calls it at once even if it failed before; `keep` has it stay whatever happens; `of` is
        the device whose it is said to be.
        """
        candidate = self.candidates.get((host, port))
        if candidate is None:
            if len(self.candidates) >= MAX_ADDRESSES and not self._forget_worst() and not keep:
                return
            candidate = Candidate(host, port, trio.current_time())
            self.candidates[host, port] = candidate
            self._wake.set()
        candidate.kept |= keep
        if of is not None and (candidate.named_by is None or self._is_former(candidate.named_by)):
            candidate.named_by = of
        if now and not candidate.busy:
            candidate.due = trio.current_time()
            candidate.failures = 0
            self._wake.set()

    def _forget_worst(self) -> bool:
        """Drop the address that is the least likely to answer; return whether there is one."""
        connected = self._connected()
        failing = [
            item
            for item in self.candidates.values()
            if (item.failures or item.last_error is not None)
            and not (item.kept or item.busy or item.device in connected)
        ]
        if not failing:
            return False
        # An address where a member has answered once is worth more than one where nobody did.
        worst = max(failing, key=lambda item: (item.device is None, item.failures))
        del self.candidates[worst.host, worst.port]
        return True

    def call_all(self) -> None:
        """Call everybody at once: the network changed, or the machine woke."""
        for candidate in self.candidates.values():
            if not candidate.busy:
                candidate.due = trio.current_time()
                candidate.failures = 0
        self._wake.set()

    async def run(self) -> None:
        """Call whoever is due, for ever."""
        async with trio.open_nursery() as nursery:
            while True:
                now = trio.current_time()
                if not self._may_call():
                    # Looked at again every now and then: it may be admitted anew, or claimed.
                    with trio.move_on_after(_REST_S):
                        await self._wake.wait()
                        self._wake = trio.Event()
                    if self._may_call():
                        self.call_all()
                    continue
                for candidate in self._due(now):
                    candidate.busy = True
                    nursery.start_soon(self._call, candidate)
                waits = [c.due for c in self.candidates.values() if not c.busy]
                with trio.move_on_at(max(min(waits, default=now + 3600), now + 0.05)):
                    await self._wake.wait()
                    self._wake = trio.Event()

    def _due(self, now: float) -> Iterable[Candidate]:
        busy = sum(1 for candidate in self.candidates.values() if candidate.busy)
        connected = self._connected()
        for candidate in sorted(self.candidates.values(), key=lambda item: item.due):
            if candidate.busy or candidate.due > now:
                continue
            if candidate.seen_off and self._is_over(candidate):
                candidate.due = now + self._backoff.wait_s(_SELDOM, 1.0)
                continue
            if (candidate.device or candidate.named_by) in connected:
                candidate.due = now + self._backoff.wait_s(3, self._chance())
                continue
            if busy < CONCURRENT + len(connected):
                busy += 1
                yield candidate

    def _is_over(self, candidate: Candidate) -> bool:
        """Return whether an address is that of former members, as far as anything is known of it."""
        known = {candidate.device, candidate.named_by} - {None}
        return bool(known) and all(who is not None and self._is_former(who) for who in known)

    def _failed(self, candidate: Candidate, why: str) -> None:
        candidate.failures += 1
        candidate.last_error = why
        self._tell("dial_failed", {"address": candidate.host, "why": why})

    async def _call(self, candidate: Candidate) -> None:
        async with trio.open_nursery() as nursery:
            try:
                connection = await self._dial(nursery, candidate.host, candidate.port)
                candidate.last_error = None
                candidate.device = self._device_of(connection.peer_key)
                refusals, since = candidate.failures + 1, trio.current_time()
                candidate.failures = 0
                try:
                    if candidate.device in self._connected() or await self._use(connection):
                        refusals = 0
                finally:
                    await connection.aclose()
                was_long = trio.current_time() - since > LONG_S
                candidate.failures = min(refusals, 1) if was_long else refusals
            except SelfDialError:
                candidate.failures = _SELDOM
            except LeaderlessError as error:
                self._failed(candidate, error.message)
            except UnicodeError:
                # Members name their addresses: the resolver cannot even ask for some.
                self._failed(candidate, "this can be no name of a host")
            nursery.cancel_scope.cancel()
        candidate.busy = False
        candidate.seen_off = self._is_over(candidate)
        candidate.due = trio.current_time() + self._backoff.wait_s(
            candidate.failures, self._chance()
        )
        self._wake.set()

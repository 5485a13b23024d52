"""Comparing all that two devices hold, on one link: asking, and answering.

Whoever answers lays out what it holds once, at the first question, and keeps that for a while: the
asker comes back with smaller ranges. One question at a time is answered on a link, and however often
a peer begins anew, laying out takes but a share of the time.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import trio

from leaderless.errors import TimedOutError, UsageError
from leaderless.protocol import codec
from leaderless.protocol.errors import ProtocolError
from leaderless.protocol.messages import Compare, Compared
from leaderless.protocol.reconcile import WHOLE, Inventory, Range, Reconciliation
from leaderless.store.inventory import owned_items, shared_items
from leaderless.store.state import copies

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection as Database

    from leaderless.protocol.reconcile import Answer, Difference
    from leaderless.store.store import Store

ANSWER_S: Final = 300.0
"""A device that holds millions lays them out in some ten seconds for each, more if it is busy."""
KEPT_S: Final = 60.0
"""After the last question."""
FRESH_S: Final = 5.0
_REST: Final = 4.0
"""A question for everything is answered from what was laid out less than `FRESH_S` ago, or less than so
many times what that took: no peer can keep us at it for more than a fifth of the time."""


class OutOfTurnError(ProtocolError):
    """A peer asks before it was answered, or answers what was not asked."""

    code = "out_of_turn"


class Comparison(NamedTuple):
    """What was found to differ, and what it took."""

    differences: tuple[Difference, ...]
    is_cut_short: bool
    compared: int
    rounds: int
    payload_bytes: int


class Comparer:
    """The comparisons on one link; `send` puts a frame on its way."""

    def __init__(self, store: Store, send: Callable[[bytes], None]) -> None:
        self._store = store
        self._send = send
        self._held: Inventory | None = None
        self._answering = False
        self._fresh_until = self._kept_until = -math.inf
        self._is_kept = False
        self._answers: trio.MemorySendChannel[tuple[Compared, int]] | None = None

    # --- asking -----------------------------------------------------------------------------------

    async def compare(self) -> Comparison:
        """Compare with the peer. What changes while it runs may come out as different.

        Raises UsageError if that is being done already, TimedOutError, or OutOfTurnError for what
        is no answer.
        """
        if self._answers is not None:
            raise UsageError("these two devices are being compared already")
        sender, receiver = trio.open_memory_channel[tuple[Compared, int]](1)
        self._answers = sender
        try:
            with trio.fail_after(ANSWER_S):
                return await self._ask_all(receiver)
        except trio.TooSlowError as error:
            raise TimedOutError("the other device did not answer in time") from error
        except trio.EndOfChannel as error:
            raise TimedOutError("the connection was lost meanwhile") from error
        finally:
            self._answers = None

    async def _ask_all(
        self, answers: trio.MemoryReceiveChannel[tuple[Compared, int]]
    ) -> Comparison:
        held = await self._store.read(self._laid_out)
        asking = Reconciliation(held)
        size = 0
        while ranges := asking.ask():
            frame, sent = codec.encode_sized(Compare(ranges))
            self._send(frame)
            message, received = await answers.receive()
            size += sent + received
            try:
                await trio.to_thread.run_sync(asking.heard, message.answers)
            except ValueError as error:
                raise OutOfTurnError(str(error)) from error
        found = tuple(asking.differences)
        return Comparison(found, asking.is_cut_short, len(held), asking.rounds, size)

    def heard(self, message: Compared, size: int) -> None:
        """The peer answered with `size` payload bytes; raises OutOfTurnError if nothing was asked."""
        if self._answers is None:
            # What was asked may have been given up since: it is no answer to anything any more.
            return
        try:
            self._answers.send_nowait((message, size))
        except trio.WouldBlock as error:
            raise OutOfTurnError("more was answered than was asked") from error

    def close(self) -> None:
        """The link has ended: nobody answers any more."""
        if self._answers is not None:
            self._answers.close()

    # --- answering --------------------------------------------------------------------------------

    async def answer(self, message: Compare) -> None:
        """Answer what the peer asks, and keep what was laid out for its next question.

        Raises OutOfTurnError if it did not wait for the last answer.
        """
        if self._answering:
            raise OutOfTurnError("another question is still being answered")
        self._answering = True
        try:
            is_stale = trio.current_time() >= self._fresh_until
            if self._held is None or (is_stale and message.ranges == (Range(*WHOLE),)):
                self._held = None  # not both at once
                self._held = await self._lay_out()
            answers: tuple[Answer, ...] = await trio.to_thread.run_sync(
                self._held.answer, message.ranges
            )
            self._send(codec.encode(Compared(answers)))
        finally:
            self._answering = False
        self._kept_until = trio.current_time() + KEPT_S
        if not self._is_kept:
            await self._keep()

    async def _lay_out(self) -> Inventory:
        began = trio.current_time()
        held = await self._store.read(self._laid_out)
        ended = trio.current_time()
        self._fresh_until = ended + max(FRESH_S, _REST * (ended - began))
        return held

    async def _keep(self) -> None:
        """Stay until nothing was asked for a while, then forget: one such stay for all questions."""
        self._is_kept = True
        while True:
            await trio.sleep_until(self._kept_until)
            if self._answering:
                self._kept_until = trio.current_time() + KEPT_S
            elif trio.current_time() >= self._kept_until:
                break
        self._held, self._is_kept = None, False

    def _laid_out(self, database: Database) -> Inventory:
        registry = self._store.registry
        return Inventory(
            (item.model, item.uuid, item.data)
            for items in (
                *(owned_items(database, registry, copy) for copy in copies(database)),
                shared_items(database),
            )
            for item in items
        )

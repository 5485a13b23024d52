"""Where somebody may show a code, and trying a typed one there.

Anybody on the network can announce, and more than one code may be open: no answer but the right
one ends the search before its time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, TypeVar

import trio

from leaderless.errors import LeaderlessError, NotFoundError, UnreachableError
from leaderless.pairing.attempts import CodeRefusedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

BROWSE_S: Final = 10.0
"""How long a joiner looks for a device that shows a code."""
MAX_HINTS: Final = 64
"""Anybody on the network can announce; of more addresses than this the oldest are forgotten. As many
are tried with one code: each host that is asked has one guess at it, of 2^24."""

Address = tuple[str, int]
_T = TypeVar("_T")


class Hints:
    """Addresses where somebody may show a code; the newest stay."""

    def __init__(self) -> None:
        self._hints: dict[Address, None] = {}
        self._news = trio.Event()

    def add(self, host: str, port: int) -> None:
        """Take in an address."""
        self._hints.pop((host, port), None)
        self._hints[host, port] = None
        if len(self._hints) > MAX_HINTS:
            del self._hints[next(iter(self._hints))]
        self._news.set()
        self._news = trio.Event()

    def forget(self, address: Address) -> None:
        """Drop an address where nobody answers; it may be announced again."""
        self._hints.pop(address, None)

    def newest_first(self) -> list[Address]:
        """Return the addresses."""
        return list(reversed(self._hints))

    async def more(self) -> None:
        """Wait for the next hint."""
        await self._news.wait()


class _Search(Generic[_T]):
    """One code on its way round the network."""

    def __init__(self, hints: Hints, attempt: Callable[[Address], Awaitable[_T]]) -> None:
        self._hints = hints
        self._attempt = attempt
        self._tried: set[Address] = set()
        self._problems: list[LeaderlessError] = []
        self._found: list[_T] = []

    async def run(self) -> _T:
        async with trio.open_nursery() as nursery:
            with trio.move_on_after(BROWSE_S):
                while True:
                    for address in self._hints.newest_first():
                        if address not in self._tried and len(self._tried) < MAX_HINTS:
                            self._tried.add(address)
                            nursery.start_soon(self._try, address, nursery.cancel_scope)
                    await self._hints.more()
        if self._found:
            return self._found[0]
        raise self._problem()

    async def _try(self, address: Address, scope: trio.CancelScope) -> None:
        try:
            self._found.append(await self._attempt(address))
        except UnreachableError:
            self._hints.forget(address)
            self._tried.discard(address)
        except LeaderlessError as error:
            self._problems.append(error)
        else:
            scope.cancel()

    def _problem(self) -> LeaderlessError:
        """Return what a person can do something about: a refusal, before what strangers did."""
        refused = [error for error in self._problems if isinstance(error, CodeRefusedError)]
        nobody = NotFoundError(
            "no device that shows a code was found on this network",
            hint="run `leaderless pair` on the other device, or add --address HOST:PORT",
        )
        return next(iter([*refused, *self._problems]), nobody)


async def browse(hints: Hints, attempt: Callable[[Address], Awaitable[_T]]) -> _T:
    """Try every address that is announced within `BROWSE_S`; return what the first success gave.

    Raises CodeRefusedError if somebody refused the code, else what went wrong elsewhere, else
    NotFoundError.
    """
    return await _Search(hints, attempt).run()

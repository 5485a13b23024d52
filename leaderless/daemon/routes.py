"""The routes of the status socket: what is asked, and which room answers. See docs/api.md.

Here are those about the daemon and its members; those about the catalogue have a desk of their own.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import trio

from leaderless.daemon.held_up import explained
from leaderless.errors import NotPermittedError, TimedOutError
from leaderless.status.events import check_id
from leaderless.status.http import Answer, Request, Routes
from leaderless.status.report import report

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

    from leaderless.config import Config
    from leaderless.daemon.overview import Overview
    from leaderless.daemon.pairing_desk import PairingDesk
    from leaderless.status.events import Events
    from leaderless.status.report import View

    Handler = Callable[[Request], Awaitable[Answer]]

MAX_WAIT_S = 31_536_000
"""Somebody who waits for longer than a year asks again."""


class HasTable(Protocol):
    """A desk with routes of its own."""

    def table(self) -> dict[tuple[str, str], Handler]:
        """Return who answers what."""


@dataclass
class Desk:
    """The rooms that answer."""

    config: Config
    desks: Sequence[HasTable]
    overview: Overview
    pairing: PairingDesk
    events: Events
    changed: Callable[[], trio.Event]

    def routes(self) -> Routes:
        """Return the table of all routes, those of the other desks too."""
        others = {
            asked: explained(handler, self.overview.waits)
            for desk in self.desks
            for asked, handler in desk.table().items()
        }
        return Routes(
            {
                ("GET", "/v1/status"): self.status,
                ("POST", "/v1/acknowledge"): self.acknowledge,
                ("GET", "/v1/peers"): self.peers,
                ("GET", "/v1/config"): self.show_config,
                ("GET", "/v1/events"): self.follow_events,
                ("GET", "/v1/wait"): self.wait,
                ("POST", "/v1/pair"): self.pair,
                ("GET", "/v1/pair"): self.pair_state,
                ("DELETE", "/v1/pair"): self.pair_close,
                ("POST", "/v1/join"): self.join,
                **others,
            }
        )

    # --- about the daemon -------------------------------------------------------------------------

    async def status(self, _: Request) -> Answer:
        """Return the whole report."""
        return Answer(report(await self.overview.view()))

    async def acknowledge(self, _: Request) -> Answer:
        """Take in that a person has seen what has happened and is over; return the whole report."""
        await self.overview.acknowledge()
        return Answer(report(await self.overview.view()))

    async def peers(self, _: Request) -> Answer:
        """Return the other members alone."""
        return Answer({"peers": report(await self.overview.view())["peers"]})

    async def show_config(self, _: Request) -> Answer:
        """Return the options as they hold."""
        return Answer(
            {"options": self.config.options(), "file": str(self.config.paths.config_file)}
        )

    async def follow_events(self, request: Request) -> Answer:
        """Return events as they happen."""
        since = request.text("since")
        return Answer(stream=self._event_lines(None if since is None else check_id(since)))

    @trio.as_safe_channel
    async def _event_lines(self, since: str | None) -> AsyncGenerator[bytes, None]:
        async with self.events.follow(since) as events:
            async for event in events:
                yield json.dumps(event).encode() + b"\n"

    async def wait(self, request: Request) -> Answer:
        """Answer once every connected device is proved to be in sync, and there is one.

        `all` waits for every member, those that are away too. Refused where waiting is in vain: by a
        device that was revoked, or that another machine runs as, too.
        """
        everybody = request.text("all") is not None
        timeout_s = request.within("timeout_s", 3600, 0, MAX_WAIT_S)
        with trio.move_on_after(timeout_s):
            while True:
                changed = self.changed()
                view = await self.overview.view()
                _check_not_in_vain(view)
                waited_for = [peer for peer in view.peers if everybody or peer.connected]
                if view.writes and waited_for and all(peer.proved for peer in waited_for):
                    return Answer(report(view))
                await changed.wait()
        shown = report(await self.overview.view())
        raise TimedOutError(f"not in sync after {timeout_s} s. {shown['verdict']}")

    # --- members ----------------------------------------------------------------------------------

    async def pair(self, _: Request) -> Answer:
        """Open a pairing code."""
        return Answer(await self.pairing.show())

    async def pair_state(self, request: Request) -> Answer:
        """Return what became of the open code; `wait` waits up to a second for a change."""
        if request.text("wait") is not None:
            return Answer(await self.pairing.wait_change())
        return Answer(self.pairing.state())

    async def pair_close(self, _: Request) -> Answer:
        """Withdraw the open code."""
        self.pairing.close()
        return Answer()

    async def join(self, request: Request) -> Answer:
        """Join the library of the device that shows a code."""
        code, address = request.needed("code"), request.text("address")
        leaves = request.body.get("leave_edits") is True
        return Answer(await self.pairing.type_code(code, address, leaves_edits=leaves))


def _check_not_in_vain(view: View) -> None:
    """Raise NotPermittedError where nobody comes in sync with this device before a person acts."""
    for alert in view.warnings:
        if alert.code in ("REVOKED", "CLONED"):
            raise NotPermittedError(alert.text, hint=alert.hint)

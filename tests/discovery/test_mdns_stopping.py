"""Stopping does not wait for what the network takes its time for."""

from __future__ import annotations

import threading

import trio

from leaderless.discovery.base import HintKind
from leaderless.discovery.mdns import Mdns


class Slow:
    """A zeroconf whose announcing comes to no end by itself."""

    def __init__(self) -> None:
        self.announcing = trio.Event()
        self.closed = threading.Event()

    def register_service(self, _: object) -> None:
        """Announce until it is closed."""
        trio.from_thread.run_sync(self.announcing.set)
        self.closed.wait()

    def close(self) -> None:
        """End everything."""
        self.closed.set()


async def test_who_stops_while_it_announces_does_not_wait_for_the_network() -> None:
    """Announcing takes seconds; a service that stops has only as many."""
    slow = Slow()
    mdns = Mdns(slow, lambda: "name", lambda: ["192.0.2.1"])  # type: ignore[arg-type]
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(mdns.announce, HintKind.SYNC, 4747)
            await slow.announcing.wait()
            nursery.cancel_scope.cancel()
        await mdns.close()
    assert slow.closed.is_set()

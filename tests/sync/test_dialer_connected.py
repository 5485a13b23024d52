"""Whom a device does not call, as it is connected with it."""

from __future__ import annotations

import trio
import trio.testing

from tests.sync.test_dialer import Network, dialing


async def test_nobody_is_called_while_connected(autojump_clock: trio.testing.MockClock) -> None:
    """A device that is connected is not called at any of its addresses."""
    network = Network(answers={"a": b"A", "b": b"A"}, use_lasts_s=1_000)
    async with dialing(network) as dialer:
        dialer.suggest("a", 1)
        await trio.sleep(1)
        dialer.suggest("b", 1)
        await trio.sleep(900)
    assert network.used == [b"A"]
    assert (network.times("a"), network.times("b")) == ([0], [1])


async def test_who_called_us_is_not_called(autojump_clock: trio.testing.MockClock) -> None:
    """A device known to be at an address is left alone there while it has called us."""
    network = Network(answers={"a": b"A"})
    async with dialing(network) as dialer:
        dialer.suggest("a", 1)
        await trio.sleep(5.5)
        network.online[b"A"] = "inbound"
        await trio.sleep(500)
    assert network.times() == [0]


async def test_an_address_of_who_is_connected_is_not_called_though_nobody_ever_answered_there(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A device names all addresses that it has, and some are of other networks; later it is tried."""
    network = Network(online={b"peer": "elsewhere"})
    async with dialing(network) as dialer:
        dialer.suggest("a", 1, of=b"peer")
        await trio.sleep(600)
        assert network.calls == []
        del network.online[b"peer"]
        await trio.sleep(64)
        assert network.times()

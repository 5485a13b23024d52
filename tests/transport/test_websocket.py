"""The road of a local network: real TLS on loopback."""

from __future__ import annotations

import contextlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio

from leaderless.identity import Identity, load_or_create
from leaderless.protocol.limits import MAX_FRAME_BYTES
from leaderless.transport.base import (
    ConnectionLostError,
    DialError,
    FrameRefusedError,
    SelfDialError,
    UntrustedPeerError,
)
from leaderless.transport.tls import Trust
from leaderless.transport.websocket import WebSocketLink, dial, open_listener

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path


@pytest.fixture
def people(tmp_path: Path) -> list[Identity]:
    """Make three devices."""
    return [load_or_create(tmp_path / name) for name in ("anna", "ben", "eve")]


def trust(me: Identity, *members: Identity) -> Trust:
    """Return whom a device trusts."""
    return Trust(me, lambda: {item.fingerprint: item.certificate_der for item in members})


async def echo(link: WebSocketLink) -> None:
    """Send back whatever comes."""
    try:
        while True:
            await link.send(await link.receive())
    except (ConnectionLostError, FrameRefusedError):
        return


@asynccontextmanager
async def listening(
    server: Trust, handler: Callable[[WebSocketLink], Awaitable[None]] = echo
) -> AsyncIterator[tuple[int, trio.Nursery]]:
    """Listen on loopback, with a nursery for those who dial."""
    with trio.fail_after(30):
        async with (
            open_listener(server, "127.0.0.1", 0, handler) as listener,
            trio.open_nursery() as nursery,
        ):
            yield listener.port, nursery
            nursery.cancel_scope.cancel()


async def test_members_talk(people: list[Identity]) -> None:
    """Two members prove their keys to each other, and messages arrive whole."""
    anna, ben, _ = people
    async with listening(trust(anna, anna, ben)) as (port, nursery):
        link = await dial(nursery, trust(ben, anna, ben), "127.0.0.1", port)
        assert (link.peer_key, link.dialed) == (anna.public_key, True)
        for message in (b"", b"x", bytes(1 << 20)):
            await link.send(message)
            assert await link.receive() == message
        await link.aclose()
        with pytest.raises(ConnectionLostError):
            await link.send(b"late")


async def test_a_stranger_is_refused_before_a_word(people: list[Identity]) -> None:
    """Who is no member gets no connection, whatever it trusts itself."""
    anna, ben, eve = people
    reached = []

    async def handler(link: WebSocketLink) -> None:
        reached.append(link)

    async with listening(trust(anna, anna, ben), handler) as (port, nursery):
        with pytest.raises((UntrustedPeerError, DialError)):
            await dial(nursery, trust(eve, anna), "127.0.0.1", port)
        assert reached == []


async def test_a_member_does_not_talk_to_a_stranger(people: list[Identity]) -> None:
    """Who answers with a key that is no member's is left."""
    anna, ben, eve = people
    async with listening(trust(eve, eve, anna)) as (port, nursery):
        with pytest.raises(UntrustedPeerError):
            await dial(nursery, trust(anna, ben), "127.0.0.1", port)


async def test_a_removed_member_is_refused(people: list[Identity]) -> None:
    """Trust follows the membership: what held a moment ago does not hold now."""
    anna, ben, _ = people
    members = [anna, ben]
    server = Trust(anna, lambda: {item.fingerprint: item.certificate_der for item in members})
    async with listening(server) as (port, nursery):
        link = await dial(nursery, trust(ben, anna), "127.0.0.1", port)
        await link.aclose()
        members.remove(ben)
        with pytest.raises((UntrustedPeerError, DialError)):
            await dial(nursery, trust(ben, anna), "127.0.0.1", port)


async def test_a_device_does_not_talk_to_itself(people: list[Identity]) -> None:
    """A dial that reaches ourselves is named."""
    anna, *_ = people
    async with listening(trust(anna, anna)) as (port, nursery):
        with pytest.raises(SelfDialError):
            await dial(nursery, trust(anna, anna), "127.0.0.1", port)


async def test_nobody_at_the_address_is_named(people: list[Identity]) -> None:
    """A port where nobody listens gives a DialError."""
    anna, ben, _ = people
    async with listening(trust(anna)) as (port, nursery):
        pass
    async with trio.open_nursery() as nursery:
        with pytest.raises(DialError):
            await dial(nursery, trust(anna, ben), "127.0.0.1", port)


async def test_a_message_over_the_limit_ends_the_connection(people: list[Identity]) -> None:
    """A message that is too large is refused by name, before it is whole."""
    anna, ben, _ = people
    refused = trio.Event()

    async def handler(link: WebSocketLink) -> None:
        with pytest.raises(FrameRefusedError):
            await link.receive()
        refused.set()

    async with listening(trust(anna, anna, ben), handler) as (port, nursery):
        link = await dial(nursery, trust(ben, anna), "127.0.0.1", port)
        async with contextlib.aclosing(link):
            with contextlib.suppress(ConnectionLostError):
                await link.send(bytes(MAX_FRAME_BYTES + 1))
            await refused.wait()


async def test_text_is_refused(people: list[Identity]) -> None:
    """Messages are bytes."""
    anna, ben, _ = people
    async with listening(trust(anna, anna, ben)) as (port, nursery):
        link = await dial(nursery, trust(ben, anna), "127.0.0.1", port)

        async with contextlib.aclosing(link):
            await link._socket.send_message("text")
            with pytest.raises((ConnectionLostError, FrameRefusedError)):
                await link.receive()


async def test_a_silent_stranger_is_dropped(people: list[Identity], autojump_clock: object) -> None:
    """Who connects and says nothing is dropped once its time for TLS is over."""
    anna, *_ = people
    async with open_listener(trust(anna), "127.0.0.1", 0, echo) as listener:
        stream = await trio.open_tcp_stream("127.0.0.1", listener.port)
        async with stream:
            assert await stream.receive_some(1) == b""

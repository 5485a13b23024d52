"""The road of a local network: real TLS on loopback."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from contextlib import asynccontextmanager
from functools import partial
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
from leaderless.transport.websocket import (
    HANDSHAKE_S,
    MAX_PENDING,
    MAX_PENDING_PER_ADDRESS,
    WebSocketLink,
    dial,
    open_listener,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

AT_ONCE_S = HANDSHAKE_S / 2
"""Less than a dial has for an answer: who is refused is not to wait for it."""
_UPGRADE = (
    b"GET /sync/1 HTTP/1.1\r\nHost: leaderless\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


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
        with pytest.raises(DialError), trio.fail_after(AT_ONCE_S):
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
        with pytest.raises(DialError), trio.fail_after(AT_ONCE_S):
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
            with pytest.raises(ConnectionLostError):
                await link.receive()


async def test_a_silent_stranger_is_dropped(people: list[Identity], autojump_clock: object) -> None:
    """Who connects and says nothing is dropped once its time for TLS is over."""
    anna, *_ = people
    async with open_listener(trust(anna), "127.0.0.1", 0, echo) as listener:
        stream = await trio.open_tcp_stream("127.0.0.1", listener.port)
        async with stream:
            assert await stream.receive_some(1) == b""


def reset(tcp: trio.SocketStream) -> None:
    """Have a connection end with a reset instead of a farewell."""
    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def test_a_caller_that_is_gone_at_once_harms_nobody(people: list[Identity]) -> None:
    """Connections that are reset before anybody looks at them leave the listener working."""
    anna, ben, _ = people
    async with listening(trust(anna, anna, ben)) as (port, nursery):
        for _ in range(20):
            with socket.socket() as caller:
                caller.connect(("127.0.0.1", port))
                caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        link = await dial(nursery, trust(ben, anna), "127.0.0.1", port)
        await link.aclose()


@pytest.mark.parametrize(
    "words",
    [
        b"\x00\xff" * 100,
        b"GET / HTTP/1.1\r\n\r\n",
        _UPGRADE.replace(b"/sync/1", b"/other"),
        _UPGRADE.replace(b"Version: 13", b"Version: 99"),
        _UPGRADE + b"\x8f\x80\x00\x00\x00\x00",
    ],
    ids=["noise", "no upgrade", "another path", "another version", "a reserved opcode"],
)
async def test_a_member_that_speaks_nonsense_harms_nobody(
    people: list[Identity], words: bytes
) -> None:
    """What breaks HTTP or WebSocket, then a reset, ends that connection and no other."""
    anna, ben, _ = people
    async with listening(trust(anna, anna, ben)) as (port, nursery):
        tcp = await trio.open_tcp_stream("127.0.0.1", port)
        stream = trio.SSLStream(tcp, trust(ben, anna).client(), https_compatible=True)
        await stream.do_handshake()
        await stream.send_all(words)
        with contextlib.suppress(trio.BrokenResourceError), trio.move_on_after(1):
            await stream.receive_some()
        reset(tcp)
        await trio.aclose_forcefully(stream)
        link = await dial(nursery, trust(ben, anna), "127.0.0.1", port)
        await link.aclose()


@asynccontextmanager
async def answering(server: Trust, answer: bytes) -> AsyncIterator[tuple[int, trio.Nursery]]:
    """Take calls with TLS, read the request, and answer it with the same bytes always."""

    async def serve(tcp: trio.SocketStream) -> None:
        stream = trio.SSLStream(tcp, server.server(), server_side=True, https_compatible=True)
        with contextlib.suppress(trio.BrokenResourceError, ssl.SSLError):
            await stream.do_handshake()
            await stream.receive_some()
            await stream.send_all(answer)
        await trio.aclose_forcefully(stream)

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            listeners: list[trio.SocketListener] = await nursery.start(
                partial(trio.serve_tcp, serve, 0, host="127.0.0.1")
            )
            yield listeners[0].socket.getsockname()[1], nursery
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno",
        b"\x00\x01 nonsense",
    ],
    ids=["nothing", "404", "403 with words", "noise"],
)
async def test_a_refusal_is_named_at_once(people: list[Identity], answer: bytes) -> None:
    """A member that does not take our protocol gives a DialError, without waiting for more."""
    anna, ben, _ = people
    async with answering(trust(anna, anna, ben), answer) as (port, nursery):
        with pytest.raises(DialError), trio.fail_after(AT_ONCE_S):
            await dial(nursery, trust(ben, anna), "127.0.0.1", port)


async def test_who_speaks_no_tls_is_a_dial_error(people: list[Identity]) -> None:
    """An address where another service answers says nothing about membership."""
    anna, ben, _ = people

    async def serve(stream: trio.SocketStream) -> None:
        await stream.send_all(b"220 mail.example ESMTP\r\n")
        await stream.receive_some()

    async with trio.open_nursery() as nursery:
        listeners: list[trio.SocketListener] = await nursery.start(
            partial(trio.serve_tcp, serve, 0, host="127.0.0.1")
        )
        port = listeners[0].socket.getsockname()[1]
        with pytest.raises(DialError), trio.fail_after(AT_ONCE_S):
            await dial(nursery, trust(ben, anna), "127.0.0.1", port)
        nursery.cancel_scope.cancel()


async def test_a_server_that_stays_silent_is_given_up(
    people: list[Identity], autojump_clock: object
) -> None:
    """Who accepts a connection and says nothing gives a DialError when its time is over."""
    anna, ben, _ = people

    async def serve(_: trio.SocketStream) -> None:
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        listeners: list[trio.SocketListener] = await nursery.start(
            partial(trio.serve_tcp, serve, 0, host="127.0.0.1")
        )
        port = listeners[0].socket.getsockname()[1]
        with pytest.raises(DialError, match="did not answer"):
            await dial(nursery, trust(ben, anna), "127.0.0.1", port)
        nursery.cancel_scope.cancel()


async def _is_turned_away(port: int, source: str = "127.0.0.1") -> bool:
    """Connect from an address, and return whether the listener hung up before any word."""
    tcp = await trio.open_tcp_stream("127.0.0.1", port, local_address=source)
    async with tcp:
        with trio.move_on_after(1):
            try:
                return await tcp.receive_some(1) == b""
            except trio.BrokenResourceError:
                return True
    return False


async def _silent(nursery: trio.Nursery, port: int, source: str) -> None:
    """Hold a connection from an address open, and say nothing on it."""

    async def hold(
        tcp: trio.SocketStream, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        async with tcp:
            task_status.started()
            await trio.sleep_forever()

    await nursery.start(hold, await trio.open_tcp_stream("127.0.0.1", port, local_address=source))


async def test_strangers_of_one_address_are_capped(people: list[Identity]) -> None:
    """One more silent connection than an address may have is turned away; others get in."""
    anna, ben, _ = people
    async with listening(trust(anna, anna, ben)) as (port, nursery):
        for _ in range(MAX_PENDING_PER_ADDRESS):
            await _silent(nursery, port, "127.0.0.2")
        assert await _is_turned_away(port, "127.0.0.2")
        link = await dial(nursery, trust(ben, anna), "127.0.0.1", port)
        await link.aclose()


async def test_strangers_are_capped_in_all(people: list[Identity]) -> None:
    """However many addresses they come from, only so many may be silent at one time."""
    anna, ben, _ = people
    async with listening(trust(anna, anna, ben)) as (port, nursery):
        for number in range(MAX_PENDING):
            await _silent(nursery, port, f"127.0.1.{1 + number // MAX_PENDING_PER_ADDRESS}")
        assert await _is_turned_away(port, "127.0.2.1")
        with pytest.raises(DialError):
            await dial(nursery, trust(ben, anna), "127.0.0.1", port)


async def test_members_do_not_count_as_strangers(people: list[Identity]) -> None:
    """Connections that have proved themselves leave the places of strangers free."""
    anna, ben, _ = people
    async with (
        listening(trust(anna, anna, ben)) as (port, nursery),
        contextlib.AsyncExitStack() as stack,
    ):
        for _ in range(MAX_PENDING_PER_ADDRESS + 1):
            link = await dial(nursery, trust(ben, anna), "127.0.0.1", port)
            await stack.enter_async_context(contextlib.aclosing(link))
            await link.send(b"x")
            assert await link.receive() == b"x"

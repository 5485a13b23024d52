"""WebSocket over mutual TLS 1.3: the road of a local network.

Each limit here, and the attack it bounds: a stranger can open connections and stay silent, so TLS,
upgrade and pins have `HANDSHAKE_S` in all, and at most `MAX_PENDING` connections (of one address
`MAX_PENDING_PER_ADDRESS`) may be in that state; a member can send anything, so a message has a
largest size and only bytes count.
"""

from __future__ import annotations

import ssl
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import trio
from trio_websocket import (
    ConnectionClosed,
    HandshakeError,
    WebSocketConnection,
    wrap_client_stream,
    wrap_server_stream,
)

from leaderless.protocol.limits import MAX_FRAME_BYTES
from leaderless.transport.base import (
    ConnectionLostError,
    DialError,
    FrameRefusedError,
    SelfDialError,
    UntrustedPeerError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from leaderless.transport.tls import Trust

HANDSHAKE_S: Final = 10.0
CONNECT_S: Final = 5.0
CLOSE_S: Final = 2.0
MAX_PENDING: Final = 32
MAX_PENDING_PER_ADDRESS: Final = 8
_PATH: Final = "/sync/1"
_RECEIVE_BYTES: Final = 256 << 10
_BROKEN = (trio.BrokenResourceError, trio.ClosedResourceError, ssl.SSLError, OSError)


class WebSocketLink:
    """A connection on this road; made by `dial` and `open_listener`."""

    def __init__(
        self,
        socket: WebSocketConnection,
        stream: trio.SSLStream[trio.SocketStream],
        peer_key: bytes,
        address: str,
        *,
        dialed: bool,
    ) -> None:
        self._socket = socket
        self._stream = stream
        self.peer_key = peer_key
        self.address = address
        self.dialed = dialed

    async def send(self, data: bytes) -> None:
        """Send one message."""
        try:
            await self._socket.send_message(data)
        except (ConnectionClosed, *_BROKEN) as error:
            raise ConnectionLostError(f"{self.address} is gone") from error

    async def receive(self) -> bytes:
        """Return the next message."""
        try:
            message = await self._socket.get_message()
        except ConnectionClosed as closed:
            if closed.reason is not None and closed.reason.code == 1009:
                raise FrameRefusedError(
                    f"{self.address} sent a message that is too large"
                ) from None
            raise ConnectionLostError(f"{self.address} is gone") from None
        if isinstance(message, str):
            raise FrameRefusedError(f"{self.address} sent text; messages are bytes")
        return message

    async def aclose(self) -> None:
        """Close politely if that is quick, at once otherwise."""
        with trio.CancelScope(shield=True, deadline=trio.current_time() + CLOSE_S):
            await self._socket.aclose()
        with trio.CancelScope(shield=True):
            await trio.aclose_forcefully(self._stream)


async def dial(nursery: trio.Nursery, trust: Trust, host: str, port: int) -> WebSocketLink:
    """Call a member at an address; `nursery` carries the connection's reader until it is closed.

    Raises DialError, SelfDialError or UntrustedPeerError. Returns once the other side has accepted
    us: in TLS 1.3 a refused client only learns of it with its first read.
    """
    address = _text(host, port)
    try:
        with trio.fail_after(CONNECT_S):
            tcp = await trio.open_tcp_stream(host, port)
    except (OSError, trio.TooSlowError) as error:
        raise DialError(f"nobody answers at {address}") from error
    tcp.setsockopt(trio.socket.IPPROTO_TCP, trio.socket.TCP_NODELAY, 1)
    stream = trio.SSLStream(tcp, trust.client(), https_compatible=True)
    established = False
    try:
        with trio.fail_after(HANDSHAKE_S):
            await stream.do_handshake()
            key = trust.proved_key(stream.getpeercert(binary_form=True))
            if key == trust.identity.public_key:
                raise SelfDialError(f"{address} is this device itself")
            socket = await wrap_client_stream(
                nursery,
                stream,
                "leaderless",
                _PATH,
                max_message_size=MAX_FRAME_BYTES,
                receive_buffer_size=_RECEIVE_BYTES,
            )
            if socket.closed is not None:
                raise DialError(f"{address} does not speak our protocol")
        established = True
        return WebSocketLink(socket, stream, key, address, dialed=True)
    except trio.TooSlowError as error:
        raise DialError(f"{address} did not answer in {HANDSHAKE_S:.0f} s") from error
    except (ssl.SSLCertVerificationError, trio.BrokenResourceError, ssl.SSLError) as error:
        raise UntrustedPeerError(f"{address} is no member, or takes us for none") from error
    except (HandshakeError, ConnectionClosed, OSError) as error:
        raise DialError(f"{address} ended the connection") from error
    finally:
        if not established:
            await trio.aclose_forcefully(stream)


@dataclass(frozen=True)
class Listener:
    """Where we can be called."""

    port: int


@asynccontextmanager
async def open_listener(
    trust: Trust,
    host: str,
    port: int,
    handler: Callable[[WebSocketLink], Awaitable[None]],
) -> AsyncIterator[Listener]:
    """Take calls of members; `handler` has each connection for as long as it runs.

    Port 0 takes any. An empty host means every address of this machine.
    """
    listeners = await trio.open_tcp_listeners(port, host=host or None)
    pending: Counter[str] = Counter()
    async with trio.open_nursery() as nursery:
        serve = partial(_take, trust, handler, pending)
        await nursery.start(partial(trio.serve_listeners, serve, listeners))
        try:
            yield Listener(listeners[0].socket.getsockname()[1])
        finally:
            nursery.cancel_scope.cancel()


async def _take(
    trust: Trust,
    handler: Callable[[WebSocketLink], Awaitable[None]],
    pending: Counter[str],
    tcp: trio.SocketStream,
) -> None:
    host, port = tcp.socket.getpeername()[:2]
    if pending.total() >= MAX_PENDING or pending[host] >= MAX_PENDING_PER_ADDRESS:
        await trio.aclose_forcefully(tcp)
        return
    tcp.setsockopt(trio.socket.IPPROTO_TCP, trio.socket.TCP_NODELAY, 1)
    stream = trio.SSLStream(tcp, trust.server(), server_side=True, https_compatible=True)
    async with trio.open_nursery() as nursery:
        pending[host] += 1
        try:
            link = await _upgrade(nursery, trust, stream, _text(host, port))
        finally:
            pending[host] -= 1
            pending += Counter()  # forgets addresses that have none
        if link is not None:
            try:
                await handler(link)
            finally:
                await link.aclose()
        await trio.aclose_forcefully(stream)
        nursery.cancel_scope.cancel()


async def _upgrade(
    nursery: trio.Nursery, trust: Trust, stream: trio.SSLStream[trio.SocketStream], address: str
) -> WebSocketLink | None:
    """Return the connection of a member, or None: a stranger is told nothing, not even why."""
    try:
        with trio.fail_after(HANDSHAKE_S):
            await stream.do_handshake()
            key = trust.proved_key(stream.getpeercert(binary_form=True))
            request = await wrap_server_stream(
                nursery,
                stream,
                max_message_size=MAX_FRAME_BYTES,
                receive_buffer_size=_RECEIVE_BYTES,
            )
            if request.path != _PATH:
                await request.reject(404)
                return None
            socket = await request.accept()
    except (trio.TooSlowError, UntrustedPeerError, HandshakeError, ConnectionClosed, *_BROKEN):
        return None
    return WebSocketLink(socket, stream, key, address, dialed=False)


def _text(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

"""WebSocket over mutual TLS 1.3: the road of a local network.

Each limit here, and the attack it bounds: a stranger can open connections and stay silent, so TLS,
upgrade and pins have `HANDSHAKE_S` in all, and at most `MAX_PENDING` connections (of one address
`MAX_PENDING_PER_ADDRESS`) may be in that state; a member can send anything, so a message has a
largest size and only bytes count.
"""

from __future__ import annotations

import contextlib
import ssl
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

import structlog
import trio
from trio_websocket import (
    ConnectionClosed,
    WebSocketConnection,
    wrap_client_stream,
    wrap_server_stream,
)
from wsproto.utilities import LocalProtocolError

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
# LocalProtocolError: the other side broke the protocol, and nothing can be said after that.
_ENDED = (ConnectionClosed, LocalProtocolError, *_BROKEN)
_T = TypeVar("_T")


class _Reader:
    """Carries the task that reads for a socket, in place of the nursery that trio-websocket asks.

    That library lets a handshake wait for ever when its stream ends, and lets what it meets in a
    peer's bytes out of the reading task. Here the end of the reader ends the wait, and is the end
    of its own connection alone.
    """

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._waiting = trio.CancelScope()

    def start_soon(self, read: Callable[[], Awaitable[None]]) -> None:
        """Start the task that reads."""
        self._nursery.start_soon(self._run, read)

    async def _run(self, read: Callable[[], Awaitable[None]]) -> None:
        try:
            await read()
        except Exception as error:  # noqa: BLE001 - a peer's bytes reach code that is not ours
            structlog.get_logger().debug("reader_failed", exc_info=error)
        finally:
            self._waiting.cancel()

    async def unless_it_ends(self, handshake: Awaitable[_T]) -> _T:
        """Return the outcome of a handshake; raises ConnectionLostError once the reader ends."""
        with self._waiting:
            return await handshake
        raise ConnectionLostError("the connection ended before an answer")


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
        except _ENDED as error:
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
        with (
            trio.CancelScope(shield=True, deadline=trio.current_time() + CLOSE_S),
            contextlib.suppress(*_ENDED),
        ):
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
            reader = _Reader(nursery)
            socket = await reader.unless_it_ends(
                wrap_client_stream(
                    reader,  # type: ignore[arg-type]
                    stream,
                    "leaderless",
                    _PATH,
                    max_message_size=MAX_FRAME_BYTES,
                    receive_buffer_size=_RECEIVE_BYTES,
                )
            )
            if socket.closed is not None:
                raise DialError(f"{address} does not speak our protocol")
        established = True
        return WebSocketLink(socket, stream, key, address, dialed=True)
    except trio.TooSlowError as error:
        raise DialError(f"{address} did not answer in {HANDSHAKE_S:.0f} s") from error
    except (trio.BrokenResourceError, ssl.SSLError) as error:
        if isinstance(error.__cause__ or error, ssl.SSLCertVerificationError):
            raise UntrustedPeerError(f"{address} is no member") from error
        raise DialError(f"{address} ended the connection: full, or of another kind") from error
    except (ConnectionLostError, OSError) as error:
        text = f"{address} ended the connection without a word; it may take us for no member"
        raise DialError(text) from error
    finally:
        if not established:
            await trio.aclose_forcefully(stream)


@dataclass(frozen=True)
class Listener:
    """Where we can be called."""

    port: int


@contextlib.asynccontextmanager
async def open_listener(
    trust: Trust,
    host: str,
    port: int,
    handler: Callable[[WebSocketLink], Awaitable[object]],
) -> AsyncIterator[Listener]:
    """Take calls of those who are trusted; `handler` has each connection for as long as it runs.

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
    handler: Callable[[WebSocketLink], Awaitable[object]],
    pending: Counter[str],
    tcp: trio.SocketStream,
) -> None:
    try:
        host, port = tcp.socket.getpeername()[:2]
    except OSError:
        return  # it is gone already
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
    """Return the connection of somebody trusted, or None: a stranger is told nothing, not even why."""
    try:
        with trio.fail_after(HANDSHAKE_S):
            await stream.do_handshake()
            key = trust.proved_key(stream.getpeercert(binary_form=True))
            reader = _Reader(nursery)
            request = await reader.unless_it_ends(
                wrap_server_stream(
                    reader,  # type: ignore[arg-type]
                    stream,
                    max_message_size=MAX_FRAME_BYTES,
                    receive_buffer_size=_RECEIVE_BYTES,
                )
            )
            if request.path != _PATH:
                await request.reject(404)
                return None
            socket = await request.accept()
    except (trio.TooSlowError, UntrustedPeerError, ConnectionLostError, *_ENDED):
        return None
    return WebSocketLink(socket, stream, key, address, dialed=False)


def _text(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

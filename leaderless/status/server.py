"""HTTP/1.1 over a unix socket that only its owner can open.

Limits, and what they bound: a body has `MAX_BODY_BYTES`, a request `REQUEST_S` to arrive, and at most
`MAX_CONNECTIONS` are open. A request with Origin or Referer comes from a web page that found a way
to the socket: it is refused.
"""

from __future__ import annotations

import os
import select
import socket
import struct
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

import h11
import structlog
import trio

from leaderless.errors import LeaderlessError
from leaderless.status.http import Answer, Request, error_answer, parse_request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from leaderless.status.http import Routes

MAX_BODY_BYTES: Final = 1 << 20
MAX_CONNECTIONS: Final = 64
REQUEST_S: Final = 10.0
IDLE_S: Final = 60.0
_OVERFLOW_UID: Final = 65_534
"""What the kernel says of a peer from outside our user namespace (PrivateUsers)."""


class SocketTakenError(LeaderlessError):
    """Another daemon answers at the socket."""

    code = "socket_taken"


@asynccontextmanager
async def serve_status(path: Path, routes: Routes) -> AsyncIterator[None]:
    """Answer at a unix socket while it is open; the socket's file goes with it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    await _remove_stale(path)
    listener = trio.SocketListener(_bind(path))
    connections = trio.CapacityLimiter(MAX_CONNECTIONS)
    async with trio.open_nursery() as nursery:
        serve = partial(_serve, routes, connections)
        await nursery.start(partial(trio.serve_listeners, serve, [listener]))
        try:
            yield
        finally:
            nursery.cancel_scope.cancel()
            _remove(path)


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


async def _remove_stale(path: Path) -> None:
    if not await trio.Path(path).exists():
        return
    try:
        stream = await trio.open_unix_socket(os.fspath(path))
    except OSError:
        await trio.Path(path).unlink(missing_ok=True)
        return
    await stream.aclose()
    raise SocketTakenError(f"a daemon is running already: it answers at {path}")


def _bind(path: Path) -> trio.socket.SocketType:
    listener = trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_STREAM)
    stdlib = socket.socket(fileno=os.dup(listener.fileno()))
    # The mode has to be right from the moment the file exists.
    before = os.umask(0o177)
    try:
        stdlib.bind(os.fspath(path))
    finally:
        os.umask(before)
    stdlib.listen(MAX_CONNECTIONS)
    stdlib.close()
    return listener


def may_ask(uid: int, own: int) -> bool:
    """Return whether a process of user `uid` is answered by a daemon of user `own`."""
    return uid in (own, 0, _OVERFLOW_UID)


def _uid_of(stream: trio.SocketStream) -> int:
    raw = stream.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", raw)[1])


async def _serve(
    routes: Routes, connections: trio.CapacityLimiter, stream: trio.SocketStream
) -> None:
    async with stream:
        try:
            connections.acquire_on_behalf_of_nowait(stream)
        except trio.WouldBlock:
            return
        try:
            if may_ask(_uid_of(stream), os.geteuid()):
                await _Conversation(routes, stream).run()
        except* (trio.BrokenResourceError, trio.ClosedResourceError, h11.LocalProtocolError):
            pass  # whoever asked is gone, perhaps in the middle of a stream
        except* Exception as errors:  # noqa: BLE001 - a stream that breaks must not end the daemon
            structlog.get_logger().error("answer_failed", exc_info=errors)
        finally:
            connections.release_on_behalf_of(stream)


class _Conversation:
    """Requests and answers on one connection."""

    def __init__(self, routes: Routes, stream: trio.SocketStream) -> None:
        self._routes = routes
        self._stream = stream
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=64 << 10)

    async def run(self) -> None:
        """Answer until the other side leaves or something is wrong."""
        while True:
            try:
                with trio.move_on_after(IDLE_S) as idle:
                    request = await self._next_event()
                if idle.cancelled_caught or not isinstance(request, h11.Request):
                    return
                with trio.move_on_after(REQUEST_S) as slow:
                    body = await self._body()
            except h11.RemoteProtocolError as error:
                await self._send(error_answer(error.error_status_hint, "http", str(error)))
                return
            if slow.cancelled_caught:
                await self._send(error_answer(408, "too_slow", "the request came too slowly"))
                return
            if request.method == b"GET":
                await self._answer_while_there(request, body)
            else:
                await self._send(await self._answer(request, body))
            if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
                return
            self._http.start_next_cycle()

    async def _answer_while_there(self, request: h11.Request, body: bytes | None) -> None:
        """Answer what changes nothing; stop if whoever asked leaves, as some answers take hours."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._notice_leaving, nursery.cancel_scope)
            await self._send(await self._answer(request, body))
            nursery.cancel_scope.cancel()

    async def _notice_leaving(self, scope: trio.CancelScope) -> None:
        await trio.lowlevel.wait_readable(self._stream.socket)
        poll = select.poll()
        poll.register(self._stream.socket, 0)
        # POLLHUP is said of a connection that is closed both ways: who only sends no more still reads.
        if any(event & select.POLLHUP for _, event in poll.poll(0)):
            scope.cancel()

    async def _answer(self, request: h11.Request, body: bytes | None) -> Answer:
        names = {name for name, _ in request.headers}
        if body is None:
            return error_answer(413, "too_large", f"a body has at most {MAX_BODY_BYTES} bytes")
        if names & {b"origin", b"referer"}:
            return error_answer(403, "not_permitted", "web pages may not ask here")
        try:
            method, target = request.method.decode("ascii"), request.target.decode("ascii")
            asked: Request = parse_request(method, target, body)
        except (LeaderlessError, UnicodeDecodeError) as error:
            return error_answer(400, "usage", str(error))
        return await self._routes.answer(asked)

    async def _next_event(self) -> object:
        while True:
            event = self._http.next_event()
            if event is not h11.NEED_DATA:
                return event
            if self._http.they_are_waiting_for_100_continue:
                go_on = h11.InformationalResponse(status_code=100, headers=[])
                await self._write(self._http.send(go_on))
            self._http.receive_data(await self._stream.receive_some(64 << 10))

    async def _body(self) -> bytes | None:
        """Return the body, or None if it is too large."""
        body = bytearray()
        while True:
            event = await self._next_event()
            if isinstance(event, h11.Data):
                body += event.data
                if len(body) > MAX_BODY_BYTES:
                    return None
            elif isinstance(event, h11.EndOfMessage):
                return bytes(body)
            else:
                return bytes(body)

    async def _write(self, data: bytes | None) -> None:
        if data:
            await self._stream.send_all(data)

    async def _send(self, answer: Answer) -> None:
        if self._http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return
        if answer.stream is None:
            body = answer.body()
            headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
            await self._write(
                (self._http.send(h11.Response(status_code=answer.status, headers=headers)) or b"")
                + (self._http.send(h11.Data(data=body)) or b"")
                + (self._http.send(h11.EndOfMessage()) or b"")
            )
            return
        headers = [("Content-Type", "application/x-ndjson"), ("Transfer-Encoding", "chunked")]
        await self._write(self._http.send(h11.Response(status_code=answer.status, headers=headers)))
        async with answer.stream as chunks:
            async for chunk in chunks:
                await self._write(self._http.send(h11.Data(data=chunk)))
        await self._write(self._http.send(h11.EndOfMessage()))

"""The side that shows the code: an endpoint of its own, open only while the code lives."""

from __future__ import annotations

import ssl
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import trio

from leaderless.errors import LeaderlessError
from leaderless.identity import certificate_key
from leaderless.pairing.attempts import CodeRefusedError
from leaderless.pairing.exchange import REFUSED, Exchange
from leaderless.pairing.wire import STEP_S, Wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from leaderless.identity import Identity
    from leaderless.pairing.attempts import OpenCode

MAX_WAITING = 8
"""Strangers may connect while one pairing runs; more than these are turned away at once."""


@dataclass(frozen=True)
class Joiner:
    """Somebody who has proved the code: its certificate, its key, and what it says of itself."""

    certificate_der: bytes
    public_key: bytes
    introduction: bytes


@dataclass(frozen=True)
class PairingEndpoint:
    """Where a joiner can call."""

    port: int


@asynccontextmanager
async def open_pairing(
    identity: Identity,
    code: OpenCode,
    host: str,
    port: int,
    admit: Callable[[Joiner], Awaitable[bytes]],
    tell: Callable[[str, str], None],
) -> AsyncIterator[PairingEndpoint]:
    """Take joiners while the code lives.

    `admit` makes a joiner a member, durably, and returns the welcome it gets; `tell` hears of
    every try: (what, why). Raises OSError where the port is taken.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0
    context.load_cert_chain(identity.certificate_path, identity.key_path)
    listeners = await trio.open_tcp_listeners(port, host=host or None)
    one_at_a_time = trio.CapacityLimiter(1)
    async with trio.open_nursery() as nursery:
        serve = partial(_take, identity, context, code, admit, tell, one_at_a_time)
        await nursery.start(partial(trio.serve_listeners, serve, listeners))
        try:
            yield PairingEndpoint(listeners[0].socket.getsockname()[1])
        finally:
            nursery.cancel_scope.cancel()


async def _take(
    identity: Identity,
    context: ssl.SSLContext,
    code: OpenCode,
    admit: Callable[[Joiner], Awaitable[bytes]],
    tell: Callable[[str, str], None],
    one_at_a_time: trio.CapacityLimiter,
    tcp: trio.SocketStream,
) -> None:
    stream = trio.SSLStream(tcp, context, server_side=True)
    try:
        if one_at_a_time.statistics().tasks_waiting >= MAX_WAITING:
            return
        async with one_at_a_time:
            with trio.fail_after(STEP_S):
                await stream.do_handshake()
            wire = Wire(stream)
            try:
                await _pair(identity, code, admit, wire)
            except CodeRefusedError:
                # Why, is for whoever shows the code alone.
                with suppress(LeaderlessError):
                    await wire.send(REFUSED)
                raise
            tell("paired", "")
    except LeaderlessError as error:
        tell("pairing_failed", error.message)
    except (trio.BrokenResourceError, trio.TooSlowError, ssl.SSLError, OSError):
        tell("pairing_failed", "somebody connected and did not speak TLS")
    finally:
        await trio.aclose_forcefully(stream)


async def _pair(
    identity: Identity,
    code: OpenCode,
    admit: Callable[[Joiner], Awaitable[bytes]],
    wire: Wire,
) -> None:
    certificate = await wire.receive()
    theirs = await wire.receive()
    # Only after both are read: a refusal that leaves bytes unread may be lost on its way.
    code.check_open(trio.current_time())
    joiner_key = certificate_key(certificate)
    exchange = await trio.to_thread.run_sync(
        partial(Exchange, code.code, joiner_key, identity.public_key, host=True)
    )
    await trio.to_thread.run_sync(exchange.finish, theirs)
    await wire.send(exchange.message)
    confirmation = await wire.receive()
    code.check_open(trio.current_time())
    try:
        exchange.check(confirmation)
    except LeaderlessError:
        code.failed()
        raise
    code.proved(joiner_key)
    await wire.send(exchange.confirmation(of_host=True))
    introduction = exchange.unseal(1, await wire.receive())
    welcome = await admit(Joiner(certificate, joiner_key, introduction))
    await wire.send(exchange.seal(1, welcome))
    exchange.unseal(2, await wire.receive())
    code.done = True

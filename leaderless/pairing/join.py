"""The side that types the code."""

from __future__ import annotations

import socket
import ssl
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import trio

from leaderless.errors import LeaderlessError, UnreachableError, UsageError
from leaderless.identity import certificate_key
from leaderless.pairing.attempts import CodeRefusedError
from leaderless.pairing.exchange import REFUSED, Exchange
from leaderless.pairing.wire import STEP_S, Wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from leaderless.identity import Identity
    from leaderless.pairing.code import Code


@dataclass(frozen=True)
class Host:
    """The device whose code was typed: its key, and the welcome it gave."""

    public_key: bytes
    welcome: bytes


async def join(
    identity: Identity,
    address: tuple[str, int],
    code: Code,
    introduction: bytes,
    keep: Callable[[Host], Awaitable[None]],
) -> Host:
    """Prove the code to the device at `address` and become a member.

    `keep` stores the welcome durably; only then is the host told that it arrived, if it still
    listens: from there on this device is a member, whether or not the host knows. Raises
    UnreachableError where nobody shows a code, UsageError for an address of our own,
    CodeRefusedError, PairingBrokenError, BadCertificateError, TimedOutError.
    """
    async with _connected(address) as (wire, host_key):
        if host_key == identity.public_key:
            text = "this is the device that shows the code"
            raise UsageError(text, hint="type the code on the other device")
        exchange = await trio.to_thread.run_sync(
            partial(Exchange, code, identity.public_key, host_key, host=False)
        )
        await wire.send(identity.certificate_der)
        await wire.send(exchange.message)
        theirs = await _unless_refused(wire)
        await trio.to_thread.run_sync(exchange.finish, theirs)
        await wire.send(exchange.confirmation(of_host=False))
        exchange.check(await _unless_refused(wire))
        await wire.send(exchange.seal(1, introduction))
        host = Host(host_key, exchange.unseal(1, await wire.receive()))
        await keep(host)
        with suppress(LeaderlessError):
            await wire.send(exchange.seal(2, b"thanks"))
        return host


async def _unless_refused(wire: Wire) -> bytes:
    """Return the host's next message; raises CodeRefusedError if it refuses the code."""
    message = await wire.receive()
    if message == REFUSED:
        raise CodeRefusedError(
            "the code was refused: it is wrong, used up, or its time is over",
            hint="run `leaderless pair` on the other device for a new one",
        )
    return message


@asynccontextmanager
async def _connected(address: tuple[str, int]) -> AsyncIterator[tuple[Wire, bytes]]:
    """Connect with TLS to somebody whose certificate only the exchange can vouch for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    stream: trio.SSLStream[trio.SocketStream] | None = None
    try:
        try:
            with trio.fail_after(STEP_S):
                stream = trio.SSLStream(await trio.open_tcp_stream(*address), context)
                await stream.do_handshake()
        except (socket.gaierror, UnicodeError) as error:
            raise UnreachableError(f"there is no host {address[0]}") from error
        except (OSError, trio.BrokenResourceError, trio.TooSlowError) as error:
            raise UnreachableError(
                f"no device shows a code at {address[0]}:{address[1]}",
                hint="run `leaderless pair` on the other device first",
            ) from error
        # A server without a certificate does not get through a handshake.
        certificate = stream.getpeercert(binary_form=True) or b""
        yield Wire(stream), certificate_key(certificate)
    finally:
        if stream is not None:
            await trio.aclose_forcefully(stream)

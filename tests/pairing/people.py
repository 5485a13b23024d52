"""Two devices that pair over real TLS on loopback, and strangers who keep to nothing."""

from __future__ import annotations

import datetime as dt
import ssl
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import trio
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from leaderless.errors import LeaderlessError
from leaderless.identity import load_or_create
from leaderless.pairing.attempts import OpenCode
from leaderless.pairing.code import Code
from leaderless.pairing.exchange import Exchange
from leaderless.pairing.host import open_pairing
from leaderless.pairing.join import join

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from leaderless.identity import Identity
    from leaderless.pairing.host import Joiner
    from leaderless.pairing.join import Host

RIGHT = Code(4, ("maple", "otter", "lemon"))
WRONG = Code(5, ("maple", "otter", "lemon"))
DEADLINE_S = 60.0

Stream = trio.SSLStream[trio.SocketStream]


class Table:
    """Two devices and what each of them stored and heard."""

    def __init__(self, folder: Path) -> None:
        self.host = load_or_create(folder / "host")
        self.joiner = load_or_create(folder / "joiner")
        self.stranger = load_or_create(folder / "stranger")
        self.code = OpenCode(RIGHT, trio.current_time())
        self.admitted: list[Joiner] = []
        self.kept: list[Host] = []
        self.told: list[tuple[str, str]] = []
        self.host_disk_full = False
        self.joiner_disk_full = False
        self._news = trio.Event()

    async def admit(self, joiner: Joiner) -> bytes:
        """Store a joiner, if there is room."""
        if self.host_disk_full:
            raise LeaderlessError("disk full")
        self.admitted.append(joiner)
        return b"welcome"

    async def keep(self, host: Host) -> None:
        """Store a welcome, if there is room."""
        if self.joiner_disk_full:
            raise LeaderlessError("disk full")
        self.kept.append(host)

    def tell(self, what: str, why: str) -> None:
        """Hear what became of a try."""
        self.told.append((what, why))
        self._news.set()
        self._news = trio.Event()

    async def until_told(self, count: int) -> tuple[str, str]:
        """Wait until so much was told in all; return the last of it."""
        while len(self.told) < count:
            await self._news.wait()
        return self.told[-1]

    @asynccontextmanager
    async def showing(self, port: int = 0, host: str = "127.0.0.1") -> AsyncIterator[int]:
        """Show the code; yields the port."""
        async with open_pairing(
            self.host, self.code, host, port, self.admit, self.tell
        ) as endpoint:
            yield endpoint.port

    async def type_code(
        self, port: int, code: Code = RIGHT, identity: Identity | None = None
    ) -> Host:
        """Type a code."""
        address = ("127.0.0.1", port)
        with trio.fail_after(DEADLINE_S):
            return await join(identity or self.joiner, address, code, b"hello", self.keep)


def server_context(identity: Identity) -> ssl.SSLContext:
    """Return what a TLS server of that identity needs."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.num_tickets = 0
    context.load_cert_chain(identity.certificate_path, identity.key_path)
    return context


@asynccontextmanager
async def calling(port: int) -> AsyncIterator[Stream]:
    """Connect with TLS to a port of this machine, trusting anybody."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    stream = trio.SSLStream(await trio.open_tcp_stream("127.0.0.1", port), context)
    try:
        await stream.do_handshake()
        yield stream
    finally:
        await trio.aclose_forcefully(stream)


@asynccontextmanager
async def answering(identity: Identity, serve: Callable[[Stream], object]) -> AsyncIterator[int]:
    """Answer with TLS as `identity`; `serve` is an async function. Yields the port."""

    async def take(tcp: trio.SocketStream) -> None:
        stream = trio.SSLStream(tcp, server_context(identity), server_side=True)
        try:
            await stream.do_handshake()
            await serve(stream)  # type: ignore[misc]
        except trio.BrokenResourceError:
            return
        finally:
            await trio.aclose_forcefully(stream)

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        await nursery.start(partial(trio.serve_listeners, take, listeners))
        yield listeners[0].socket.getsockname()[1]
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def tls_pair(identity: Identity) -> AsyncIterator[tuple[Stream, Stream]]:
    """Connect two ends with TLS: the one that called, and the one that answered."""
    send, receive = trio.open_memory_channel[Stream](1)

    async def serve(stream: Stream) -> None:
        await send.send(stream)
        await trio.sleep_forever()

    async with answering(identity, serve) as port, calling(port) as caller:
        yield caller, await receive.receive()


def framed(message: bytes) -> bytes:
    """Return a message as it travels."""
    return len(message).to_bytes(4, "big") + message


async def hear(stream: Stream) -> bytes:
    """Return the next message, or b"" when the other side ended; waits without a deadline."""
    try:
        size = int.from_bytes(await _exactly(stream, 4), "big")
        return await _exactly(stream, size)
    except trio.BrokenResourceError:
        return b""


async def _exactly(stream: Stream, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = await stream.receive_some(size - len(data))
        if not more:
            return b""
        data += more
    return data


async def up_to_confirmation(stream: Stream, table: Table, code: Code = RIGHT) -> Exchange:
    """Play the joiner's part until its confirmation is due."""
    exchange = Exchange(code, table.joiner.public_key, table.host.public_key, host=False)
    await stream.send_all(framed(table.joiner.certificate_der) + framed(exchange.message))
    exchange.finish(await hear(stream))
    return exchange


def with_ca(identity: Identity, folder: Path) -> Identity:
    """Return the identity with a certificate that says that it may sign others."""
    name = x509.Name([])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(identity.private_key.public_key())
        .serial_number(1)
        .not_valid_before(dt.datetime(2000, 1, 1, tzinfo=dt.UTC))
        .not_valid_after(dt.datetime(2099, 1, 1, tzinfo=dt.UTC))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(identity.private_key, None)
    )
    path = folder / "ca.crt"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    der = certificate.public_bytes(serialization.Encoding.DER)
    return replace(identity, certificate_path=path, certificate_der=der)

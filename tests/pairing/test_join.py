"""The side that types the code, against hosts of every kind, over real TLS on loopback."""

from __future__ import annotations

import socket
import struct
from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import MockClock

from leaderless.errors import LeaderlessError, TimedOutError, UnreachableError, UsageError
from leaderless.identity import BadCertificateError, certificate_key
from leaderless.pairing.attempts import CodeRefusedError
from leaderless.pairing.exchange import Exchange, PairingBrokenError
from leaderless.pairing.join import Host, join
from leaderless.pairing.wire import STEP_S
from tests.pairing.people import RIGHT, WRONG, Table, answering, framed, hear, with_ca

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from leaderless.pairing.code import Code
    from tests.pairing.people import Stream


async def test_the_right_code_keeps_the_welcome(tmp_path: Path) -> None:
    """The joiner stores the host's own key and what it was told, and returns the same."""
    table = Table(tmp_path)
    async with table.showing() as port:
        host = await table.type_code(port)
    assert table.kept == [host]
    assert (host.public_key, host.welcome) == (table.host.public_key, b"welcome")


async def test_a_wrong_code_stores_nothing_and_names_the_remedy(tmp_path: Path) -> None:
    """The person learns that the code was refused and how to get another."""
    table = Table(tmp_path)
    async with table.showing() as port:
        with pytest.raises(CodeRefusedError, match="the code was refused") as caught:
            await table.type_code(port, WRONG)
    assert caught.value.hint == "run `leaderless pair` on the other device for a new one"
    assert table.kept == []


async def test_a_device_does_not_join_itself(tmp_path: Path) -> None:
    """A code typed on the device that shows it costs no try and changes nothing."""
    table = Table(tmp_path)
    async with table.showing() as port:
        with pytest.raises(UsageError, match="this is the device that shows the code"):
            await table.type_code(port, identity=table.host)
    assert (table.kept, table.admitted, table.code.failures) == ([], [], 0)


@pytest.mark.parametrize("host", ["a" * 64, "two..dots", "nobody.invalid"])
async def test_a_host_that_there_is_not_is_named(tmp_path: Path, host: str) -> None:
    """A name that cannot exist and one that does not are the address's fault, not the code's."""
    table = Table(tmp_path)
    with pytest.raises(UnreachableError, match="there is no host"):
        await join(table.joiner, (host, 4747), RIGHT, b"", table.keep)


async def test_an_address_where_nobody_shows_a_code_is_unreachable(tmp_path: Path) -> None:
    """A closed port is named with what to do on the other device."""
    table, host = Table(tmp_path), "127.0.0.1"
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    await listeners[0].aclose()
    with pytest.raises(UnreachableError) as caught:
        await join(table.joiner, (host, port), RIGHT, b"", table.keep)
    assert caught.value.message == f"no device shows a code at {host}:{port}"


async def test_a_port_that_speaks_no_tls_is_unreachable(tmp_path: Path) -> None:
    """Another program at the port is not taken for a device."""
    table = Table(tmp_path)
    async with trio.open_nursery() as nursery:

        async def serve(tcp: trio.SocketStream) -> None:
            await tcp.send_all(b"SSH-2.0-else\r\n")
            await tcp.aclose()

        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        await nursery.start(partial(trio.serve_listeners, serve, listeners))
        with pytest.raises(UnreachableError):
            await table.type_code(listeners[0].socket.getsockname()[1])
        nursery.cancel_scope.cancel()


async def test_a_port_that_says_nothing_is_given_up_after_ten_seconds(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """A listener that accepts and stays silent does not hold a person up for ever."""
    table = Table(tmp_path)
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    began = trio.current_time()
    with pytest.raises(UnreachableError):
        await join(table.joiner, ("127.0.0.1", port), RIGHT, b"", table.keep)
    assert trio.current_time() - began == pytest.approx(STEP_S)
    await listeners[0].aclose()


async def test_giving_up_in_the_middle_closes_the_connection(tmp_path: Path) -> None:
    """A join that is cancelled while the other side is silent leaves nothing open there."""
    table = Table(tmp_path)
    ended = trio.Event()
    async with trio.open_nursery() as nursery:

        async def serve(tcp: trio.SocketStream) -> None:
            await tcp.receive_some(1)
            typing.cancel_scope.cancel()
            while await tcp.receive_some(4096):
                pass
            ended.set()

        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        await nursery.start(partial(trio.serve_listeners, serve, listeners))
        async with trio.open_nursery() as typing:
            typing.start_soon(table.type_code, listeners[0].socket.getsockname()[1])
        with trio.fail_after(30):
            await ended.wait()
        nursery.cancel_scope.cancel()


async def test_a_host_whose_certificate_could_sign_others_is_refused(tmp_path: Path) -> None:
    """A member that could mint devices is none; it is left before the code is used."""
    table = Table(tmp_path)
    table.host = with_ca(table.host, tmp_path)
    async with table.showing() as port:
        with pytest.raises(BadCertificateError):
            await table.type_code(port)
    assert (table.kept, table.admitted, table.code.failures) == ([], [], 0)


class Rogue:
    """A host that follows the exchange for a while; what it then hears is kept."""

    def __init__(self, table: Table, code: Code, then: Callable[[Exchange], list[bytes]]) -> None:
        self._table = table
        self._code = code
        self._then = then
        self.heard = b""

    async def serve(self, stream: Stream) -> None:
        """Take the joiner's messages and answer with what `then` makes of them."""
        key = certificate_key(await hear(stream))
        exchange = Exchange(self._code, key, self._table.host.public_key, host=True)
        exchange.finish(await hear(stream))
        await stream.send_all(framed(exchange.message))
        await hear(stream)
        for message in self._then(exchange):
            await stream.send_all(message)
            self.heard = await hear(stream)


async def refusal(table: Table, serve: Callable[[Stream], Awaitable[None]]) -> LeaderlessError:
    """Type the right code at a host that answers as told, to its end; return the error."""
    ended = trio.Event()

    async def to_the_end(stream: Stream) -> None:
        try:
            await serve(stream)
        finally:
            ended.set()

    async with answering(table.host, to_the_end) as port:
        with pytest.raises(LeaderlessError) as caught:
            await table.type_code(port)
        with trio.fail_after(30):
            await ended.wait()
    return caught.value


def confirmed(exchange: Exchange) -> bytes:
    """Return the host's confirmation as it travels."""
    return framed(exchange.confirmation(of_host=True))


async def test_a_host_that_does_not_know_the_code_learns_nothing(tmp_path: Path) -> None:
    """Its confirmation is refused; the introduction is never sent, nothing is kept."""
    table = Table(tmp_path)
    rogue = Rogue(table, WRONG, lambda exchange: [confirmed(exchange)])
    assert isinstance(await refusal(table, rogue.serve), CodeRefusedError)
    assert (rogue.heard, table.kept) == (b"", [])


async def test_a_host_that_sends_the_joiners_own_message_back_is_left(tmp_path: Path) -> None:
    """A mirror cannot take part."""
    table = Table(tmp_path)

    async def mirror(stream: Stream) -> None:
        await hear(stream)
        await stream.send_all(framed(await hear(stream)))
        await hear(stream)

    assert isinstance(await refusal(table, mirror), PairingBrokenError)
    assert table.kept == []


@pytest.mark.parametrize("welcome", [b"", b"garbage", bytes(64)])
async def test_a_welcome_that_was_not_sealed_by_the_host_is_not_kept(
    tmp_path: Path, welcome: bytes
) -> None:
    """What was changed on its way is refused."""
    table = Table(tmp_path)
    rogue = Rogue(table, RIGHT, lambda exchange: [confirmed(exchange), framed(welcome)])
    assert isinstance(await refusal(table, rogue.serve), PairingBrokenError)
    assert table.kept == []


async def test_a_welcome_that_is_kept_is_thanked_for(tmp_path: Path) -> None:
    """The host hears from the joiner, sealed, that both have it."""
    table = Table(tmp_path)
    exchanges: list[Exchange] = []

    def then(exchange: Exchange) -> list[bytes]:
        exchanges.append(exchange)
        return [confirmed(exchange), framed(exchange.seal(1, b"welcome"))]

    rogue = Rogue(table, RIGHT, then)
    received = trio.Event()

    async def serve(stream: Stream) -> None:
        await rogue.serve(stream)
        received.set()

    async with answering(table.host, serve) as port:
        await table.type_code(port)
        with trio.fail_after(30):
            await received.wait()
    assert exchanges[0].unseal(2, rogue.heard) == b"thanks"


@pytest.mark.parametrize("messages", [0, 1])
async def test_a_host_that_leaves_without_a_word_has_not_refused(
    tmp_path: Path, messages: int
) -> None:
    """A connection that breaks is told as such: the code may be right."""
    table = Table(tmp_path)
    rogue = Rogue(table, RIGHT, lambda _: [])

    async def serve(stream: Stream) -> None:
        if messages:
            await rogue.serve(stream)

    assert isinstance(await refusal(table, serve), PairingBrokenError)


async def test_a_joiner_that_has_its_welcome_is_a_member_though_the_host_has_gone(
    tmp_path: Path,
) -> None:
    """That nobody takes its thanks is no failure: it could not join again."""
    table = Table(tmp_path)
    left = trio.Event()

    async def serve(stream: Stream) -> None:
        key = certificate_key(await hear(stream))
        exchange = Exchange(RIGHT, key, table.host.public_key, host=True)
        exchange.finish(await hear(stream))
        await stream.send_all(framed(exchange.message))
        await hear(stream)
        await stream.send_all(confirmed(exchange))
        await hear(stream)
        await stream.send_all(framed(exchange.seal(1, b"welcome")))
        lingering = struct.pack("ii", 1, 0)  # closing resets the connection at once
        stream.transport_stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, lingering)
        await trio.aclose_forcefully(stream)
        left.set()

    async def keep(host: Host) -> None:
        await left.wait()
        await table.keep(host)

    async with answering(table.host, serve) as port:
        address = ("127.0.0.1", port)
        with trio.fail_after(30):
            host = await join(table.joiner, address, RIGHT, b"hello", keep)
    assert table.kept == [host]


async def test_a_welcome_that_cannot_be_stored_is_not_thanked_for(tmp_path: Path) -> None:
    """The host must not believe that the joiner has it."""
    table = Table(tmp_path)

    table.joiner_disk_full = True
    rogue = Rogue(
        table,
        RIGHT,
        lambda exchange: [confirmed(exchange), framed(exchange.seal(1, b"welcome"))],
    )
    assert (await refusal(table, rogue.serve)).message == "disk full"
    assert rogue.heard == b""


@pytest.mark.parametrize("messages", [0, 1])
async def test_a_host_that_falls_silent_is_given_up_after_ten_seconds(
    tmp_path: Path, autojump_clock: MockClock, messages: int
) -> None:
    """Silence before its message or before its welcome ends by a deadline; nothing is kept."""
    table = Table(tmp_path)
    rogue = Rogue(table, RIGHT, lambda exchange: [confirmed(exchange)])

    async def serve(stream: Stream) -> None:
        if messages:
            await rogue.serve(stream)
        await trio.sleep_forever()

    async with answering(table.host, serve) as port:
        began = trio.current_time()
        with pytest.raises(TimedOutError):
            await join(table.joiner, ("127.0.0.1", port), RIGHT, b"", table.keep)
        assert trio.current_time() - began == pytest.approx(STEP_S)
    assert table.kept == []

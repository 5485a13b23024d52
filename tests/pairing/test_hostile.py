"""Those who pair without being asked: relays, garbage, silence and crowds, on real TLS."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from leaderless.errors import LeaderlessError
from leaderless.pairing.attempts import CodeState
from leaderless.pairing.host import MAX_WAITING
from leaderless.pairing.wire import MAX_MESSAGE_BYTES, STEP_S
from tests.pairing.people import (
    Table,
    answering,
    calling,
    framed,
    hear,
    up_to_confirmation,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.pairing.people import Stream


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return where the devices keep their keys."""
    return tmp_path


# --- in the middle --------------------------------------------------------------------------------


async def relay(
    table: Table, port: int, alter: Callable[[bytes, int], bytes], joiner: Stream
) -> None:
    """End the joiner's TLS, call the host with TLS, and hand on what `alter` makes of it."""

    async def hand_on(source: Stream, sink: Stream, *, change: bool) -> None:
        number = 0
        while message := await hear(source):
            await sink.send_all(framed(alter(message, number) if change else message))
            number += 1
        scope.cancel()

    async with calling(port) as host, trio.open_nursery() as nursery:
        scope = nursery.cancel_scope
        nursery.start_soon(partial(hand_on, joiner, host, change=True))
        nursery.start_soon(partial(hand_on, host, joiner, change=False))


@pytest.mark.parametrize("swaps_certificate", [False, True])
async def test_a_relay_that_ends_tls_fails_even_with_the_right_code(
    folder: Path, *, swaps_certificate: bool
) -> None:
    """Certificates of its own on both sides: neither device stores the other or the relay."""
    table = Table(folder)

    def alter(message: bytes, number: int) -> bytes:
        return table.stranger.certificate_der if swaps_certificate and number == 0 else message

    async with (
        table.showing() as port,
        answering(table.stranger, partial(relay, table, port, alter)) as middle,
    ):
        with pytest.raises(LeaderlessError):
            await table.type_code(middle)
        with trio.fail_after(30):
            assert await table.until_told(1) == ("pairing_failed", "the code does not fit")
    assert (table.admitted, table.kept, table.code.failures) == ([], [], 1)


async def test_a_relay_of_bytes_alone_is_harmless(folder: Path) -> None:
    """Who only hands on what is encrypted changes nothing: TLS ends at the host."""
    table = Table(folder)

    async def pump(source: trio.SocketStream, sink: trio.SocketStream) -> None:
        async for data in source:
            await sink.send_all(data)

    async with table.showing() as port, trio.open_nursery() as nursery:

        async def serve(joiner: trio.SocketStream) -> None:
            host = await trio.open_tcp_stream("127.0.0.1", port)
            async with joiner, host, trio.open_nursery() as both:
                both.start_soon(pump, joiner, host)
                both.start_soon(pump, host, joiner)

        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        await nursery.start(partial(trio.serve_listeners, serve, listeners))
        await table.type_code(listeners[0].socket.getsockname()[1])
        nursery.cancel_scope.cancel()
    assert [host.public_key for host in table.kept] == [table.host.public_key]


# --- garbage and silence --------------------------------------------------------------------------


def _garbage(table: Table) -> dict[str, bytes]:
    certificate = framed(table.joiner.certificate_der)
    return {
        "no certificate": framed(b"garbage") + framed(b""),
        "empty": framed(b"") * 4,
        "a large certificate": framed(bytes(5000)) + framed(b""),
        "oversize": (MAX_MESSAGE_BYTES + 1).to_bytes(4, "big"),
        "no point": certificate + framed(b"garbage"),
        "not on the curve": certificate + framed(b"A\xe9"),
        "of low order": certificate + framed(b"A\1" + bytes(31)),
        "of our own side": certificate + framed(b"B" + bytes(32)),
    }


GARBAGE = [
    "no certificate",
    "empty",
    "a large certificate",
    "oversize",
    "no point",
    "not on the curve",
    "of low order",
    "of our own side",
]


@pytest.mark.parametrize("kind", GARBAGE)
async def test_garbage_counts_as_no_try_and_the_code_stays_open(folder: Path, kind: str) -> None:
    """Whatever a stranger sends, the endpoint goes on and the right code passes afterwards."""
    table = Table(folder)
    async with table.showing() as port:
        async with calling(port) as stream:
            await stream.send_all(_garbage(table)[kind])
            with trio.fail_after(30):
                assert await hear(stream) == b""
                assert (await table.until_told(1))[0] == "pairing_failed"
        assert table.code.failures == 0
        await table.type_code(port)
    assert len(table.admitted) == 1


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + bytes(99)])
async def test_who_does_not_speak_tls_is_turned_away(folder: Path, sent: bytes) -> None:
    """A browser or a scanner at the port is told of, and counts as no try."""
    table = Table(folder)
    async with table.showing() as port:
        async with await trio.open_tcp_stream("127.0.0.1", port) as tcp:
            await tcp.send_all(sent)
            await tcp.send_eof()
            with trio.fail_after(30):
                told = await table.until_told(1)
        await table.type_code(port)
    assert told == ("pairing_failed", "somebody connected and did not speak TLS")


async def _plain(table: Table, port: int) -> None:
    async with await trio.open_tcp_stream("127.0.0.1", port):
        await trio.sleep_forever()


async def _after_tls(table: Table, port: int) -> None:
    async with calling(port):
        await trio.sleep_forever()


async def _after_certificate(table: Table, port: int) -> None:
    async with calling(port) as stream:
        await stream.send_all(framed(table.joiner.certificate_der))
        await trio.sleep_forever()


async def _within_a_message(table: Table, port: int) -> None:
    async with calling(port) as stream:
        await stream.send_all(framed(table.joiner.certificate_der)[:-1])
        await trio.sleep_forever()


async def _before_confirmation(table: Table, port: int) -> None:
    async with calling(port) as stream:
        await up_to_confirmation(stream, table)
        await trio.sleep_forever()


async def _after_confirmation(table: Table, port: int) -> None:
    async with calling(port) as stream:
        exchange = await up_to_confirmation(stream, table)
        await stream.send_all(framed(exchange.confirmation(of_host=False)))
        await trio.sleep_forever()


@pytest.mark.parametrize(
    "stranger",
    [
        _plain,
        _after_tls,
        _after_certificate,
        _within_a_message,
        _before_confirmation,
        _after_confirmation,
    ],
)
async def test_silence_ends_by_a_deadline_and_counts_as_no_try(
    folder: Path, autojump_clock: MockClock, stranger: Callable[[Table, int], object]
) -> None:
    """Wherever a joiner falls silent, it is gone ten seconds later and the code is still open."""
    table = Table(folder)
    async with table.showing() as port, trio.open_nursery() as nursery:
        began = trio.current_time()
        nursery.start_soon(stranger, table, port)  # type: ignore[arg-type]
        assert (await table.until_told(1))[0] == "pairing_failed"
        assert trio.current_time() - began == pytest.approx(STEP_S)
        nursery.cancel_scope.cancel()
    assert (table.code.failures, table.admitted) == (0, [])
    assert table.code.state(trio.current_time()) is CodeState.WAITING


async def test_strangers_wait_for_their_turn(folder: Path) -> None:
    """One pairing runs at a time; who comes second is served when the first has left."""
    table = Table(folder)
    async with table.showing() as port, trio.open_nursery() as nursery:
        first = await trio.open_tcp_stream("127.0.0.1", port)
        await wait_all_tasks_blocked()
        nursery.start_soon(table.type_code, port)
        await wait_all_tasks_blocked()
        assert table.admitted == []
        await first.aclose()
    assert len(table.admitted) == 1


async def test_a_crowd_is_turned_away_at_once(folder: Path, mock_clock: MockClock) -> None:
    """One is served and eight wait; the tenth gets no place, and costs nothing."""
    table = Table(folder)
    turned_away: list[int] = []
    left = trio.Event()

    async with table.showing() as port, trio.open_nursery() as nursery:

        async def stand(number: int) -> None:
            async with await trio.open_tcp_stream("127.0.0.1", port) as tcp:
                assert await tcp.receive_some(1) == b""
                turned_away.append(number)
                left.set()

        for number in range(MAX_WAITING + 2):
            nursery.start_soon(stand, number)
        await left.wait()
        await wait_all_tasks_blocked()
        assert len(turned_away) == 1
        nursery.cancel_scope.cancel()

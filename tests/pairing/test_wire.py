"""Whole messages over real TLS on loopback; deadlines pass on a clock of the test's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import MockClock

from leaderless.errors import TimedOutError
from leaderless.identity import load_or_create
from leaderless.pairing.exchange import PairingBrokenError
from leaderless.pairing.wire import MAX_MESSAGE_BYTES, STEP_S, Wire
from tests.pairing.people import framed, tls_pair

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("size", [0, 1, 40_000, MAX_MESSAGE_BYTES])
async def test_a_message_arrives_whole(tmp_path: Path, size: int) -> None:
    """What is sent is received, from nothing up to the largest allowed."""
    message = bytes(range(256)) * (size // 256) + bytes(size % 256)
    async with tls_pair(load_or_create(tmp_path)) as (caller, answerer):
        with trio.fail_after(30):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(Wire(caller).send, message)
                assert await Wire(answerer).receive() == message


async def test_messages_keep_their_borders(tmp_path: Path) -> None:
    """Two messages in one packet are two messages."""
    async with tls_pair(load_or_create(tmp_path)) as (caller, answerer):
        await caller.send_all(framed(b"one") + framed(b"two"))
        wire = Wire(answerer)
        assert [await wire.receive(), await wire.receive()] == [b"one", b"two"]


async def test_a_message_in_pieces_is_put_together(tmp_path: Path) -> None:
    """It does not matter how the network cuts a message."""
    async with (
        tls_pair(load_or_create(tmp_path)) as (caller, answerer),
        trio.open_nursery() as dribble,
    ):

        async def drip() -> None:
            for byte in framed(b"slow"):
                await caller.send_all(bytes([byte]))

        dribble.start_soon(drip)
        assert await Wire(answerer).receive() == b"slow"


@pytest.mark.parametrize("size", [MAX_MESSAGE_BYTES + 1, 2**32 - 1])
async def test_a_message_too_large_is_refused_by_its_length_alone(
    tmp_path: Path, autojump_clock: MockClock, size: int
) -> None:
    """Nothing of it has to arrive, and nobody waits for it."""
    async with tls_pair(load_or_create(tmp_path)) as (caller, answerer):
        await caller.send_all(size.to_bytes(4, "big"))
        with pytest.raises(PairingBrokenError, match="too large"):
            await Wire(answerer).receive()


@pytest.mark.parametrize("sent", [b"", b"\0\0", b"\0\0\0\5abc"])
async def test_silence_ends_by_a_deadline(
    tmp_path: Path, autojump_clock: MockClock, sent: bytes
) -> None:
    """Who says nothing, or stops within a message, holds the place for ten seconds."""
    async with tls_pair(load_or_create(tmp_path)) as (caller, answerer):
        await caller.send_all(sent)
        began = trio.current_time()
        with pytest.raises(TimedOutError):
            await Wire(answerer).receive()
        assert trio.current_time() - began == pytest.approx(STEP_S)


async def test_a_trickle_of_bytes_does_not_move_the_deadline(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """The deadline is that of the message, not of each byte."""
    async with (
        tls_pair(load_or_create(tmp_path)) as (caller, answerer),
        trio.open_nursery() as nursery,
    ):

        async def trickle() -> None:
            await caller.send_all((1000).to_bytes(4, "big"))
            while True:
                await trio.sleep(STEP_S / 4)
                await caller.send_all(b"x")

        nursery.start_soon(trickle)
        began = trio.current_time()
        with pytest.raises(TimedOutError):
            await Wire(answerer).receive()
        assert trio.current_time() - began == pytest.approx(STEP_S)
        nursery.cancel_scope.cancel()


async def test_a_reader_who_does_not_read_ends_by_a_deadline(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """A message that nobody takes is given up after ten seconds."""
    async with tls_pair(load_or_create(tmp_path)) as (caller, _):
        began = trio.current_time()
        with pytest.raises(TimedOutError):
            await Wire(caller).send(bytes(64 << 20))
        assert trio.current_time() - began == pytest.approx(STEP_S)


@pytest.mark.parametrize("sent", [b"", b"\0\0", b"\0\0\0\5abc"])
async def test_an_end_before_the_end_of_a_message_is_named(tmp_path: Path, sent: bytes) -> None:
    """A farewell of TLS does not pass for a message."""
    async with (
        tls_pair(load_or_create(tmp_path)) as (caller, answerer),
        trio.open_nursery() as nursery,
    ):
        await caller.send_all(sent)
        nursery.start_soon(caller.aclose)
        with pytest.raises(PairingBrokenError, match="ended the exchange"):
            await Wire(answerer).receive()
        await trio.aclose_forcefully(answerer)


async def test_a_broken_connection_is_named_to_the_reader(tmp_path: Path) -> None:
    """A connection that is cut ends the exchange by one of our errors."""
    async with tls_pair(load_or_create(tmp_path)) as (caller, answerer):
        await trio.aclose_forcefully(caller)
        with pytest.raises(PairingBrokenError, match="ended the exchange"):
            await Wire(answerer).receive()


async def test_a_broken_connection_is_named_to_the_writer(tmp_path: Path) -> None:
    """The same holds for who sends."""
    async with tls_pair(load_or_create(tmp_path)) as (caller, answerer):
        await trio.aclose_forcefully(caller)
        with pytest.raises(PairingBrokenError, match="ended the exchange"):
            await Wire(answerer).send(bytes(16 << 20))

"""The side that shows the code, over real TLS on loopback; strangers are in test_hostile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from leaderless.errors import LeaderlessError, UnreachableError
from leaderless.pairing.attempts import LIFETIME_S, CodeRefusedError, CodeState
from leaderless.pairing.exchange import Exchange
from tests.pairing.people import (
    RIGHT,
    WRONG,
    Table,
    calling,
    framed,
    hear,
    up_to_confirmation,
    with_ca,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return where the devices keep their keys."""
    return tmp_path


async def test_the_right_code_admits_the_joiner(folder: Path) -> None:
    """The host stores the joiner's own key and certificate, and what it said of itself."""
    table = Table(folder)
    async with table.showing() as port:
        await table.type_code(port)
    (joiner,) = table.admitted
    assert joiner.public_key == table.joiner.public_key
    assert joiner.certificate_der == table.joiner.certificate_der
    assert joiner.introduction == b"hello"


async def test_a_success_is_told_and_closes_the_code(folder: Path) -> None:
    """Once both have it the code is used up, and whoever shows it knows."""
    table = Table(folder)
    async with table.showing() as port, trio.open_nursery() as nursery:
        nursery.start_soon(table.type_code, port)
        with trio.fail_after(30):
            assert await table.until_told(1) == ("paired", "")
    assert table.code.state(trio.current_time()) is CodeState.PAIRED


async def test_a_used_code_admits_nobody_else(folder: Path) -> None:
    """A second device needs a code of its own."""
    table = Table(folder)
    async with table.showing() as port:
        await table.type_code(port)
        await table.until_told(1)
        with pytest.raises(CodeRefusedError):
            await table.type_code(port, identity=table.stranger)
    assert [joiner.public_key for joiner in table.admitted] == [table.joiner.public_key]


async def test_a_wrong_code_counts_as_one_try(folder: Path) -> None:
    """Nobody is admitted, one of three tries is gone, and the reason is told."""
    table = Table(folder)
    async with table.showing() as port:
        with pytest.raises(LeaderlessError):
            await table.type_code(port, WRONG)
        assert await table.until_told(1) == ("pairing_failed", "the code does not fit")
    assert (table.code.failures, table.admitted) == (1, [])


async def test_the_right_code_passes_after_two_wrong_ones(folder: Path) -> None:
    """Two slips are forgiven."""
    table = Table(folder)
    async with table.showing() as port:
        for _ in range(2):
            with pytest.raises(LeaderlessError):
                await table.type_code(port, WRONG)
        await table.type_code(port)
    assert len(table.admitted) == 1


async def test_a_fourth_try_is_refused_even_with_the_right_code(folder: Path) -> None:
    """Three wrong tries void a code, and a further one does not count."""
    table = Table(folder)
    async with table.showing() as port:
        for _ in range(3):
            with pytest.raises(LeaderlessError):
                await table.type_code(port, WRONG)
        with pytest.raises(CodeRefusedError):
            await table.type_code(port, RIGHT)
    assert (table.code.state(trio.current_time()), table.code.failures) == (CodeState.VOID, 3)
    assert table.admitted == []


async def test_an_expired_code_is_refused(folder: Path) -> None:
    """After five minutes the right code admits nobody and a try is not counted."""
    table = Table(folder)
    table.code.opened -= LIFETIME_S
    async with table.showing() as port:
        with pytest.raises(CodeRefusedError):
            await table.type_code(port)
    assert (table.admitted, table.code.failures) == ([], 0)


@pytest.mark.parametrize("typed", [RIGHT, WRONG])
async def test_a_code_that_expires_during_the_exchange_is_refused(
    folder: Path, typed: object
) -> None:
    """The confirmation is what has to be in time; one that comes late does not count either."""
    table = Table(folder)
    async with table.showing() as port, calling(port) as stream:
        exchange = await up_to_confirmation(stream, table, typed)  # type: ignore[arg-type]
        table.code.opened -= LIFETIME_S
        await stream.send_all(framed(exchange.confirmation(of_host=False)))
        with trio.fail_after(30):
            assert await hear(stream) == b""
            assert await table.until_told(1) == ("pairing_failed", "no code is open")
    assert (table.admitted, table.code.failures) == ([], 0)


async def test_whoever_has_not_proved_the_code_hears_nothing_of_the_host(folder: Path) -> None:
    """A wrong confirmation is answered by an empty message, and the end of the connection."""
    table = Table(folder)
    async with table.showing() as port, calling(port) as stream:
        exchange = await up_to_confirmation(stream, table, WRONG)
        await stream.send_all(framed(exchange.confirmation(of_host=False)))
        with trio.fail_after(30):
            assert await stream.receive_some() == bytes(4)
            assert await hear(stream) == b""


async def test_leaving_without_a_confirmation_counts_as_no_try(folder: Path) -> None:
    """Nobody can void a code, or test a guess, by stopping before the proof."""
    table = Table(folder)
    async with table.showing() as port:
        for _ in range(4):
            async with calling(port) as stream:
                await up_to_confirmation(stream, table, WRONG)
        with trio.fail_after(30):
            await table.until_told(4)
        await table.type_code(port)
    assert (table.code.failures, len(table.admitted)) == (0, 1)


async def test_a_device_whose_connection_broke_after_the_proof_may_try_again(folder: Path) -> None:
    """The code stays open for the key that proved it."""
    table = Table(folder)
    async with table.showing() as port:
        async with calling(port) as stream:
            exchange = await up_to_confirmation(stream, table)
            await stream.send_all(framed(exchange.confirmation(of_host=False)))
            await hear(stream)
        await table.type_code(port)
    assert [joiner.public_key for joiner in table.admitted] == [table.joiner.public_key]


async def test_a_proved_code_is_closed_to_every_other_key(folder: Path) -> None:
    """Another device is refused with the right code, and that is no try."""
    table = Table(folder)
    async with table.showing() as port:
        async with calling(port) as stream:
            exchange = await up_to_confirmation(stream, table)
            await stream.send_all(framed(exchange.confirmation(of_host=False)))
            await hear(stream)
        with pytest.raises(CodeRefusedError):
            await table.type_code(port, identity=table.stranger)
    assert (table.admitted, table.code.failures) == ([], 0)


async def test_a_code_stays_open_until_the_joiner_has_its_welcome(folder: Path) -> None:
    """A joiner that could not store the welcome may come again; the host did not call it done."""
    table = Table(folder)

    table.joiner_disk_full = True
    async with table.showing() as port:
        with pytest.raises(LeaderlessError, match="disk full"):
            await table.type_code(port)
        assert (await table.until_told(1))[0] == "pairing_failed"
        assert table.code.state(trio.current_time()) is CodeState.WAITING
        table.joiner_disk_full = False
        await table.type_code(port)
    assert len(table.kept) == 1


async def test_a_host_that_cannot_store_the_joiner_welcomes_nobody(folder: Path) -> None:
    """The welcome goes out only after the new member is durable."""
    table = Table(folder)

    table.host_disk_full = True
    async with table.showing() as port:
        with pytest.raises(LeaderlessError):
            await table.type_code(port)
        assert await table.until_told(1) == ("pairing_failed", "disk full")
    assert (table.kept, table.code.done) == ([], False)


# --- certificates ---------------------------------------------------------------------------------


async def test_a_certificate_that_could_sign_others_is_refused(folder: Path) -> None:
    """A joiner that could mint devices is not admitted, though it knows the code."""
    table = Table(folder)
    async with table.showing() as port:
        with pytest.raises(LeaderlessError):
            await table.type_code(port, identity=with_ca(table.joiner, folder))
        assert await table.until_told(1) == ("pairing_failed", "a certificate could sign others")
    assert (table.admitted, table.code.failures) == ([], 0)


async def test_a_swapped_certificate_is_refused(folder: Path) -> None:
    """A certificate put in the place of the joiner's on its way fails the proof."""
    table = Table(folder)
    async with table.showing() as port, calling(port) as stream:
        exchange = Exchange(RIGHT, table.joiner.public_key, table.host.public_key, host=False)
        await stream.send_all(framed(table.stranger.certificate_der) + framed(exchange.message))
        exchange.finish(await hear(stream))
        await stream.send_all(framed(exchange.confirmation(of_host=False)))
        with trio.fail_after(30):
            assert await hear(stream) == b""
            await table.until_told(1)
    assert (table.admitted, table.code.failures) == ([], 1)


# --- its life -------------------------------------------------------------------------------------


async def test_the_endpoint_is_gone_with_the_code(folder: Path) -> None:
    """When the code is withdrawn nobody answers at its port."""
    table = Table(folder)
    async with table.showing() as port:
        pass
    with pytest.raises(UnreachableError):
        await table.type_code(port)


async def test_withdrawing_a_code_ends_a_pairing_on_its_way(folder: Path) -> None:
    """Who stands in the middle of an exchange is cut off."""
    table = Table(folder)
    async with trio.open_nursery() as nursery:
        async with table.showing() as port:
            caller = calling(port)
            stream = await caller.__aenter__()
            await up_to_confirmation(stream, table)
        with trio.fail_after(30):
            assert await hear(stream) == b""
        await caller.__aexit__(None, None, None)
        nursery.cancel_scope.cancel()


async def test_a_taken_port_is_an_error_at_once(folder: Path) -> None:
    """Whoever asks for a code learns that its port is not free."""
    table = Table(folder)
    async with table.showing() as port:
        with pytest.raises(OSError, match="in use"):
            async with table.showing(port):
                pass


async def test_a_host_without_an_address_listens_everywhere(folder: Path) -> None:
    """An empty host means all addresses of the machine."""
    table = Table(folder)
    async with table.showing(host="") as port:
        await table.type_code(port)
    assert len(table.admitted) == 1

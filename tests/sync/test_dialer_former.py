"""Whom a device calls that was a member once."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
import trio.testing

from leaderless.errors import LeaderlessError
from leaderless.sync.dialer import Dialer
from leaderless.transport.base import DialError, UntrustedPeerError
from tests.sync.test_dialer import BACKOFF, Network

FORMER, MEMBER = b"former", b"member"
DAY_S = 86_400


async def _days(
    network: Network, former: set[bytes], of: bytes | None, between: Callable[[Dialer], None]
) -> None:
    """Call an address for two days; something happens in between."""
    dialer = Dialer(
        *(network.dial, network.use, lambda: network.online, lambda key: key),
        *(BACKOFF, lambda: network.chance, lambda *_: None),
        is_former=former.__contains__,
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(dialer.run)
        dialer.suggest("a", 1, of=of)
        await trio.sleep(DAY_S)
        between(dialer)
        await trio.sleep(DAY_S)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("answer", "named"),
    [
        (FORMER, None),
        (FORMER, FORMER),
        (UntrustedPeerError("no member"), FORMER),
        (DialError("off"), FORMER),
    ],
)
async def test_a_former_member_is_called_once_more_to_be_told(
    autojump_clock: trio.testing.MockClock, answer: bytes | LeaderlessError, named: bytes | None
) -> None:
    """Whether it answers, has joined another library, or is off: it is left alone after that."""
    network = Network({"a": answer}, welcome=False)
    await _days(network, {FORMER}, named, Dialer.call_all)
    assert len(network.calls) == 1


async def test_who_is_a_member_again_is_called_again(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Within the longest wait, by itself."""
    network, former = Network({"a": FORMER}), {FORMER}
    await _days(network, former, FORMER, lambda _: former.clear())
    first, second, *_ = network.times()
    assert first == 0.0
    assert DAY_S < second <= DAY_S + BACKOFF.most_s


async def test_an_address_that_another_member_has_now_is_called(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Addresses go from one machine to another: the newest word on them counts."""
    network = Network({"a": FORMER}, welcome=False)

    def moves(dialer: Dialer) -> None:
        network.answers["a"], network.welcome = MEMBER, True
        dialer.suggest("a", 1, of=MEMBER)

    await _days(network, {FORMER}, FORMER, moves)
    assert MEMBER in network.used

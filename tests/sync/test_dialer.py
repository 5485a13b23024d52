"""Whom a device calls and when, on the test's clock."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import trio
import trio.testing

from leaderless.errors import LeaderlessError
from leaderless.sync.backoff import Backoff
from leaderless.sync.dialer import CONCURRENT, MAX_ADDRESSES, Dialer
from leaderless.transport.base import Connection, DialError, SelfDialError, UntrustedPeerError
from leaderless.transport.memory import memory_pair

BACKOFF = Backoff(1.0, 64.0)


@dataclass
class Network:
    """Who answers where, and every call that was made: (seconds since the start, host)."""

    answers: dict[str, LeaderlessError | bytes] = field(default_factory=dict)
    calls: list[tuple[float, str]] = field(default_factory=list)
    used: list[bytes] = field(default_factory=list)
    online: dict[bytes, str] = field(default_factory=dict)
    told: list[tuple[str, Mapping[str, object]]] = field(default_factory=list)
    chance: float = 1.0
    call_lasts_s: float = 0.0
    use_lasts_s: float = 5.0
    welcome: bool = True
    start: float = field(default_factory=trio.current_time)

    async def dial(self, nursery: trio.Nursery, host: str, _: int) -> Connection:
        """Answer a call as the test said."""
        self.calls.append((round(trio.current_time() - self.start, 3), host))
        await trio.sleep(self.call_lasts_s)
        answer = self.answers.get(host, DialError("nobody answers"))
        if isinstance(answer, LeaderlessError):
            raise answer
        nursery.start_soon(trio.sleep_forever)  # as a real connection's reader
        return memory_pair(b"me", answer)[0]

    async def use(self, connection: Connection) -> bool:
        """Stay connected for as long as the test said."""
        self.used.append(connection.peer_key)
        self.online[connection.peer_key] = connection.address
        await trio.sleep(self.use_lasts_s)
        del self.online[connection.peer_key]
        return self.welcome

    def times(self, host: str = "a") -> list[float]:
        """Return when a host was called."""
        return [at for at, called in self.calls if called == host]


@asynccontextmanager
async def dialing(network: Network) -> AsyncIterator[Dialer]:
    """Run a dialer on a network."""

    def tell(kind: str, data: Mapping[str, object]) -> None:
        network.told.append((kind, data))

    dialer = Dialer(
        *(network.dial, network.use, lambda: network.online, lambda key: key),
        *(BACKOFF, lambda: network.chance, tell),
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(dialer.run)
        yield dialer
        nursery.cancel_scope.cancel()


async def test_an_address_is_called_at_once(autojump_clock: trio.testing.MockClock) -> None:
    """A hint is tried as soon as it is there."""
    network = Network()
    async with dialing(network) as dialer:
        await trio.sleep(100)
        dialer.suggest("a", 1)
        await trio.sleep(0.5)
    assert network.times() == [100.0]


@pytest.mark.parametrize(
    ("chance", "times"),
    [(1.0, [0, 2, 6, 14, 30, 62, 126, 190]), (0.0, [0, 1, 3, 7, 15, 31, 63, 95, 127, 159, 191])],
)
async def test_failed_calls_are_repeated_when_they_are_due(
    autojump_clock: trio.testing.MockClock, chance: float, times: list[float]
) -> None:
    """Waits double up to the longest, spread by chance over their upper half."""
    network = Network(chance=chance)
    async with dialing(network) as dialer:
        dialer.suggest("a", 1)
        await trio.sleep(200)
    assert network.times() == times


async def test_a_failed_call_is_told_with_its_cause(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Why nobody could be reached can be read."""
    network = Network(answers={"a": UntrustedPeerError("no member")})
    async with dialing(network) as dialer:
        dialer.suggest("a", 1)
        await trio.sleep(0.5)
        assert dialer.candidates["a", 1].last_error == "no member"
    assert network.told == [("dial_failed", {"address": "a", "why": "no member"})]


async def test_a_name_that_can_be_no_host_fails_like_any_other(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Members name their addresses: one that no resolver takes does not end the daemon."""
    told: list[Mapping[str, object]] = []

    async def dial(_: trio.Nursery, host: str, port: int) -> Connection:
        await (await trio.open_tcp_stream(host, port)).aclose()
        raise AssertionError

    dialer = Dialer(
        dial, Network().use, dict, bytes, BACKOFF, lambda: 1.0, lambda _, data: told.append(data)
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(dialer.run)
        dialer.suggest("two..dots", 1)
        await trio.sleep(3)
        nursery.cancel_scope.cancel()
    assert [data["address"] for data in told] == ["two..dots"] * 2


async def test_a_device_that_is_no_member_calls_nobody(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """It looks every now and then whether it is one again, and calls everybody then."""
    network, member = Network(), False
    dialer = Dialer(
        *(network.dial, network.use, dict, bytes, BACKOFF, lambda: 1.0, lambda *_: None),
        lambda: member,
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(dialer.run)
        dialer.suggest("a", 1)
        dialer.candidates["a", 1].due = 1_000_000
        await trio.sleep(100)
        assert network.times() == []
        member = True
        await trio.sleep(6)
        assert len(network.times()) > 0
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("welcome", "lasts_s", "times"),
    [(True, 30, [0, 31, 62, 93]), (False, 1, [0, 3, 8, 17, 34, 67]), (False, 61, [0, 63])],
)
async def test_a_lost_connection_is_made_again(
    autojump_clock: trio.testing.MockClock, welcome: bool, lasts_s: int, times: list[int]
) -> None:
    """Soon, or less and less often if it was refused and not used for long."""
    network = Network({"a": b"A"}, use_lasts_s=lasts_s, welcome=welcome)
    async with dialing(network) as dialer:
        dialer.suggest("a", 1)
        await trio.sleep(100)
    assert network.times() == times


async def test_an_answer_forgets_the_failures(autojump_clock: trio.testing.MockClock) -> None:
    """Who answers after long silence is called soon once it is lost."""
    network = Network()
    async with dialing(network) as dialer:
        dialer.suggest("a", 1)
        await trio.sleep(40)
        network.answers["a"] = b"A"
        await trio.sleep(30)
        assert dialer.candidates["a", 1].last_error is None
    assert network.times() == [0, 2, 6, 14, 30, 62, 68]


async def test_call_all_calls_everybody_at_once(autojump_clock: trio.testing.MockClock) -> None:
    """After a network change the longest wait counts no more, nor the failures before."""
    network = Network()
    async with dialing(network) as dialer:
        dialer.suggest("a", 1)
        await trio.sleep(70)
        dialer.call_all()
        await trio.sleep(5)
    assert network.times() == [0, 2, 6, 14, 30, 62, 70, 72]


async def test_call_all_leaves_calls_that_run(autojump_clock: trio.testing.MockClock) -> None:
    """An address is never called twice at one time."""
    network = Network(call_lasts_s=10)
    async with dialing(network) as dialer:
        dialer.suggest("a", 1)
        await trio.sleep(1)
        dialer.call_all()
        dialer.suggest("a", 1, now=True)
        await trio.sleep(8)
    assert network.times() == [0]


@pytest.mark.parametrize(("now", "times"), [(True, [0, 2, 6, 8, 10]), (False, [0, 2, 6])])
async def test_a_hint_seen_again_is_tried_at_once_only_if_it_is_fresh(
    autojump_clock: trio.testing.MockClock, now: bool, times: list[float]
) -> None:
    """An announcement of now outweighs failures; an address in a row does not."""
    network = Network()
    async with dialing(network) as dialer:
        dialer.suggest("a", 1)
        await trio.sleep(8)
        dialer.suggest("a", 1, now=now)
        await trio.sleep(5)
    assert network.times() == times


async def test_the_own_address_is_remembered(autojump_clock: trio.testing.MockClock) -> None:
    """Where we answered ourselves is called at the longest wait only, and is no failure to tell."""
    network = Network(answers={"a": SelfDialError("this is us")})
    async with dialing(network) as dialer:
        dialer.suggest("a", 1)
        await trio.sleep(130)
    assert network.times() == [0, 64, 128]
    assert network.told == []


def _fill(dialer: Dialer, but: int = 0) -> None:
    """Fill the list with addresses that nobody has tried yet, up to so many places."""
    for number in range(MAX_ADDRESSES - but - len(dialer.candidates)):
        dialer.suggest(f"host{number}", 1)


async def test_a_list_of_untried_hints_takes_no_more() -> None:
    """Anybody can announce: the list has an end, and what has not had its turn stays."""
    network = Network()
    async with dialing(network) as dialer:
        _fill(dialer)
        dialer.suggest("late", 1)
        assert len(dialer.candidates) == MAX_ADDRESSES == 256
        assert ("late", 1) not in dialer.candidates


async def test_a_new_hint_takes_the_place_of_the_one_that_failed_most(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Addresses change for months: a list that was full once is not closed for ever."""
    network = Network(answers={"late": b"L"})
    async with dialing(network) as dialer:
        dialer.suggest("worst", 1)
        await trio.sleep(20)
        _fill(dialer)
        await trio.sleep(5)
        dialer.suggest("late", 1)
        assert ("worst", 1) not in dialer.candidates
        await trio.sleep(1)
    assert (network.used, len(dialer.candidates)) == ([b"L"], MAX_ADDRESSES)


async def test_an_announcement_that_is_repeated_keeps_nobody_in_the_list(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """To be called at once is not to be called with success."""
    network = Network(call_lasts_s=3)
    async with dialing(network) as dialer:
        dialer.suggest("flood", 1)
        await trio.sleep(4)
        _fill(dialer)
        dialer.suggest("flood", 1, now=True)
        dialer.suggest("late", 1)
        assert ("late", 1) in dialer.candidates


async def test_what_a_person_named_is_never_forgotten(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A configured address stays however often it failed, and has a place in a full list."""
    network = Network()
    async with dialing(network) as dialer:
        dialer.suggest("configured", 1)
        dialer.suggest("configured", 1, keep=True)
        await trio.sleep(20)
        _fill(dialer)
        dialer.suggest("late", 1)
        assert ("late", 1) not in dialer.candidates
        dialer.suggest("also configured", 1, keep=True)
        assert {("configured", 1), ("also configured", 1)} <= set(dialer.candidates)


async def test_an_address_of_a_connected_device_is_not_forgotten(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """It failed before, and is where the device will be when the connection is lost."""
    network = Network(answers={"a": b"A"})
    async with dialing(network) as dialer:
        dialer.suggest("a", 1)
        await trio.sleep(5.5)
        network.answers.clear()
        await trio.sleep(20)
        network.online[b"A"] = "inbound"
        _fill(dialer)
        dialer.suggest("late", 1)
    assert ("a", 1) in dialer.candidates


async def test_where_a_member_has_answered_goes_last(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A device that is off for a week is worth more than an address where nobody ever was."""
    network = Network(answers={"a": b"A"})
    async with dialing(network) as dialer:
        dialer.suggest("a", 1)
        await trio.sleep(5.5)
        network.answers.clear()
        await trio.sleep(100)
        dialer.suggest("nobody", 1)
        await trio.sleep(1)
        _fill(dialer)
        dialer.suggest("late", 1)
    assert ("a", 1) in dialer.candidates
    assert ("nobody", 1) not in dialer.candidates


async def test_an_address_that_is_being_called_is_not_forgotten(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """What comes of the call is worth waiting for."""
    network = Network(call_lasts_s=10)
    async with dialing(network) as dialer:
        dialer.suggest("a", 1)
        await trio.sleep(13)
        assert dialer.candidates["a", 1].busy
        _fill(dialer)
        dialer.suggest("late", 1)
        assert ("a", 1) in dialer.candidates


async def test_few_calls_run_at_one_time(autojump_clock: trio.testing.MockClock) -> None:
    """A list full of dead addresses does not make a flood; all get their turn."""
    network = Network(call_lasts_s=10)
    async with dialing(network) as dialer:
        for number in range(3 * CONCURRENT):
            dialer.suggest(f"host{number}", 1)
        await trio.sleep(5)
        assert len(network.calls) == CONCURRENT
        await trio.sleep(20)
    assert len({host for _, host in network.calls}) == 3 * CONCURRENT


async def test_connections_in_use_leave_room_for_calls(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Who is connected does not count against the calls that may run."""
    names = [f"host{number}" for number in range(CONCURRENT + 2)]
    network = Network(answers={name: name.encode() for name in names}, use_lasts_s=1_000)
    async with dialing(network) as dialer:
        for name in names:
            dialer.suggest(name, 1)
        await trio.sleep(5)
    assert len(network.used) == CONCURRENT + 2


async def test_a_second_connection_to_a_device_is_closed_unused(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Two addresses of one device, called at one moment, give one connection."""
    network = Network(answers={"a": b"A", "b": b"A"}, use_lasts_s=1_000)
    async with dialing(network) as dialer:
        network.online[b"A"] = "inbound"
        dialer.suggest("a", 1)
        await trio.sleep(1)
        assert dialer.candidates["a", 1].device == b"A"
    assert network.used == []

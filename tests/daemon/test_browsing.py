"""A code that is tried wherever somebody announces one, on the test's clock."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial

import pytest
import trio
import trio.testing

from leaderless.daemon.browsing import BROWSE_S, MAX_HINTS, Address, Hints, browse
from leaderless.errors import (
    InvalidDataError,
    LeaderlessError,
    NotFoundError,
    TimedOutError,
    UnreachableError,
)
from leaderless.pairing.attempts import CodeRefusedError

RIGHT, OTHER, THIRD = ("192.0.2.1", 1), ("192.0.2.2", 2), ("192.0.2.3", 3)


class Hosts:
    """Who answers how at which address; those that are not named answer nobody."""

    def __init__(self, answers: Mapping[Address, LeaderlessError | str]) -> None:
        self.answers = dict(answers)
        self.asked: list[Address] = []

    async def attempt(self, address: Address) -> str:
        """Try the code at an address; "silence" waits for ever."""
        self.asked.append(address)
        await trio.lowlevel.checkpoint()
        answer = self.answers.get(address, UnreachableError("nobody"))
        if isinstance(answer, LeaderlessError):
            raise answer
        if answer == "silence":
            await trio.sleep_forever()
        return answer


def hints_of(*addresses: Address) -> Hints:
    """Return hints, the last one the newest."""
    hints = Hints()
    for address in addresses:
        hints.add(*address)
    return hints


async def failure(hints: Hints, attempt: Callable[[Address], Awaitable[str]]) -> LeaderlessError:
    """Return what a search that finds nobody ends with."""
    with pytest.raises(LeaderlessError) as caught:
        await browse(hints, attempt)
    return caught.value


async def test_the_right_host_is_found(autojump_clock: trio.testing.MockClock) -> None:
    """What is announced already is tried at once."""
    hosts = Hosts({RIGHT: "welcome"})
    assert await browse(hints_of(RIGHT), hosts.attempt) == "welcome"
    assert trio.current_time() == pytest.approx(0, abs=0.1)


async def test_a_code_that_is_shown_later_is_waited_for(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """An address of before where nobody answers any more does not end the search."""
    hosts, hints = Hosts({RIGHT: "welcome"}), hints_of(OTHER)
    async with trio.open_nursery() as nursery:

        async def announce() -> None:
            await trio.sleep(BROWSE_S - 1)
            hints.add(*RIGHT)

        nursery.start_soon(announce)
        assert await browse(hints, hosts.attempt) == "welcome"
    assert hosts.asked == [OTHER, RIGHT]


@pytest.mark.parametrize(
    "answer",
    [CodeRefusedError("no"), InvalidDataError("?"), TimedOutError("…"), UnreachableError("gone")],
)
async def test_one_that_fails_does_not_end_the_search(
    autojump_clock: trio.testing.MockClock, answer: LeaderlessError
) -> None:
    """A second open code, or a hostile announcement, does not make the right code fail."""
    hosts = Hosts({OTHER: answer, RIGHT: "welcome"})
    assert await browse(hints_of(RIGHT, OTHER), hosts.attempt) == "welcome"


async def test_silent_hosts_do_not_hold_up_the_others(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """All are asked side by side, and who is still silent when one succeeds is left."""
    silent = [("198.51.100.1", port) for port in range(1, MAX_HINTS)]
    hosts = Hosts(dict.fromkeys(silent, "silence") | {RIGHT: "welcome"})
    assert await browse(hints_of(RIGHT, *silent), hosts.attempt) == "welcome"
    assert trio.current_time() == pytest.approx(0, abs=0.1)


async def test_with_nobody_there_the_remedy_is_named(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """After the whole time; where nobody answers any more counts as nobody."""
    error = await failure(hints_of(OTHER), Hosts({}).attempt)
    assert (error.code, round(trio.current_time())) == (NotFoundError.code, BROWSE_S)
    assert "--address" in (error.hint or "")


@pytest.mark.parametrize("first", [True, False])
async def test_a_refusal_is_what_is_told(
    autojump_clock: trio.testing.MockClock, *, first: bool
) -> None:
    """Whatever else strangers did: a person can compare the code."""
    refused = CodeRefusedError("no")
    answers: dict[Address, LeaderlessError | str] = {
        RIGHT: refused if first else InvalidDataError("?"),
        OTHER: InvalidDataError("?") if first else refused,
    }
    assert await failure(hints_of(RIGHT, OTHER, THIRD), Hosts(answers).attempt) is refused


async def test_what_went_wrong_is_told_if_nobody_refused(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """It says more than that nobody was there."""
    broken = InvalidDataError("?")
    assert await failure(hints_of(OTHER, RIGHT), Hosts({RIGHT: broken}).attempt) is broken


async def test_where_nobody_answers_is_forgotten(autojump_clock: trio.testing.MockClock) -> None:
    """The next search does not begin with it; who refused stays, another code may fit there."""
    hints = hints_of(RIGHT, OTHER)
    await failure(hints, Hosts({RIGHT: CodeRefusedError("no")}).attempt)
    assert hints.newest_first() == [RIGHT]


async def test_an_address_that_is_announced_anew_is_tried_anew(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Nobody answered there before; a code at a fixed port may be open by now."""
    hosts, hints = Hosts({}), hints_of(RIGHT)
    async with trio.open_nursery() as nursery:

        async def show() -> None:
            await trio.sleep(1)
            hosts.answers[RIGHT] = "welcome"
            hints.add(*RIGHT)

        nursery.start_soon(show)
        assert await browse(hints, hosts.attempt) == "welcome"
    assert hosts.asked == [RIGHT, RIGHT]


async def test_who_refused_is_not_asked_again(autojump_clock: trio.testing.MockClock) -> None:
    """An announcement that is repeated does not use up the tries of somebody else's code."""
    hosts, hints = Hosts({OTHER: CodeRefusedError("no")}), hints_of(OTHER)
    async with trio.open_nursery() as nursery:

        async def repeat() -> None:
            await trio.sleep(1)
            hints.add(*OTHER)

        nursery.start_soon(repeat)
        await failure(hints, hosts.attempt)
    assert hosts.asked == [OTHER]


async def test_one_search_asks_so_many_and_no_more(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Each host has a guess at the code: whoever announces thousands gets few."""
    hosts, hints = Hosts({}), Hints()
    flood = [("198.51.100.1", port) for port in range(1, 5 * MAX_HINTS)]
    hosts.answers.update(dict.fromkeys(flood, CodeRefusedError("no")))
    async with trio.open_nursery() as nursery:

        async def announce() -> None:
            for address in flood:
                hints.add(*address)
                await trio.sleep(0.01)

        nursery.start_soon(announce)
        await failure(hints, hosts.attempt)
    assert len(hosts.asked) == MAX_HINTS


def test_hints_are_bounded_and_the_newest_stay() -> None:
    """Who floods the network with announcements does not fill the memory."""
    hints = Hints()
    for number in range(MAX_HINTS + 10):
        hints.add(f"192.0.2.{number}", 1)
    assert len(hints.newest_first()) == MAX_HINTS
    assert hints.newest_first()[0] == ("192.0.2.73", 1)


async def test_an_error_of_ours_is_not_hidden(autojump_clock: trio.testing.MockClock) -> None:
    """What nobody raised on purpose comes out of a search."""

    async def attempt(address: Address, error: Exception) -> str:
        await trio.lowlevel.checkpoint()
        raise error

    with pytest.raises(ExceptionGroup) as caught:
        await browse(hints_of(RIGHT), partial(attempt, error=ZeroDivisionError()))
    assert caught.group_contains(ZeroDivisionError)

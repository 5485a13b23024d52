"""The event stream."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from leaderless.errors import UsageError
from leaderless.status.events import KEPT, Events, check_id


async def _take(events: Events, since: str | None, count: int) -> list[dict[str, Any]]:
    found = []
    with trio.fail_after(10):
        async with events.follow(since) as channel:
            async for event in channel:
                found.append(event)
                if len(found) == count:
                    break
    return found


async def test_events_resume_after_an_id() -> None:
    """Whoever names the last id it saw gets what came after it, in order."""
    events = Events("boot")
    for number in range(5):
        events.add("tick", number, {"device": b"\x01", "n": number})
    found = await _take(events, "boot-2", 3)
    assert [event["data"]["n"] for event in found] == [2, 3, 4]
    assert found[0]["data"]["device"] == "01"


async def test_a_gap_is_said() -> None:
    """An id of another run, and one that is gone, lead to a gap and then to what is there."""
    events = Events("boot")
    events.add("tick", 0, {})
    assert [event["kind"] for event in await _take(events, "other-1", 2)] == ["gap", "tick"]
    for number in range(KEPT + 1):
        events.add("more", number, {})
    assert [event["kind"] for event in await _take(events, "boot-1", 2)] == ["gap", "more"]


async def test_who_follows_hears_of_what_comes() -> None:
    """A follower waits, and is woken by a new event."""
    events = Events("boot")
    found: list[dict[str, Any]] = []

    async def follow() -> None:
        found.extend(await _take(events, None, 1))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(follow)
        await trio.testing.wait_all_tasks_blocked()
        events.add("tick", 1, {})
    assert found[0]["id"] == "boot-1"


@pytest.mark.parametrize(
    "since",
    ["boot-²", "boot-" + "9" * 5_000, "boot-", "boot", "", "boot-x", "boot--1", "boot-99"],
)
async def test_an_id_that_never_was_is_a_gap(since: str) -> None:
    """Whatever is given as an id, what is there follows; nothing of it is an error."""
    events = Events("boot")
    events.add("tick", 0, {})
    assert [event["kind"] for event in await _take(events, since, 2)] == ["gap", "tick"]


async def test_from_zero_everything_follows() -> None:
    """Who begins before the first event misses nothing and is told of no gap."""
    events = Events("boot")
    events.add("first", 0, {})
    events.add("second", 0, {})
    assert [event["kind"] for event in await _take(events, "boot-0", 2)] == ["first", "second"]


async def test_each_event_says_what_when_and_in_which_form() -> None:
    """Its id is how to go on after it; times are decimal strings."""
    events = Events("boot")
    events.add("tick", 5, {"n": 1})
    (event,) = await _take(events, "boot-0", 1)
    assert event == {"schema": 1, "id": "boot-1", "at_ms": "5", "kind": "tick", "data": {"n": 1}}


async def test_a_follower_that_falls_behind_is_told_what_it_missed() -> None:
    """While it rests, more happen than are kept: there is a gap, and then the oldest kept."""
    events = Events("boot")
    events.add("first", 0, {})
    found: list[dict[str, Any]] = []
    with trio.fail_after(10):
        async with events.follow("boot-0") as channel:
            async for event in channel:
                found.append(event)
                if len(found) == 1:
                    for number in range(2 * KEPT):
                        events.add("more", number, {})
                if found[-2:-1] and found[-2]["kind"] == "gap":
                    break
    assert found[-1]["id"] == f"boot-{KEPT + 2}"


async def test_two_followers_each_hear_everything() -> None:
    """One that is slow takes nothing from the other."""
    events = Events("boot")
    for number in range(3):
        events.add("tick", number, {})
    first, second = await _take(events, "boot-0", 3), await _take(events, "boot-0", 3)
    assert first == second


@pytest.mark.parametrize("text", ["", "GARBAGE", "boot", "-1", "boot-", "a b-1", "boot-x"])
def test_what_no_stream_has_printed_is_no_id(text: str) -> None:
    """A slip is told from an id that is gone."""
    with pytest.raises(UsageError):
        check_id(text)


def test_an_id_of_another_run_is_an_id() -> None:
    """The stream answers it with a gap."""
    assert check_id("abcd1234-17") == "abcd1234-17"

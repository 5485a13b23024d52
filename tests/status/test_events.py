"""The event stream."""

from __future__ import annotations

from typing import Any

import trio
import trio.testing

from leaderless.status.events import KEPT, Events


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

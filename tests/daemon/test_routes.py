"""What can be asked about the daemon and its members."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import trio
import trio.testing

from leaderless.store import meta, restoring
from leaderless.transport.memory import memory_pair
from tests.daemon.rooms import Rooms, open_rooms
from tests.replicas import Replica, make_replicas

MOST_LOOKS = 100


async def test_status_says_in_words_how_things_are(tmp_path: Path, replica: Replica) -> None:
    """The report begins with the verdict."""
    async with open_rooms(tmp_path, replica) as rooms:
        assert (await rooms.data("GET", "/v1/status"))["verdict"].startswith("Alone:")


@pytest.mark.parametrize(
    "path",
    [
        "/v1/find",
        "/v1/history",
        "/v1/changes",
        "/v1/at-risk",
        "/v1/duplicates",
        "/v1/records",
        "/v1/albums/show",
    ],
)
async def test_a_limit_out_of_range_is_a_usage_error(
    tmp_path: Path, replica: Replica, path: str
) -> None:
    """Whoever asks for a million is told how many there may be."""
    async with open_rooms(tmp_path, replica) as rooms:
        await rooms.data("POST", "/v1/albums/create", name="best")
        for limit in ("0", "1000000"):
            answer = await rooms.ask("GET", path, limit=limit, album="best", model="tag")
            assert (answer.status, "1 to 10,000" in answer.data["error"]["message"]) == (400, True)


async def test_peers_are_the_other_members(tmp_path: Path, pair: list[Replica]) -> None:
    """The device that is asked is not among them."""
    async with open_rooms(tmp_path, pair[0]) as rooms:
        found = (await rooms.data("GET", "/v1/peers"))["peers"]
        assert [peer["id"] for peer in found] == [pair[1].identity.device.hex()]


async def test_the_configuration_is_shown_as_it_holds(tmp_path: Path, replica: Replica) -> None:
    """Every option has its value, and the file it may come from is named."""
    async with open_rooms(tmp_path, replica) as rooms:
        shown = await rooms.data("GET", "/v1/config")
        assert (shown["options"]["name"], shown["options"]["mdns"]) == ("anna", False)
        assert shown["file"] == str(tmp_path / "config" / "leaderless.toml")


async def test_events_are_followed_as_lines(tmp_path: Path, replica: Replica) -> None:
    """Each event is one line of JSON, from the one asked for on."""
    async with open_rooms(tmp_path, replica) as rooms:
        rooms.events.add("first", 0, {})
        rooms.events.add("second", 0, {"device": b"\x01"})
        answer = await rooms.ask("GET", "/v1/events", since="boot-1")
        assert answer.stream is not None
        async with answer.stream as lines:
            async for line in lines:
                event = json.loads(line)
                break
        assert (event["id"], event["data"]) == ("boot-2", {"device": "01"})


async def _other_side(rooms: Rooms, other: Rooms) -> None:
    """Connect two devices."""
    ends = memory_pair(rooms.replica.identity.public_key, other.replica.identity.public_key)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rooms.driver.run_link, ends[0])
        nursery.start_soon(other.driver.run_link, ends[1])


async def test_wait_answers_once_all_connected_are_proved(
    tmp_path: Path, pair: list[Replica]
) -> None:
    """It returns the report of that moment."""
    async with (
        open_rooms(tmp_path / "a", pair[0]) as rooms,
        open_rooms(tmp_path / "b", pair[1]) as other,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(_other_side, rooms, other)
        report = await rooms.data("GET", "/v1/wait", timeout_s="60")
        assert report["in_sync"] is True
        nursery.cancel_scope.cancel()


async def test_wait_waits_for_a_device_that_takes_its_rows_back(
    tmp_path: Path,
) -> None:
    """Though all who are there are proved to hold what it holds: the third may know more of it."""
    replicas, answered = make_replicas(tmp_path, 3), list[object]()
    async with (
        open_rooms(tmp_path / "a", replicas[0]) as rooms,
        open_rooms(tmp_path / "b", replicas[1]) as other,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(_other_side, rooms, other)
        await rooms.data("GET", "/v1/wait", timeout_s="60")
        await replicas[0].store.write(restoring.begin)

        async def wait() -> None:
            answered.append(await rooms.data("GET", "/v1/wait", timeout_s="60"))

        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        # It tells the other of its new life first, and both compare once more.
        for _ in range(MOST_LOOKS):
            view = await rooms.overview.view()
            proved = [peer.proved for peer in view.peers if peer.connected]
            if proved == [True]:
                break
            await trio.testing.wait_all_tasks_blocked()
        assert (proved, answered) == ([True], [])
        nursery.cancel_scope.cancel()
    for replica in replicas:
        replica.store.close()


async def test_wait_gives_up_when_its_time_is_over(tmp_path: Path, pair: list[Replica]) -> None:
    """Nobody connected is not in sync: the error says how things are."""
    async with open_rooms(tmp_path, pair[0]) as rooms:
        answer = await rooms.ask("GET", "/v1/wait", timeout_s="0")
        assert (answer.status, answer.data["error"]["code"]) == (504, "timed_out")
        assert "Not in sync" in answer.data["error"]["message"]


@pytest.mark.parametrize("is_cloned", [True, False])
async def test_wait_does_not_wait_in_vain(
    tmp_path: Path, pair: list[Replica], is_cloned: bool
) -> None:
    """Of a device that writes nothing before a person acts the reason is said at once."""
    async with open_rooms(tmp_path, pair[0]) as rooms:
        if is_cloned:
            await pair[0].store.write(lambda tx: meta.put(tx.conn, restoring.CLONED, 1))
        else:
            own = pair[0].identity.device.hex()
            await rooms.data("POST", "/v1/devices/revoke", device=own)
        answer = await rooms.ask("GET", "/v1/wait", timeout_s="60")
        why = "another machine runs" if is_cloned else "this device was revoked"
        assert (answer.status, why in answer.data["error"]["message"]) == (403, True)
        assert answer.data["error"]["hint"]


async def test_a_code_can_be_shown_and_withdrawn(tmp_path: Path, replica: Replica) -> None:
    """While it is open it is shown with its port; afterwards there is none."""
    async with open_rooms(tmp_path, replica) as rooms:
        shown = await rooms.data("POST", "/v1/pair")
        assert await rooms.data("GET", "/v1/pair") == shown
        await rooms.data("DELETE", "/v1/pair")
        assert (await rooms.ask("GET", "/v1/pair")).status == 404


async def test_waiting_for_a_code_answers_within_a_second_or_so(
    tmp_path: Path, replica: Replica, mock_clock: trio.testing.MockClock
) -> None:
    """Nothing happened: the state comes as it was."""
    states: list[str] = []
    async with open_rooms(tmp_path, replica) as rooms:
        await rooms.data("POST", "/v1/pair")

        async def wait() -> None:
            states.append((await rooms.data("GET", "/v1/pair", wait="1"))["state"])

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
            assert states == []
            mock_clock.jump(1)
        assert states == ["waiting"]


async def test_a_mistyped_code_is_refused_at_once(tmp_path: Path, replica: Replica) -> None:
    """What is no code is never tried on anybody."""
    async with open_rooms(tmp_path, replica) as rooms:
        answer = await rooms.ask("POST", "/v1/join", code="nonsense", address="127.0.0.1:1")
        assert (answer.status, answer.data["error"]["code"]) == (400, "usage")


async def test_wait_for_all_waits_for_those_that_are_away(
    tmp_path: Path, pair: list[Replica]
) -> None:
    """A member that never comes is waited for as long as was said."""
    async with open_rooms(tmp_path, pair[0]) as rooms:
        answer = await rooms.ask("GET", "/v1/wait", all="1", timeout_s="0")
        assert answer.status == 504

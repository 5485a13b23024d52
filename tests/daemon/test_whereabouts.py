"""Where this device can be called, and where the others may be."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing

from leaderless import __version__
from leaderless.clock import Clock
from leaderless.config import find_paths, load
from leaderless.daemon.whereabouts import (
    LOOK_S,
    MAX_NAMED,
    Whereabouts,
    named_addresses,
    take_hints,
)
from leaderless.discovery.base import Hint, HintKind
from leaderless.sync.backoff import Backoff
from leaderless.sync.dialer import Dialer
from leaderless.transport.base import Connection, DialError
from tests.daemon.rooms import OPTIONS, Rooms, open_rooms
from tests.limits import limited
from tests.replicas import Replica, SteppedClock, query_file


def _nobody(kind: str, data: Mapping[str, object]) -> None:
    """Hear nothing."""


def whereabouts(
    folder: Path,
    replica: Replica,
    options: str = OPTIONS,
    clock: Clock | None = None,
    changed: Callable[[], trio.Event] = trio.Event,
    tell: Callable[[str, Mapping[str, object]], None] = _nobody,
) -> Whereabouts:
    """Return the whereabouts of a device that listens at port 4747."""
    paths = find_paths(str(folder), {})
    paths.config.mkdir(parents=True, exist_ok=True)
    paths.config_file.write_text(options)
    return Whereabouts(load(paths), clock or replica.clock, replica.store, 4747, changed, tell)


def dialer() -> Dialer:
    """Return a dialer that only gathers."""

    async def dial(_: trio.Nursery, host: str, port: int) -> Connection:
        raise DialError(f"nobody at {host}:{port}")

    async def use(_: Connection) -> bool:
        """Use nothing."""
        return True

    return Dialer(dial, use, dict, bytes, Backoff(), lambda: 0.0, lambda *_: None)


# --- our own --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "addresses"),
    [
        ('listen_host = "192.0.2.7"\n', ["192.0.2.7:4747"]),
        ('listen_host = "2001:db8::7"\n', ["[2001:db8::7]:4747"]),
        ('listen_host = "192.0.2.7"\nadvertise = ["nas.example:1"]\n', ["nas.example:1"]),
    ],
)
async def test_we_are_called_where_we_listen_or_say(
    tmp_path: Path, replica: Replica, options: str, addresses: list[str]
) -> None:
    """What is advertised goes before where we listen; IPv6 stands in brackets."""
    assert whereabouts(tmp_path, replica, options).addresses() == addresses


async def test_a_device_that_listens_everywhere_names_its_own_addresses(
    tmp_path: Path, replica: Replica
) -> None:
    """There is always one, and each has the port."""
    found = whereabouts(tmp_path, replica, "").addresses()
    assert found
    assert all(item.endswith(":4747") for item in found)


async def test_the_own_row_says_what_this_machine_is(tmp_path: Path, replica: Replica) -> None:
    """Version and addresses are in it; the name that it has is kept."""
    await whereabouts(tmp_path, replica).describe()
    ((name, version, addresses, system),) = query_file(
        replica.store.path, "SELECT name, software_version, addresses, os FROM device"
    )
    assert (name, version) == ("device0", __version__)
    assert json.loads(addresses) == ["127.0.0.1:4747"]
    assert system


async def test_a_row_that_is_true_is_not_written_again(tmp_path: Path, replica: Replica) -> None:
    """Every start would else be a change for the whole fleet."""
    mine = whereabouts(tmp_path, replica)
    await mine.describe()
    before = query_file(replica.store.path, "SELECT watermark FROM incarnation")
    await mine.describe()
    assert query_file(replica.store.path, "SELECT watermark FROM incarnation") == before


async def test_a_new_device_takes_the_configured_name(tmp_path: Path, replica: Replica) -> None:
    """Before it has a row, its name is what the configuration says."""
    await replica.store.write(lambda tx: tx.conn.exec_driver_sql("DELETE FROM device"))
    await whereabouts(tmp_path, replica).describe()
    assert query_file(replica.store.path, "SELECT name FROM device") == [("anna",)]


async def test_a_row_that_a_full_disk_does_not_take_ends_nothing(
    tmp_path: Path, replica: Replica
) -> None:
    """It is written when there is room and it is described again."""
    mine = whereabouts(tmp_path, replica)
    with limited(1):
        await mine.describe()
    assert replica.store.disk.trouble is not None
    await mine.describe()
    query = "SELECT software_version FROM device"
    assert query_file(replica.store.path, query) == [(__version__,)]


# --- those of others ------------------------------------------------------------------------------


def test_addresses_in_a_row_are_read() -> None:
    """Each that is one is taken, in its order."""
    assert named_addresses('["192.0.2.1:1", "[2001:db8::1]:2"]') == [
        ("192.0.2.1", 1),
        ("2001:db8::1", 2),
    ]


@pytest.mark.parametrize(
    "text",
    [None, "", "no json", "5", "{}", '"text"', "null", "[" * 60_000, '[1, null, "a b", ""]'],
)
def test_a_row_without_addresses_names_none(text: str | None) -> None:
    """Whatever another device wrote into its row does not trouble this one."""
    assert named_addresses(text) == []


def test_a_row_names_so_many_and_no_more() -> None:
    """One member cannot fill the list of addresses to call."""
    assert len(named_addresses(json.dumps(["192.0.2.1:1"] * 1_000))) == MAX_NAMED


async def test_hints_go_to_whom_they_concern(tmp_path: Path, replica: Replica) -> None:
    """Where a code is shown is for who types one; where calls are taken, for the dialer."""
    send, receive = trio.open_memory_channel[Hint](2)
    calls = dialer()
    async with open_rooms(tmp_path, replica) as rooms:
        async with send:
            await send.send(Hint("192.0.2.1", 1, HintKind.SYNC))
            await send.send(Hint("192.0.2.2", 2, HintKind.PAIR))
        await take_hints(receive, calls, rooms.desk)
        assert list(calls.candidates) == [("192.0.2.1", 1)]
        assert list(rooms.desk.hints.newest_first()) == [("192.0.2.2", 2)]


@asynccontextmanager
async def _calling(
    folder: Path, replica: Replica
) -> AsyncIterator[tuple[Dialer, list[trio.Event]]]:
    """Call whom the rows name; the last event of the list means that rows changed."""
    calls, events = dialer(), [trio.Event()]
    mine = whereabouts(folder, replica, changed=lambda: events[-1])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(mine.call_named, calls)
        yield calls, events
        nursery.cancel_scope.cancel()


def _name(replica: Replica, of: Replica, addresses: list[str]) -> None:
    """Have a replica hold another device's row with these addresses."""

    def write(tx):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
        run = tx.conn.exec_driver_sql
        run(
            "INSERT OR IGNORE INTO incarnation (id, device, generation, nonce, set_hash)"
            " SELECT 99, ?, 1, nonce, set_hash FROM incarnation LIMIT 1",
            (of.identity.device,),
        )
        run("DELETE FROM device WHERE epoch = 99")
        run(
            "INSERT INTO device (uuid, epoch, rev, name, addresses) VALUES (?, 99, 1, 'b', ?)",
            (of.identity.device, json.dumps(addresses)),
        )

    replica.store.write_here(write)


async def test_members_are_called_where_their_rows_say(
    tmp_path: Path, pair: list[Replica], mock_clock: trio.testing.MockClock
) -> None:
    """At the start, and a little after a row has changed; never at our own addresses."""
    await whereabouts(tmp_path, pair[0]).describe()
    _name(pair[0], pair[1], ["192.0.2.1:1"])
    async with _calling(tmp_path, pair[0]) as (calls, events):
        while not calls.candidates:
            await trio.lowlevel.checkpoint()
        assert list(calls.candidates) == [("192.0.2.1", 1)]
        assert calls.candidates["192.0.2.1", 1].named_by == pair[1].identity.device
        _name(pair[0], pair[1], ["192.0.2.2:2"])
        changed = events[-1]
        events.append(trio.Event())
        changed.set()
        await trio.testing.wait_all_tasks_blocked()
        assert len(calls.candidates) == 1
        mock_clock.jump(LOOK_S)
        while len(calls.candidates) < 2:
            await trio.lowlevel.checkpoint()
        assert ("192.0.2.2", 2) in calls.candidates


# --- the network ----------------------------------------------------------------------------------


async def _discovering(rooms: Rooms, mine: Whereabouts, calls: Dialer) -> None:
    await mine.discover(calls, rooms.desk, rooms.driver)


async def test_a_wake_from_suspend_calls_everybody(
    tmp_path: Path, replica: Replica, mock_clock: trio.testing.MockClock
) -> None:
    """The machine slept: it is told, and nobody's wait counts any more."""
    told: list[Mapping[str, object]] = []
    calls = dialer()
    calls.suggest("192.0.2.1", 1)
    candidate = calls.candidates["192.0.2.1", 1]
    candidate.failures, candidate.due = 9, 1e9
    sleeper = Sleeper()
    async with open_rooms(tmp_path, replica, deadline_s=1e6) as rooms:
        heard = trio.Event()

        def tell(kind: str, data: Mapping[str, object]) -> None:
            if kind == "network_changed":
                told.append(data)
                heard.set()

        mine = whereabouts(tmp_path, replica, clock=sleeper, tell=tell)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_discovering, rooms, mine, calls)
            await trio.testing.wait_all_tasks_blocked()
            sleeper.slept_s = 3_600
            while not heard.is_set():
                mock_clock.jump(1)
                await trio.testing.wait_all_tasks_blocked()
            assert (candidate.failures, candidate.due <= trio.current_time()) == (0, True)
            nursery.cancel_scope.cancel()
    assert [data["kinds"] for data in told] == ["wake"]


class Sleeper(SteppedClock):
    """The clocks of a machine that was suspended for as long as the test says."""

    slept_s: float = 0.0

    def boottime(self) -> float:
        """Return the seconds that passed, suspended or not."""
        return self.slept_s

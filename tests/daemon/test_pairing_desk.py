"""Showing a code and typing one, between two devices over real TLS on loopback."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from leaderless.discovery.mdns import open_mdns
from leaderless.pairing import code as codes
from leaderless.pairing.attempts import LIFETIME_S
from leaderless.pairing.exchange import Exchange
from leaderless.protocol.packing import pack
from leaderless.store import meta
from registry.changes import Create
from tests.daemon.rooms import OPTIONS, Rooms, open_rooms
from tests.pairing.people import calling, framed, hear
from tests.replicas import Replica, make_replicas


async def _type(rooms: Rooms, shown: Mapping[str, Any], code: str | None = None) -> Any:
    answer = await rooms.ask(
        "POST", "/v1/join", code=code or shown["code"], address=f"127.0.0.1:{shown['port']}"
    )
    return answer.status, answer.data


async def test_the_right_code_joins_two_devices(tmp_path: Path, strangers: list[Replica]) -> None:
    """The joiner is in the host's library, both know each other, and it knows whom to call."""
    async with (
        open_rooms(tmp_path / "a", strangers[0]) as host,
        open_rooms(tmp_path / "b", strangers[1], OPTIONS.replace("anna", "ben")) as joiner,
    ):
        shown = await host.desk.show()
        status, said = await _type(joiner, shown)
        assert (status, said["device_id"]) == (200, host.replica.identity.device.hex())
        assert joiner.replica.store.library == host.replica.store.library
        for rooms in (host, joiner):
            assert len(rooms.driver.applier.members.members) == 2
        assert joiner.suggested == [("192.0.2.1", 4747), ("127.0.0.1", 4747)]
        while host.desk.state()["state"] != "paired":
            await host.desk.wait_change()
        assert host.desk.state()["device"] == "device0"


async def test_what_the_joiner_had_comes_along(tmp_path: Path, strangers: list[Replica]) -> None:
    """Its tags are in the joined library, and how many came is told."""
    tag = strangers[1].store.ids.new()
    async with (
        open_rooms(tmp_path / "a", strangers[0]) as host,
        open_rooms(tmp_path / "b", strangers[1]) as joiner,
    ):
        edit = Create("tag", tag, {"color": "red"})
        await joiner.replica.store.write(lambda tx: tx.commit("tag.create", [edit]))
        _, said = await _type(joiner, await host.desk.show())
        assert said["records_brought"] == 1
        (told,) = [data for kind, data in joiner.told if kind == "joined"]
        assert told["records_brought"] == 1
        assert joiner.rows("SELECT color FROM tag") == [("red",)]


async def test_what_comes_along_about_the_files_of_others_is_counted(
    tmp_path: Path, strangers: list[Replica]
) -> None:
    """A tag on such a file is kept: it shows again where the file is."""
    tag, link, item = (strangers[1].store.ids.new() for _ in range(3))
    edits = [
        Create("tag", tag, {"canonical_name": "trip"}),
        Create("user_metadata_tag", link, {"item": item, "scope": "entry", "tag": tag}),
    ]
    async with (
        open_rooms(tmp_path / "a", strangers[0]) as host,
        open_rooms(tmp_path / "b", strangers[1]) as joiner,
    ):
        await joiner.replica.store.write(lambda tx: tx.commit("tag.create", edits))
        _, said = await _type(joiner, await host.desk.show())
        assert (said["records_brought"], said["records_unseen"]) == (2, 1)
        assert joiner.rows("SELECT item FROM user_metadata_tag") == [(item,)]


async def test_a_wrong_code_costs_a_try_and_changes_nothing(
    tmp_path: Path, strangers: list[Replica]
) -> None:
    """Both stay in their libraries, and the code has one try less."""
    async with (
        open_rooms(tmp_path / "a", strangers[0]) as host,
        open_rooms(tmp_path / "b", strangers[1]) as joiner,
    ):
        shown = await host.desk.show()
        wrong = f"{(int(shown['code'][0]) + 1) % 10}{shown['code'][1:]}"
        status, said = await _type(joiner, shown, wrong)
        assert (status, said["error"]["code"]) == (403, "code_refused")
        assert host.desk.state()["tries_left"] == 2
        assert len(host.driver.applier.members.members) == 1
        assert joiner.replica.store.library != host.replica.store.library


async def test_a_devices_own_code_is_known_at_once(tmp_path: Path, replica: Replica) -> None:
    """Nobody is called, and no try is lost."""
    async with open_rooms(tmp_path, replica) as rooms:
        shown = await rooms.desk.show()
        answer = await rooms.ask("POST", "/v1/join", code=shown["code"])
        assert (answer.status, "itself" in answer.data["error"]["message"]) == (400, True)
        assert rooms.desk.state()["tries_left"] == 3


async def test_a_device_that_shares_its_library_joins_no_other(
    tmp_path: Path, pair: list[Replica]
) -> None:
    """The refusal comes before anybody is called."""
    async with open_rooms(tmp_path, pair[0]) as rooms:
        answer = await rooms.ask("POST", "/v1/join", code="4-maple-otter-lemon", address="x:1")
        assert answer.status in (400, 403)
        assert answer.data["error"]["code"] != "unreachable"


async def test_nobody_at_the_address_is_named(tmp_path: Path, replica: Replica) -> None:
    """A port where no code is shown is unreachable, with what to do there."""
    async with open_rooms(tmp_path, replica) as rooms:
        shown = await rooms.desk.show()
        rooms.desk.close()
        await rooms.desk.show()
        code, port = shown["code"], 1
        answer = await rooms.ask("POST", "/v1/join", code=code, address=f"127.0.0.1:{port}")
        assert (answer.status, answer.data["error"]["code"]) == (503, "unreachable")


async def test_a_new_code_takes_the_place_of_the_old(tmp_path: Path, replica: Replica) -> None:
    """At a fixed port too: the old one has let go of it before the new one is shown."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = f"{OPTIONS}pair_port = {port}\n"
    async with open_rooms(tmp_path, replica, options) as rooms:
        first, second = await rooms.desk.show(), await rooms.desk.show()
        assert first["code"] != second["code"]
        assert (first["port"], second["port"]) == (port, port)


async def test_a_port_that_is_taken_is_named(tmp_path: Path, replica: Replica) -> None:
    """The configured port cannot be used: the answer says so, and no code is open."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        options = f"{OPTIONS}pair_port = {taken.getsockname()[1]}\n"
        async with open_rooms(tmp_path, replica, options) as rooms:
            answer = await rooms.ask("POST", "/v1/pair")
            assert (answer.status, "pair_port" in answer.data["error"]["hint"]) == (400, True)
            assert (await rooms.ask("GET", "/v1/pair")).status == 404


async def test_a_code_expires(
    tmp_path: Path, replica: Replica, mock_clock: trio.testing.MockClock
) -> None:
    """After its lifetime the code is neither shown nor good for anything."""
    async with open_rooms(tmp_path, replica, deadline_s=2 * LIFETIME_S) as rooms:
        await rooms.desk.show()
        assert rooms.desk.state()["seconds_left"] == LIFETIME_S
        mock_clock.jump(LIFETIME_S)
        state = rooms.desk.state()
        assert (state["state"], state["code"], state["seconds_left"]) == ("expired", None, 0)


async def test_without_mdns_an_address_is_needed(tmp_path: Path, replica: Replica) -> None:
    """There is nobody to look for a code: the answer says what to add."""
    async with open_rooms(tmp_path, replica) as rooms:
        answer = await rooms.ask("POST", "/v1/join", code="4-" + "-".join(["acid"] * 3))
        assert answer.status == 400


@pytest.mark.parametrize("named", [("no address at all",), ("",)])
async def test_odd_addresses_in_a_welcome_do_not_spoil_the_joining(
    tmp_path: Path, strangers: list[Replica], named: tuple[str, ...]
) -> None:
    """What is no address is passed over; this device is a member all the same."""
    async with (
        open_rooms(tmp_path / "a", strangers[0], addresses=named) as host,
        open_rooms(tmp_path / "b", strangers[1]) as joiner,
    ):
        status, _ = await _type(joiner, await host.desk.show())
        assert (status, joiner.suggested) == (200, [])


@pytest.mark.parametrize("leaves", [False, True])
async def test_a_revoked_device_with_edits_of_its_own_joins_if_it_is_said_to(
    tmp_path: Path, strangers: list[Replica], leaves: bool
) -> None:
    """Nobody is called before that: the code stays good."""
    async with (
        open_rooms(tmp_path / "a", strangers[0]) as host,
        open_rooms(tmp_path / "b", strangers[1]) as joiner,
    ):
        edit = Create("tag", strangers[1].store.ids.new(), {})
        await joiner.replica.store.write(lambda tx: tx.commit("tag.create", [edit]))
        await joiner.replica.store.write(lambda tx: meta.put(tx.conn, meta.REVOKED, 1))
        shown = await host.desk.show()
        where = f"127.0.0.1:{shown['port']}"
        given = {"code": shown["code"], "address": where, "leave_edits": leaves}
        answer = await joiner.ask("POST", "/v1/join", **given)
        assert answer.status == (200 if leaves else 403)
        while leaves and host.desk.state()["state"] == "waiting":
            await host.desk.wait_change()
        assert host.desk.state()["state"] == ("paired" if leaves else "waiting")


# --- without an address ---------------------------------------------------------------------------


async def _silent_port(listeners: list[trio.SocketListener]) -> int:
    listeners += await trio.open_tcp_listeners(0, host="127.0.0.1")
    return int(listeners[-1].socket.getsockname()[1])


async def test_a_code_is_found_among_those_that_are_announced(
    tmp_path: Path, strangers: list[Replica]
) -> None:
    """Neither a stale announcement nor one of a silent stranger keeps the right code from passing."""
    listeners: list[trio.SocketListener] = []
    async with (
        open_rooms(tmp_path / "a", strangers[0]) as host,
        open_rooms(tmp_path / "b", strangers[1]) as joiner,
        open_mdns(lambda: "token", interfaces=["127.0.0.1"]) as (joiner.desk.mdns, _),
    ):
        shown = await host.desk.show()
        joiner.desk.hints.add("127.0.0.1", shown["port"])
        joiner.desk.hints.add("127.0.0.1", 1)
        joiner.desk.hints.add("127.0.0.1", await _silent_port(listeners))
        answer = await joiner.ask("POST", "/v1/join", code=shown["code"])
        assert (answer.status, len(joiner.driver.applier.members.members)) == (200, 2)
    for listener in listeners:
        await listener.aclose()


# --- coming again ---------------------------------------------------------------------------------


async def test_who_comes_again_is_not_admitted_twice(
    tmp_path: Path, strangers: list[Replica]
) -> None:
    """A joiner whose connection broke before its welcome gets it on the second try, as one member."""
    async with (
        open_rooms(tmp_path / "a", strangers[0]) as host,
        open_rooms(tmp_path / "b", strangers[1], OPTIONS.replace("anna", "ben")) as joiner,
    ):
        shown = await host.desk.show()
        await _leave_before_the_welcome(host, strangers[1], shown)
        while "member_added" not in [kind for kind, _ in host.told]:
            await trio.lowlevel.checkpoint()
        status, _ = await _type(joiner, shown)
        assert (status, len(host.driver.applier.members.members)) == (200, 2)
        assert host.rows("SELECT count(*) FROM statement") == [(2,)]
        assert [kind for kind, _ in host.told].count("member_added") == 1


async def _leave_before_the_welcome(host: Rooms, joiner: Replica, shown: Mapping[str, Any]) -> None:
    """Play the joiner up to its introduction."""
    code, identity = codes.parse(shown["code"]), joiner.identity
    async with calling(shown["port"]) as stream:
        key = host.replica.identity.public_key
        exchange = Exchange(code, identity.public_key, key, host=False)
        await stream.send_all(framed(identity.certificate_der) + framed(exchange.message))
        exchange.finish(await hear(stream))
        await stream.send_all(framed(exchange.confirmation(of_host=False)))
        exchange.check(await hear(stream))
        await stream.send_all(framed(exchange.seal(1, pack({"name": "ben"}))))


async def test_two_codes_typed_at_once_join_one_library(
    tmp_path: Path, strangers: list[Replica]
) -> None:
    """The second welcome is refused: this device shares its library by then."""
    (third,) = make_replicas(_folder(tmp_path / "third"), 1)
    async with (
        open_rooms(tmp_path / "a", strangers[0]) as host,
        open_rooms(tmp_path / "b", strangers[1]) as joiner,
        open_rooms(tmp_path / "c", third) as other,
    ):
        answers: list[int] = []

        async def type_in(shown: Mapping[str, Any]) -> None:
            answers.append((await _type(joiner, shown))[0])

        shown = [await rooms.desk.show() for rooms in (host, other)]
        async with trio.open_nursery() as nursery:
            for each in shown:
                nursery.start_soon(type_in, each)
        assert sorted(answers) == [200, 403]
        assert len(joiner.driver.applier.members.members) == 2
    third.store.close()


def _folder(path: Path) -> Path:
    path.mkdir()
    return path

"""What the status report is made from: the database, the links, the scans."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import trio
import trio.lowlevel

from leaderless.daemon.overview import CLOCK_SUSPECT_MS, Overview
from leaderless.plugins import LeftOut
from leaderless.protocol.codec import encode
from leaderless.protocol.commands import Key, Stream
from leaderless.protocol.messages import (
    PROTOCOL_VERSION,
    Hello,
    OwnedPosition,
    Positions,
    Records,
    Vectors,
)
from leaderless.protocol.transfer import encode_record
from leaderless.protocol.vectors import vectors_digest
from leaderless.store import meta, restoring, state
from leaderless.transport.memory import memory_pair
from registry.changes import Create, Incarnation
from registry.hlc import Stamp
from registry.state import RecordState
from tests.daemon.rooms import Rooms, open_rooms
from tests.forgery import log_batch, own_feed, signed_commit
from tests.replicas import START_MS, Replica, add_tree

YEAR_MS = 365 * 86_400_000


async def _connect(one: Rooms, other: Rooms) -> None:
    ends = memory_pair(one.replica.identity.public_key, other.replica.identity.public_key)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one.driver.run_link, ends[0])
        nursery.start_soon(other.driver.run_link, ends[1])


async def _codes(rooms: Rooms) -> list[str]:
    return [alert.code for alert in (await rooms.overview.view()).warnings]


async def test_rows_and_tags_are_counted(tmp_path: Path, replica: Replica) -> None:
    """All live rows of all owners, and all tags."""
    add_tree(replica, 5)
    async with open_rooms(tmp_path, replica) as rooms:
        await replica.store.write(lambda tx: tx.commit("t", [Create("tag", bytes(16), {})]))
        view = await rooms.overview.view()
        assert (view.device, view.library, view.rows, view.tags) == ("device0", "home", 9, 1)


async def test_a_device_that_cannot_be_found_again_is_warned_of(
    tmp_path: Path, pair: list[Replica]
) -> None:
    """While another is away; the remedy is one of two options."""
    async with open_rooms(tmp_path, pair[0]) as rooms:
        members = rooms.driver.applier
        overview = Overview(
            pair[0].store,
            rooms.driver,
            rooms.indexer,
            lambda: members.members,
            rooms.presence,
            findable=False,
        )
        (alert,) = (await overview.view()).warnings
        assert (alert.code, "device1 may not find" in alert.text) == ("NO_FIXED_ADDRESS", True)
        assert "or name the other in peers" in str(alert.hint)
        assert (await rooms.overview.view()).warnings == []


async def test_a_device_whose_lease_is_over_is_told_of(tmp_path: Path, pair: list[Replica]) -> None:
    """Since when it is away, and what becomes of it when it returns."""
    a, b = pair
    async with open_rooms(tmp_path, a) as rooms:
        (peer,) = (await rooms.overview.view()).peers
        assert (peer.lapsed, peer.why_not) == (False, "not connected")
        a.clock.ms += 181 * 86_400_000
        (peer,) = (await rooms.overview.view()).peers
        assert (peer.id, peer.lapsed) == (b.identity.device.hex(), True)
        assert str(peer.why_not).startswith("lapsed: not met since 2027-01-15; who missed most")


async def test_tags_under_each_other_are_a_warning(tmp_path: Path, replica: Replica) -> None:
    """It names the edge that is not in effect, and the tag to look at."""
    one, other = b"1" * 16, b"2" * 16
    family = {"relation": "parent_child"}
    edits = [
        Create("tag", one, {"canonical_name": "one"}),
        Create("tag", other, {"canonical_name": "other"}),
        Create("tag_relation", b"a" * 16, {"child": one, "parent": other, **family}),
        Create("tag_relation", b"b" * 16, {"child": other, "parent": one, **family}),
    ]
    async with open_rooms(tmp_path, replica) as rooms:
        await replica.store.write(lambda tx: tx.commit("t", edits))
        (alert,) = (await rooms.overview.view()).warnings
        assert alert.code == "TAG_CIRCLE"
        assert alert.text == "tag other is not under one: that would close a circle"
        assert alert.hint == f"leaderless tag show {other.hex()}"
        (edge,) = (await rooms.data("GET", "/v1/conflicts"))["circles"]
        assert (edge["child"], edge["parent"], edge["circle"]) == ("other", "one", ["one", "other"])


async def test_a_member_that_is_away_has_a_name_and_was_seen(
    tmp_path: Path, pair: list[Replica]
) -> None:
    """Before it has a row of its own here, its name is the one it was admitted with."""
    device = pair[1].identity.device
    async with open_rooms(tmp_path, pair[0]) as rooms:
        rooms.presence.heard("peer_disconnected", device)
        (peer,) = (await rooms.overview.view()).peers
        assert (peer.name, peer.phase, peer.connected) == ("device1", "away", False)
        assert (peer.why_not, peer.last_seen_ms) == ("not connected", str(START_MS))
        assert peer.proved_at_ms is None


async def test_a_member_is_known_over_a_restart(tmp_path: Path, pair: list[Replica]) -> None:
    """When it was seen and when it was proved are those of before."""
    device = pair[1].identity.device
    pair[0].store.write_here(
        lambda tx: tx.conn.exec_driver_sql(
            "INSERT INTO presence VALUES (?, 7, 'b:1', 5)", (device,)
        )
    )
    async with open_rooms(tmp_path, pair[0]) as rooms:
        (peer,) = (await rooms.overview.view()).peers
        assert (peer.last_seen_ms, peer.proved_at_ms) == ("7", "5")


async def test_a_peer_that_has_not_said_hello_is_greeting(
    tmp_path: Path, pair: list[Replica]
) -> None:
    """A link alone is not yet a session."""
    key = pair[1].identity.public_key
    async with open_rooms(tmp_path, pair[0]) as rooms, trio.open_nursery() as nursery:
        _, end = memory_pair(key, pair[0].identity.public_key)
        nursery.start_soon(rooms.driver.run_link, end)
        while not rooms.driver.exchange.peers:
            await trio.lowlevel.checkpoint()
        (peer,) = (await rooms.overview.view()).peers
        assert (peer.phase, peer.why_not, peer.connected) == ("hello", "greeting", True)
        nursery.cancel_scope.cancel()


async def test_a_proved_peer_is_live(tmp_path: Path, pair: list[Replica]) -> None:
    """With when it was last proved, nothing behind and no reason against."""
    async with (
        open_rooms(tmp_path / "a", pair[0]) as one,
        open_rooms(tmp_path / "b", pair[1]) as other,
        trio.open_nursery() as nursery,
    ):
        one.presence.heard("proved", pair[1].identity.device)
        nursery.start_soon(_connect, one, other)
        await one.data("GET", "/v1/wait", timeout_s="60")
        (peer,) = (await one.overview.view()).peers
        assert (peer.proved, peer.phase, peer.why_not) == (True, "live", None)
        assert (peer.rows_behind, peer.commits_behind, peer.proved_at_ms) == (0, 0, str(START_MS))
        nursery.cancel_scope.cancel()


async def test_who_is_connected_is_seen_now_in_every_list(
    tmp_path: Path, pair: list[Replica]
) -> None:
    """However long ago it was proved last."""
    async with (
        open_rooms(tmp_path / "a", pair[0]) as one,
        open_rooms(tmp_path / "b", pair[1]) as other,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(_connect, one, other)
        await one.data("GET", "/v1/wait", timeout_s="60")
        pair[0].clock.ms += 3_600_000
        (peer,) = (await one.data("GET", "/v1/peers"))["peers"]
        listed = (await one.data("GET", "/v1/devices"))["devices"]
        (device,) = (item for item in listed if not item["this_device"])
        assert peer["last_seen_ms"] == device["last_seen_ms"] == str(pair[0].clock.ms)
        nursery.cancel_scope.cancel()


async def test_a_clock_far_from_those_of_the_peers_is_suspect(
    tmp_path: Path, pair: list[Replica]
) -> None:
    """A device says it of itself, with how far it is off."""
    pair[1].clock.ms += 2 * CLOCK_SUSPECT_MS
    async with (
        open_rooms(tmp_path / "a", pair[0]) as one,
        open_rooms(tmp_path / "b", pair[1]) as other,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(_connect, one, other)
        await one.data("GET", "/v1/wait", timeout_s="60")
        (alert,) = [
            item for item in (await one.overview.view()).warnings if item.code == "CLOCK_SUSPECT"
        ]
        assert "120 s off" in alert.text
        nursery.cancel_scope.cancel()


async def test_an_author_from_the_future_is_named(tmp_path: Path, pair: list[Replica]) -> None:
    """FUTURE_STAMP stands in the status for as long as the stamp lies ahead."""
    author = pair[1]
    signed = signed_commit(author, stamp=Stamp(START_MS + YEAR_MS, 0, 0))
    async with open_rooms(tmp_path, pair[0]) as rooms:
        batch = log_batch(own_feed(author), signed)
        await rooms.driver.applier.apply(batch, author.identity.device)
        assert "FUTURE_STAMP" in await _codes(rooms)
        pair[0].clock.ms += YEAR_MS
        assert "FUTURE_STAMP" not in await _codes(rooms)


async def test_who_signed_two_commits_as_one_is_named_until_it_goes_on(
    tmp_path: Path, pair: list[Replica]
) -> None:
    """A restored device goes on in a new incarnation: then there is nothing to say any more."""
    mine, author = pair
    feed, device = own_feed(author), author.identity.device
    other = signed_commit(author, stamp=Stamp(START_MS + 1, 0, 0))
    async with open_rooms(tmp_path, mine) as rooms:
        for signed in (signed_commit(author), other):
            await rooms.driver.applier.apply(log_batch(feed, signed), device)
        assert "PEER_RESTORED" in await _codes(rooms)
        view = await rooms.overview.view()
        assert any("two different commits as number 1" in item.text for item in view.warnings)
        key = Key(Stream.STATE, device)
        rooms.driver.exchange.fetching.distrust(b"r" * 16, key, None, "x", trio.current_time())
        (alert,) = [
            item
            for item in (await rooms.overview.view()).warnings
            if item.code == "RELAY_DISTRUSTED"
        ]
        assert "no fault of that device" in str(alert.hint)
        replica_of = Incarnation(2, bytes(8))
        mine.store.write_here(lambda tx: state.add_incarnation(tx.conn, device, replica_of))
        assert not {"FORKED", "PEER_RESTORED"}.intersection(await _codes(rooms))


async def test_the_founder_is_called_by_its_id_until_it_says_its_name(
    tmp_path: Path, pair: list[Replica]
) -> None:
    """Its row is not here yet, and the library's name is not its own."""
    founder = pair[0].identity.device
    async with open_rooms(tmp_path, pair[1]) as rooms:
        (peer,) = (await rooms.overview.view()).peers
        assert (peer.id, peer.name) == (founder.hex(), founder.hex()[:8])


async def test_a_package_that_is_left_out_is_named(tmp_path: Path, replica: Replica) -> None:
    """With the reason, and what to do about it."""
    async with open_rooms(tmp_path, replica) as rooms:
        members = rooms.driver.applier.members
        left_out = (LeftOut("acme-notes", "it is no Model"),)
        overview = Overview(
            replica.store, rooms.driver, rooms.indexer, lambda: members, rooms.presence, left_out
        )
        (alert,) = (await overview.view()).warnings
        assert (alert.code, alert.text) == (
            "PACKAGE_LEFT_OUT",
            "the models of package acme-notes are not used: it is no Model",
        )
        assert alert.hint is not None
        assert "restart the daemon" in alert.hint


@pytest.mark.parametrize("life", [restoring.RESTORING, restoring.CLONED])
async def test_why_a_device_writes_nothing_is_said_with_the_way_out(
    tmp_path: Path, pair: list[Replica], life: str
) -> None:
    """While it waits for others to take its rows back, and while another machine runs as it."""
    pair[0].store.write_here(lambda tx: meta.put(tx.conn, life, 1))
    async with open_rooms(tmp_path, pair[0]) as rooms:
        (alert, *_) = (await rooms.overview.view()).warnings
        assert alert.code == life.upper()
        assert "leaderless device claim" in str(alert.hint)


async def test_a_relay_that_forged_something_is_a_warning(
    tmp_path: Path, pair: list[Replica]
) -> None:
    """It says what is not taken from whom, and why; what it says that it holds is not believed."""
    device = pair[1].identity.device
    key = Key(Stream.STATE, bytes(16))
    async with open_rooms(tmp_path, pair[0]) as rooms:
        fetching = rooms.driver.exchange.fetching
        why = "its rows\x1b[31m were not signed"
        fetching.distrust(device, key, None, why, trio.current_time())
        (alert,) = (await rooms.overview.view()).warnings
        assert alert.code == "RELAY_DISTRUSTED"
        assert alert.text == (
            f"what {device.hex()[:8]} hands on of 00000000 is not used:"
            " its rows\\x1b[31m were not signed"
        )


async def test_a_peer_that_gives_less_than_it_says_is_shown_so(
    tmp_path: Path, pair: list[Replica]
) -> None:
    """What is still to come from it may never come, or not soon."""
    near, far = pair
    async with open_rooms(tmp_path, near) as rooms, trio.open_nursery() as nursery:
        ours, theirs = memory_pair(far.identity.public_key, near.identity.public_key)
        nursery.start_soon(rooms.driver.run_link, theirs)
        await ours.send(encode(_hello(near)))
        claims = Vectors({bytes(16): OwnedPosition(Incarnation(1, bytes(8)), 3)})
        await ours.send(encode(Positions(claims, whole=True)))
        while not any(peer.known for peer in rooms.driver.exchange.peers.values()):
            await trio.lowlevel.checkpoint()
        rooms.driver.exchange.fetching.promises.withheld.add(
            (far.identity.device, Key(Stream.STATE, bytes(16)))
        )
        (peer,) = (await rooms.overview.view()).peers
        assert peer.why_not == "3 changes are still to come from it; it gives less than it says"
        key, now = Key(Stream.STATE, bytes(16)), trio.current_time()
        rooms.driver.exchange.fetching.distrust(far.identity.device, key, None, "forged\x1b", now)
        (peer,) = (await rooms.overview.view()).peers
        assert str(peer.why_not).endswith("; it is not asked for that now: forged\\x1b")
        nursery.cancel_scope.cancel()


def _hello(replica: Replica) -> Hello:
    """Return the first message of a member that holds nothing."""
    return Hello(
        PROTOCOL_VERSION,
        replica.store.library,
        Incarnation(1, bytes([3]) * 8),
        {},
        bytes(32),
        vectors_digest(Vectors()),
        START_MS,
        "hostile",
    )


async def test_what_is_fetched_instead_of_forgotten_edits_is_told(
    tmp_path: Path, pair: list[Replica]
) -> None:
    """That somebody is needed for it, how far it has come, and no commit that waits beside that."""
    author, receiver = pair
    bare = replace(signed_commit(author), body=b"")
    async with open_rooms(tmp_path, receiver) as rooms:
        applier = rooms.driver.applier
        await applier.apply(log_batch(own_feed(author), bare), author.identity.device)
        (alert,) = (await rooms.overview.view()).warnings
        assert (alert.code, alert.hint) == (
            "FETCHING_RECORDS",
            "connect a device that has been in touch with the others",
        )
        packed = encode_record(("tag", bytes(16)), RecordState(), {})
        for after, told in ((b"", "1 record so far"), (bytes(16) + b"tag", "still to come")):
            batch = Records(after, {own_feed(author): 2}, () if after else (packed,), bool(after))
            await applier.apply(batch, author.identity.device)
            (alert,) = (await rooms.overview.view()).warnings
            assert alert.text.endswith(told)

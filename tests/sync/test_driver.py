"""Devices that talk: the driver over real stores, with the network in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
import trio.testing

from leaderless.protocol import codec
from leaderless.protocol.commands import Key, Read
from leaderless.protocol.limits import BATCH_ROWS
from leaderless.protocol.messages import PullState, StateBatch
from leaderless.protocol.silence import HELLO_S
from leaderless.store import meta
from leaderless.store.holdings import read_holdings
from leaderless.transport.memory import memory_pair
from registry.changes import Create, Delete, Update
from tests.cluster import open_cluster, rows
from tests.replicas import DEVICE_COLUMNS, ENTRY_COLUMNS, add_tree
from tests.sync.applying import hello

if TYPE_CHECKING:
    from pathlib import Path

    from leaderless.store.transaction import Transaction
    from leaderless.transport.memory import MemoryLink

_ENTRIES = "SELECT uuid, rev, name FROM entry WHERE dead = 0 ORDER BY uuid"
_TAGS = "SELECT uuid, display_name, color FROM tag ORDER BY uuid"


async def test_two_devices_sync_a_location(tmp_path: Path) -> None:
    """What one device indexed is on the other, and both prove it."""
    async with open_cluster(tmp_path, 2) as cluster:
        a, b = cluster.nodes
        add_tree(a.replica, 10_000)
        await a.driver.look_again()
        await cluster.connect(0, 1)
        await cluster.until_in_sync((0, 1))
        assert rows(b, _ENTRIES) == rows(a, _ENTRIES)


async def test_a_local_transaction_is_broadcast(tmp_path: Path) -> None:
    """A tag that is made while devices are connected arrives without being asked for."""
    async with open_cluster(tmp_path, 2) as cluster:
        a, b = cluster.nodes
        await cluster.connect(0, 1)
        await cluster.until_in_sync((0, 1))
        tag = a.store.ids.new()
        await a.store.write(
            lambda tx: tx.commit("tag.create", [Create("tag", tag, {"display_name": "Trip"})])
        )
        await cluster.until(lambda: rows(b, _TAGS) == [(tag, "Trip", None)])
        await cluster.until_in_sync((0, 1))


async def test_edits_of_different_fields_both_survive(tmp_path: Path) -> None:
    """Two offline edits of one tag, each of another field, are both there after the meeting."""
    async with open_cluster(tmp_path, 2) as cluster:
        a, b = cluster.nodes
        tag = a.store.ids.new()
        await a.store.write(lambda tx: tx.commit("tag.create", [Create("tag", tag, {})]))
        first = await cluster.connect(0, 1)
        await cluster.until_in_sync((0, 1))
        for end in first:
            await end.aclose()
        await cluster.until(lambda: not a.driver.exchange.peers and not b.driver.exchange.peers)
        for node, field, value in ((a, "display_name", "Trip"), (b, "color", "red")):
            edit = Update("tag", tag, {field: value})
            await node.store.write(lambda tx, edit=edit: tx.commit("tag.set", [edit]))
        await cluster.connect(0, 1)
        await cluster.until_in_sync((0, 1))
        assert rows(a, _TAGS) == rows(b, _TAGS) == [(tag, "Trip", "red")]


async def test_the_later_of_two_edits_wins_and_the_other_is_in_the_journal(tmp_path: Path) -> None:
    """Two offline edits of one field leave the later value on both, the earlier in the journal."""
    async with open_cluster(tmp_path, 2) as cluster:
        a, b = cluster.nodes
        tag = a.store.ids.new()
        await a.store.write(
            lambda tx: tx.commit("tag.create", [Create("tag", tag, {"color": "blue"})])
        )
        first = await cluster.connect(0, 1)
        await cluster.until_in_sync((0, 1))
        for end in first:
            await end.aclose()
        await cluster.until(lambda: not a.driver.exchange.peers and not b.driver.exchange.peers)
        b.replica.clock.ms += 1_000
        for node, value in ((a, "red"), (b, "green")):
            edit = Update("tag", tag, {"color": value})
            await node.store.write(lambda tx, edit=edit: tx.commit("tag.set", [edit]))
        await cluster.connect(1, 0)
        await cluster.until_in_sync((0, 1))
        journal = "SELECT field, value FROM journal"
        assert rows(a, _TAGS) == rows(b, _TAGS) == [(tag, None, "green")]
        assert rows(a, journal) == rows(b, journal) == [("color", b"\xa3red")]


async def test_a_third_device_gets_everything_from_the_one_it_meets(tmp_path: Path) -> None:
    """In a line a-b-c, c gets a's rows and tags from b while a is away."""
    async with open_cluster(tmp_path, 3) as cluster:
        a, b, c = cluster.nodes
        add_tree(a.replica, 5_000)
        tag = a.store.ids.new()
        await a.store.write(lambda tx: tx.commit("tag.create", [Create("tag", tag, {})]))
        first = await cluster.connect(0, 1)
        await cluster.until_in_sync((0, 1))
        for end in first:
            await end.aclose()
        await cluster.connect(1, 2)
        await cluster.until_in_sync((1, 2))
        assert rows(c, _ENTRIES) == rows(a, _ENTRIES)
        assert rows(c, _TAGS) == rows(a, _TAGS)
        await b.store.write(lambda tx: tx.commit("tag.delete", [Delete("tag", tag)]))
        await cluster.until(lambda: rows(c, _TAGS) == [])


async def test_a_delete_is_not_undone_whoever_meets_whom(tmp_path: Path) -> None:
    """A tree that was deleted stays deleted after devices met in a line."""
    async with open_cluster(tmp_path, 3) as cluster:
        a, b, c = cluster.nodes
        add_tree(a.replica, 50)
        for one, other in ((0, 1), (1, 2)):
            await cluster.connect(one, other)
        await cluster.until_in_sync((0, 1), (1, 2))
        gone = [uuid for uuid, _, name in rows(a, _ENTRIES) if name.startswith(b"file")]
        await a.store.write(lambda tx: tx.drop("entry", gone))
        await cluster.until(lambda: len(rows(c, _ENTRIES)) == 1)
        await cluster.until_in_sync((0, 1), (1, 2))
        assert len(rows(b, "SELECT uuid FROM tombstone")) == 50


async def test_delete_against_edit_ends_the_same_in_either_order(tmp_path: Path) -> None:
    """An edit that a delete had not seen is in both journals, and the tag is gone on both."""
    async with open_cluster(tmp_path, 3) as cluster:
        a, b, c = cluster.nodes
        tag = a.store.ids.new()
        await a.store.write(lambda tx: tx.commit("tag.create", [Create("tag", tag, {})]))
        first = await cluster.connect(0, 1)
        await cluster.until_in_sync((0, 1))
        for end in first:
            await end.aclose()
        await cluster.until(lambda: not a.driver.exchange.peers and not b.driver.exchange.peers)
        await a.store.write(lambda tx: tx.commit("tag.delete", [Delete("tag", tag)]))
        edit = Update("tag", tag, {"color": "green"})
        await b.store.write(lambda tx: tx.commit("tag.set", [edit]))
        await cluster.connect(2, 1)
        await cluster.until_in_sync((1, 2))
        await cluster.connect(2, 0)
        await cluster.until_in_sync((0, 2), (1, 2))
        journal = "SELECT field, value FROM journal"
        for node in (a, b, c):
            assert rows(node, _TAGS) == []
            assert rows(node, journal) == [("color", b"\xa5green")]


async def test_a_clock_a_year_ahead_is_named_and_pulls_nobody(tmp_path: Path) -> None:
    """Its edits arrive, its author is named, our clock stays, and a later edit still wins."""
    async with open_cluster(tmp_path, 2) as cluster:
        a, b = cluster.nodes
        a.replica.clock.ms += 365 * 86_400_000
        tag = a.store.ids.new()
        await a.store.write(
            lambda tx: tx.commit("tag.create", [Create("tag", tag, {"color": "red"})])
        )
        await cluster.connect(0, 1)
        await cluster.until_in_sync((0, 1))
        assert ("future_stamp", {"device": a.device}) in b.told
        (clock,) = rows(b, "SELECT value FROM meta WHERE name = 'clock_ms'")
        assert clock[0] <= b.replica.clock.ms + 60_000
        edit = Update("tag", tag, {"color": "green"})
        await b.store.write(lambda tx: tx.commit("tag.set", [edit]))
        await cluster.until(lambda: rows(a, _TAGS) == [(tag, None, "green")])


async def test_hostile_frames_end_their_connection_alone(tmp_path: Path) -> None:
    """Whoever sends what is no message is told goodbye; others go on, nothing is stored."""
    frames = (b"", b"\x09\x01", b"\x00\x01", b"\x01" + bytes(50), bytes(10 << 20))
    async with open_cluster(tmp_path, 2 + len(frames)) as cluster:
        a, b, *others = cluster.nodes
        await cluster.connect(0, 1)
        await cluster.until_in_sync((0, 1))
        before = rows(a, "SELECT count(*) FROM commit_log")
        for frame, other in zip(frames, others, strict=True):  # each is not heard again at once
            key = other.replica.identity.public_key
            ours, theirs = memory_pair(key, a.replica.identity.public_key)
            with trio.fail_after(30):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(a.driver.run_link, theirs)
                    await ours.send(frame)
        assert a.kinds().count("peer_error") == 5
        assert rows(a, "SELECT count(*) FROM commit_log") == before
        tag = a.store.ids.new()
        await a.store.write(lambda tx: tx.commit("tag.create", [Create("tag", tag, {})]))
        await cluster.until(lambda: len(rows(b, _TAGS)) == 1)


async def test_strange_names_arrive_exactly(tmp_path: Path) -> None:
    """Bytes that are no text are the same bytes on the other device."""
    async with open_cluster(tmp_path, 2) as cluster:
        a, b = cluster.nodes
        strange = "caf\udce9\n\x1b[31m"
        add_tree(a.replica, 1, "plain")
        location, root = add_tree(a.replica, 0, "other")
        name = strange.encode("utf-8", "surrogateescape")
        row = (a.store.ids.new(), location, root, name, None, "file", *[None] * 8)
        await a.store.write(lambda tx: tx.put("entry", ENTRY_COLUMNS, [row]))
        await cluster.connect(0, 1)
        await cluster.until_in_sync((0, 1))
        assert name in [found for _, _, found in rows(b, _ENTRIES)]


async def test_a_changed_relay_is_noticed_and_not_believed(tmp_path: Path) -> None:
    """Rows that a relay altered do not match the owner's word: they are dropped and named."""
    async with open_cluster(tmp_path, 3) as cluster:
        a, b, c = cluster.nodes
        add_tree(a.replica, 5)
        first = await cluster.connect(0, 1)
        await cluster.until_in_sync((0, 1))
        for end in first:
            await end.aclose()
        await b.store.write(
            lambda tx: tx.conn.exec_driver_sql("UPDATE entry SET size_bytes = 99 WHERE rev = 7")
        )
        await cluster.connect(1, 2)
        await cluster.until(lambda: "state_differs" in c.kinds())
        assert rows(c, _ENTRIES) == []


async def test_another_library_ends_the_sessions_of_the_one_before(tmp_path: Path) -> None:
    """A device that has joined elsewhere drops its links, and goes on in the new library."""
    async with open_cluster(tmp_path, 2) as cluster:
        a, b = cluster.nodes
        await cluster.connect(0, 1)
        await cluster.until_in_sync((0, 1))

        def move(tx: Transaction) -> None:
            meta.put(tx.conn, meta.LIBRARY, b"another library!")
            tx.facts_changed = True
            tx.sign_anew()

        await a.store.write(move)
        await cluster.until(lambda: not a.driver.exchange.peers and not b.driver.exchange.peers)
        assert a.driver.exchange.library == b"another library!"
        await cluster.connect(0, 1)
        await cluster.until(
            lambda: "other_library" in [data.get("code") for _, data in a.told + b.told]
        )


async def test_a_new_device_row_goes_to_everybody_at_once(tmp_path: Path) -> None:
    """An introduction needs no stream to be open, and arrives at each peer."""
    async with open_cluster(tmp_path, 2) as cluster:
        a, b = cluster.nodes
        await cluster.connect(0, 1)
        await cluster.until_in_sync((0, 1))
        row = (a.device, "renamed", *[None] * (len(DEVICE_COLUMNS) - 2))
        await a.store.write(lambda tx: tx.put("device", DEVICE_COLUMNS, [row]))
        await a.driver.introduce()
        await cluster.until(lambda: ("renamed",) in rows(b, "SELECT name FROM device"))


async def test_a_peer_that_says_nothing_is_left(
    tmp_path: Path, mock_clock: trio.testing.MockClock
) -> None:
    """Who connects and sends no hello is told so once its time is over, and the link ends."""
    async with open_cluster(tmp_path, 2) as cluster:
        a, b = cluster.nodes
        ours, theirs = memory_pair(b.replica.identity.public_key, a.replica.identity.public_key)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(a.driver.run_link, theirs)
            await trio.testing.wait_all_tasks_blocked()
            mock_clock.jump(HELLO_S)
        assert ("link_closed", {"device": b.device, "code": "no_hello"}) in a.told
        said = [codec.decode(await ours.receive()) for _ in range(2)]
        assert [type(message).__name__ for message in said] == ["Hello", "Bye"]


async def test_who_asks_for_an_owner_anew_gets_the_ancestors_anew(tmp_path: Path) -> None:
    """On one link: it may have dropped the batch that had brought them."""
    async with open_cluster(tmp_path, 2) as cluster:
        a, b = cluster.nodes
        location, root = add_tree(a.replica, BATCH_ROWS + 100)
        row = (root, location, None, b"renamed", None, "directory", *[None] * 8)
        await a.store.write(lambda tx: tx.put("entry", ENTRY_COLUMNS, [row]))
        ours, theirs = memory_pair(b.replica.identity.public_key, a.replica.identity.public_key)
        held = (await a.store.read(read_holdings)).vectors.owned[a.device]
        pull = PullState(a.device, held.incarnation, 0)
        with trio.fail_after(30):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(a.driver.run_link, theirs)
                await ours.send(codec.encode(hello(b)))
                for _ in range(2):
                    await ours.send(codec.encode(pull))
                    assert root in await _first_entries(ours)
                nursery.cancel_scope.cancel()


async def _first_entries(link: MemoryLink) -> list[object]:
    """Return the entries in the next batch that begins at the beginning."""
    while True:
        said = codec.decode(await link.receive())
        if isinstance(said, StateBatch) and said.lo == 0 and not said.introduction:
            entries = [change.rows for change in said.changes if change.model == "entry"]
            return [row[0] for found in entries for row in found]


async def test_a_write_takes_back_in_sync_at_once(tmp_path: Path) -> None:
    """Whoever hears that an edit is durable finds nobody who says in sync any more."""
    async with open_cluster(tmp_path, 2) as cluster:
        a = cluster.nodes[0]
        await cluster.connect(1, 0)
        await cluster.until_in_sync((0, 1))
        (peer,) = a.driver.exchange.peers.values()
        assert a.driver.exchange.is_proved(peer)
        tag = Create("tag", a.store.ids.new(), {})
        await a.store.write(lambda tx: tx.commit("tag.create", [tag]))
        assert not a.driver.exchange.is_proved(peer)


async def test_an_edit_goes_out_as_it_was_read_beside_its_write(tmp_path: Path) -> None:
    """Nothing is read for a peer once more that the write has read already."""
    async with open_cluster(tmp_path, 2) as cluster:
        a = cluster.nodes[0]
        await cluster.connect(1, 0)
        await cluster.until_in_sync((0, 1))
        asked: list[object] = []
        (link,) = a.driver._links.values()
        read = link.source._read

        async def counted(key: Key, after: int) -> Read | None:
            asked.append((key, after))
            return await read(key, after)

        link.source._read = counted  # type: ignore[method-assign]
        tag = Create("tag", a.store.ids.new(), {})
        await a.store.write(lambda tx: tx.commit("tag.create", [tag]))
        await cluster.until_in_sync((0, 1))
        assert asked == []


async def test_of_two_calls_at_once_none_is_lost(tmp_path: Path) -> None:
    """One is given up for the other: neither side says that the other has gone."""
    async with open_cluster(tmp_path, 2) as cluster:
        await cluster.connect(0, 1)
        await cluster.connect(1, 0)
        await cluster.until_in_sync((0, 1))
        await cluster.until(lambda: any("link_closed" in node.kinds() for node in cluster.nodes))
        for node in cluster.nodes:
            assert "peer_disconnected" not in node.kinds()
            assert "peer_left" not in node.kinds()

"""Devices that lack commits whose bodies others have forgotten: the state of the records instead."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from leaderless.protocol.records import decode_state, encode_state
from leaderless.store.record_source import read_records
from leaderless.store.staging import stage
from registry.changes import Create, Delete, Restore, Update
from tests.cluster import Cluster, Node, open_cluster
from tests.merge.devices import agreed, edit, journal, meet, receive_all
from tests.replicas import Replica, make_replicas, query_file
from tests.store.passing import within
from tests.sync.applying import applier

A, B, C = (bytes([at]) * 16 for at in (0x11, 0x22, 0x33))


def forget_bodies(*replicas: Replica) -> None:
    """Drop the bodies of all commits that are applied."""
    for replica in replicas:
        with closing(sqlite3.connect(replica.store.path)) as connection, connection:
            connection.execute(
                "UPDATE commit_log SET body = NULL WHERE seq <="
                " (SELECT applied FROM feed WHERE feed.id = commit_log.feed)"
            )


def _apart(folder: Path) -> list[Replica]:
    """Return three devices, the third away since all three had two tags and a note."""
    replicas = make_replicas(folder, 3)
    one, two, away = replicas
    edit(one, Create("tag", A, {"canonical_name": "beach", "color": "red"}))
    edit(one, Create("tag", B, {"canonical_name": "work"}))
    meet(*replicas)
    edit(away, Update("tag", A, {"color": "green"}))
    edit(away, Create("tag", C, {"canonical_name": "offline"}))
    edit(away, Update("tag", B, {"icon": "sun"}))
    edit(one, Delete("tag", B))
    edit(two, Update("tag", A, {"color": "blue"}), after_ms=9)
    edit(one, Update("tag", A, {"icon": "sun"}))
    meet(one, two)
    return replicas


def _tells(node: Node, kind: str) -> int:
    return node.kinds().count(kind)


async def _in_sync(cluster: Cluster, *pairs: tuple[int, int]) -> None:
    await cluster.until_in_sync(*pairs)
    first, *others = [agreed(node.replica) for node in cluster.nodes]
    for other in others:
        assert other == first


async def test_a_device_that_returns_after_all_was_forgotten(tmp_path: Path) -> None:
    """It resurrects nothing and loses nothing: what hit a deleted record is in the journal."""
    replicas = _apart(tmp_path)
    signed = query_file(
        replicas[2].store.path,
        "SELECT header, signature FROM commit_log ORDER BY feed, seq",
    )
    forget_bodies(*replicas[:2])
    async with open_cluster(tmp_path, 3, replicas) as cluster:
        await cluster.connect(0, 1)
        await cluster.connect(2, 0)
        await cluster.connect(2, 1)
        await _in_sync(cluster, (0, 1), (0, 2), (1, 2))
        held = agreed(cluster.nodes[0].replica)
        assert set(held.tables["tag"]) == {A, C}
        assert held.tables["tag"][A]["color"] == "blue"
        lost = {(loss.record, loss.field) for loss in journal(cluster.nodes[2].replica)}
        assert lost == {(A, "color"), (B, "icon")}
        assert _tells(cluster.nodes[2], "took_records") == 1
        everywhere = query_file(
            cluster.nodes[1].store.path, "SELECT header, signature FROM commit_log"
        )
        assert set(signed) <= set(everywhere)


async def test_a_restore_of_what_was_deleted_while_away_brings_back_the_offline_edit(
    tmp_path: Path,
) -> None:
    """What a restore recalls is the same on the device that was given the state."""
    replicas = _apart(tmp_path)
    forget_bodies(*replicas[:2])
    async with open_cluster(tmp_path, 3, replicas) as cluster:
        await cluster.connect(0, 1)
        await cluster.connect(2, 1)
        await _in_sync(cluster, (0, 1), (1, 2))
        edit(replicas[2], Restore("tag", B))
        for node in cluster.nodes:
            await node.driver.look_again()
        await _in_sync(cluster, (0, 1), (1, 2))
        assert agreed(replicas[0]).tables["tag"][B]["icon"] == "sun"


def many_forgotten(folder: Path, count: int) -> list[Replica]:
    """Return devices of a library whose log is forgotten at all that have it; the last has nothing."""
    replicas = make_replicas(folder, count)
    for at in range(30):
        tag = bytes([at]) * 16
        edit(replicas[0], Create("tag", tag, {"canonical_name": f"tag {at}"}))
    edit(replicas[0], *(Delete("tag", bytes([at]) * 16) for at in range(5)))
    meet(*replicas[:-1])
    edit(replicas[-1], Create("tag", b"mine" * 4, {"canonical_name": "my own"}))
    forget_bodies(*replicas[:-1])
    return replicas


async def test_a_newcomer_is_given_the_state_batch_by_batch(tmp_path: Path) -> None:
    """It ends equal to the others though it never sees what the commits had said."""
    replicas = many_forgotten(tmp_path, 2)
    async with open_cluster(tmp_path, 2, replicas, batch_rows=4) as cluster:
        await cluster.connect(1, 0)
        await _in_sync(cluster, (0, 1))
        assert len(agreed(replicas[1]).tables["tag"]) == 26
        assert query_file(replicas[1].store.path, "SELECT count(*) FROM staged_record") == [(0,)]


async def test_another_source_goes_on_when_the_first_one_dies(tmp_path: Path) -> None:
    """With what is staged; edits made meanwhile come with the log."""
    replicas = many_forgotten(tmp_path, 3)
    async with open_cluster(tmp_path, 3, replicas, batch_rows=3) as cluster:
        _, end = await cluster.connect(2, 0)
        await cluster.until(lambda: _staged(replicas[2]) > 5)
        assert _staged(replicas[2]) < 30
        await end.aclose()
        edit(replicas[1], Update("tag", bytes([20]) * 16, {"color": "red"}))
        edit(replicas[1], Delete("tag", bytes([7]) * 16))
        await cluster.nodes[1].driver.look_again()
        staged = _staged(replicas[2])
        await cluster.connect(2, 1)
        await cluster.until(lambda: _tells(cluster.nodes[2], "took_records") == 1)
        assert _tells(cluster.nodes[2], "fetching_records") == 1
        assert staged > 5
        await cluster.connect(0, 1)
        await _in_sync(cluster, (0, 1), (1, 2))


async def test_a_state_that_does_not_fit_the_log_is_not_kept(tmp_path: Path) -> None:
    """Its source is named and not asked again; another one is."""
    replicas = many_forgotten(tmp_path, 3)
    with closing(sqlite3.connect(replicas[0].store.path)) as connection, connection:
        (state,) = connection.execute(
            "SELECT state FROM record WHERE uuid = ?", (bytes([9]) * 16,)
        ).fetchone()
        held = decode_state(state)
        write = held.writes[0]
        later = write.ref._replace(stamp=write.ref.stamp._replace(ms=write.ref.stamp.ms + 1))
        lie = encode_state(replace(held, writes=(write._replace(value="no", ref=later),)))
        connection.execute("UPDATE record SET state = ? WHERE uuid = ?", (lie, bytes([9]) * 16))
    async with open_cluster(tmp_path, 3, replicas) as cluster:
        await cluster.connect(2, 0)
        await cluster.until(lambda: _tells(cluster.nodes[2], "records_differ") == 1)
        told = next(data for kind, data in cluster.nodes[2].told if kind == "records_differ")
        assert told["from"] == cluster.nodes[0].device
        assert len(agreed(replicas[2]).tables["tag"]) == 1
        await cluster.connect(2, 1)
        await cluster.until_in_sync((1, 2))
        assert agreed(replicas[2]) == agreed(replicas[1])


def _staged(replica: Replica) -> int:
    ((count,),) = query_file(replica.store.path, "SELECT count(*) FROM staged_record")
    return int(count)


async def test_what_was_whole_when_a_device_died_takes_effect_when_it_starts(
    tmp_path: Path,
) -> None:
    """Nobody has to send anything for it."""
    source, target = make_replicas(tmp_path, 2)
    edit(source, Create("tag", A, {"canonical_name": "beach"}))
    batch = within(source, lambda conn: read_records(conn, b""))
    within(target, lambda conn: stage(conn, batch, source.identity.device))
    receive_all(source, target)
    async with open_cluster(tmp_path, 2, [source, target]) as cluster:
        await cluster.until(lambda: _staged(target) == 0)
        assert set(agreed(cluster.nodes[1].replica).tables["tag"]) == {A}


async def test_a_state_that_cannot_be_shown_is_refused_with_its_source(tmp_path: Path) -> None:
    """Whatever makes it so: it is not kept, and this device goes on."""
    source, target = make_replicas(tmp_path, 2)
    edit(source, Create("tag", A, {"canonical_name": "beach"}))
    batch = within(source, lambda conn: read_records(conn, b""))
    within(target, lambda conn: stage(conn, batch, source.identity.device))
    receive_all(source, target)
    refuses = "CREATE TRIGGER refuses BEFORE INSERT ON tag BEGIN SELECT RAISE(ABORT, 'no'); END"
    within(target, lambda conn: conn.exec_driver_sql(refuses))
    outcome = await (await applier(target)).take_staged()
    assert (outcome.used, outcome.disagrees) == (False, source.identity.device)
    assert (_staged(target), agreed(target).tables["tag"]) == (0, {})
    for replica in (source, target):
        replica.store.close()

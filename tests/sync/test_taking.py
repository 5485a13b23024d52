"""What was fetched of the shared records takes effect once all of it is here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import trio

from leaderless.store.fetched import read_staging
from leaderless.store.record_source import read_records
from leaderless.store.staging import stage
from leaderless.sync.outcome import Outcome
from leaderless.sync.taking import Taking
from registry.changes import Create
from tests.cluster import open_cluster
from tests.limits import limited
from tests.merge.devices import agreed, edit, receive_all
from tests.replicas import Replica, make_replicas
from tests.store.passing import within
from tests.sync.applying import applier

TAG = b"\x11" * 16
DEADLINE_S = 60.0


def _fetched(source: Replica, target: Replica) -> None:
    """Give a device all that another one holds of the shared records, and the headers of its log."""
    edit(source, Create("tag", TAG, {"canonical_name": "beach"}))
    batch = within(source, lambda conn: read_records(conn, b""))
    within(target, lambda conn: stage(conn, batch, source.identity.device))
    receive_all(source, target)


def _tags(replica: Replica) -> set[bytes]:
    return set(agreed(replica).tables["tag"])


async def test_what_came_last_on_a_link_that_is_gone_takes_effect(tmp_path: Path) -> None:
    """It was durable, and the link ended before anything was done about it."""
    source, target = make_replicas(tmp_path, 2)
    async with open_cluster(tmp_path, 2, [source, target]) as cluster:
        _fetched(source, target)
        node = cluster.nodes[1]
        await node.driver.look_again()
        await cluster.until(lambda: "took_records" in node.kinds())
        assert _tags(target) == {TAG}


class _Told:
    """What was told, and what became of what was taken, in the order in which it was heard."""

    def __init__(self) -> None:
        self._send, self._receive = trio.open_memory_channel[str](9)

    def tell(self, kind: str, _: Mapping[str, object]) -> None:
        self._send.send_nowait(kind)

    def took(self, outcome: Outcome) -> None:
        for kind, _ in outcome.notes:
            self._send.send_nowait(kind)

    async def next(self) -> str:
        with trio.fail_after(DEADLINE_S):
            return await self._receive.receive()


async def _taking(target: Replica, told: _Told, nursery: trio.Nursery) -> Taking:
    taking = Taking(await applier(target), target.identity.device, told.took, told.tell)
    nursery.start_soon(taking.keep)
    return taking


@pytest.fixture
def two(replicas: list[Replica]) -> tuple[Replica, Replica]:
    """Return two devices, of which the second has fetched what the first one holds."""
    _fetched(replicas[0], replicas[1])
    return replicas[0], replicas[1]


async def test_a_disk_that_takes_nothing_is_asked_again(two: tuple[Replica, Replica]) -> None:
    """It is told of; nothing is lost of what was fetched."""
    target, told = two[1], _Told()
    async with trio.open_nursery() as nursery:
        taking = await _taking(target, told, nursery)
        with limited(4_096):
            taking.ask()
            assert await told.next() == "not_kept"
        assert await target.store.heal()
        taking.ask()
        taking.ask()
        assert await told.next() == "took_records"
        nursery.cancel_scope.cancel()
    assert _tags(target) == {TAG}


async def test_what_cannot_be_read_is_dropped_and_its_source_named(
    two: tuple[Replica, Replica],
) -> None:
    """Whatever is wrong with it, this device goes on."""
    target, told = two[1], _Told()
    broken = "UPDATE staged_record SET state = X'C1'"
    within(target, lambda conn: conn.exec_driver_sql(broken))
    async with trio.open_nursery() as nursery:
        taking = await _taking(target, told, nursery)
        taking.ask()
        assert await told.next() == "records_differ"
        nursery.cancel_scope.cancel()
    assert within(target, read_staging) is None

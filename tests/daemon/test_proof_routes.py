"""Counting again, mending, and naming what another device holds otherwise."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import trio
import trio.testing

from leaderless.daemon.doubts import PATIENCE_S
from registry.changes import Create
from tests.daemon.rooms import Rooms, open_rooms
from tests.limits import limited
from tests.replicas import Replica, add_tree
from tests.store.passing import pull, within

TAG, PEER = b"t" * 16, b"p" * 16


def _damage(replica: Replica, statement: str) -> None:
    """Change the file behind everybody's back."""
    within(replica, lambda c: c.exec_driver_sql(statement))


async def test_what_is_right_is_said_to_be(tmp_path: Path, replica: Replica) -> None:
    """Of this device's rows and of the shared records, with their numbers."""
    add_tree(replica, 3)
    async with open_rooms(tmp_path, replica) as rooms:
        answer = await rooms.data("POST", "/v1/verify")
        assert (answer["right"], answer["peers"]) == (True, [])
        assert [(item["device"], item["rows"]) for item in answer["counts"]] == [
            ("device0", "7"),
            (None, "0"),
        ]


async def test_what_was_wrong_is_told_and_right_after_that(
    tmp_path: Path, replica: Replica
) -> None:
    """Own rows go on as they are, in a new incarnation."""
    add_tree(replica, 3)
    async with open_rooms(tmp_path, replica) as rooms:
        _damage(replica, "UPDATE entry SET size_bytes = 99")
        answer = await rooms.data("POST", "/v1/verify")
        assert [item["right"] for item in answer["counts"]] == [False, True]
        # Beside it the indexer tells that the folder of these rows is nowhere, sooner or later.
        assert "mended" in [kind for kind, _ in rooms.told]
        assert (await rooms.data("POST", "/v1/verify"))["right"] is True
        assert rooms.rows("SELECT generation FROM incarnation") == [(2,)]


async def _mended(rooms: Rooms) -> None:
    while "mended" not in [kind for kind, _ in rooms.told]:
        await rooms.changed.wait()


async def test_a_doubt_is_looked_into_without_being_asked(tmp_path: Path, replica: Replica) -> None:
    """A record whose hash is wrong is made again from the log."""
    replica.store.write_here(lambda tx: tx.commit("t", [Create("tag", TAG, {"color": "red"})]))
    async with open_rooms(tmp_path, replica) as rooms, trio.open_nursery() as nursery:
        assert rooms.proofs is not None
        nursery.start_soon(rooms.proofs.keep)
        _damage(replica, "UPDATE record SET state = x'93909090'")
        rooms.proofs.doubt(PEER)
        await _mended(rooms)
        nursery.cancel_scope.cancel()
    assert (await replica.store.read(_color)) == "red"


async def test_where_every_row_counts_right_the_log_is_run_again(
    tmp_path: Path, replica: Replica
) -> None:
    """What is shown may be wrong though what is kept is not."""
    replica.store.write_here(lambda tx: tx.commit("t", [Create("tag", TAG, {"color": "red"})]))
    async with open_rooms(tmp_path, replica) as rooms, trio.open_nursery() as nursery:
        assert rooms.proofs is not None
        nursery.start_soon(rooms.proofs.keep)
        _damage(replica, "UPDATE tag SET color = 'blue'")
        rooms.proofs.doubt(PEER)
        await _mended(rooms)
        nursery.cancel_scope.cancel()
    assert (await replica.store.read(_color)) == "red"


def _color(connection):  # noqa: ANN001, ANN202
    return connection.exec_driver_sql("SELECT color FROM tag").scalar_one()


async def test_doubts_are_looked_into_now_and_then_only(
    tmp_path: Path, replica: Replica, mock_clock: trio.testing.MockClock
) -> None:
    """A peer that differs for ever does not keep us counting for ever."""
    async with open_rooms(tmp_path, replica, deadline_s=math.inf) as rooms:
        assert rooms.proofs is not None
        counted = 0
        check = rooms.proofs.check

        async def counting():  # noqa: ANN202
            nonlocal counted
            counted += 1
            return await check()

        async def until(count: int, step_s: float) -> None:
            while counted < count:
                mock_clock.jump(step_s)
                await trio.lowlevel.checkpoint()

        rooms.proofs.check = counting  # type: ignore[method-assign]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(rooms.proofs.keep)
            rooms.proofs.doubt(PEER)
            await until(1, 0)
            rooms.proofs.doubt(PEER)
            await trio.testing.wait_all_tasks_blocked()
            assert counted == 1
            began = trio.current_time()
            await until(2, 1)
            assert trio.current_time() >= began + PATIENCE_S
            rooms.proofs.doubt(PEER)
            began = trio.current_time()
            await until(3, 1)
            assert trio.current_time() >= began + 2 * PATIENCE_S
            nursery.cancel_scope.cancel()


async def test_a_device_is_not_compared_with_itself(tmp_path: Path, replica: Replica) -> None:
    """The answer says what to do instead."""
    async with open_rooms(tmp_path, replica) as rooms:
        answer = await rooms.ask("GET", "/v1/diff", peer="device0")
        assert (answer.status, answer.data["error"]["code"]) == (400, "usage")


async def test_a_doubt_waits_for_a_disk_that_is_full(tmp_path: Path, replica: Replica) -> None:
    """It is looked into when there is room, without being asked again."""
    replica.store.write_here(lambda tx: tx.commit("t", [Create("tag", TAG, {"color": "red"})]))
    async with open_rooms(tmp_path, replica) as rooms, trio.open_nursery() as nursery:
        assert rooms.proofs is not None
        _damage(replica, "UPDATE meta SET value = zeroblob(256) WHERE name = 'shared_hash'")
        with limited(1):
            nursery.start_soon(rooms.proofs.keep)
            rooms.proofs.doubt(None)
            await replica.store.disk.until_ill()
            await trio.testing.wait_all_tasks_blocked()
        assert await replica.store.heal()
        await _mended(rooms)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("revoked", "named"), [("device1", "device1"), ("device0", "this device")])
async def test_with_whom_nobody_compares_is_said(
    tmp_path: Path, pair: list[Replica], revoked: str, named: str
) -> None:
    """That a device was revoked, by whom and when, and not that it is away."""
    pull(pair[1], pair[0], pair[1])
    async with open_rooms(tmp_path, pair[0]) as rooms:
        await rooms.data("POST", "/v1/devices/revoke", device=revoked)
        answer = await rooms.ask("GET", "/v1/diff", peer="device1")
        error = answer.data["error"]
        assert (answer.status, error["code"]) == (403, "revoked")
        assert error["message"].startswith(f"{named} was revoked by device0 on 2027-01-15")

"""Taking back how a conflict was decided: it is one again, on every device."""

from __future__ import annotations

import pytest

from leaderless.catalogue.conflicts import Conflict, conflicts, restore_conflict
from leaderless.catalogue.history import Filter, actions
from leaderless.catalogue.undo import undo
from registry.changes import Create, Delete, Edit, Restore, Update
from tests.catalogue.files import meet
from tests.replicas import Replica, query_file

TAG = b"t" * 16


async def _do(replica: Replica, *edits: Edit) -> None:
    replica.clock.ms += 1_000
    await replica.store.write(lambda tx: tx.commit("test", edits))


async def _listed(replica: Replica) -> list[Conflict]:
    return await replica.store.read(lambda c: conflicts(c, replica.store.registry))


async def _values(replica: Replica) -> list[object]:
    return [item.value for item in await _listed(replica)]


def _colors(replica: Replica) -> list[tuple[object, ...]]:
    return query_file(replica.store.path, "SELECT color FROM tag")


async def _conflict(a: Replica, b: Replica, ahead_ms: int = 60_000) -> None:
    """Have both color a tag; that of the second wins."""
    await _do(a, Create("tag", TAG, {"canonical_name": "trip"}))
    meet(a, b)
    await _do(a, Update("tag", TAG, {"color": "red"}))
    b.clock.ms += ahead_ms
    await _do(b, Update("tag", TAG, {"color": "green"}))
    meet(a, b)
    for replica in (a, b):
        assert await _values(replica) == ["red"]


async def _restored(replica: Replica) -> None:
    (conflict,) = await _listed(replica)
    replica.clock.ms += 100_000
    await restore_conflict(replica.store, conflict.id.hex())


async def _redone(replica: Replica) -> None:
    """Undo what was done last, though it was an undo."""
    newest = await replica.store.read(lambda c: next(actions(c, Filter())))
    await undo(replica.store, newest.command_id.hex())


async def test_an_undone_restore_of_a_conflict_lists_it_again(replicas: list[Replica]) -> None:
    """With the value that was restored as the loser, there and at the other device."""
    a, b, _ = replicas
    await _conflict(a, b)
    await _restored(a)
    assert await _values(a) == []
    await undo(a.store, None)
    meet(a, b)
    for replica in (a, b):
        assert _colors(replica) == [("green",)]
        assert await _values(replica) == ["red"]


async def test_it_is_decided_and_undone_as_often_as_one_likes(replicas: list[Replica]) -> None:
    """Each time there is one conflict or none, alike on both devices."""
    a, b, _ = replicas
    await _conflict(a, b)
    await _restored(a)
    for _ in range(2):
        await undo(a.store, None)
        meet(a, b)
        assert [(_colors(each), await _values(each)) for each in (a, b)] == [
            ([("green",)], ["red"])
        ] * 2
        await _redone(a)
        meet(a, b)
        assert [(_colors(each), await _values(each)) for each in (a, b)] == [([("red",)], [])] * 2


async def test_an_undo_wins_over_a_clock_that_goes_ahead(replicas: list[Replica]) -> None:
    """What was in effect is shown again, though the conflict is not: it had to be named for that."""
    a, b, _ = replicas
    await _conflict(a, b, ahead_ms=3_600_000)
    await _restored(a)
    await undo(a.store, None)
    meet(a, b)
    for replica in (a, b):
        assert _colors(replica) == [("green",)]
        assert await _values(replica) == []


@pytest.mark.parametrize("times", [1, 2])
async def test_of_a_deleted_record_the_lost_value_is_listed_again(
    replicas: list[Replica], times: int
) -> None:
    """The record is gone again, and what would be lost with it is not forgotten."""
    a, b, _ = replicas
    await _do(a, Create("tag", TAG, {"canonical_name": "trip"}))
    meet(a, b)
    await _do(a, Update("tag", TAG, {"color": "red"}))
    b.clock.ms += 60_000
    await _do(b, Delete("tag", TAG))
    meet(a, b)
    await _restored(a)
    await undo(a.store, None)
    for _ in range(times - 1):
        await _redone(a)
        assert await _values(a) == []
        await undo(a.store, None)
    meet(a, b)
    for replica in (a, b):
        assert _colors(replica) == []
        # Of what came along with it nobody had lost anything.
        assert await _values(replica) == ["red"]


@pytest.mark.parametrize("times", [1, 2])
async def test_a_delete_that_was_let_win_loses_again(replicas: list[Replica], times: int) -> None:
    """The record is there again, and the delete is listed as one that was in vain."""
    a, b, _ = replicas
    await _do(a, Create("tag", TAG, {"color": "red"}))
    await _do(a, Delete("tag", TAG))
    meet(a, b)
    await _do(a, Restore("tag", TAG))
    await _do(a, Delete("tag", TAG))
    await _do(b, Restore("tag", TAG))
    meet(a, b)
    assert [item.cause for item in await _listed(a)] == ["kept"]
    await _restored(a)
    assert _colors(a) == []
    await undo(a.store, None)
    for _ in range(times - 1):
        await _redone(a)
        assert _colors(a) == []
        await undo(a.store, None)
    meet(a, b)
    for replica in (a, b):
        assert _colors(replica) == [("red",)]
        assert [item.cause for item in await _listed(replica)] == ["kept"]


async def test_an_undo_is_an_edit_that_sets_what_was_before(replicas: list[Replica]) -> None:
    """By the clock of now: what somebody wrote meanwhile, unseen, loses to it and is listed."""
    a, b, _ = replicas
    await _do(a, Create("tag", TAG, {"canonical_name": "trip", "color": "blue"}))
    meet(a, b)
    await _do(a, Update("tag", TAG, {"color": "red"}))
    b.clock.ms += 60_000
    await _do(b, Update("tag", TAG, {"color": "yellow"}))
    await undo(b.store, None)
    meet(a, b)
    for replica in (a, b):
        assert _colors(replica) == [("blue",)]
        assert await _values(replica) == ["red"]

"""What can be taken back of the newest actions, with and without forgetting: the same."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from leaderless.catalogue.undo import undo
from leaderless.catalogue.undo_story import candidate
from leaderless.errors import LeaderlessError
from leaderless.protocol.retention import Terms
from leaderless.store import forgetting
from leaderless.store.forgetting import At
from registry.changes import Create, Delete, Edit, Restore, Unlock, Update
from registry.changes import Lock as LockEdit
from tests.replicas import Replica, make_replicas, open_replica, query_file
from tests.store.passing import within

TAGS = [bytes([at]) * 16 for at in range(1, 4)]
NEWEST, UNDOS = 12, 8
TERMS = Terms(0, NEWEST, 1, 1)
SHOWN = "SELECT uuid, color, icon, aliases FROM tag ORDER BY uuid"


def _edit(chance: random.Random, tag: bytes) -> Edit:
    fields = {chance.choice(("color", "icon")): chance.choice("rgb")}
    if chance.random() < 0.3:
        fields = {("aliases", chance.choice("xy")): chance.choice((True, None))}  # type: ignore[dict-item]
    return chance.choice(
        [Update("tag", tag, fields)] * 6
        + [Create("tag", tag, fields), Delete("tag", tag), Restore("tag", tag)]
        + [LockEdit("tag", tag), Unlock("tag", tag)]
    )


async def _live(replica: Replica, chance: random.Random, times: int) -> None:
    """Do many things to a few tags, some of them undone again."""
    for _ in range(times):
        replica.clock.ms += 1_000
        try:
            if chance.random() < 0.15:
                await undo(replica.store, None)
            else:
                edits = [_edit(chance, tag) for tag in chance.sample(TAGS, chance.choice((1, 2)))]
                await replica.store.write(lambda tx, edits=edits: tx.commit("test", edits))  # type: ignore[misc]
        except LeaderlessError:
            continue


def _forget(replica: Replica, others: set[bytes]) -> int:
    """Forget what may go; of `others` the last one by its id has applied all there is."""

    def run(connection):  # noqa: ANN001, ANN202
        for device in sorted(others)[-1:]:
            told = "INSERT INTO confirmation SELECT ?, feed, received, applied FROM feed"
            connection.exec_driver_sql(told, (device,))
        known = forgetting.survey(connection, others, TERMS, replica.clock.ms + 1)
        forgetting.mark_records(connection, known.retention.in_effect, ("", b""))
        forgetting.mark_replaced(connection, known, At())
        return forgetting.drop_bodies(connection, known, At())[0]

    return within(replica, run)


async def _taken_back(replica: Replica) -> list[object]:
    """Undo the newest, one after the other; return what is shown after each, or why it is not."""
    found: list[object] = []
    ((last,),) = query_file(replica.store.path, "SELECT max(seq) FROM commit_log")
    own = replica.identity.device
    for _ in range(UNDOS):
        replica.clock.ms += 1_000
        action = within(replica, lambda c: candidate(c, own, None))
        if action is None or action.last_seq <= last - NEWEST:
            break
        try:
            await undo(replica.store, None)
        except LeaderlessError as error:
            found.append((error.code, error.message))
        found.append(query_file(replica.store.path, SHOWN))
    return found


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("everybody", [True, False])
async def test_the_newest_actions_are_taken_back_as_if_nothing_had_been_forgotten(
    tmp_path: Path, seed: int, everybody: bool
) -> None:
    """Whether everybody holds the log or few do: what an undo asks for is still there."""
    (whole,) = make_replicas(tmp_path, 1)
    await _live(whole, random.Random(seed), 120)
    shutil.copy(tmp_path / "library0.db", tmp_path / "library9.db")
    shutil.copy(tmp_path / "library0.db-wal", tmp_path / "library9.db-wal")
    forgetful = open_replica(tmp_path, 0, whole.clock.ms, "library9.db")
    assert _forget(forgetful, set() if everybody else {b"x" * 16, b"y" * 16}) > 10
    assert await _taken_back(forgetful) == await _taken_back(whole)
    for replica in (whole, forgetful):
        replica.store.close()

"""The merge of one record against the oracle, in memory: many short lives, each in many orders."""

from __future__ import annotations

import os
import random
from typing import Any

import pytest

from registry.changes import FieldKey, WriteRef
from registry.state import RecordState, set_registers
from tests.merge.oracle import Told, replay
from tests.registry.test_merge import WHATS, Replica, Sent, Step, _deliver, _play

LIVES = 20 * int(os.environ.get("LEADERLESS_MERGE_EXAMPLES", "200"))
PARTS = 10


def _script(chance: random.Random) -> list[Step]:
    """Return what three devices do to a record and when they hear of each other."""
    return [
        (
            chance.randrange(3),
            chance.choice(WHATS),
            chance.choice(("name", "color")),
            chance.randrange(4),
            chance.randint(1, 5),
        )
        for _ in range(chance.randint(5, 25))
    ]


def _by_register(state: RecordState) -> dict[FieldKey, Any]:
    found = set_registers(state)
    return {(at, None) if isinstance(at, str) else at: value for at, value in found.items()}


def _assert_as_replayed(replica: Replica, log: list[Sent]) -> None:
    told = [Told(item.change, WriteRef(item.stamp, item.dot.feed, item.dot.seq, 0)) for item in log]
    ((_, outcome),) = replay(told).items()
    state = replica.state
    assert (_by_register(state) if state.alive else None) == outcome.fields
    assert _by_register(state.remembered) == outcome.recalled
    values = {(loss.field, loss.subkey, loss.loser) for loss in outcome.losses if loss.field}
    assert {(*key, ref) for key, ref in replica.lost} == values
    deletes = {loss.loser for loss in outcome.losses if not loss.field}
    assert state.failed_deletes == deletes


@pytest.mark.parametrize("part", range(PARTS))
def test_a_record_becomes_what_a_naive_replay_says(part: int) -> None:
    """Whatever three devices do to a record, values, journal and vain deletes are the oracle's."""
    for seed in range(part, LIVES, PARTS):
        chance = random.Random(seed)
        replicas = [Replica(bytes([65 + at]) * 44) for at in range(3)]
        log: list[Sent] = []
        _play(replicas, log, _script(chance))
        replicas.append(Replica(b"Z" * 44))
        _deliver(replicas, log, chance)
        for replica in replicas if log else ():
            assert replica.state == replicas[0].state
            _assert_as_replayed(replica, log)

"""A device and its clones, others that build on any, and commits that come in any order."""

from __future__ import annotations

import itertools
import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from leaderless.store import log, meta, restoring, shelf
from leaderless.store.command import LockedRecordError
from leaderless.store.rebuild import rebuild
from leaderless.store.registers import read_state
from registry.changes import Create, Delete, Edit, Lock, Restore, Unlock, Update, feed_id
from tests.replicas import Replica, make_replicas, open_replica, query_file
from tests.store.passing import log_of, store_commits, within
from tests.sync.test_restored import backup

TAGS = [bytes([at]) * 16 for at in range(1, 4)]
STEPS = 60


def _edit(replica: Replica, chance: random.Random) -> Edit:
    """Return something that can be done to one of a few tags."""
    tag = chance.choice(TAGS)
    state = within(replica, lambda conn: read_state(conn, "tag", tag))
    fields = {"color": chance.choice("rgb"), "icon": chance.choice("xyz")}
    if not state.alive:
        return Restore("tag", tag) if state.deaths else Create("tag", tag, fields)
    kinds: list[Edit] = [Update("tag", tag, fields), Update("tag", tag, fields), Delete("tag", tag)]
    kinds.append(Lock("tag", tag) if state.locked_by is None else Unlock("tag", tag))
    return chance.choice(kinds)


def _write(replica: Replica, chance: random.Random) -> None:
    """Let a replica edit something; one whose feed is forked goes on in a new incarnation first."""

    def renew(transaction: Any) -> None:
        own = transaction._own_copy()
        feed = log.feed_of(transaction.conn, feed_id(own.owner, own.incarnation))
        if feed.forked is not None:
            restoring.claim(transaction, chance.randbytes(8))

    replica.store.write_here(renew)
    edit = _edit(replica, chance)
    replica.clock.ms += chance.randrange(50)
    with suppress(LockedRecordError):
        replica.store.write_here(lambda tx: tx.commit("t", [edit]))


def _pass_on(source: Replica, target: Replica) -> bool:
    """Hand all that counts on from one to another; return whether anything was new."""
    feeds = [feed.feed for feed in within(source, log.feeds)]
    new = [any(store_commits(target, *log_of(source, feed))) for feed in feeds]
    return any(new)


def _memory(replica: Replica) -> list[Any]:
    path = replica.store.path
    return [
        query_file(path, "SELECT model, uuid, state, deaths, remains FROM record ORDER BY uuid"),
        query_file(path, "SELECT * FROM tag ORDER BY uuid"),
        query_file(path, "SELECT feed, received, applied, forked FROM feed ORDER BY feed"),
        query_file(
            path, "SELECT record, field, subkey, value, loser FROM journal ORDER BY 1, 2, 5"
        ),
        within(replica, lambda conn: meta.get(conn, meta.SHARED_HASH)),
    ]


@pytest.mark.parametrize("seed", range(10))
def test_all_end_alike_and_as_a_rebuild_would(tmp_path: Path, seed: int) -> None:
    """Whatever the device and its clones have written, and who has heard of what in which order.

    Every other time there is a clone of the clone, so that a branch forks, and a clock far ahead.
    """
    chance = random.Random(seed)
    replicas = make_replicas(tmp_path, 3)
    for _ in range(4):
        _write(replicas[0], chance)
    backup(replicas[0], tmp_path / "clone.db")
    clone = open_replica(tmp_path, 0, file="clone.db")
    everybody = [*replicas, clone]
    if seed % 2:
        _write(clone, chance)
        backup(clone, tmp_path / "second.db")
        everybody.append(open_replica(tmp_path, 0, file="second.db"))
        replicas[1].clock.ms += 86_400_000
    for _ in range(STEPS):
        if chance.random() < 0.6:
            _write(chance.choice(everybody), chance)
        else:
            _pass_on(*chance.sample(everybody, 2))
    for _ in range(len(everybody)):
        for a, b in itertools.permutations(everybody, 2):
            _pass_on(a, b)
    memories = [_memory(replica) for replica in everybody]
    assert all(memory == memories[0] for memory in memories[1:])
    for replica in everybody:
        assert within(replica, shelf.waiting) == []
        registry = replica.store.registry
        assert within(replica, lambda c: rebuild(c, registry, 0)).differences == ()  # noqa: B023
        replica.store.close()

"""The join of two memories: the same as applying the commits of both."""

from __future__ import annotations

import os
import random
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.changes import Dot
from registry.joining import Memory, Unseen, as_of, join, unseen
from registry.state import RecordState
from tests.registry.playing import Replica, Sent
from tests.registry.test_merge import WHATS, Step, _play, steps

LIVES = 10 * int(os.environ.get("LEADERLESS_MERGE_EXAMPLES", "200"))
PARTS = 10


def _vector(dots: Iterable[Dot]) -> dict[bytes, int]:
    """Return how much of each feed there is."""
    vector: dict[bytes, int] = {}
    for dot in dots:
        vector[dot.feed] = max(vector.get(dot.feed, 0), dot.seq)
    return vector


def _memory(replica: Replica) -> Memory:
    losses: Unseen = dict.fromkeys(replica.lost)
    held = dict.fromkeys(unseen(replica.state, losses))
    return Memory(replica.state, held, _vector(replica.seen))


def _hear(replica: Replica, log: list[Sent], dots: set[Dot]) -> Replica:
    """Let a replica take these commits; the log is in causal order."""
    for sent in log:
        if sent.dot in dots:
            replica.take(sent)
    return replica


def _apart(script: list[Step], chance: random.Random) -> tuple[list[Replica], list[Sent]]:
    """Return replicas that have heard of each other what they happened to."""
    replicas = [Replica(bytes([65 + at]) * 44) for at in range(3)]
    log: list[Sent] = []
    _play(replicas, log, script)
    for replica in replicas:
        for sent in log:
            if sent.seen <= replica.seen and chance.random() < 0.5:
                replica.take(sent)
    return replicas, log


def _goes_on(reader: Replica, memory: Memory, seen: set[Dot]) -> Replica:
    return Replica(reader.name, memory.state, set(memory.losses), set(seen), reader.seq)


def _script(chance: random.Random, least: int, most: int) -> list[Step]:
    """Return what devices do to a record and when they hear of each other."""
    return [
        (
            chance.randrange(3),
            chance.choice(WHATS),
            chance.choice(("name", "color")),
            chance.randrange(4),
            chance.randint(1, 5),
        )
        for _ in range(chance.randint(least, most))
    ]


@pytest.mark.parametrize("part", range(PARTS))
def test_a_join_is_what_the_commits_of_both_make(part: int) -> None:
    """State and losses, whoever is joined with whom and in whatever order."""
    for seed in range(part, LIVES, PARTS):
        chance = random.Random(seed)
        replicas, log = _apart(_script(chance, 5, 30), chance)
        for one in replicas:
            for two in replicas:
                both = _memory(_hear(Replica(b"Z" * 44), log, one.seen | two.seen))
                joined = join(_memory(one), _memory(two))
                assert joined == both
                assert joined.losses == both.losses
        a, b, c = map(_memory, replicas)
        assert join(join(a, b), c) == join(a, join(c, b))


@pytest.mark.parametrize("part", range(PARTS))
def test_what_was_read_too_late_is_right_again_once_the_log_has_come(part: int) -> None:
    """A state read after the start, cut to the start: joined, and caught up, it is as replayed.

    Also if somebody edits what is there in between.
    """
    for seed in range(part, LIVES, PARTS):
        chance = random.Random(seed)
        replicas, log = _apart(_script(chance, 5, 25), chance)
        reader, source = replicas[0], replicas[1]
        starts, heard = _vector(source.seen), set(reader.seen)
        _play([source, source, replicas[2]], log, _script(chance, 3, 20))
        later = as_of(_memory(source), starts)
        applied = {dot for dot in source.seen if dot.seq <= starts.get(dot.feed, 0)} | heard
        back = _goes_on(reader, join(_memory(reader), later), applied)
        _play([back], log, [(0, *step[1:]) for step in _script(chance, 0, 6)])
        everything = source.seen | back.seen
        waiting = [sent for sent in log if sent.dot in everything - back.seen]
        while waiting:
            chance.shuffle(waiting)
            ready = next(sent for sent in waiting if sent.seen <= back.seen)
            waiting.remove(ready)
            back.take(ready)
        replayed = _hear(Replica(b"Y" * 44), log, everything)
        assert (back.state, back.lost) == (replayed.state, replayed.lost)


@given(steps, st.randoms(use_true_random=False))
def test_what_is_cut_to_where_it_was_read_is_as_it_was(
    script: list[Step], chance: random.Random
) -> None:
    """A source that stood still tells its state, and to whoever knows nothing all of it."""
    replicas, _ = _apart(script, chance)
    for replica in replicas:
        held = _memory(replica)
        assert as_of(held, held.vector) == held
        assert join(Memory(RecordState(), {}, {}), held) == held
        assert join(held, held) == held

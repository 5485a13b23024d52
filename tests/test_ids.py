"""Ids of records."""

from __future__ import annotations

import threading
import uuid

from leaderless.ids import RecordIds, derived
from tests.replicas import SteppedClock


def test_new_ids_rise_though_the_clock_stands_or_steps_back() -> None:
    """Every id is a UUIDv7 above the one before."""
    clock = SteppedClock()
    ids = RecordIds(clock)
    made = [ids.new() for _ in range(1_000)]
    clock.ms -= 1_000
    made += [ids.new() for _ in range(1_000)]
    assert made == sorted(set(made))
    assert all(uuid.UUID(bytes=item).version == 7 for item in made)


def test_many_ids_at_once_rise_like_those_made_one_by_one() -> None:
    """A bunch lies above what was made before it and below what is made after, over any carry."""
    clock = SteppedClock()
    ids = RecordIds(clock)
    made = [ids.new(), *ids.many(40_000), ids.new(), *ids.many(0), *ids.many(1)]
    assert made == sorted(set(made))
    assert len(made) == 40_003
    assert all(uuid.UUID(bytes=item).version == 7 for item in made)


def test_threads_never_get_the_same_id() -> None:
    """Ids stay unique when many ask at once."""
    ids = RecordIds(SteppedClock())
    made: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: made.extend([ids.new() for _ in range(500)]))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 2_000


def test_derived_ids_depend_on_the_parts_alone() -> None:
    """The same parts give the same UUIDv5; other borders between them give another."""
    space = bytes(16)
    assert derived(space, b"ab", b"c") == derived(space, b"ab", b"c")
    assert derived(space, b"ab", b"c") != derived(space, b"a", b"bc")
    assert uuid.UUID(bytes=derived(space, b"x")).version == 5

"""What of a closed feed is meant by those who build on it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, event

from leaderless.store import awaited, log, shelf
from leaderless.store.closing import NOT_COUNTED
from leaderless.store.named import Named
from registry.changes import Dependency
from tests.replicas import Replica
from tests.store.passing import chained, own_feed, signed_anew, store_commits, within
from tests.store.test_closing import _edit, revoke


def _standing(replica: Replica, of: Replica) -> list[tuple[int, int, int | None]]:
    """Return how much is here of the feeds of a device, applied, and counts."""
    found = [item for item in within(replica, log.feeds) if item.feed[:16] == of.identity.device]
    return [(feed.received, feed.applied, feed.counts) for feed in found]


def test_a_branch_that_nobody_means_takes_no_effect_in_the_place_of_the_other(
    replicas: list[Replica],
) -> None:
    """Which one is meant shows by the hash, once that commit is here; it comes in any order."""
    a, b, c = replicas
    made = _edit(c, 3)
    other = chained(c.identity, signed_anew(c.identity, made[1], command="other"), made[2])
    store_commits(b, *made)
    store_commits(a, made[0])
    revoke(a, c)
    store_commits(a, *_edit(b))
    assert store_commits(a, *other) == [True, True]
    assert _standing(a, c) == [(3, 1, 3)]
    assert [item.waits_for for item in within(a, shelf.waiting) if item.seq == 2] == [NOT_COUNTED]
    assert store_commits(a, *made[1:]) == [True, True]
    assert sorted(_standing(a, c)[1:]) == [(3, 1, 1), (3, 3, 3)]
    assert within(a, awaited.lacking) == {}
    assert within(a, shelf.waiting) == []


def test_what_is_named_takes_effect_though_more_is_still_to_come(replicas: list[Replica]) -> None:
    """Whoever builds on a later commit may be the only one that has it."""
    a, b, c = replicas
    made = _edit(c, 3)
    store_commits(b, *made[:2])
    store_commits(a, made[0])
    revoke(a, c)
    (first,) = _edit(b)
    later = (Dependency(own_feed(c), 3, made[2].hash),)
    store_commits(
        a,
        first,
        *chained(b.identity, first, signed_anew(b.identity, first, dependencies=later))[1:],
    )
    assert store_commits(a, made[1]) == [True]
    assert _standing(a, c) == [(2, 2, 3)]
    assert store_commits(a, made[2]) == [True]
    assert _standing(a, c) == [(3, 3, 3)]


def test_what_a_commit_says_about_itself_names_nothing(replicas: list[Replica]) -> None:
    """Though the bytes are those of a hash: only what it builds on is meant."""
    a, b, c = replicas
    made = _edit(c, 3)
    other = chained(c.identity, signed_anew(c.identity, made[1], command="other"), made[2])
    store_commits(b, *made)
    store_commits(a, made[0])
    revoke(a, c)
    (built,) = _edit(b)
    store_commits(a, signed_anew(b.identity, built, data={"about": other[1].hash}))
    assert store_commits(a, *other) == [True, True]
    assert _standing(a, c) == [(3, 1, 3)]


def test_the_last_commit_that_is_named_is_found_by_one_look(replicas: list[Replica]) -> None:
    """However many build on earlier ones: that is why the feed counts so far."""
    a, b, c = replicas
    made = _edit(c, 3)
    for item in made:
        store_commits(b, item)
        built = _edit(b)
    store_commits(a, made[0])
    revoke(a, c)
    store_commits(a, *built)
    within(a, lambda conn: [log.receive(conn, item, 0) for item in made[1:]])
    asked: list[tuple[str, Any]] = []

    def end(connection: Connection) -> str | None:
        event.listen(connection, "before_cursor_execute", lambda *about: asked.append(about[2:4]))
        return Named(connection).lacks(log.feed_of(connection, own_feed(c)), 3)

    assert within(a, end) is None
    looks = [parameters for query, parameters in asked if "c.header" in query]
    assert looks == [(made[2].hash, 1)]

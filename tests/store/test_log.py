"""The log at rest: what is stored, what takes effect, what waits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy import Connection, event

from leaderless.store import log, meta, shelf
from registry.changes import Create
from registry.hlc import MAX_DRIFT_MS
from tests.replicas import START_MS, Replica, query_file
from tests.store.passing import (
    chained,
    dump,
    log_of,
    own_feed,
    signed_anew,
    store_commits,
    within,
)

LOG = (
    "SELECT feed, received, applied, told, fault FROM feed ORDER BY feed",
    "SELECT * FROM commit_log ORDER BY feed, seq",
    "SELECT * FROM record ORDER BY uuid",
    "SELECT * FROM tag ORDER BY uuid",
    "SELECT * FROM journal",
    "SELECT * FROM meta",
)
NAMES = "SELECT canonical_name FROM tag ORDER BY canonical_name"
SEQS = "SELECT seq FROM commit_log ORDER BY seq"


def make_tag(replica: Replica, name: str) -> bytes:
    """Let a device make a tag; return its id."""
    tag = replica.store.ids.new()
    fields: Mapping[str | tuple[str, str], object] = {"canonical_name": name}
    replica.store.write_here(lambda tx: tx.commit("tag.create", [Create("tag", tag, fields)]))
    return tag


def some_commits(replica: Replica, count: int) -> list[log.Received]:
    """Let a device write so many commits; return all of its feed."""
    for at in range(count):
        make_tag(replica, f"{replica.identity.device.hex()[:4]} {at}")
    return log_of(replica, own_feed(replica))


def held_feed(replica: Replica, feed: bytes) -> log.Feed:
    """Return a feed as a device holds it."""
    found = within(replica, lambda conn: log.feed_of_or_none(conn, feed))
    assert found is not None
    return found


# --- what is stored -------------------------------------------------------------------------------


def test_commits_in_order_are_stored_and_take_effect(replicas: list[Replica]) -> None:
    """Each is new once, and its record is there."""
    a, b, _ = replicas
    assert store_commits(b, *some_commits(a, 3)) == [True, True, True]
    assert query_file(b.store.path, NAMES) == query_file(a.store.path, NAMES)


def test_a_duplicate_changes_nothing(replicas: list[Replica]) -> None:
    """A commit that is here already is not new, whatever it would do."""
    a, b, _ = replicas
    commits = some_commits(a, 3)
    store_commits(b, *commits)
    before = dump(b, LOG)
    b.clock.ms += 1_000
    assert store_commits(b, *commits) == [False, False, False]
    assert dump(b, LOG) == before


def test_a_commit_beyond_the_next_is_not_stored(replicas: list[Replica]) -> None:
    """A gap is never in the log: what is missing comes first."""
    a, b, _ = replicas
    first, _, third = some_commits(a, 3)
    assert store_commits(b, first, third) == [True, False]
    assert query_file(b.store.path, SEQS) == [(1,)]
    assert held_feed(b, first.header.feed).fault is None


def test_what_was_beyond_a_gap_is_taken_once_the_gap_is_filled(replicas: list[Replica]) -> None:
    """An early commit leaves no trace that would keep it out later."""
    a, b, _ = replicas
    first, second, third = some_commits(a, 3)
    store_commits(b, first, third)
    assert store_commits(b, second, third) == [True, True]


def test_two_commits_at_one_position_are_branches(replicas: list[Replica]) -> None:
    """Their feed ends before them; what follows goes to the branch that it follows from."""
    a, b, _ = replicas
    first, second, third = some_commits(a, 3)
    other = signed_anew(a.identity, second, command="tag.other")
    assert store_commits(b, first, second, other, third) == [True] * 4
    feed = held_feed(b, first.header.feed)
    assert (feed.received, feed.received_hash, feed.forked) == (1, first.hash, 2)
    life = bytes(feed.feed[:28])
    ends = {held_feed(b, life + item.hash[:16]).applied for item in (second, other)}
    assert ends == {2, 3}
    assert store_commits(b, first, second, other, third) == [False] * 4


def test_a_commit_that_does_not_follow_is_not_taken(replicas: list[Replica]) -> None:
    """It shows that somebody has another one before it: the feed is in doubt, and goes on."""
    a, b, _ = replicas
    first, second = some_commits(a, 2)
    astray = signed_anew(a.identity, second, previous=bytes(32))
    assert store_commits(b, first, astray, second) == [True, False, True]
    feed = held_feed(b, first.header.feed)
    assert feed.fault == "its commit 2 does not follow from the one before it"
    assert feed.received == 2


@pytest.mark.parametrize(("last", "is_doubted"), [("same", False), ("other", True)])
def test_a_feed_is_doubted_until_a_peer_has_no_more_of_it_than_is_here(
    replicas: list[Replica], last: str, *, is_doubted: bool
) -> None:
    """Its last commit stands for all before it: what did not follow is held by nobody it has asked."""
    a, b, _ = replicas
    first, second = some_commits(a, 2)
    astray = signed_anew(a.identity, second, previous=bytes(32))
    store_commits(b, first, astray)
    end = {"same": first, "other": signed_anew(a.identity, first, command="tag.other")}[last]
    within(b, lambda connection: log.settle(connection, first.header.feed, end))
    assert (held_feed(b, first.header.feed).fault is not None) == is_doubted


def test_a_feed_that_is_not_known_is_not_doubted(replicas: list[Replica]) -> None:
    """To settle what nothing is known of makes nothing."""
    a, b, _ = replicas
    (first,) = some_commits(a, 1)
    before = dump(b, LOG)
    within(b, lambda connection: log.settle(connection, first.header.feed, first))
    assert dump(b, LOG) == before


def test_a_fork_is_no_matter_of_others(replicas: list[Replica]) -> None:
    """Commits of other authors are taken as before."""
    a, b, c = replicas
    (first,) = some_commits(a, 1)
    store_commits(b, first, signed_anew(a.identity, first, command="tag.other"))
    assert store_commits(b, *some_commits(c, 1)) == [True]


# --- parts ----------------------------------------------------------------------------------------


def in_parts(replica: Replica, parts: int, more: int = 0) -> list[log.Received]:
    """Return commits of one command in parts, and some that stand alone behind them."""
    made = some_commits(replica, parts + more)
    author = replica.identity
    first, *others = made
    marked = [
        signed_anew(author, item, command_id=first.header.command_id, part=at, parts=parts)
        for at, item in enumerate([first, *others[: parts - 1]], start=1)
    ]
    return chained(author, *marked, *others[parts - 1 :])


def test_the_parts_of_a_command_apply_together(replicas: list[Replica]) -> None:
    """Nothing of a command is to be seen until all of its parts are here."""
    a, b, _ = replicas
    *most, last = in_parts(a, 3)
    store_commits(b, *most)
    assert query_file(b.store.path, NAMES) == []
    store_commits(b, last)
    assert len(query_file(b.store.path, NAMES)) == 3


def built_on(a: Replica, c: Replica) -> tuple[list[log.Received], list[log.Received]]:
    """Return commits of `a`, and one of `c` that has seen them."""
    base = some_commits(a, 2)
    store_commits(c, *base)
    return base, some_commits(c, 1)


def test_how_many_took_effect_is_told(replicas: list[Replica]) -> None:
    """Applying says how many commits left the shelf, and none the second time."""
    a, b, _ = replicas
    commits = some_commits(a, 3)
    within(b, lambda conn: [log.receive(conn, item, b.clock.ms) for item in commits])

    def apply(_: object) -> int:
        return within(b, lambda conn: log.apply_ready(conn, b.store.registry, b.clock.ms))

    assert [apply(1), apply(2)] == [3, 0]


def test_the_clock_follows_what_takes_effect(replicas: list[Replica]) -> None:
    """After a commit from a little ahead, own stamps are above it."""
    a, b, _ = replicas
    a.clock.ms += 5_000
    commits = some_commits(a, 1)
    store_commits(b, *commits)
    clock = within(b, meta.clock)
    assert clock.ms == START_MS + 5_000


def test_a_clock_is_pulled_no_further_than_the_drift_bound(replicas: list[Replica]) -> None:
    """A commit of next year takes effect, and our clock stays near our wall."""
    a, b, _ = replicas
    a.clock.ms += 365 * 86_400_000
    store_commits(b, *some_commits(a, 1))
    assert within(b, meta.clock).ms == START_MS + MAX_DRIFT_MS
    assert len(query_file(b.store.path, NAMES)) == 1


def test_times_of_a_commit_are_kept(replicas: list[Replica]) -> None:
    """When it came and when it took effect is known of each."""
    a, b, c = replicas
    base, later = built_on(a, c)
    store_commits(b, *later)
    b.clock.ms += 1_000
    store_commits(b, *base)
    query = "SELECT received_at, applied_at FROM commit_log WHERE command_id = ?"
    found = within(b, lambda conn: conn.exec_driver_sql(query, (later[0].header.command_id,)).one())
    assert tuple(found) == (START_MS, START_MS + 1_000)


@pytest.mark.parametrize(
    "wrong", [{"part": 1, "parts": 1}, {"part": 3}, {"part": 3, "command_id": b"i" * 16}]
)
def test_a_part_that_something_else_follows_is_the_last(
    replicas: list[Replica], wrong: dict[str, Any]
) -> None:
    """No more of that command can come: what there is of it, and what follows, takes effect."""
    a, b, _ = replicas
    first, second, _ = in_parts(a, 3)
    second = signed_anew(a.identity, second, **wrong)
    store_commits(b, *chained(a.identity, first, second))
    assert held_feed(b, first.header.feed).applied == 2
    assert len(query_file(b.store.path, NAMES)) == 2


def test_a_command_that_is_not_whole_is_looked_at_once(replicas: list[Replica]) -> None:
    """However many of its parts are here, the first says that others are missing."""
    a, b, _ = replicas
    made = some_commits(a, 2)
    about = {"command_id": made[0].header.command_id, "parts": 1 << 60}
    first, second = (
        signed_anew(a.identity, item, part=at, **about) for at, item in enumerate(made, start=1)
    )
    store_commits(b, *chained(a.identity, first, second))
    looked: list[int] = []

    def note(_: object, __: object, statement: str, values: Any, *___: object) -> None:
        if statement.startswith("SELECT seq, header, hash FROM commit_log"):
            looked.append(values[-1])

    def apply(connection: Connection) -> int:
        event.listen(connection, "before_cursor_execute", note)
        return log.apply_ready(connection, b.store.registry, 0)

    assert within(b, apply) == 0
    assert set(looked) == {1}
    (waiting,) = within(b, shelf.waiting)
    assert waiting.waits_for == f"part 3 of {1 << 60} of its command"

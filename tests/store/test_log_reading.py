"""The log as it is handed on, and what it says of clocks."""

from __future__ import annotations

from leaderless.protocol import limits
from leaderless.protocol.commits import NO_HASH
from leaderless.store import log, shelf
from registry.changes import Create, FieldWrite, Form, RecordId, SharedChange, Update
from registry.hlc import MAX_DRIFT_MS, Stamp
from tests.replicas import Replica, query_file
from tests.store.passing import (
    log_batch,
    log_of,
    own_feed,
    signed_anew,
    store_commits,
    within,
)
from tests.store.test_log import built_on, make_tag, some_commits

# --- handing on -----------------------------------------------------------------------------------


def test_commits_are_handed_on_as_they_were_signed(replicas: list[Replica]) -> None:
    """A relay gives the author's exact bytes."""
    a, b, _ = replicas
    commits = some_commits(a, 3)
    store_commits(b, *commits)
    assert log_of(b, own_feed(a), after=1) == commits[1:]


def test_a_shelved_commit_is_handed_on(replicas: list[Replica]) -> None:
    """What waits here may be what another one can use."""
    a, b, c = replicas
    _, later = built_on(a, c)
    store_commits(b, *later)
    assert log_of(b, own_feed(c)) == later


def test_a_message_names_its_place_in_the_feed(replica: Replica) -> None:
    """It says after which commit it begins and how many the source has."""
    some_commits(replica, 3)
    batch = log_batch(replica, own_feed(replica), after=1)
    assert batch is not None
    assert (batch.feed, batch.after, batch.head, len(batch.commits)) == (
        own_feed(replica),
        1,
        3,
        2,
    )


def test_nothing_follows_the_end_of_a_feed(replica: Replica) -> None:
    """At its head, and of a feed that is not known, there is nothing to hand on."""
    some_commits(replica, 1)
    assert log_batch(replica, own_feed(replica), after=1) is None
    assert log_batch(replica, b"?" * 44) is None


def _large(replica: Replica, size: int) -> None:
    tag = replica.store.ids.new()
    edit = Create("tag", tag, {"description": "x" * size})
    replica.store.write_here(lambda tx: tx.commit("tag.create", [edit]))


def test_a_message_is_bounded_in_bytes(replica: Replica) -> None:
    """Large commits are spread over messages, each within the limit."""
    for _ in range(6):
        _large(replica, 200_000)
    counts = []
    after = 0
    while (batch := log_batch(replica, own_feed(replica), after)) is not None:
        counts.append(len(batch.commits))
        after += len(batch.commits)
    assert counts == [2, 2, 2]


def test_a_large_commit_travels_alone(replica: Replica) -> None:
    """One commit always goes, though it is beyond the limit by itself."""
    edits = [
        Create("tag", replica.store.ids.new(), {"description": "x" * 200_000}) for _ in range(4)
    ]
    replica.store.write_here(lambda tx: tx.commit("tag.import", edits))
    make_tag(replica, "small")
    batch = log_batch(replica, own_feed(replica))
    assert batch is not None
    assert len(batch.commits[0].body) > limits.LOG_BYTES
    assert len(batch.commits) == 1


# --- clocks that run ahead ------------------------------------------------------------------------


def _future(replica: Replica) -> list[bytes]:
    bound = Stamp(replica.clock.ms + MAX_DRIFT_MS, 0, 0).pack()
    return within(replica, lambda conn: log.future_authors(conn, replica.clock.ms, bound))


def test_who_writes_in_the_future_is_named(replicas: list[Replica]) -> None:
    """A device whose clock runs a year ahead is named once, however much it wrote."""
    a, b, _ = replicas
    a.clock.ms += 365 * 86_400_000
    store_commits(b, *some_commits(a, 2))
    assert _future(b) == [a.identity.device]


def test_who_builds_on_the_future_is_not_named(replicas: list[Replica]) -> None:
    """Whoever overwrites a value of the future has to be above it, and is not to blame."""
    a, b, _ = replicas
    a.clock.ms += 365 * 86_400_000
    tag = make_tag(a, "ahead")
    store_commits(b, *log_of(a, own_feed(a)))
    edit = Update("tag", tag, {"canonical_name": "now"})
    b.store.write_here(lambda tx: tx.commit("tag.set", [edit]))
    assert _future(b) == [a.identity.device]


def test_a_clock_within_the_bound_is_not_named(replicas: list[Replica]) -> None:
    """Half a minute ahead is no fault."""
    a, b, _ = replicas
    a.clock.ms += 30_000
    store_commits(b, *some_commits(a, 1))
    assert _future(b) == []


# --- feeds ----------------------------------------------------------------------------------------


def test_a_new_feed_is_empty(replica: Replica) -> None:
    """Nothing of it is received, applied or told."""
    feed = within(replica, lambda conn: log.feed_of(conn, b"f" * 44))
    assert feed[1:] == (b"f" * 44, 0, NO_HASH, 0, NO_HASH, 0, *[None] * 4)


def test_asking_for_an_unknown_feed_makes_none(replica: Replica) -> None:
    """A question leaves no trace."""
    assert within(replica, lambda conn: log.feed_of_or_none(conn, b"f" * 44)) is None
    assert within(replica, log.feeds) == []


def test_records_of_unknown_models_take_effect(replicas: list[Replica]) -> None:
    """A commit of a newer version waits for nothing; its records are kept in the registers."""
    a, b, _ = replicas
    (item,) = some_commits(a, 1)
    write = FieldWrite("title", None, "holidays")
    bookmark = SharedChange(Form.CREATE, "bookmark", RecordId(b"1" * 16), writes=(write,))
    store_commits(b, signed_anew(a.identity, item, [bookmark]))
    assert query_file(b.store.path, "SELECT model, uuid FROM record") == [("bookmark", b"1" * 16)]
    assert within(b, shelf.waiting) == []

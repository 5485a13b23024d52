"""State that was fetched while a feed forks: by the new names or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from leaderless.protocol.messages import Records
from leaderless.store import fetched, log, staging
from leaderless.store.record_source import read_records
from registry.changes import Create, Delete
from tests.merge.devices import agreed, edit, take_state
from tests.replicas import Replica, open_replica, query_file
from tests.store.passing import log_of, own_feed, store_commits, within

TAG, OTHER = b"t" * 16, b"u" * 16
ALIVE = "SELECT uuid FROM tag ORDER BY uuid"


@pytest.fixture
def twin(replicas: list[Replica], tmp_path: Path) -> Iterator[Replica]:
    """Return a copy of the first replica, which then deletes what the first one keeps."""
    a = replicas[0]
    edit(a, Create("tag", TAG, {}))
    for suffix in ("", "-wal"):
        shutil.copy(f"{a.store.path}{suffix}", tmp_path / f"library9.db{suffix}")
    copy = open_replica(tmp_path, 0, a.clock.ms, "library9.db")
    edit(a, Create("tag", OTHER, {}))
    edit(copy, Delete("tag", TAG))
    yield copy
    copy.store.close()


def _log(of: Replica) -> list[log.Received]:
    return log_of(of, own_feed(of))


def _state(source: Replica) -> Records:
    """Return all records that a source has; they fit into one batch."""
    return within(source, lambda conn: read_records(conn, b""))


def _stage(target: Replica, batch: Records) -> bool:
    return within(target, lambda conn: staging.stage(conn, batch, b"s" * 16))


def _alive(replica: Replica) -> list[bytes]:
    return [uuid for (uuid,) in query_file(replica.store.path, ALIVE)]


def test_what_a_branch_deletes_goes_from_who_had_the_other(
    replicas: list[Replica], twin: Replica
) -> None:
    """The state of a device that knows both branches ends as the log does."""
    a, b, c = replicas
    store_commits(b, *_log(a), *_log(twin))
    store_commits(c, *_log(a))
    assert _stage(c, _state(b))
    within(c, lambda conn: [log.receive(conn, item, 0) for item in _log(twin)])
    assert _stage(c, _state(b))
    take_state(c)
    assert (_alive(c), agreed(c)) == ([OTHER], agreed(b))


def test_a_state_of_another_commit_at_the_same_position_is_not_used(
    replicas: list[Replica], twin: Replica
) -> None:
    """By their numbers each side has applied what the other one has."""
    a, b, c = replicas
    store_commits(b, *_log(twin))
    store_commits(c, *_log(a))
    assert not _stage(c, _state(b))
    assert within(c, fetched.read_staging) is None


def test_a_state_is_discarded_where_other_commits_have_come_since(
    replicas: list[Replica], twin: Replica
) -> None:
    """Nothing is deleted by a delete that is not here, and nothing that was made is lost."""
    a, b, c = replicas
    store_commits(b, *_log(twin))
    store_commits(c, *_log(a)[:1])
    assert _stage(c, _state(b))
    store_commits(c, *_log(a))
    taken = within(c, lambda conn: staging.take(conn, c.store.registry, 5))
    assert (taken, within(c, fetched.read_staging)) == (staging.Taken(0, 0), None)
    assert _alive(c) == [TAG, OTHER]


def test_a_fork_that_comes_to_be_known_discards_what_is_staged(
    replicas: list[Replica], twin: Replica
) -> None:
    """It calls commits by the names that they had before."""
    a, b, c = replicas
    store_commits(b, *_log(a))
    store_commits(c, *_log(a))
    assert _stage(c, _state(b))
    store_commits(c, *_log(twin))
    assert within(c, fetched.read_staging) is None


def test_who_has_not_heard_of_a_fork_is_no_source(replicas: list[Replica], twin: Replica) -> None:
    """It goes on where the feed has ended here."""
    a, b, c = replicas
    store_commits(b, *_log(a))
    store_commits(c, *_log(a), *_log(twin))
    assert not _stage(c, _state(b))
    store_commits(b, *_log(twin))
    assert _stage(c, _state(b))

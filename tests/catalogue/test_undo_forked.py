"""Taking back what was done behind a fork, where commits are signed under another name."""

from __future__ import annotations

from typing import Any

from leaderless.catalogue.conflicts import DISMISS, LOSER, RESTORE
from leaderless.catalogue.undo import undo
from leaderless.catalogue.undone import undone_actions
from leaderless.protocol.records import encode_ref
from leaderless.store import log
from leaderless.store.incarnations import begin_incarnation
from leaderless.store.registers import read_state
from registry.changes import Create, Delete, Edit, Update
from tests.replicas import Replica, query_file
from tests.store.passing import log_of, own_feed, signed_anew, store_commits, within

TAG = b"t" * 16


def _do(replica: Replica, *edits: Edit) -> None:
    replica.clock.ms += 1_000
    replica.store.write_here(lambda tx: tx.commit("tag.set", edits))


def _shown(replica: Replica) -> list[tuple[Any, ...]]:
    return query_file(replica.store.path, "SELECT canonical_name, color FROM tag")


def _fork(replica: Replica, *made: log.Received) -> None:
    """Have the second commit of its feed turn out to be one of two; its author goes on."""
    _, second, *_ = made or log_of(replica, own_feed(replica))
    store_commits(replica, signed_anew(replica.identity, second, (), command=DISMISS))
    replica.store.write_here(lambda tx: begin_incarnation(tx, b"new life"))


async def test_an_update_behind_a_fork_is_taken_back(replica: Replica) -> None:
    """The value is found that its author had replaced, under whatever name."""
    _do(replica, Create("tag", TAG, {"canonical_name": "trip"}))
    _do(replica, Update("tag", TAG, {"color": "red"}))
    _do(replica, Update("tag", TAG, {"color": "blue"}))
    _fork(replica)
    await undo(replica.store, None)
    assert _shown(replica) == [("trip", "red")]
    await undo(replica.store, None)
    assert _shown(replica) == [("trip", None)]


async def test_what_was_taken_back_before_the_fork_was_known_stays_so(replica: Replica) -> None:
    """The undo names the feed as it was then; it is not taken back a second time."""
    _do(replica, Create("tag", TAG, {"canonical_name": "trip"}))
    _do(replica, Update("tag", TAG, {"color": "red"}))
    _do(replica, Update("tag", TAG, {"color": "blue"}))
    await undo(replica.store, None)
    _fork(replica)
    assert _shown(replica) == [("trip", "red")]
    assert len(within(replica, undone_actions)) == 1
    await undo(replica.store, None)
    assert _shown(replica) == [("trip", None)]


async def test_a_delete_behind_a_fork_is_taken_back(replica: Replica) -> None:
    """Its record is there again, with its values."""
    _do(replica, Create("tag", TAG, {"canonical_name": "trip"}))
    _do(replica, Update("tag", TAG, {"color": "red"}))
    _do(replica, Delete("tag", TAG))
    _fork(replica)
    await undo(replica.store, None)
    assert _shown(replica) == [("trip", "red")]


async def test_an_undo_behind_a_fork_counts_for_what_was_done_before_it(replica: Replica) -> None:
    """What stands before the fork stays in the feed; its undo came after it all the same."""
    _do(replica, Create("tag", TAG, {"canonical_name": "trip"}))
    await undo(replica.store, None)
    _fork(replica)
    assert _shown(replica) == []
    assert len(within(replica, undone_actions)) == 1


async def test_a_value_outlives_its_forgotten_commit_behind_a_fork(replica: Replica) -> None:
    """What was written down of it is found by the name that it has then."""
    _do(replica, Create("tag", TAG, {"canonical_name": "trip"}))
    _do(replica, Update("tag", TAG, {"color": "red"}))
    made = log_of(replica, own_feed(replica))
    forget = "UPDATE commit_log SET body = NULL WHERE seq = 2"
    within(replica, lambda c: c.exec_driver_sql(forget))
    _do(replica, Update("tag", TAG, {"color": "blue"}))
    _fork(replica, *made)
    await undo(replica.store, None)
    assert _shown(replica) == [("trip", "red")]


async def test_the_loser_that_was_let_win_is_known_behind_a_fork(replica: Replica) -> None:
    """It was named as its author knew it; to take that back does not show it once more."""
    _do(replica, Create("tag", TAG, {"canonical_name": "trip"}))
    _do(replica, Update("tag", TAG, {"color": "red"}))
    state = within(replica, lambda c: read_state(c, "tag", TAG))
    data = {LOSER: encode_ref(state.shown()["color", None].ref)}
    edit = Update("tag", TAG, {"color": "red"})
    replica.store.write_here(lambda tx: tx.commit(RESTORE, [edit], data))
    _fork(replica)
    await undo(replica.store, None)
    assert _shown(replica) == [("trip", None)]

"""How far long work has come."""

from __future__ import annotations

from leaderless.store.progress import Progress
from leaderless.store.rebuild import rebuild
from registry.changes import Create
from tests.replicas import Replica


def test_progress_is_told_or_added_up_and_begins_anew() -> None:
    """Whoever reads it sees the last number."""
    progress = Progress()
    progress.add(3)
    progress.add(4)
    assert progress.done == 7
    progress.tell(2)
    assert progress.done == 2
    progress.begin()
    assert progress.done == 0


def test_a_command_and_a_rebuild_say_how_far_they_are(replica: Replica) -> None:
    """Changes of the one, commits of the other; the next write begins at nothing."""
    store = replica.store
    edits = [Create("tag", bytes([at]) * 16, {}) for at in range(1, 6)]
    store.write_here(lambda tx: tx.commit("tag.create", edits))
    assert store.progress.done == 5
    store.write_here(lambda tx: rebuild(tx.conn, tx.registry, tx.now_ms, tx.progress.tell))
    assert store.progress.done == 1
    store.write_here(lambda tx: tx.conn)
    assert store.progress.done == 0

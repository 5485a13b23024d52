"""What a device remembers of what it has signed."""

from __future__ import annotations

from dataclasses import replace

from leaderless.protocol.checkpoint import Checkpoint
from leaderless.store import own_words
from leaderless.store.incarnations import begin_incarnation
from registry.changes import Incarnation
from tests.replicas import Replica, add_tree, query_file
from tests.store.passing import within

WORD = Checkpoint(b"l" * 16, b"d" * 16, Incarnation(1, b"nonce--8"), 7, 3, bytes(256))


def add(replica: Replica, *revs: int) -> None:
    """Let a replica remember words at these revs, and nothing else."""
    within(replica, own_words.forget)
    for rev in revs:
        within(replica, lambda c, rev=rev: own_words.add(c, replace(WORD, rev=rev)))


def test_every_word_that_is_signed_is_remembered(replica: Replica) -> None:
    """One for each transaction that writes rows."""
    add_tree(replica, 3)
    add_tree(replica, 2, "more")
    assert query_file(replica.store.path, "SELECT rev FROM own_word") == [(1,), (7,), (12,)]


def test_a_word_that_was_never_said_here_is_forgotten(replica: Replica) -> None:
    """At a rev between others, or where another was said; before the oldest, nobody knows."""
    add(replica, 5, 7)
    for word, forgotten in [
        (WORD, False),
        (replace(WORD, row_count=4), True),
        (replace(WORD, rev=6), True),
        (replace(WORD, rev=4), False),
    ]:
        found = within(replica, lambda c, word=word: own_words.has_forgotten(c, word))
        assert found is forgotten


def test_who_has_said_nothing_has_forgotten_nothing(replica: Replica) -> None:
    """As a library that was made by an older version."""
    add(replica)
    assert not within(replica, lambda c: own_words.has_forgotten(c, WORD))


def test_the_newest_words_are_kept(replica: Replica) -> None:
    """As many as are asked for, and all where there are no more."""
    add(replica, 1, 2, 3, 4)
    assert within(replica, lambda c: own_words.prune(c, 3)) == 1
    assert within(replica, lambda c: own_words.prune(c, 3)) == 0
    assert query_file(replica.store.path, "SELECT rev FROM own_word") == [(2,), (3,), (4,)]


def test_another_incarnation_begins_with_its_first_word(replica: Replica) -> None:
    """What was said before is of a life that is over."""
    add_tree(replica, 3)
    replica.store.write_here(lambda tx: begin_incarnation(tx, b"nonce--2"))
    assert query_file(replica.store.path, "SELECT rev FROM own_word") == [(7,)]

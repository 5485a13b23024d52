"""What a replica says of itself: positions, hashes, and what it cannot prove."""

from __future__ import annotations

from dataclasses import replace

from leaderless.protocol.hashing import EMPTY_SET
from leaderless.protocol.messages import FeedPosition, OwnedPosition
from leaderless.protocol.vectors import Holdings
from leaderless.store.holdings import read_holdings
from registry.changes import Create
from tests.replicas import Replica, add_tree
from tests.store.passing import (
    batches,
    held,
    log_of,
    next_life,
    own_feed,
    pull,
    signed_anew,
    store_commits,
    take,
    within,
)


def _holdings(replica: Replica) -> Holdings:
    return within(replica, read_holdings)


def _tag(replica: Replica) -> None:
    edit = Create("tag", replica.store.ids.new(), {})
    replica.store.write_here(lambda tx: tx.commit("tag.create", [edit]))


def test_owned_positions_and_proofs_are_those_of_the_copies(replicas: list[Replica]) -> None:
    """Every owner stands with incarnation, watermark, count and hash."""
    a, b, _ = replicas
    add_tree(a, 3)
    pull(a, b, a)
    found, copy = _holdings(b), held(b, a)
    owner = a.identity.device
    assert found.vectors.owned[owner] == OwnedPosition(copy.incarnation, 7)
    assert (found.owned[owner].row_count, found.owned[owner].set_hash) == (7, copy.set_hash)


def test_feeds_stand_with_what_is_received_and_applied(replicas: list[Replica]) -> None:
    """A feed's two positions are told apart."""
    a, b, c = replicas
    _tag(a)
    store_commits(c, *log_of(a, own_feed(a)))
    _tag(c)
    store_commits(b, *log_of(c, own_feed(c)))
    assert _holdings(b).vectors.feeds == {own_feed(c): FeedPosition(1, 0)}


def test_a_feed_of_which_nothing_is_left_is_told_of_all_the_same(replicas: list[Replica]) -> None:
    """Peers keep what they were told of it, until they are told that it ended before its start."""
    a, b, _ = replicas
    _tag(a)
    (made,) = log_of(a, own_feed(a))
    store_commits(b, made)
    assert _holdings(b).vectors.feeds[own_feed(a)] == FeedPosition(1, 1)
    store_commits(b, signed_anew(a.identity, made, command="other"))
    assert _holdings(b).vectors.feeds[own_feed(a)] == FeedPosition(0, 0)


def test_own_state_is_always_proved(replica: Replica) -> None:
    """What a device wrote itself it has signed."""
    add_tree(replica, 3)
    _tag(replica)
    assert _holdings(replica).unproved == {}


def test_replicas_that_hold_the_same_have_the_same_digests(replicas: list[Replica]) -> None:
    """After rows and commits were passed on, both digests are equal."""
    a, b, _ = replicas
    add_tree(a, 3)
    _tag(a)
    pull(a, b, a)
    pull(b, a, b)
    store_commits(b, *log_of(a, own_feed(a)))
    mine, theirs = _holdings(a), _holdings(b)
    assert mine.state_digest() is not None
    assert (mine.vectors_digest(), mine.state_digest()) == (
        theirs.vectors_digest(),
        theirs.state_digest(),
    )


def test_the_shared_hash_is_that_of_what_took_effect(replicas: list[Replica]) -> None:
    """It is empty without a record, and the same wherever the record is."""
    a, b, c = replicas
    _tag(a)
    store_commits(b, *log_of(a, own_feed(a)))
    hashes = [_holdings(item).shared_hash for item in (a, b, c)]
    assert hashes[0] == hashes[1] != hashes[2] == EMPTY_SET


def test_rows_that_are_still_to_come_are_named(replicas: list[Replica]) -> None:
    """Half a backfill proves nothing."""
    a, b, _ = replicas
    add_tree(a, 10)
    take(b, next(batches(a, a, limit=4)))
    assert _holdings(b).unproved == {a.identity.device: "10 changes are still to come"}


def test_another_life_of_which_only_the_word_is_here_is_named(replicas: list[Replica]) -> None:
    """Two who stand there alike may have different rows of the life before it."""
    a, b, _ = replicas
    add_tree(a, 3)
    pull(a, b, a)
    next_life(a)
    _, late = batches(a, a, limit=4)
    assert take(b, late).copy.row_count == 7
    why = "it began another life, whose rows are still to come"
    assert _holdings(b).unproved == {a.identity.device: why}


def test_rows_without_their_owner_s_word_are_named(replicas: list[Replica]) -> None:
    """What no checkpoint covers is not claimed."""
    a, b, _ = replicas
    (batch,) = batches(a, a)
    take(b, replace(batch, checkpoint=b""))
    why = "no checkpoint of its owner covers it yet"
    assert _holdings(b).unproved == {a.identity.device: why}


def test_rows_that_differ_are_named(replicas: list[Replica]) -> None:
    """A fault of a copy is what stands for it."""
    a, b, _ = replicas
    (batch,) = batches(a, a)
    copy = take(b, replace(batch, changes=())).copy
    assert copy.fault is not None
    assert _holdings(b).unproved == {a.identity.device: copy.fault}


def test_commits_on_the_shelf_are_named(replicas: list[Replica]) -> None:
    """What waits proves nothing."""
    a, b, c = replicas
    _tag(a)
    store_commits(c, *log_of(a, own_feed(a)))
    _tag(c)
    store_commits(b, *log_of(c, own_feed(c)))
    assert _holdings(b).unproved == {own_feed(c): "1 commit waits on the shelf"}


def test_a_feed_that_others_have_otherwise_is_named(replicas: list[Replica]) -> None:
    """Whoever holds one claims nothing, and reads it from its start again."""
    a, b, _ = replicas
    _tag(a)
    _tag(a)
    first, second = log_of(a, own_feed(a))
    store_commits(b, first, signed_anew(a.identity, second, previous=bytes(32)))
    why = "its commit 2 does not follow from the one before it"
    assert _holdings(b).unproved == {own_feed(a): why}
    assert _holdings(b).doubted == {own_feed(a)}
    assert _holdings(b).state_digest() is None


def test_a_feed_that_has_forked_at_its_first_commit_is_told_of_at_zero(
    replicas: list[Replica],
) -> None:
    """Who heard that one of its commits is here has to hear that none is, or believes it for ever."""
    a, b, _ = replicas
    _tag(a)
    (first,) = log_of(a, own_feed(a))
    store_commits(b, first, signed_anew(a.identity, first, command="another"))
    assert _holdings(b).vectors.feeds[own_feed(a)] == FeedPosition(0, 0)
    assert len(_holdings(b).vectors.feeds) == 3

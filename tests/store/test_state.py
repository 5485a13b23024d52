"""Owned state at rest: what a batch does to a copy, and what it cannot do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from leaderless.protocol import hashing
from leaderless.protocol.messages import StateBatch
from leaderless.store import state, state_source
from leaderless.store.state import Copy
from registry.changes import DeviceId, Incarnation, StateChange
from tests.replicas import (
    VOLUME_COLUMNS,
    Replica,
    add_device_row,
    add_tree,
    query_file,
)
from tests.store.passing import (
    Tree,
    batches,
    dump,
    held,
    next_life,
    pull,
    said,
    take,
    take_all,
    within,
)

OPAQUE = "SELECT uuid, model, rev FROM opaque_row ORDER BY uuid"
_COUNTS = "SELECT (SELECT count(*) FROM entry WHERE dead = 0), (SELECT count(*) FROM location)"


def _cursor(copy: Copy) -> tuple[int, int]:
    return copy.watermark, copy.as_of


def _alien(
    owner: Replica,
    rows: Sequence[tuple[Any, ...]] = (),
    removed: Sequence[tuple[bytes, int]] = (),
    lo: int = 0,
    hi: int = 9,
) -> StateBatch:
    """Return a batch of rows of a model that only newer versions have."""
    incarnation = Incarnation(1, b"\x01" * 8)
    device = DeviceId(owner.identity.device)
    change = StateChange("bookmark", device, incarnation, ("title", "size"), rows, removed)
    return StateBatch(device, incarnation, lo, hi, hi, hi, (change,))


# --- what is used ---------------------------------------------------------------------------------


def test_a_copy_of_all_batches_is_proved(replicas: list[Replica]) -> None:
    """Whoever read everything holds what the owner signed."""
    a, b, _ = replicas
    add_tree(a, 10)
    pull(a, b, a)
    mine, copy = held(a, a), held(b, a)
    assert (copy.verified, copy.row_count, copy.set_hash) == (14, mine.row_count, mine.set_hash)


def test_twice_is_once(replicas: list[Replica]) -> None:
    """A batch that comes again changes nothing."""
    a, b, _ = replicas
    tree = Tree(a)
    tree.put("kept")
    tree.put("gone")
    tree.drop("gone")
    (batch,) = pull(a, b, a)
    before = dump(b)
    assert take(b, batch).used
    assert dump(b) == before


def test_a_batch_that_begins_beyond_the_cursor_is_dropped(replicas: list[Replica]) -> None:
    """A gap is not stored: the rows in between would be missing for ever."""
    a, b, _ = replicas
    add_tree(a, 10)
    _, second = batches(a, a, limit=7)
    assert not take(b, second).used
    assert query_file(b.store.path, _COUNTS) == [(0, 0)]


def test_a_batch_from_a_source_that_holds_less_is_dropped(replicas: list[Replica]) -> None:
    """Whose own position is below ours has nothing to tell."""
    a, b, _ = replicas
    add_tree(a, 10)
    (stale,) = batches(a, a)
    add_tree(a, 1, "more")
    pull(a, b, a)
    before = dump(b)
    assert not take(b, stale).used
    assert dump(b) == before


def test_a_batch_may_overlap_what_is_held(replicas: list[Replica]) -> None:
    """A range that begins below the cursor moves it to its end, never back."""
    a, b, _ = replicas
    add_tree(a, 10)
    first, second = batches(a, a, limit=7)
    for batch in (first, second, first):
        assert take(b, batch).used
    assert _cursor(held(b, a)) == (14, 14)


def test_the_cursor_moves_with_the_rows(replicas: list[Replica]) -> None:
    """Half of a backfill is held at half of its revs, and is not proved."""
    a, b, _ = replicas
    add_tree(a, 10)
    copy = take(b, next(batches(a, a, limit=7))).copy
    assert (*_cursor(copy), copy.exact, copy.verified) == (7, 14, False, 0)


def test_a_batch_that_breaks_a_reference_moves_nothing(replicas: list[Replica]) -> None:
    """Rows whose parents are missing are refused with their cursor."""
    a, b, _ = replicas
    add_tree(a, 3)
    (batch,) = batches(a, a)
    orphans = tuple(change for change in batch.changes if change.model == "entry")
    before = dump(b)
    with pytest.raises(Exception, match="FOREIGN KEY"):
        take(b, replace(batch, changes=orphans))
    assert dump(b) == before


def test_nothing_is_known_of_a_stranger(replica: Replica) -> None:
    """An owner that was never heard of has no copy."""
    assert within(replica, lambda conn: state.copy_of(conn, b"?" * 16)) is None


def test_every_owner_has_one_copy(replicas: list[Replica]) -> None:
    """Of each owner the newest incarnation is what is held."""
    a, b, _ = replicas
    pull(a, b, a)
    next_life(a)
    pull(a, b, a)
    copies = within(b, state.copies)
    assert [(copy.owner, copy.incarnation.generation) for copy in copies] == sorted(
        [(a.identity.device, 2), (b.identity.device, 1)]
    )


# --- introductions --------------------------------------------------------------------------------


def _introduction(replica: Replica) -> StateBatch:
    (batch,) = batches(replica, replica)
    rows = tuple(change for change in batch.changes if change.model == "device")
    return replace(batch, hi=0, changes=rows, checkpoint=b"", introduction=True)


def test_an_introduction_moves_no_cursor(replicas: list[Replica]) -> None:
    """The device row is there, the copy waits for all that came before it."""
    a, b, _ = replicas
    add_tree(a, 3)
    copy = take(b, _introduction(a)).copy
    assert (*_cursor(copy), copy.verified) == (0, 7, 0)
    assert query_file(b.store.path, "SELECT count(*) FROM device") == [(2,)]


def test_a_backfill_after_an_introduction_is_proved(replicas: list[Replica]) -> None:
    """The row that came ahead counts once."""
    a, b, _ = replicas
    add_tree(a, 3)
    take(b, _introduction(a))
    pull(a, b, a)
    assert held(b, a).verified == 7


def test_an_introduction_after_the_backfill_changes_nothing(replicas: list[Replica]) -> None:
    """A known device row leaves a proved copy proved, though its rev is below the cursor."""
    a, b, _ = replicas
    early = _introduction(a)
    add_tree(a, 3)
    pull(a, b, a)
    before = dump(b)
    assert take(b, early).used
    assert dump(b) == before


# --- deletes --------------------------------------------------------------------------------------


def test_a_tombstone_beats_a_row_that_comes_late(replicas: list[Replica]) -> None:
    """A row that was deleted stays so, though an old state of it arrives as an ancestor would."""
    a, b, _ = replicas
    tree = Tree(a)
    tree.put("gone")
    (old,) = batches(a, a)
    tree.drop("gone")
    (new,) = pull(a, b, a)
    before = dump(b)
    assert take(b, replace(old, head=new.head, as_of=new.as_of)).used
    assert dump(b) == before


# --- proof ----------------------------------------------------------------------------------------


def test_a_copy_that_differs_from_its_owner_s_word_is_at_fault(replicas: list[Replica]) -> None:
    """A row that was changed on the way is found out, and said."""
    a, b, _ = replicas
    add_tree(a, 3)
    (batch,) = batches(a, a)
    volume = (a.store.ids.new(), 2, "uuid:1", "forged", *[None] * 8)
    change = StateChange(
        "volume", batch.changes[0].owner, batch.incarnation, tuple(VOLUME_COLUMNS[1:]), [volume]
    )
    copy = take(b, replace(batch, changes=(*batch.changes, change))).copy
    assert (copy.verified, copy.watermark) == (0, 7)
    assert copy.fault == "at rev 7 the owner signed 7 rows, here are 8, or rows that differ"


def test_forgetting_drops_all_that_is_held_of_an_owner(replicas: list[Replica]) -> None:
    """Rows, tombstones, opaque rows, cursor and fault go; other owners' stay."""
    a, b, c = replicas
    tree = Tree(a)
    tree.put("gone")
    tree.drop("gone")
    pull(c, b, c)
    before = dump(b)
    pull(a, b, a)
    bookmark = (a.store.ids.new(), 8, "holidays", 3)
    take(b, _alien(a, [bookmark], lo=7, hi=8))
    copy = held(b, a)._replace(fault="differs")
    within(b, lambda conn: state.forget(conn, b.store.registry, copy))
    assert dump(b)[:-1] == before[:-1]
    left = held(b, a)
    assert (*_cursor(left), left.row_count, left.set_hash) == (0, 0, 0, hashing.EMPTY_SET)
    assert (left.checkpoint, left.checkpoint_rev) == (copy.checkpoint, 0)
    assert left.fault is None


def test_what_was_forgotten_can_be_fetched_from_a_relay(replicas: list[Replica]) -> None:
    """After a copy was dropped, any honest source fills and proves it again."""
    a, b, c = replicas
    add_tree(a, 10)
    pull(a, b, a)
    pull(a, c, a)
    copy = held(b, a)._replace(fault="differs")
    within(b, lambda conn: state.forget(conn, b.store.registry, copy))
    pull(c, b, a)
    again = held(b, a)
    assert (again.verified, again.fault) == (14, None)


def test_forgetting_in_the_middle_of_a_new_incarnation_drops_the_old_one_too(
    replicas: list[Replica],
) -> None:
    """Rows of the earlier life that hang on rows of this one do not stand in the way."""
    a, b, _ = replicas
    add_tree(a, 10)
    pull(a, b, a)
    next_life(a)
    take(b, next(batches(a, a, limit=4)))
    copy = held(b, a)
    within(b, lambda conn: state.forget(conn, b.store.registry, copy))
    assert query_file(b.store.path, _COUNTS) == [(0, 0)]


def test_the_word_on_a_later_incarnation_is_kept_though_its_rows_are_not_taken(
    replicas: list[Replica],
) -> None:
    """It is the proof that there is one, for an owner that was restored since; it covers nothing."""
    a, b, _ = replicas
    add_tree(a, 3)
    pull(a, b, a)
    next_life(a)
    late = list(batches(a, a, limit=4))[1]
    assert not take(b, late).used
    copy = held(b, a)
    assert (copy.incarnation, copy.checkpoint) == (late.incarnation, late.checkpoint)
    assert (copy.watermark, copy.checkpoint_rev) == (0, 0)


def test_the_newest_word_of_an_owner_is_kept(replicas: list[Replica]) -> None:
    """An older checkpoint does not replace a newer one."""
    a, b, _ = replicas
    (early,) = batches(a, a)
    add_tree(a, 3)
    pull(a, b, a)
    take(b, replace(early, head=7, as_of=7))
    assert held(b, a).checkpoint_rev == 7


def test_a_word_on_another_rev_proves_nothing(replicas: list[Replica]) -> None:
    """A copy is held against a checkpoint of its own rev alone."""
    a, b, _ = replicas
    add_tree(a, 3)
    (batch,) = batches(a, a)
    word = said(batch)
    assert word is not None
    merged = within(
        b,
        lambda conn: state.apply_batch(
            conn, b.store.registry, batch, replace(word, rev=word.rev + 1, row_count=0)
        ),
    )
    assert (merged.copy.verified, merged.copy.fault) == (0, None)


def test_a_copy_that_is_not_exact_is_compared_with_nothing(replicas: list[Replica]) -> None:
    """While a source is known to hold more, a difference means nothing."""
    a, b, _ = replicas
    add_tree(a, 3)
    (batch,) = batches(a, a)
    copy = take(b, replace(batch, as_of=100, changes=batch.changes[:1])).copy
    assert (copy.exact, copy.verified, copy.fault) == (False, 0, None)


def test_a_word_on_all_that_is_here_proves_it_whatever_more_was_told_of(
    replicas: list[Replica],
) -> None:
    """What its owner lost with a restore never comes; the word that covers this is handed on."""
    a, b, _ = replicas
    add_tree(a, 10)
    first, *_, last = batches(a, a, limit=4)
    word = said(last)
    assert word is not None
    lost = replace(word, rev=word.rev + 9, row_count=99)
    a_life = replace(first, head=lost.rev, as_of=lost.rev, checkpoint=b"of a life that is lost")
    merged = within(b, lambda c: state.apply_batch(c, b.store.registry, a_life, lost))
    assert (merged.copy.exact, merged.copy.checkpoint_rev) == (False, lost.rev)
    take_all(b, batches(a, a, first.hi))
    copy = held(b, a)
    assert (copy.exact, copy.verified) == (True, word.rev)
    assert (copy.checkpoint, copy.checkpoint_rev) == (last.checkpoint, word.rev)


def test_a_proved_copy_has_no_fault_any_more(replicas: list[Replica]) -> None:
    """Once the owner's word fits, what was wrong before is over."""
    a, b, _ = replicas
    pull(a, b, a)
    broken = held(b, a)._replace(fault="differs")
    within(b, lambda conn: state.put_copy(conn, broken))
    add_device_row(a, "renamed")
    (batch,) = batches(a, a, lo=1)
    assert take(b, batch).copy.fault is None


def test_an_introduction_keeps_the_word_that_covers_what_is_here(replicas: list[Replica]) -> None:
    """A later word, of rows that are not here, would prove nothing to anybody."""
    owner, target, _ = replicas
    add_tree(owner, 2)
    pull(owner, target, owner)
    before = held(target, owner)
    add_tree(owner, 2, "more")
    own, registry = owner.identity.device, owner.store.registry
    batch = within(owner, lambda conn: state_source.introduction(conn, registry, own))
    assert batch is not None
    take(target, batch)
    after = held(target, owner)
    assert (after.checkpoint_rev, after.checkpoint) == (before.watermark, before.checkpoint)

"""From an edit to a change: what the author saw goes along."""

from __future__ import annotations

from dataclasses import replace

import pytest

from registry.authoring import change_for
from registry.changes import (
    LOCK_FIELD,
    MAX_GUARD,
    UNSET,
    Create,
    Delete,
    Dismiss,
    Dot,
    Edit,
    FieldWrite,
    Form,
    Guard,
    Lock,
    Lose,
    Restore,
    Unlock,
    Update,
    WriteRef,
)
from registry.errors import InvalidChangeError, LockedError
from registry.hlc import Stamp
from registry.merge import merge
from registry.state import Death, RecordState

RECORD = bytes(16)
ME = b"m" * 16
ALIVE = merge(
    RecordState(),
    change_for(Create("tag", RECORD, {"name": "x"}), RecordState(), ME),
    Dot(b"a", 1),
    Stamp(1, 0, 0),
    0,
).state

LOSER = WriteRef(Stamp(7, 0, 0), b"b", 1, 0)


def _edited(state: RecordState, edit: Edit, author: bytes, ms: int) -> RecordState:
    """Return a record after an edit of a device whose feed has one letter."""
    change = change_for(edit, state, author)
    return merge(state, change, Dot(author + bytes(28), ms), Stamp(ms, 0, 0), 0).state


LOCKED = _edited(ALIVE, Lock("tag", RECORD), ME, 2)


def test_an_update_names_dots_and_what_it_replaces() -> None:
    """An update carries the living dots and the write it overwrites."""
    change = change_for(Update("tag", RECORD, {"name": "y", ("set", "k"): True}), ALIVE, ME)
    assert change.dots == (Dot(b"a", 1),)
    named, keyed = change.writes
    assert [ref.seq for ref in named.over] == [1]
    assert (keyed.subkey, keyed.over) == ("k", ())


def test_a_delete_names_the_writes_it_saw() -> None:
    """A delete takes away knowingly what its author had before it."""
    change = change_for(Delete("tag", RECORD), ALIVE, ME)
    assert (change.form, len(change.seen)) == (Form.DELETE, 1)


def test_a_restore_carries_the_kept_values() -> None:
    """A restore writes what the record had, and names it: also what a deleter had not seen."""
    state = _edited(ALIVE, Update("tag", RECORD, {("map", "k"): None, "icon": UNSET}), ME, 2)
    dead = _edited(state, Delete("tag", RECORD), ME, 3)
    change = change_for(Restore("tag", RECORD), dead, ME)
    assert {(w.field, w.subkey, w.value, w.over[0].seq) for w in change.writes} == {
        ("name", None, "x", 1),
        ("map", "k", None, 2),
    }


def test_an_update_settles_losers_of_its_own_fields_alone() -> None:
    """What else a loser's author had written in the same change stays a loss."""
    loser = WriteRef(Stamp(9, 0, 0), b"b", 1, 0)
    change = change_for(Update("tag", RECORD, {"name": "y"}, (loser,)), ALIVE, ME)
    assert loser in change.writes[0].over
    assert change.seen == ()


@pytest.mark.parametrize(
    ("edit", "state"),
    [
        (Create("tag", RECORD), ALIVE),
        (Restore("tag", RECORD), ALIVE),
        (Update("tag", RECORD, {"name": "y"}), RecordState()),
        (Delete("tag", RECORD), RecordState()),
        (Update("tag", RECORD, {}), ALIVE),
        (Lock("tag", RECORD), RecordState()),
        (Lock("tag", RECORD), LOCKED),
        (Unlock("tag", RECORD), ALIVE),
        (Unlock("tag", RECORD), RecordState()),
    ],
)
def test_what_cannot_be_meant_is_refused(edit: Edit, state: RecordState) -> None:
    """Making what is there, changing what is not, and writing nothing are errors."""
    with pytest.raises(InvalidChangeError):
        change_for(edit, state, ME)


def test_a_value_that_settles_a_conflict_names_the_loser_too() -> None:
    """So that no replica reports it any more."""
    edit = Update("tag", RECORD, {"name": "y", "color": "red"}, settles=(LOSER,))
    named, colored = change_for(edit, ALIVE, ME).writes
    assert (len(named.over), LOSER in named.over, colored.over) == (2, True, (LOSER,))


def test_a_dismissal_names_losers_and_takes_nothing_away() -> None:
    """It names writes by their register, and deletes whole; the record may be gone."""
    other = LOSER._replace(seq=2)
    edit = Dismiss("tag", RECORD, ((("name", None), LOSER), (("name", None), other)), (LOSER,))
    for state in (ALIVE, RecordState()):
        change = change_for(edit, state, ME)
        assert (change.form, change.dots, change.seen) == (Form.DISMISS, (), (LOSER,))
        assert change.writes == (FieldWrite("name", None, None, (LOSER, other)),)


def test_what_makes_a_record_alive_takes_its_deletes_back() -> None:
    """Its author had them before its eyes."""
    dead = RecordState(deaths=frozenset([Death(LOSER, frozenset())]))
    for edit in (Create("tag", RECORD, {"name": "x"}), Restore("tag", RECORD)):
        assert change_for(edit, dead, ME).seen == (LOSER,)


def test_a_lock_writes_all_values_anew() -> None:
    """On a life of its own, a guard higher, so that nothing unseen reaches them."""
    change = change_for(Lock("tag", RECORD), ALIVE, ME)
    written = {write.field: write.value for write in change.writes}
    assert (change.form, change.guard) == (Form.RESTORE, Guard(1))
    assert written == {LOCK_FIELD: True, "name": "x"}


@pytest.mark.parametrize(
    "edit", [Update("tag", RECORD, {"name": "y"}), Delete("tag", RECORD), Lock("tag", RECORD)]
)
def test_what_another_device_has_locked_cannot_be_edited(edit: Edit) -> None:
    """The error names that device."""
    with pytest.raises(LockedError) as caught:
        change_for(edit, LOCKED, b"o" * 16)
    assert caught.value.by == ME


def test_who_has_locked_a_record_edits_it_under_the_lock() -> None:
    """Its edits carry the guard of the lock, and stay in effect."""
    change = change_for(Update("tag", RECORD, {"name": "y"}), LOCKED, ME)
    assert (change.guard.level, change.guard.stamp) == (1, Stamp(2, 0, 0))


def test_anybody_unlocks() -> None:
    """The lock goes, and what was below it stays below it."""
    other = b"o" * 16
    change = change_for(Unlock("tag", RECORD), LOCKED, other)
    (write,) = change.writes
    assert (change.form, change.guard, write.field) == (Form.UPDATE, Guard(2), LOCK_FIELD)
    assert write.value == [1, Stamp(2, 0, 0).pack(), ME + bytes(28)]
    free = _edited(LOCKED, Unlock("tag", RECORD), other, 3)
    assert (free.locked_by, free.floor.level) == (None, 1)


def test_an_unlock_of_a_lock_without_a_guard_is_below_nothing() -> None:
    """A hostile peer may have written the lock's register as any other."""
    state = _edited(ALIVE, Update("tag", RECORD, {LOCK_FIELD: True}), ME, 2)
    (write,) = change_for(Unlock("tag", RECORD), state, ME).writes
    assert write.value == [0, b"", b""]


def test_a_restore_may_decide_a_conflict() -> None:
    """The given value stands in place of the kept one, and its loser is named as seen."""
    loser = WriteRef(Stamp(5, 0, 0), b"b", 1, 0)
    edit = Restore("tag", RECORD, {"name": "y"}, (loser,))
    state = _edited(ALIVE, Update("tag", RECORD, {"color": "red"}), ME, 2)
    change = change_for(edit, _edited(state, Delete("tag", RECORD), ME, 3), ME)
    written = {write.field: (write.value, loser in write.over) for write in change.writes}
    assert written == {"name": ("y", True), "color": ("red", False)}


def test_a_lock_writes_anew_what_was_unset_knowingly() -> None:
    """Else it would be a loss that somebody had seen, and lose to the lock."""
    state = _edited(ALIVE, Update("tag", RECORD, {"icon": UNSET, ("map", "k"): None}), ME, 2)
    change = change_for(Lock("tag", RECORD), state, ME)
    written = {(write.field, write.subkey): write.value for write in change.writes}
    assert written[LOCK_FIELD, None] is True
    assert (written["icon", None], written["map", "k"]) == (UNSET, None)
    assert merge(state, change, Dot(b"a", 9), Stamp(9, 0, 0), 0).lost == ()


def test_nobody_locks_a_record_more_often_than_others_would_take() -> None:
    """A hostile guard makes nobody sign what is invalid."""
    worn = tuple(
        write._replace(guard=Guard(MAX_GUARD, Stamp(2, 0, 0), b"a")) for write in ALIVE.writes
    )
    with pytest.raises(InvalidChangeError, match="too often"):
        change_for(Lock("tag", RECORD), RecordState(ALIVE.dots, worn), ME)
    locked = tuple(
        write._replace(guard=Guard(MAX_GUARD, Stamp(2, 0, 0), b"a")) for write in LOCKED.writes
    )
    with pytest.raises(InvalidChangeError, match="too often"):
        change_for(Unlock("tag", RECORD), RecordState(LOCKED.dots, locked), ME)


def test_what_is_replaced_unseen_is_lost_as_if_its_author_had_not_seen_it() -> None:
    """An update leaves it out of what it names, a delete as well; the rest is named as ever."""
    colored = _edited(ALIVE, Update("tag", RECORD, {"color": "red"}), ME, 2)
    (held,) = (write for write in colored.shown().values() if write.field == "color")
    update = Update("tag", RECORD, {"color": "blue", "name": "y"}, unseen=(held.ref,))
    merged = merge(colored, change_for(update, colored, ME), Dot(b"a", 3), Stamp(3, 0, 0), 0)
    assert merged.lost == (held,)
    delete = Delete("tag", RECORD, unseen=(held.ref,))
    merged = merge(colored, change_for(delete, colored, ME), Dot(b"a", 3), Stamp(3, 0, 0), 0)
    assert merged.lost == (held,)


def test_a_delete_that_a_restore_leaves_unseen_has_failed() -> None:
    """It is kept as one that was in vain."""
    dead = _edited(ALIVE, Delete("tag", RECORD), ME, 2)
    back = _edited(dead, Restore("tag", RECORD, unseen=tuple(dead.died_of)), ME, 3)
    assert back.alive
    assert back.failed_deletes == dead.died_of


def test_what_is_said_to_have_lost_is_never_in_effect() -> None:
    """Not even where the record shows nothing else, or is restored; it is listed at once."""
    lost = Lose("tag", RECORD, {"color": "red", ("set", "k"): True}, (Dot(b"o", 4),))
    change = change_for(lost, ALIVE, ME)
    merged = merge(ALIVE, change, Dot(b"m", 2), Stamp(9, 0, 0), 1)
    assert merged.state == ALIVE
    assert [(write.key, write.value) for write in merged.lost] == [
        (("color", None), "red"),
        (("set", "k"), True),
    ]
    dead = _edited(ALIVE, Delete("tag", RECORD), ME, 3)
    assert merge(dead, change, Dot(b"m", 2), Stamp(9, 0, 0), 1).state == dead


def test_what_was_made_with_the_record_is_no_sign_of_another_one() -> None:
    """A write on such a dot would be in effect, or be restored."""
    other = Dot(b"o", 4)
    lost = Lose("tag", RECORD, {"color": "red"}, (Dot(b"a", 1), other))
    dead = _edited(ALIVE, Delete("tag", RECORD), ME, 3)
    assert change_for(lost, ALIVE, ME).dots == change_for(lost, dead, ME).dots == (other,)
    with pytest.raises(InvalidChangeError, match="was made with"):
        change_for(Lose("tag", RECORD, {"color": "red"}, (Dot(b"a", 1),)), ALIVE, ME)


@pytest.mark.parametrize(
    ("edit", "state"),
    [
        (Create("tag", RECORD, {"name": "x"}, (LOSER,)), RecordState()),
        (Update("tag", RECORD, {"name": "y"}, repeats=(LOSER,)), ALIVE),
        (Lose("tag", RECORD, {"name": "y"}, (Dot(b"o", 4),), repeats=(LOSER,)), ALIVE),
    ],
)
def test_what_is_repeated_is_named_and_changes_nothing_else(
    edit: Create | Update | Lose, state: RecordState
) -> None:
    """It was said of another record: this one has no such write, and is as without that."""
    change = change_for(edit, state, ME)
    assert change.seen == (LOSER,)
    alone = change_for(replace(edit, repeats=()), state, ME)
    about = Dot(b"z", 1), Stamp(9, 0, 0), 0
    named, plain = merge(state, change, *about), merge(state, alone, *about)
    assert (named.state, named.lost) == (plain.state, plain.lost)

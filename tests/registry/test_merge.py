"""The merge: any causal order gives the same records and the same journal."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.authoring import change_for
from registry.changes import (
    LOCK_FIELD,
    Dot,
    FieldWrite,
    Form,
    Guard,
    Lock,
    RecordId,
    SharedChange,
    Unlock,
    Update,
    WriteRef,
)
from registry.hlc import Stamp
from registry.merge import highest_seen, merge
from registry.state import RecordState, visible_fields
from tests.registry.playing import RECORD, Replica, Sent

Step = tuple[int, str, str, int, int]
WHATS = [
    *("create", "update", "update", "unset", "delete", "restore"),
    *("lock", "unlock", "dismiss", "meet", "meet"),
]
steps = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from(WHATS),
        st.sampled_from(["name", "color"]),
        st.integers(0, 3),
        st.integers(1, 5),
    ),
    max_size=25,
)


def _play(replicas: list[Replica], log: list[Sent], script: list[Step]) -> None:
    """Let replicas write, and now and then hear what the others wrote."""
    for who, what, key, value, clock in script:
        if what == "meet":
            for sent in list(log):
                if sent.seen <= replicas[who].seen:
                    replicas[who].take(sent)
        elif (made := replicas[who].write(what, key, value, clock)) is not None:
            log.append(made)


def _deliver(replicas: list[Replica], log: list[Sent], chance: random.Random) -> None:
    """Let everybody hear everything, twice, in orders that only respect causality."""
    for replica in replicas:
        waiting = list(log)
        while waiting:
            chance.shuffle(waiting)
            ready = next(sent for sent in waiting if sent.seen <= replica.seen)
            waiting.remove(ready)
            replica.take(ready)
            replica.take(ready)


@given(steps, st.randoms(use_true_random=False))
def test_any_causal_order_gives_the_same(script: list[Step], chance: random.Random) -> None:
    """Three replicas that heard everything hold equal states and journals; a fourth too."""
    replicas = [Replica(bytes([65 + at]) * 44) for at in range(3)]
    log: list[Sent] = []
    _play(replicas, log, script)
    replicas.append(Replica(b"Z" * 44))
    _deliver(replicas, log, chance)
    first = replicas[0]
    for other in replicas[1:]:
        assert other.state == first.state
        assert visible_fields(other.state) == visible_fields(first.state)
        assert other.lost == first.lost


def _write(field_name: str, value: object, over: tuple[WriteRef, ...] = ()) -> FieldWrite:
    return FieldWrite(field_name, None, value, over)


def _change(form: Form, *writes: FieldWrite, dots: tuple[Dot, ...] = ()) -> SharedChange:
    return SharedChange(form, "tag", RecordId(RECORD), dots, writes)


BORN = Dot(b"a", 1)
START = merge(
    RecordState(), _change(Form.CREATE, _write("name", "x")), BORN, Stamp(1, 0, 0), 0
).state
BORN_REF = WriteRef(Stamp(1, 0, 0), b"a", 1, 0)


def test_edits_of_different_fields_both_stay() -> None:
    """Two updates that had not seen each other keep both fields, and nothing is lost."""
    one = _change(Form.UPDATE, _write("color", "red"), dots=(BORN,))
    two = _change(Form.UPDATE, _write("icon", "palm"), dots=(BORN,))
    merged = merge(START, one, Dot(b"a", 2), Stamp(2, 0, 0), 0)
    merged = merge(merged.state, two, Dot(b"b", 1), Stamp(2, 0, 0), 0)
    assert visible_fields(merged.state) == {"name": "x", "color": "red", "icon": "palm"}
    assert merged.lost == ()


def test_of_two_unseen_writes_the_earlier_is_lost_in_either_order() -> None:
    """The later stamp is shown, the earlier write is named as lost, whichever came first."""
    one = (_change(Form.UPDATE, _write("name", "p", (BORN_REF,)), dots=(BORN,)), Dot(b"a", 2))
    two = (_change(Form.UPDATE, _write("name", "q", (BORN_REF,)), dots=(BORN,)), Dot(b"b", 1))
    for order in ((one, two), (two, one)):
        state, losses = START, []
        for change, dot in order:
            merged = merge(state, change, dot, Stamp(2 if dot.feed == b"a" else 3, 0, 0), 0)
            state = merged.state
            losses += merged.lost
        assert visible_fields(state) == {"name": "q"}
        assert [write.value for write in losses] == ["p"]


def test_a_delete_wins_over_an_edit_it_had_not_seen_in_either_order() -> None:
    """Delete against edit ends deleted, and the edit is named as lost, whichever came first."""
    edit = _change(Form.UPDATE, _write("name", "y", (BORN_REF,)), dots=(BORN,))
    delete = SharedChange(Form.DELETE, "tag", RecordId(RECORD), (BORN,), (), (BORN_REF,))
    first = merge(START, edit, Dot(b"a", 2), Stamp(9, 0, 0), 0)
    first = merge(first.state, delete, Dot(b"b", 1), Stamp(2, 0, 0), 0)
    second = merge(START, delete, Dot(b"b", 1), Stamp(2, 0, 0), 0)
    assert second.lost == ()
    second = merge(second.state, edit, Dot(b"a", 2), Stamp(9, 0, 0), 0)
    for merged in (first, second):
        assert not merged.state.alive
        assert [write.value for write in merged.lost] == ["y"]


def test_what_was_dismissed_is_no_loss_again_when_it_was_shown_in_between() -> None:
    """A settled loser that another's delete uncovers and one more unseen edit hides stays settled.

    Whoever hears of the dismissal last never notes it either: the journal tells no order of arrival.
    """
    twice = merge(
        START, _change(Form.CREATE, _write("name", "y")), Dot(b"b", 1), Stamp(5, 0, 0), 0
    ).state
    dismissed = SharedChange(
        Form.DISMISS, "tag", RecordId(RECORD), (), (_write("name", None, (BORN_REF,)),)
    )
    twice = merge(twice, dismissed, Dot(b"c", 1), Stamp(6, 0, 0), 0).state
    delete = SharedChange(Form.DELETE, "tag", RecordId(RECORD), (Dot(b"b", 1),))
    shown = merge(twice, delete, Dot(b"b", 2), Stamp(7, 0, 0), 0).state
    assert visible_fields(shown) == {"name": "x"}
    unseen = _change(Form.UPDATE, _write("name", "z"), dots=(BORN,))
    assert merge(shown, unseen, Dot(b"d", 1), Stamp(8, 0, 0), 0).lost == ()


def test_a_value_that_knew_a_lock_that_is_gone_can_be_replaced() -> None:
    """Of what its author sees an edit is the greater, though no lock is in the record any more."""
    after_lock = Guard(1, Stamp(3, 0, 0), b"a")
    edit = SharedChange(
        Form.UPDATE, "tag", RecordId(RECORD), (BORN,), (_write("name", "y"),), (), after_lock
    )
    state = merge(START, edit, Dot(b"a", 2), Stamp(4, 0, 0), 0).state
    change = change_for(Update("tag", RECORD, {"name": "z"}), state, b"z" * 16)
    assert visible_fields(merge(state, change, Dot(b"z", 1), Stamp(5, 0, 0), 0).state) == {
        "name": "z"
    }


def test_a_record_created_again_starts_empty() -> None:
    """After a delete, a create under the same id shows its own fields alone."""
    gone = merge(
        START,
        SharedChange(Form.DELETE, "tag", RecordId(RECORD), (BORN,), (), (BORN_REF,)),
        Dot(b"a", 2),
        Stamp(2, 0, 0),
        0,
    ).state
    again = merge(
        gone, _change(Form.CREATE, _write("icon", "sun")), Dot(b"b", 1), Stamp(3, 0, 0), 0
    )
    assert visible_fields(again.state) == {"icon": "sun"}


def test_a_delete_of_one_of_two_dots_leaves_the_other() -> None:
    """Of a record made on two devices, a delete that saw one dot leaves what hangs on the other."""
    both = merge(
        START, _change(Form.CREATE, _write("icon", "sun")), Dot(b"b", 1), Stamp(3, 0, 0), 0
    ).state
    named = _change(Form.UPDATE, _write("color", "red"), dots=(BORN, Dot(b"b", 1)))
    both = merge(both, named, Dot(b"b", 2), Stamp(4, 0, 0), 0).state
    delete = SharedChange(Form.DELETE, "tag", RecordId(RECORD), (BORN,), (), (BORN_REF,))
    left = merge(both, delete, Dot(b"c", 1), Stamp(5, 0, 0), 0).state
    assert visible_fields(left) == {"color": "red", "icon": "sun"}


def test_a_delete_of_what_lives_on_is_remembered_as_failed() -> None:
    """Its author had not seen every life; of a dead record no delete has failed."""
    delete = SharedChange(Form.DELETE, "tag", RecordId(RECORD), (BORN,), (), (BORN_REF,))
    ref = WriteRef(Stamp(5, 0, 0), b"c", 1, 0)
    again = _change(Form.CREATE, _write("icon", "sun"))
    both = merge(START, again, Dot(b"b", 1), Stamp(3, 0, 0), 0).state
    left = merge(both, delete, Dot(b"c", 1), Stamp(5, 0, 0), 0).state
    gone = merge(START, delete, Dot(b"c", 1), Stamp(5, 0, 0), 0).state
    assert (left.failed_deletes, gone.failed_deletes) == ({ref}, frozenset())
    assert left.died_of == gone.died_of == {ref}


def test_what_had_not_seen_a_lock_is_below_it_even_when_it_is_gone() -> None:
    """Whatever the clocks say; what knew the lock is shown again."""
    state = START
    late = _change(Form.UPDATE, _write("color", "red"), dots=(BORN,))
    for seq, edit in ((2, Lock("tag", RECORD)), (3, Unlock("tag", RECORD))):
        change = change_for(edit, state, b"a")
        state = merge(state, change, Dot(b"a", seq), Stamp(seq, 0, 0), 0).state
        below = merge(state, late, Dot(b"b", 1), Stamp(99, 0, 0), 0)
        assert visible_fields(below.state) == {"name": "x"}
        assert [write.value for write in below.lost] == ["red"]
    seen = change_for(Update("tag", RECORD, {"color": "blue"}), state, b"b")
    after = merge(state, seen, Dot(b"b", 1), Stamp(4, 0, 0), 0).state
    assert visible_fields(after) == {"color": "blue", "name": "x"}


def test_a_change_comes_after_all_that_it_names() -> None:
    """What it replaces and what it has seen; nothing, where it names nothing."""
    over = BORN_REF._replace(stamp=Stamp(5, 0, 0))
    update = _change(Form.UPDATE, _write("name", "y", (over,)), dots=(BORN,))
    delete = SharedChange(Form.DELETE, "tag", RecordId(RECORD), (BORN,), (), (BORN_REF,))
    assert highest_seen([update, delete]) == Stamp(5, 0, 0)
    assert highest_seen([delete]) == Stamp(1, 0, 0)
    assert highest_seen([_change(Form.CREATE)]) is None


# --- what a restore brings back -------------------------------------------------------------------

DELETE = SharedChange(Form.DELETE, "tag", RecordId(RECORD), (BORN,), (), (BORN_REF,))
DIED = WriteRef(Stamp(5, 0, 0), b"c", 1, 0)


def _deleted(state: RecordState) -> RecordState:
    return merge(state, DELETE, Dot(b"c", 1), Stamp(5, 0, 0), 0).state


def test_a_deleted_record_remembers_what_it_showed() -> None:
    """Until somebody makes it alive again, having seen that it was deleted."""
    gone = _deleted(START)
    assert visible_fields(gone.remembered) == {"name": "x"}
    again = SharedChange(Form.CREATE, "tag", RecordId(RECORD), (), (), (DIED,))
    back = merge(gone, again, Dot(b"d", 1), Stamp(6, 0, 0), 0).state
    assert (back.deaths, back.remains) == (frozenset(), ())


def test_an_edit_that_its_deleter_had_not_seen_is_remembered_in_either_order() -> None:
    """So every device would bring back the same."""
    edit = _change(Form.UPDATE, _write("name", "y", (BORN_REF,)), dots=(BORN,))
    before = merge(START, edit, Dot(b"b", 1), Stamp(9, 0, 0), 0).state
    after = merge(_deleted(START), edit, Dot(b"b", 1), Stamp(9, 0, 0), 0).state
    assert _deleted(before) == after
    assert visible_fields(after.remembered) == {"name": "y"}


def test_a_second_delete_recalls_nothing_that_was_restored_already() -> None:
    """Whether it was heard of before the restore or after it: not all had seen the same delete."""
    other = merge(START, DELETE, Dot(b"d", 1), Stamp(4, 0, 0), 0).state
    restore = SharedChange(
        Form.RESTORE, "tag", RecordId(RECORD), (), (_write("name", "x"),), (DIED,)
    )
    first = merge(_deleted(START), restore, Dot(b"e", 1), Stamp(7, 0, 0), 0).state
    first = merge(first, DELETE, Dot(b"d", 1), Stamp(4, 0, 0), 0).state
    second = merge(_deleted(other), restore, Dot(b"e", 1), Stamp(7, 0, 0), 0).state
    assert first == second
    assert (len(first.deaths), first.remains) == (1, ())


def test_a_delete_without_dots_only_says_what_was_seen() -> None:
    """It takes nothing away, and no restore has to take it back."""
    ref = WriteRef(Stamp(9, 0, 0), b"b", 1, 0)
    said = SharedChange(Form.DELETE, "tag", RecordId(RECORD), (), (), (ref,))
    merged = merge(START, said, Dot(b"c", 1), Stamp(5, 0, 0), 0)
    assert (merged.state, merged.lost, merged.seen) == (START, (), {ref})


def test_a_dismissal_settles_one_field_of_a_change_and_leaves_the_others() -> None:
    """What else was lost with it stays a loss."""
    lost = _change(Form.UPDATE, _write("name", "y"), _write("icon", "sun"), dots=(BORN,))
    state = merge(START, lost, Dot(b"b", 1), Stamp(2, 0, 0), 0).state
    ref = WriteRef(Stamp(2, 0, 0), b"b", 1, 0)
    dismissal = SharedChange(
        Form.DISMISS, "tag", RecordId(RECORD), (), (_write("name", None, (ref,)),)
    )
    merged = merge(state, dismissal, Dot(b"c", 1), Stamp(3, 0, 0), 0)
    assert visible_fields(merged.state) == {"name": "y", "icon": "sun"}
    settled = {write.key: write.settled for write in merged.state.writes if write.ref == ref}
    assert settled == {("name", None): True, ("icon", None): False}
    assert merged.lost == ()


@pytest.mark.parametrize("form", [Form.CREATE, Form.RESTORE])
@given(st.sets(st.tuples(st.sampled_from("abc"), st.sampled_from([None, "k", "l"]))))
def test_what_makes_a_record_of_nothing_is_merged_as_all_else(
    form: Form, keys: set[tuple[str, str | None]]
) -> None:
    """Most changes are of this kind, so there is a short way for them, to the same end."""
    writes = tuple(FieldWrite(*key, 5) for key in keys)
    change = SharedChange(form, "tag", RecordId(RECORD), writes=writes)
    long_way = replace(change, seen=(BORN_REF,))
    short, long = (
        merge(RecordState(), item, Dot(b"z", 3), Stamp(9, 0, 0), 2) for item in (change, long_way)
    )
    assert short == long._replace(seen=frozenset())


@pytest.mark.parametrize(
    "change",
    [
        _change(Form.CREATE, _write(LOCK_FIELD, value=True)),
        _change(Form.CREATE, _write("name", "y", (BORN_REF,))),
        replace(_change(Form.CREATE, _write("name", "y")), guard=Guard(1)),
        _change(Form.UPDATE, _write("name", "y"), dots=(BORN,)),
    ],
    ids=["a lock", "a value it knew", "under a guard", "no birth"],
)
def test_what_knows_of_something_before_takes_the_long_way(change: SharedChange) -> None:
    """Also where nothing of it is here: what its author had seen counts."""
    merged = merge(RecordState(), change, Dot(b"z", 3), Stamp(9, 0, 0), 0)
    overs = {over for write in change.writes for over in write.over}
    assert {ref for _, ref in merged.found} >= overs
    guards = {write.guard.level for write in merged.state.writes}
    assert guards <= {change.guard.level}
    assert merged.state.alive == (change.form is Form.CREATE)

"""What can be read from a record's state."""

from __future__ import annotations

from registry.authoring import change_for
from registry.changes import (
    LOCK_FIELD,
    UNSET,
    Dot,
    Edit,
    FieldWrite,
    Form,
    Lock,
    RecordId,
    SharedChange,
    Unlock,
    Update,
    WriteRef,
)
from registry.hlc import Stamp
from registry.merge import merge
from registry.state import (
    Death,
    RecordState,
    Write,
    first_order,
    greatest,
    last_fields,
    set_registers,
    visible_fields,
)
from tests.registry.playing import RECORD

BORN = Dot(b"a", 1)
BORN_REF = WriteRef(Stamp(1, 0, 0), b"a", 1, 0)
NAMED = Write("name", None, "x", BORN_REF, frozenset([BORN]))
START = RecordState(frozenset([BORN]), (NAMED,))


def _write(field_name: str, value: object, over: tuple[WriteRef, ...] = ()) -> FieldWrite:
    return FieldWrite(field_name, None, value, over)


def _change(form: Form, *writes: FieldWrite, dots: tuple[Dot, ...] = ()) -> SharedChange:
    return SharedChange(form, "tag", RecordId(RECORD), dots, writes)


def test_subkeys_are_registers_of_their_own() -> None:
    """Map entries merge one by one, and an entry set to None is not shown."""
    change = _change(
        Form.UPDATE, FieldWrite("map", "a", 1), FieldWrite("map", "b", None), dots=(BORN,)
    )
    state = merge(START, change, Dot(b"a", 2), Stamp(2, 0, 0), 0).state
    assert visible_fields(state) == {"map": {"a": 1}, "name": "x"}
    assert set_registers(state) == {("map", "a"): 1, ("map", "b"): None, "name": "x"}


def test_a_field_written_whole_and_by_key_shows_the_keys() -> None:
    """Where somebody wrote a field whole and others its entries, the entries are shown."""
    change = _change(Form.UPDATE, FieldWrite("name", "a", 1), dots=(BORN,))
    state = merge(START, change, Dot(b"a", 2), Stamp(2, 0, 0), 0).state
    assert visible_fields(state) == {"name": {"a": 1}}


def test_of_two_living_writes_the_greater_is_shown_in_either_order() -> None:
    """The winner of a register does not depend on which write was kept first."""
    dot = Dot(b"f", 1)
    writes = [
        Write("name", None, value, WriteRef(Stamp(ms, 0, 0), b"f", ms, 0), frozenset([dot]))
        for ms, value in ((1, "old"), (2, "new"))
    ]
    for order in (writes, writes[::-1]):
        state = RecordState(frozenset([dot]), tuple(order))
        assert state.winners()["name", None].value == "new"


def test_records_compete_by_their_first_write_in_effect() -> None:
    """One without a value does not compete."""
    later = _change(Form.UPDATE, _write("color", "red"), dots=(BORN,))
    state = merge(START, later, Dot(b"a", 2), Stamp(2, 0, 0), 0).state
    assert first_order(state) == BORN_REF
    assert first_order(RecordState()) is None


def test_a_lock_of_another_shape_locks_nothing_up() -> None:
    """A value in the lock's register that is no guard is taken for none, by every device."""
    odd = SharedChange(
        Form.CREATE,
        "tag",
        RecordId(RECORD),
        writes=(_write(LOCK_FIELD, [1, b"", b""]), _write("name", "x")),
    )
    state = merge(RecordState(), odd, BORN, Stamp(1, 0, 0), 0).state
    assert visible_fields(state) == {"name": "x"}


def test_a_register_that_was_unset_shows_nothing() -> None:
    """As if it had never been written; None is shown, for it says that the field is empty."""
    change = _change(Form.UPDATE, _write("name", UNSET), _write("icon", None), dots=(BORN,))
    state = merge(START, change, Dot(b"a", 2), Stamp(2, 0, 0), 0).state
    assert visible_fields(state) == {"icon": None}
    assert set_registers(state) == {"icon": None}


def test_the_fields_of_a_deleted_record_are_those_it_had() -> None:
    """And of a living one those it shows; deletes count as failed for that one alone."""
    dead = RecordState(deaths=frozenset([Death(BORN_REF, START.dots)]), remains=START.writes)
    assert last_fields(dead) == last_fields(START) == {"name": "x"}
    assert (dead.alive, dead.failed_deletes) == (False, frozenset())
    alive = RecordState(START.dots, START.writes, dead.deaths)
    assert alive.failed_deletes == {BORN_REF}


def _edited(state: RecordState, edit: Edit, seq: int) -> RecordState:
    change = change_for(edit, state, b"a")
    return merge(state, change, Dot(b"a", seq), Stamp(seq, 0, 0), 0).state


def test_a_lock_names_its_device_and_leaves_a_floor_behind() -> None:
    """What is below it is not shown, also after it was taken off; it is no field to be seen."""
    locked = _edited(START, Lock("tag", RECORD), 2)
    assert (locked.locked_by, START.locked_by) == (b"a", None)
    late = _change(Form.UPDATE, _write("color", "red"), dots=(BORN,))
    free = merge(_edited(locked, Unlock("tag", RECORD), 3), late, Dot(b"b", 1), Stamp(9, 0, 0), 0)
    assert free.state.locked_by is None
    assert (free.state.floor.level, free.state.guard.level) == (1, 2)
    assert visible_fields(free.state) == set_registers(free.state) == {"name": "x"}
    after = _edited(free.state, Update("tag", RECORD, {"color": "blue"}), 10)
    assert visible_fields(after) == {"color": "blue", "name": "x"}


def test_a_register_that_does_not_fit_its_field_is_passed_over() -> None:
    """Nobody hides a name by giving it a key, or a map by writing it whole."""
    change = _change(
        Form.UPDATE,
        FieldWrite("name", "k", 1),
        FieldWrite("map", None, {"whole": 1}),
        FieldWrite("map", "a", 2),
        FieldWrite("newer", "b", 3),
        dots=(BORN,),
    )
    state = merge(START, change, Dot(b"a", 2), Stamp(2, 0, 0), 0).state
    keyed = {"name": False, "map": True}
    assert visible_fields(state, keyed) == {"name": "x", "map": {"a": 2}, "newer": {"b": 3}}
    assert visible_fields(state)["map"] == {"a": 2}


def test_no_lock_puts_the_floor_above_itself() -> None:
    """Whatever guard its value claims: a record is never blank under what its writer knew."""
    claims = [1 << 19, Stamp(5, 0, 0).pack(), b"f"]
    odd = _change(Form.UPDATE, _write(LOCK_FIELD, claims), dots=(BORN,))
    state = merge(START, odd, Dot(b"b", 1), Stamp(6, 0, 0), 0).state
    assert (state.floor.level, visible_fields(state)) == (0, {"name": "x"})


def test_of_the_writes_on_a_dot_the_greatest_is_kept_in_either_order() -> None:
    """On the dots where it is the greatest, and on no other."""
    other = Dot(b"b", 1)
    later = NAMED._replace(ref=BORN_REF._replace(stamp=Stamp(2, 0, 0)), dots=frozenset([BORN]))
    both = NAMED._replace(dots=frozenset([BORN, other]))
    for writes in ((both, later), (later, both)):
        assert greatest(writes) == (NAMED._replace(dots=frozenset([other])), later)

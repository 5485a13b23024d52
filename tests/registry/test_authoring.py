"""From an edit to a change: what the author saw goes along."""

from __future__ import annotations

import pytest

from registry.authoring import change_for
from registry.changes import Create, Delete, Dot, Edit, Form, Restore, Update
from registry.errors import InvalidChangeError
from registry.hlc import Stamp
from registry.merge import RecordState, merge

RECORD = bytes(16)
ALIVE = merge(
    RecordState(),
    change_for(Create("tag", RECORD, {"name": "x"}), RecordState(), {}),
    Dot(b"a", 1),
    Stamp(1, 0, 0),
    0,
).state


def test_an_update_names_dots_and_what_it_replaces() -> None:
    """An update carries the living dots and the write it overwrites."""
    change = change_for(Update("tag", RECORD, {"name": "y", ("set", "k"): True}), ALIVE, {})
    assert change.dots == (Dot(b"a", 1),)
    named, keyed = change.writes
    assert [ref.seq for ref in named.over] == [1]
    assert (keyed.subkey, keyed.over) == ("k", ())


def test_a_delete_names_the_writes_it_saw() -> None:
    """A delete takes away knowingly what its author had before it."""
    change = change_for(Delete("tag", RECORD), ALIVE, {})
    assert (change.form, len(change.seen)) == (Form.DELETE, 1)


def test_a_restore_carries_the_kept_values() -> None:
    """A restore writes the fields that the record had."""
    change = change_for(Restore("tag", RECORD), RecordState(), {"name": "x", "map": {"k": 1}})
    assert {(w.field, w.subkey, w.value) for w in change.writes} == {
        ("name", None, "x"),
        ("map", "k", 1),
    }


@pytest.mark.parametrize(
    ("edit", "state"),
    [
        (Create("tag", RECORD), ALIVE),
        (Restore("tag", RECORD), ALIVE),
        (Update("tag", RECORD, {"name": "y"}), RecordState()),
        (Delete("tag", RECORD), RecordState()),
        (Update("tag", RECORD, {}), ALIVE),
    ],
)
def test_what_cannot_be_meant_is_refused(edit: Edit, state: RecordState) -> None:
    """Making what is there, changing what is not, and writing nothing are errors."""
    with pytest.raises(InvalidChangeError):
        change_for(edit, state, {})

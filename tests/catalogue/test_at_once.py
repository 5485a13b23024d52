"""What is done to one record is one edit of it."""

from __future__ import annotations

from leaderless.catalogue.at_once import at_once
from registry.changes import Delete, Dismiss, Edit, Update, WriteRef
from registry.hlc import Stamp

ONE, TWO = b"1" * 16, b"2" * 16
LOSER = WriteRef(Stamp(7, 0, 0), b"b", 1, 0)


def test_updates_of_a_record_are_one() -> None:
    """With the fields of all, each record in its place."""
    edits: list[Edit] = [
        Update("tag", ONE, {"color": "red"}, (LOSER,)),
        Update("tag", TWO, {"color": "red"}),
        Update("tag", ONE, {"icon": "sun"}),
    ]
    assert list(at_once(edits)) == [
        Update("tag", ONE, {"color": "red", "icon": "sun"}, (LOSER,)),
        Update("tag", TWO, {"color": "red"}),
    ]


def test_what_is_deleted_needs_no_values() -> None:
    """But what is not to be listed as lost with it is said all the same."""
    rest = Dismiss("tag", ONE, (((("color", None)), LOSER),))
    edits: list[Edit] = [Delete("tag", ONE), rest, Update("tag", ONE, {"icon": "sun"})]
    assert list(at_once(edits)) == [Delete("tag", ONE), rest]

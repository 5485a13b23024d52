"""The model of relations between tags: the order of edges, and circles."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import pytest
from sqlalchemy import Connection

from entities import tag
from entities.tag_relation import MODEL, PARENT_CHILD, apply_shared_change
from registry.changes import RecordId, SharedRow, WriteRef
from registry.hlc import Stamp
from registry.models import Link
from tests.entities.showing import cascading, show
from tests.entities.test_upsert import uid


class Edge(NamedTuple):
    """A relation that was written at some time."""

    name: str
    child: str
    parent: str
    at_ms: int
    kind: str = PARENT_CHILD

    def row(self) -> SharedRow:
        """Return it as a merged record."""
        fields = {"child": uid(self.child), "parent": uid(self.parent), "relation": self.kind}
        order = WriteRef(Stamp(self.at_ms, 0, 0), bytes(44), 1, 0)
        return SharedRow(RecordId(uid(self.name)), fields, order)


@pytest.fixture(autouse=True)
def tags(connection: Connection) -> None:
    """Make the tags that are related."""
    for name in "abcde":
        show(connection, tag.MODEL, {}, name)


def _skipped(connection: Connection) -> set[str]:
    found = connection.exec_driver_sql("SELECT uuid FROM tag_relation WHERE skipped = 1").scalars()
    return {uuid.rstrip(b".").decode() for uuid in found}


CIRCLE = (Edge("1", "a", "b", 1), Edge("2", "b", "c", 2), Edge("3", "c", "a", 3))


@pytest.mark.parametrize("order", list(itertools.permutations(CIRCLE)))
def test_the_edge_written_last_does_not_close_a_circle(
    connection: Connection, order: tuple[Edge, ...]
) -> None:
    """In whatever order the edges arrive."""
    for edge in order:
        apply_shared_change(connection, [edge.row()])
    assert _skipped(connection) == {"3"}


def test_of_edges_of_one_commit_the_first_is_taken(connection: Connection) -> None:
    """The place within a commit tells which one that is."""
    ends = [("a", "b"), ("b", "a")]
    fields = [{"child": uid(one), "parent": uid(other)} for one, other in ends]
    rows = [
        SharedRow(
            RecordId(uid(name)),
            {**of, "relation": PARENT_CHILD},
            WriteRef(Stamp(1, 0, 0), bytes(44), 1, place),
        )
        for name, of, place in zip("xw", fields, (0, 1), strict=True)
    ]
    apply_shared_change(connection, rows)
    assert _skipped(connection) == {"w"}


def test_an_edge_is_taken_once_the_circle_is_open(connection: Connection) -> None:
    """Nobody has to write it again."""
    apply_shared_change(connection, [edge.row() for edge in CIRCLE])
    apply_shared_change(connection, [SharedRow(RecordId(uid("1")), None)])
    assert _skipped(connection) == set()


def test_a_tag_is_not_below_itself(connection: Connection) -> None:
    """The shortest circle."""
    apply_shared_change(connection, [Edge("1", "a", "a", 1).row()])
    assert _skipped(connection) == {"1"}


def test_many_ways_to_one_tag_are_no_circle(connection: Connection) -> None:
    """A tag may be under several, and they under one."""
    ends = ["ab", "ac", "bd", "cd", "ad", "ea", "eb"]
    edges = [Edge(str(at), pair[0], pair[1], at) for at, pair in enumerate(ends)]
    apply_shared_change(connection, [edge.row() for edge in edges])
    assert _skipped(connection) == set()


def test_equals_make_no_circle(connection: Connection) -> None:
    """Neither from the beginning, nor where a skipped edge becomes one of them."""
    edge = Edge("2", "b", "a", 2)
    related = [Edge("3", "a", "c", 3, "related"), Edge("4", "c", "a", 4, "synonym")]
    apply_shared_change(
        connection, [item.row() for item in (Edge("1", "a", "b", 1), edge, *related)]
    )
    assert _skipped(connection) == {"2"}
    apply_shared_change(connection, [edge._replace(kind="related").row()])
    assert _skipped(connection) == set()


def test_two_tags_are_related_once_and_only_while_both_are_there() -> None:
    """The link is that of its ends."""
    assert MODEL.link == Link("child", "parent")
    assert cascading(MODEL) == {"child": "tag", "parent": "tag"}

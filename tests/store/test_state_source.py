"""Owned state for others: batches, ancestors, bounds."""

from __future__ import annotations

from dataclasses import replace

from entities import MODELS
from leaderless.protocol import limits
from leaderless.protocol.messages import StateBatch
from leaderless.store import restoring, state_source
from registry.models import Registry
from tests.replicas import (
    VOLUME_COLUMNS,
    Replica,
    add_tree,
    query_file,
)
from tests.store.passing import (
    Tree,
    batches,
    held,
    pull,
    take,
    take_all,
    within,
)

_ENTRIES = (
    "SELECT e.uuid, e.rev, e.dead, e.name, p.uuid FROM entry e"
    " LEFT JOIN entry p ON p.id = e.parent ORDER BY e.uuid"
)
WITHOUT_ENTRIES = Registry(model for model in MODELS if model.sync_name != "entry")


def _sent(batch: StateBatch) -> list[tuple[object, ...]]:
    return [row for change in batch.changes for row in change.rows]


def _entries(batch: StateBatch) -> list[bytes]:
    """Return the ids of the entries in a batch, in the order in which they are applied."""
    found = [change.rows for change in batch.changes if change.model == "entry"]
    return [bytes(row[0]) for rows in found for row in rows]  # type: ignore[call-overload]


def _count(batch: StateBatch) -> int:
    return sum(len(change.rows) + len(change.removed) for change in batch.changes)


# --- range and order ------------------------------------------------------------------------------


def test_batches_follow_each_other_in_rev_order(replica: Replica) -> None:
    """Each batch begins where the one before it ended, and holds the revs in between."""
    add_tree(replica, 20)
    taken = list(batches(replica, replica, limit=7))
    assert [(batch.lo, batch.hi) for batch in taken] == [(0, 7), (7, 14), (14, 21), (21, 24)]
    assert [row[1] for batch in taken for row in _sent(batch)] == list(range(1, 25))


def test_a_batch_names_the_source_s_own_position(replicas: list[Replica]) -> None:
    """Head is what the source holds, as_of what it knows to be out there."""
    a, b, _ = replicas
    add_tree(a, 20)
    first = next(batches(a, a, limit=10))
    take(b, first)
    (relayed,) = batches(b, a)
    assert (relayed.lo, relayed.hi, relayed.head, relayed.as_of) == (0, 10, 10, 24)


def test_who_takes_its_own_rows_back_hands_on_those_of_others_alone(
    replicas: list[Replica],
) -> None:
    """What it has of its own would take the place of what peers can give."""
    a, b, _ = replicas
    add_tree(a, 3)
    pull(a, b, a)
    add_tree(b, 3)
    b.store.write_here(restoring.begin)
    assert (len(list(batches(b, a))), list(batches(b, b))) == (1, [])


def test_there_is_no_batch_beyond_what_is_held(replica: Replica) -> None:
    """At the watermark nothing follows."""
    top = held(replica, replica).watermark
    assert list(batches(replica, replica, lo=top)) == []


def test_there_is_no_batch_of_a_stranger(replica: Replica) -> None:
    """Of an owner that nobody heard of nothing is held."""
    read = within(
        replica,
        lambda conn: state_source.read_batch(conn, Registry(MODELS), b"?" * 16, 0, set()),
    )
    assert read is None


def test_rows_and_tombstones_count_together(replica: Replica) -> None:
    """However the changes spread over models and deletes, a batch has no more than its limit."""
    tree = Tree(replica)
    names = [f"d{at}" for at in range(8)]
    for name in names:
        tree.put(name)
    tree.drop(*names[:4])
    assert [_count(batch) for batch in batches(replica, replica, limit=8)] == [8, 4]


def test_a_source_keeps_to_the_limit_of_rows(replica: Replica) -> None:
    """Without being told otherwise, a batch has BATCH_ROWS rows."""
    add_tree(replica, limits.BATCH_ROWS)
    assert next(batches(replica, replica)).hi == limits.BATCH_ROWS


def test_a_deleted_row_is_sent_as_its_tombstone(replicas: list[Replica]) -> None:
    """What came and went is gone at whoever reads it from the start."""
    a, b, _ = replicas
    tree = Tree(a)
    tree.put("gone")
    tree.drop("gone")
    (batch,) = pull(a, b, a)
    removed = [uuid for change in batch.changes for uuid, _ in change.removed]
    assert tree.names(removed) == ["gone"]
    assert query_file(b.store.path, "SELECT count(*) FROM entry WHERE name = 'gone'") == [(0,)]


def test_nothing_goes_beyond_the_word_of_its_owner(replicas: list[Replica]) -> None:
    """Of a copy that goes beyond what its owner signed nothing is handed on until it is covered."""
    a, b, _ = replicas
    top = held(a, a).watermark
    (covered,) = batches(a, a)
    take(b, covered)
    add_tree(a, 3)
    (more,) = batches(a, a, lo=top)
    take(b, replace(more, checkpoint=b""))
    assert held(b, a).watermark > top
    assert list(batches(b, a)) == []


# --- ancestors ------------------------------------------------------------------------------------


def test_ancestors_come_ahead_whatever_their_rev(replica: Replica) -> None:
    """A directory that changed after its children arrives before them all the same."""
    tree = Tree(replica)
    tree.put("top")
    tree.put("inner", "top")
    tree.put("leaf", "inner")
    tree.put("inner", "top")
    tree.put("top")
    first = next(batches(replica, replica, lo=4, limit=1))
    assert tree.names(_entries(first)) == ["top", "inner", "leaf"]


def test_ancestors_that_refer_to_each_other_come_topmost_first(replicas: list[Replica]) -> None:
    """Two late directories, one in the other, arrive in an order that can be applied."""
    a, b, _ = replicas
    tree = Tree(a)
    tree.put("top")
    tree.put("inner", "top")
    tree.put("in top", "top")
    tree.put("in inner", "inner")
    tree.put("inner", "top")
    tree.put("top")
    take_all(b, batches(a, a, limit=7))
    assert query_file(b.store.path, _ENTRIES) == query_file(a.store.path, _ENTRIES)


def test_ancestors_of_other_models_come_ahead(replicas: list[Replica]) -> None:
    """A volume that changed last arrives before the location on it."""
    a, b, _ = replicas
    add_tree(a, 3)
    ((volume,),) = query_file(a.store.path, "SELECT uuid FROM volume")
    row = (volume, "uuid:1", "renamed", *[None] * 8)
    a.store.write_here(lambda tx: tx.put("volume", VOLUME_COLUMNS, [row]))
    first = take_all(b, batches(a, a, limit=3))[0]
    assert [change.model for change in first.changes][:2] == ["volume", "device"]


def test_an_ancestor_is_sent_once_a_session(replica: Replica) -> None:
    """What went ahead already does not go again until its own rev is reached."""
    tree = Tree(replica)
    tree.put("top")
    for name in ("a", "b", "c"):
        tree.put(name, "top")
    tree.put("top")
    sent = [uuid for batch in batches(replica, replica, limit=5) for uuid in _entries(batch)]
    assert tree.names(sent).count("top") == 2


def test_another_session_gets_its_own_ancestors(replica: Replica) -> None:
    """What one peer was sent ahead is sent ahead to the next one too."""
    tree = Tree(replica)
    tree.put("top")
    tree.put("leaf", "top")
    tree.put("top")
    once = [batch.changes for batch in batches(replica, replica, limit=5)]
    assert once == [batch.changes for batch in batches(replica, replica, limit=5)]


def test_what_a_reader_has_already_does_not_go_ahead(replica: Replica) -> None:
    """Ancestors at or below the reader's position stay out of a later batch."""
    tree = Tree(replica)
    tree.put("top")
    lo = held(replica, replica).watermark
    tree.put("leaf", "top")
    (batch,) = batches(replica, replica, lo=lo)
    assert tree.names(_entries(batch)) == ["leaf"]


def test_a_dead_ancestor_travels_with_its_tombstone(replicas: list[Replica]) -> None:
    """A deleted directory that a child still hangs on arrives dead, and the child with it."""
    a, b, _ = replicas
    tree = Tree(a)
    tree.put("top")
    tree.put("leaf", "top")
    tree.drop("top")
    take_all(b, batches(a, a, limit=6))
    query = "SELECT name, dead FROM entry WHERE parent IS NOT NULL ORDER BY name"
    assert query_file(b.store.path, query) == [(b"leaf", 0), (b"top", 1)]


def test_a_dead_ancestor_is_marked_and_named(replica: Replica) -> None:
    """The batch says which of its rows are deleted at their owner, and since which rev."""
    tree = Tree(replica)
    tree.put("top")
    tree.put("leaf", "top")
    tree.drop("top")
    rev = held(replica, replica).watermark
    first = next(batches(replica, replica, lo=4, limit=1))
    ahead = first.changes[0]
    top = tree.ids["top"]
    assert [ahead.dead, [*ahead.removed]] == [frozenset([top]), [(top, rev)]]


def test_a_circle_of_rows_ends(replica: Replica) -> None:
    """Rows of a dishonest owner that stand within each other do not stop a source."""
    tree = Tree(replica)
    tree.put("a")
    tree.put("b", "a")
    tree.put("leaf", "b")
    tree.put("a", "b")
    sent = [uuid for batch in batches(replica, replica, limit=6) for uuid in _entries(batch)]
    assert set(tree.names(sent)) == {"", "a", "b", "leaf"}

"""Batches bounded in bytes, of unknown models, and introductions."""

from __future__ import annotations

import pytest

from entities import MODELS
from leaderless.protocol import codec, limits
from leaderless.protocol.messages import StateBatch
from leaderless.store import state_source
from registry.models import Registry
from tests.replicas import (
    DEVICE_COLUMNS,
    VOLUME_COLUMNS,
    Replica,
    add_tree,
    query_file,
)
from tests.store.passing import (
    Tree,
    batches,
    entry,
    held,
    put_entries,
    take,
    take_all,
    within,
)
from tests.store.test_state_source import _ENTRIES, WITHOUT_ENTRIES, _count, _sent

# --- bytes ----------------------------------------------------------------------------------------


def _put_volumes(replica: Replica, count: int, size: int) -> None:
    rows = [
        (replica.store.ids.new(), f"uuid:{at}", f"{at:04}" * (size // 4), *[None] * 8)
        for at in range(count)
    ]
    replica.store.write_here(lambda tx: tx.put("volume", VOLUME_COLUMNS, rows))


def test_batches_of_large_rows_fit_a_frame(replicas: list[Replica]) -> None:
    """Hundreds of rows of the largest size travel in frames that a peer takes, and are proved."""
    a, b, _ = replicas
    _put_volumes(a, 300, limits.MAX_ROW_BYTES - 256)
    for batch in batches(a, a):
        payload = codec.encode_sized(batch)[1]
        assert payload <= limits.BATCH_BYTES + 4_096
        received = codec.decode(codec.encode(batch))
        assert isinstance(received, StateBatch)
        take(b, received)
    assert held(b, a).verified == held(a, a).watermark


def test_large_opaque_rows_fit_a_frame_too(replicas: list[Replica]) -> None:
    """Rows of a model that the source does not know are bounded in the same way."""
    a, b, c = replicas
    known = Registry(model for model in MODELS if model.sync_name in ("device", "tag"))
    _put_volumes(a, 40, limits.MAX_ROW_BYTES - 256)
    for batch in batches(a, a):
        take(b, batch, known)
    for batch in batches(b, a, registry=known):
        assert codec.encode_sized(batch)[1] <= limits.BATCH_BYTES + 4_096
        take(c, batch)
    assert held(c, a).verified == held(a, a).watermark


def test_a_row_larger_than_a_batch_goes_alone(replica: Replica) -> None:
    """One rev always goes, whatever its size."""
    _put_volumes(replica, 2, 4_000)
    top = held(replica, replica).watermark
    taken = list(batches(replica, replica, lo=top - 2, limit_bytes=1_000))
    assert [(batch.lo, batch.hi) for batch in taken] == [(top - 2, top - 1), (top - 1, top)]


def test_small_rows_are_not_cut_by_bytes(replica: Replica) -> None:
    """A batch of entries with the longest names reaches its limit of rows."""
    location, root = add_tree(replica, 0)
    lo = held(replica, replica).watermark
    new = replica.store.ids.new
    put_entries(
        replica,
        *(entry(new(), location, root, b"%0255d" % at) for at in range(limits.BATCH_ROWS)),
    )
    assert next(batches(replica, replica, lo=lo)).hi == lo + limits.BATCH_ROWS


def test_more_ancestors_than_fit_go_ahead_in_batches_of_their_own(
    replicas: list[Replica],
) -> None:
    """A deep branch whose directories all changed last arrives in pieces, none too large."""
    a, b, _ = replicas
    tree = Tree(a)
    names = [f"{at}".rjust(100, "d") for at in range(20)]
    pairs = list(zip(names, ["", *names], strict=False))
    for name, parent in pairs:
        tree.put(name, parent)
    tree.put("leaf", names[-1])
    for name, parent in reversed(pairs):
        tree.put(name, parent)
    taken = take_all(b, batches(a, a, limit_bytes=600))
    assert any(batch.lo == batch.hi and batch.changes for batch in taken)
    assert all(codec.encode_sized(batch)[1] < 2_000 for batch in taken)
    assert held(b, a).verified == held(a, a).watermark


def test_ancestors_of_a_large_row_leave_it_the_room(replica: Replica) -> None:
    """What does not fit beside its ancestors comes after them, alone."""
    tree = Tree(replica)
    tree.put("top")
    tree.put("leaf".rjust(200, "l"), "top")
    tree.put("top")
    taken = list(batches(replica, replica, lo=4, limit_bytes=250))
    sizes = [(batch.hi, _count(batch)) for batch in taken]
    assert sizes == [(4, 1), (6, 1), (7, 1)]


# --- unknown models -------------------------------------------------------------------------------


def test_rows_of_unknown_models_are_handed_on(replicas: list[Replica]) -> None:
    """A relay of an older version passes all rows on, so that the next one can prove its copy."""
    a, b, c = replicas
    tree = Tree(a)
    tree.put("kept")
    tree.put("gone")
    for batch in batches(a, a, limit=2):
        take(b, batch, WITHOUT_ENTRIES)
    tree.drop("gone")
    for batch in batches(a, a, lo=held(b, a).watermark):
        take(b, batch, WITHOUT_ENTRIES)
    for batch in batches(b, a, registry=WITHOUT_ENTRIES, limit=4):
        take(c, batch)
    assert held(c, a).verified == held(a, a).watermark
    query = "SELECT name FROM entry WHERE parent IS NOT NULL"
    assert query_file(c.store.path, query) == [(b"kept",)]


def test_a_tombstone_of_an_unknown_model_is_handed_on(replicas: list[Replica]) -> None:
    """A delete reaches the next one even where no row of its model is left."""
    a, b, _ = replicas
    tree = Tree(a)
    tree.put("gone")
    tree.drop("gone")
    for batch in batches(a, a):
        take(b, batch, WITHOUT_ENTRIES)
    (relayed,) = batches(b, a, registry=WITHOUT_ENTRIES)
    gone = [change.removed for change in relayed.changes if change.model == "entry"]
    assert tree.names([uuid for removed in gone for uuid, _ in removed]) == ["gone"]


# --- introductions --------------------------------------------------------------------------------


def test_an_introduction_is_the_own_device_row(replica: Replica) -> None:
    """It carries the row at its rev, and no range."""
    add_tree(replica, 3)
    own = replica.identity.device
    row = (own, "renamed", *[None] * (len(DEVICE_COLUMNS) - 2))
    replica.store.write_here(lambda tx: tx.put("device", DEVICE_COLUMNS, [row]))
    rev = held(replica, replica).watermark
    batch = within(
        replica, lambda conn: state_source.introduction(conn, replica.store.registry, own)
    )
    assert batch is not None
    assert (batch.introduction, batch.lo, batch.hi, batch.head, batch.as_of) == (
        True, 0, 0, rev, rev,
    )  # fmt: skip
    assert [row[:3] for row in _sent(batch)] == [(own, rev, "renamed")]


def test_nobody_introduces_a_stranger(replica: Replica) -> None:
    """Of a device that is not known there is no introduction."""
    read = within(
        replica,
        lambda conn: state_source.introduction(conn, replica.store.registry, b"?" * 16),
    )
    assert read is None


def test_a_device_without_a_row_introduces_nothing(replica: Replica) -> None:
    """Before its first row is written, an introduction is empty."""
    own = replica.identity.device
    replica.store.write_here(lambda tx: tx.drop("device", [own]))
    batch = within(
        replica, lambda conn: state_source.introduction(conn, replica.store.registry, own)
    )
    assert batch is not None
    assert (batch.changes, batch.head) == ((), 0)


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 500])
def test_any_size_of_batch_leads_to_the_same_copy(replicas: list[Replica], limit: int) -> None:
    """Moves, changes and deletes arrive alike, however they are cut into batches."""
    a, b, _ = replicas
    tree = Tree(a)
    for name, parent in (("a", ""), ("b", "a"), ("c", "b"), ("d", "c")):
        tree.put(name, parent)
    for name, parent in (("b", ""), ("a", "b"), ("c", ""), ("b", "c")):
        tree.put(name, parent)
    tree.drop("d")
    take_all(b, batches(a, a, limit=limit))
    assert query_file(b.store.path, _ENTRIES) == query_file(a.store.path, _ENTRIES)

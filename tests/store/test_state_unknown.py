"""Owned state of models that nobody here knows, and of new incarnations."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from entities import MODELS
from leaderless.protocol import hashing
from leaderless.store.transaction import Transaction
from registry.changes import Incarnation
from registry.errors import NotOwnerError
from registry.models import Registry
from tests.replicas import (
    Replica,
    add_tree,
    query_file,
)
from tests.store.passing import (
    batches,
    dump,
    held,
    next_life,
    pull,
    take,
)
from tests.store.test_state import _COUNTS, OPAQUE, _alien, _introduction

# --- incarnations ---------------------------------------------------------------------------------


def test_a_batch_of_an_older_incarnation_is_dropped(replicas: list[Replica]) -> None:
    """What an owner said in an earlier life changes nothing."""
    a, b, _ = replicas
    add_tree(a, 3)
    (old,) = batches(a, a)
    next_life(a)
    pull(a, b, a)
    before = dump(b)
    assert not take(b, old).used
    assert dump(b) == before


def test_an_introduction_of_an_older_incarnation_is_dropped(replicas: list[Replica]) -> None:
    """Not even the device row of an earlier life is taken."""
    a, b, _ = replicas
    old = _introduction(a)
    next_life(a)
    pull(a, b, a)
    assert not take(b, old).used


def test_a_new_incarnation_is_proved_once_it_is_here(replicas: list[Replica]) -> None:
    """Rows that are replaced by the same rows of the next life count once."""
    a, b, _ = replicas
    add_tree(a, 10)
    pull(a, b, a)
    next_life(a)
    pull(a, b, a)
    copy = held(b, a)
    assert (copy.incarnation.generation, copy.verified, copy.fault) == (2, 14, None)


def test_rows_of_the_older_incarnation_stay_while_the_new_one_arrives(
    replicas: list[Replica],
) -> None:
    """A restored device does not vanish from the catalogue while it is read anew."""
    a, b, _ = replicas
    add_tree(a, 10)
    pull(a, b, a)
    next_life(a)
    take(b, next(batches(a, a, limit=4)))
    assert query_file(b.store.path, _COUNTS) == [(11, 1)]


def _restored(replica: Replica, *lost: str) -> None:
    """Let rows vanish from their owner without a trace, as a restore of a backup does."""

    def write(tx: Transaction) -> None:
        for model in lost:
            rows = tx.conn.exec_driver_sql(f"SELECT uuid FROM {model} ORDER BY rev DESC")  # noqa: S608
            tx.drop(model, rows.scalars().all())
        tx.conn.exec_driver_sql("DELETE FROM tombstone")

    replica.store.write_here(write)
    next_life(replica)


def test_what_a_new_incarnation_lacks_goes(replicas: list[Replica]) -> None:
    """Rows that the restored owner does not have are ghosts; its full state removes them."""
    a, b, _ = replicas
    add_tree(a, 3)
    pull(a, b, a)
    _restored(a, "entry", "location", "volume")
    pull(a, b, a)
    assert query_file(b.store.path, _COUNTS) == [(0, 0)]


def test_a_copy_without_ghosts_is_proved(replicas: list[Replica]) -> None:
    """After the ghosts went, what is held is what the restored owner signed."""
    a, b, _ = replicas
    add_tree(a, 3)
    pull(a, b, a)
    _restored(a, "entry")
    pull(a, b, a)
    copy = held(b, a)
    assert (copy.verified, copy.row_count) == (copy.watermark, 3)


def test_ghosts_of_unknown_models_go_too(replicas: list[Replica]) -> None:
    """Opaque rows that a new incarnation lacks are dropped and leave the set hash."""
    a, b, _ = replicas
    known = Registry(model for model in MODELS if model.sync_name != "entry")
    add_tree(a, 3)
    for batch in batches(a, a):
        take(b, batch, known)
    _restored(a, "entry")
    for batch in batches(a, a):
        take(b, batch, known)
    assert query_file(b.store.path, OPAQUE) == []
    assert held(b, a).verified == held(a, a).watermark


def test_what_was_deleted_after_the_backup_is_back_everywhere(replicas: list[Replica]) -> None:
    """A peer that had heard of the delete takes the row again, and its copy is proved."""
    a, b, _ = replicas
    add_tree(a, 3)
    backup = a.store.path.with_suffix(".backup")
    with closing(sqlite3.connect(a.store.path)) as source, closing(sqlite3.connect(backup)) as to:
        source.backup(to)
    a.store.write_here(
        lambda tx: tx.drop(
            "entry",
            tx.conn.exec_driver_sql("SELECT uuid FROM entry ORDER BY rev DESC").scalars().all(),
        )
    )
    pull(a, b, a)
    assert query_file(b.store.path, _COUNTS) == [(0, 1)]
    with closing(sqlite3.connect(backup)) as source, closing(sqlite3.connect(a.store.path)) as to:
        source.backup(to)
    next_life(a)
    pull(a, b, a)
    copy = held(b, a)
    assert (copy.verified, copy.fault) == (held(a, a).watermark, None)
    assert query_file(b.store.path, _COUNTS) == query_file(a.store.path, _COUNTS)


# --- models that nobody here knows ----------------------------------------------------------------


def test_rows_of_unknown_models_are_kept(replicas: list[Replica]) -> None:
    """They stand as they came, count, and are in the set hash."""
    a, b, _ = replicas
    bookmark = (b"1" * 16, 5, "holidays", None)
    copy = take(b, _alien(a, [bookmark])).copy
    assert query_file(b.store.path, OPAQUE) == [(b"1" * 16, "bookmark", 5)]
    assert (copy.row_count, copy.set_hash == hashing.EMPTY_SET) == (1, False)


@pytest.mark.parametrize(
    ("rows", "removed", "kept"),
    [
        ([(b"1" * 16, 5, "again", 1)], [], [(b"1" * 16, "bookmark", 5)]),
        ([(b"1" * 16, 4, "older", 1)], [], [(b"1" * 16, "bookmark", 5)]),
        ([(b"1" * 16, 6, "newer", 1)], [], [(b"1" * 16, "bookmark", 6)]),
        ([], [(b"1" * 16, 6)], []),
        ([], [(b"1" * 16, 6), (b"1" * 16, 7)], []),
        ([(b"1" * 16, 7, "late", 1)], [(b"1" * 16, 6)], []),
    ],
)
def test_unknown_rows_follow_the_rules_of_all_owned_rows(
    replicas: list[Replica], rows: list[Any], removed: list[Any], kept: list[Any]
) -> None:
    """Newer revs replace, older ones do not, tombstones win."""
    a, b, _ = replicas
    take(b, _alien(a, [(b"1" * 16, 5, "holidays", 1)]))
    take(b, _alien(a, rows, removed))
    assert query_file(b.store.path, OPAQUE) == kept


def test_a_deleted_unknown_row_does_not_come_back(replicas: list[Replica]) -> None:
    """A late state of it is dropped, and count and hash are those of nothing."""
    a, b, _ = replicas
    row = (b"1" * 16, 5, "holidays", 1)
    take(b, _alien(a, [row]))
    take(b, _alien(a, [], [(b"1" * 16, 6)]))
    copy = take(b, _alien(a, [row])).copy
    assert query_file(b.store.path, OPAQUE) == []
    assert (copy.row_count, copy.set_hash) == (0, hashing.EMPTY_SET)


def test_an_unknown_row_belongs_to_its_owner(replicas: list[Replica]) -> None:
    """Nobody replaces or deletes opaque rows of another device."""
    a, b, c = replicas
    take(b, _alien(a, [(b"1" * 16, 5, "holidays", 1)]))
    before = dump(b)
    for forged in (_alien(c, [(b"1" * 16, 6, "mine", 1)]), _alien(c, [], [(b"1" * 16, 6)])):
        with pytest.raises(NotOwnerError):
            take(b, forged)
    assert dump(b) == before


def test_a_tombstone_of_another_device_hides_no_unknown_row(replicas: list[Replica]) -> None:
    """Who deletes an id that is not its own keeps nobody's row away."""
    a, b, c = replicas
    take(b, _alien(c, [], [(b"1" * 16, 6)]))
    take(b, _alien(a, [(b"1" * 16, 5, "holidays", 1)]))
    assert query_file(b.store.path, OPAQUE) == [(b"1" * 16, "bookmark", 5)]


def test_an_unknown_row_of_a_new_incarnation_replaces_the_old(replicas: list[Replica]) -> None:
    """The next life of an owner wins, whatever its rev."""
    a, b, _ = replicas
    take(b, _alien(a, [(b"1" * 16, 5, "holidays", 1)]))
    old = _alien(a, [(b"1" * 16, 2, "anew", 1)], hi=2)
    later = Incarnation(2, bytes(8))
    (change,) = old.changes
    batch = replace(old, incarnation=later, changes=(replace(change, incarnation=later),))
    copy = take(b, batch).copy
    assert query_file(b.store.path, OPAQUE) == [(b"1" * 16, "bookmark", 2)]
    assert copy.row_count == 1


def test_an_unknown_row_that_was_deleted_in_an_earlier_life_can_be_back(
    replicas: list[Replica],
) -> None:
    """Who was restored does not remember that it had deleted it."""
    a, b, _ = replicas
    take(b, _alien(a, [], [(b"1" * 16, 6)]))
    back = _alien(a, [(b"1" * 16, 5, "holidays", 1)])
    later = Incarnation(2, bytes(8))
    (change,) = back.changes
    copy = take(
        b, replace(back, incarnation=later, changes=(replace(change, incarnation=later),))
    ).copy
    assert query_file(b.store.path, OPAQUE) == [(b"1" * 16, "bookmark", 5)]
    assert copy.row_count == 1

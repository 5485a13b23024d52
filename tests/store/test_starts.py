"""A device remembers how far it was at each of its starts."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from leaderless.store import starts, state
from leaderless.store.starts import KEPT, Start
from leaderless.store.transaction import Transaction
from tests.limits import limited
from tests.replicas import Replica, add_device_row, add_tree
from tests.store.passing import batches, said, within
from tests.store.restored import Lives


@pytest.fixture
def lives(tmp_path: Path, replicas: list[Replica]) -> Lives:
    """Return a device that was started twice, with a folder of two files at the second time."""
    lives = Lives(tmp_path, replicas)
    add_tree(lives.device, 2)
    lives.start_anew()
    return lives


def last(lives: Lives, entries: int, changed: int | None = 1) -> Start | None:
    """Return the last start before a rev at which so many entries were there, or the first one."""
    return within(lives.device, lambda c: starts.last_before(c, {"entry": entries}, changed))


def test_a_start_tells_how_far_the_rows_were(lives: Lives) -> None:
    """By their local keys, and the rev; and what a person had said by then."""
    found = last(lives, 3)
    assert found is not None
    ((entry,),) = lives.ask("SELECT max(uuid) FROM entry")
    ((location,),) = lives.ask("SELECT uuid FROM location")
    assert (found.rev, found.keys["entry"], found.keys["location"]) == (
        6,
        (3, entry),
        (1, location),
    )
    assert found.said[lives.device.identity.device] == {"name": "device0"}
    assert found.said[location] == {"name": "docs", "index_mode": "shallow"}


def test_the_last_of_several_starts_is_told_that_can_have_been_the_one(lives: Lives) -> None:
    """One before the lives had parted; where none is known any more, the first with what was there."""
    add_tree(lives.device, 1, "more")
    lives.start_anew()
    found = [last(lives, 1, changed) for changed in (None, 11, 10, 7, 6)]
    assert [start and start.rev for start in found] == [10, 10, 6, 6, 6]


def test_a_start_before_what_is_known_to_have_been_there_is_none(lives: Lives) -> None:
    """None where more was there than at any of them."""
    add_tree(lives.device, 1, "more")
    assert last(lives, 4) is None
    lives.start_anew()
    nothing, some, all_ = last(lives, 0), last(lives, 1), last(lives, 4)
    assert nothing is not None
    assert some is not None
    assert all_ is not None
    assert (nothing.rev, some.rev, all_.rev) == (0, 6, 10)


def test_a_start_at_which_nothing_was_new_is_not_noted_again(lives: Lives) -> None:
    """A device that is started every day and changes little remembers as much."""
    before = lives.ask("SELECT value FROM meta WHERE name = 'starts'")
    lives.start_anew()
    assert lives.ask("SELECT value FROM meta WHERE name = 'starts'") == before


def test_only_the_newest_starts_are_remembered(lives: Lives) -> None:
    """Of those before nobody can tell what was there."""
    for at in range(KEPT):
        add_device_row(lives.device, f"name{at}")
        lives.device.store.write_here(starts.note)
    oldest = last(lives, 0)
    assert oldest is not None
    assert oldest.rev == 7


def test_starts_are_forgotten_with_the_rows_that_they_were_of(lives: Lives) -> None:
    """Other rows have other keys."""
    within(lives.device, starts.forget)
    assert last(lives, 0) is None


def test_a_disk_that_takes_nothing_keeps_no_device_from_starting(lives: Lives) -> None:
    """It reads, and says what it lacks."""
    add_device_row(lives.device, "changed")
    before = lives.ask("SELECT value FROM meta WHERE name = 'starts'")
    with limited(4_096):
        lives.device.store.load()
    assert lives.ask("SELECT value FROM meta WHERE name = 'starts'") == before
    assert lives.ask("SELECT count(*) FROM location") == [(1,)]


def _of_the_peer(lives: Lives, count: int) -> None:
    """Have the device hold files of the peer that are newer than its own."""
    lives.peer.clock.ms += 60_000
    add_tree(lives.peer, count)
    for batch in batches(lives.peer, lives.peer):
        about = (lives.device.store.registry, batch, said(batch))
        within(lives.device, lambda c, about=about: state.apply_batch(c, *about))


@pytest.mark.parametrize("looked_at", [0, 1, 3, 100])
def test_the_newest_own_row_is_found_below_those_of_others(
    lives: Lives, monkeypatch: pytest.MonkeyPatch, looked_at: int
) -> None:
    """However many are looked at before all own ones are."""
    monkeypatch.setattr(starts, "LOOKED_AT", looked_at)
    ((newest,),) = lives.ask("SELECT max(uuid) FROM entry")
    _of_the_peer(lives, 2)
    assert lives.ask("SELECT max(uuid) FROM entry") > [(newest,)]
    add_device_row(lives.device, "changed")
    lives.device.store.write_here(starts.note)
    found = last(lives, 6, None)
    assert found is not None
    assert found.keys["entry"] == (6, newest)


def test_a_start_is_noted_without_looking_at_all_rows(
    lives: Lives, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A million files would have to be read from the disk before anybody is answered."""
    monkeypatch.setattr(starts, "LOOKED_AT", 100)

    def steps(transaction: Transaction) -> int:
        """Count what SQLite does for it."""
        counted = 0

        def count() -> None:
            nonlocal counted
            counted += 1

        raw = transaction.conn.connection.driver_connection
        assert isinstance(raw, sqlite3.Connection)
        raw.set_progress_handler(count, 1)
        starts.note(transaction)
        raw.set_progress_handler(None, 1)
        return counted

    add_tree(lives.device, 2_000, "more")
    assert 0 < lives.device.store.write_here(steps) < 2_000

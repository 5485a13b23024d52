"""Which undos count: a header alone takes nothing back."""

from __future__ import annotations

from typing import Any

import pytest

from leaderless.catalogue.history import Filter, actions
from leaderless.catalogue.undo import undo
from leaderless.catalogue.undone import undone_actions
from leaderless.store import log
from registry.changes import Create, Edit, Update
from tests.replicas import Replica
from tests.store.passing import log_of, own_feed, signed_anew, store_commits, within

TAG, OTHER = b"t" * 16, b"o" * 16


def _do(replica: Replica, *edits: Edit, command: str = "test") -> bytes:
    replica.clock.ms += 1_000
    return replica.store.write_here(lambda tx: tx.commit(command, edits))


def _undone(replica: Replica) -> set[bytes]:
    return {key.command_id for key in within(replica, undone_actions)}


def _forged(author: Replica, **header: Any) -> log.Received:
    """Return the first commit of a device as it is after a lie in its header."""
    return signed_anew(author.identity, log_of(author, own_feed(author))[0], **header)


def _set(replica: Replica, color: str) -> bytes:
    return _do(replica, Update("tag", TAG, {"color": color}))


async def test_an_undo_of_others_counts_on_every_device(replicas: list[Replica]) -> None:
    """Whoever took it back, and where; what was taken back again is done."""
    a, b, _ = replicas
    _do(a, Create("tag", TAG, {"color": "blue"}))
    done = _set(a, "red")
    store_commits(b, *log_of(a, own_feed(a)))
    b.clock.ms = a.clock.ms + 1_000
    await undo(b.store, done.hex())
    store_commits(a, *log_of(b, own_feed(b)))
    assert _undone(a) == _undone(b) == {done}
    again = within(b, lambda c: next(actions(c, Filter())))
    b.clock.ms += 1_000
    await undo(b.store, again.command_id.hex())
    assert _undone(b) == {again.command_id}


def test_a_commit_that_touches_nothing_of_it_takes_nothing_back(replicas: list[Replica]) -> None:
    """Though it is called undo and names the action."""
    a, b, _ = replicas
    done = _do(a, Create("tag", TAG, {"color": "blue"}))
    store_commits(b, *log_of(a, own_feed(a)))
    _do(b, Create("tag", OTHER, {"color": "red"}))
    store_commits(a, _forged(b, command="undo", data={"command_id": done}))
    assert _undone(a) == set()


def test_what_its_author_had_not_seen_is_not_taken_back(replicas: list[Replica]) -> None:
    """An edit of the same record at the same time is no undo, whatever it says."""
    a, b, _ = replicas
    done = _do(a, Create("tag", TAG, {"color": "blue"}))
    _do(b, Create("tag", TAG, {"color": "red"}))
    store_commits(a, _forged(b, command="undo", data={"command_id": done}))
    assert _undone(a) == set()


@pytest.mark.parametrize("said", [7, b"", b"x" * 16, None, {"a": b"b"}])
def test_junk_names_nothing(replicas: list[Replica], said: object) -> None:
    """What is no id of an action that is here."""
    a, b, _ = replicas
    _do(b, Create("tag", TAG))
    store_commits(a, _forged(b, command="undo", data={"command_id": said}))
    assert _undone(a) == set()


async def test_a_copied_id_is_another_action(replicas: list[Replica]) -> None:
    """Each is undone by itself, and the copy's commits are none of the original."""
    a, b, _ = replicas
    done = _do(a, Create("tag", TAG, {"color": "blue"}))
    _do(b, Create("tag", OTHER, {"color": "red"}))
    store_commits(a, _forged(b, command_id=done))
    found = within(a, lambda c: list(actions(c, Filter())))
    parts = {item.author: len(item.headers) for item in found}
    assert parts == {a.identity.device: 1, b.identity.device: 1}
    undone, _ = await undo(a.store, done.hex())
    assert undone.author == a.identity.device
    assert within(a, undone_actions) == {undone.key}


async def test_an_undo_that_names_no_feed_counts_by_the_id(replica: Replica) -> None:
    """As those were written that are in the logs of before."""
    _do(replica, Create("tag", TAG, {"color": "blue"}))
    done = _set(replica, "red")
    edit = Update("tag", TAG, {"color": "blue"})
    replica.store.write_here(lambda tx: tx.commit("undo", [edit], {"command_id": done}))
    assert _undone(replica) == {done}

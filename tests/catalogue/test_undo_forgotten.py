"""History and undo where the content of actions has been forgotten."""

from __future__ import annotations

import pytest

from leaderless.catalogue.history import Filter, action_json, actions
from leaderless.catalogue.undo import could_undo, undo
from leaderless.catalogue.undone import undone_actions
from leaderless.store.forgotten import ForgottenError
from registry.changes import Create, Edit, Update
from tests.replicas import Replica, query_file
from tests.store.passing import within

TAG = b"t" * 16
BLUE = Update("tag", TAG, {"color": "blue"})
COLOR = "SELECT color FROM tag"


async def _do(replica: Replica, command: str, *edits: Edit) -> None:
    replica.clock.ms += 1_000
    await replica.store.write(lambda tx: tx.commit(command, edits))


def _forget(replica: Replica, *seqs: int) -> None:
    listed = ", ".join(map(str, seqs))
    query = f"UPDATE commit_log SET body = NULL WHERE seq IN ({listed})"  # noqa: S608
    within(replica, lambda c: c.exec_driver_sql(query))


async def test_the_history_shows_what_was_forgotten_by_its_header(replica: Replica) -> None:
    """Who did it, when, and what its author said of it; nothing of what it changed."""
    await _do(replica, "tag.create", Create("tag", TAG, {"color": "red"}))
    _forget(replica, 1)
    (told,) = within(replica, lambda c: [action_json(c, item) for item in actions(c, Filter())])
    assert (told["command"], told["forgotten"]) == ("tag.create", True)
    assert (told["changes"], told["records"]) == (0, [])


async def test_the_history_of_a_thing_ends_where_content_was_forgotten(replica: Replica) -> None:
    """Which of the older actions were about it cannot be told."""
    await _do(replica, "tag.create", Create("tag", TAG, {"color": "red"}))
    await _do(replica, "tag.set", BLUE)
    _forget(replica, 1)
    wanted = Filter(records=frozenset([TAG]))
    found = within(replica, lambda c: [item.command for item in actions(c, wanted)])
    assert found == ["tag.set"]


async def test_what_was_forgotten_is_not_taken_back(replica: Replica) -> None:
    """The refusal says why, and nothing is changed."""
    await _do(replica, "tag.create", Create("tag", TAG, {"color": "red"}))
    await _do(replica, "tag.set", BLUE)
    _forget(replica, 2)
    with pytest.raises(
        ForgottenError, match=r"tag\.set \(\w{8}\) cannot be taken back: its content"
    ):
        await undo(replica.store, None)
    assert query_file(replica.store.path, COLOR) == [("blue",)]
    own = replica.identity.device
    newest = within(replica, lambda c: next(actions(c, Filter())))
    able = within(
        replica, lambda c: could_undo(c, replica.store.registry, replica.clock.ms, own, newest)
    )
    assert not able


async def test_an_undo_shows_a_value_whose_commit_was_forgotten_before_it_was_replaced(
    replica: Replica,
) -> None:
    """A value of years ago comes back, as it was written down when it was replaced."""
    await _do(replica, "tag.create", Create("tag", TAG, {"color": "red"}))
    _forget(replica, 1)
    await _do(replica, "tag.set", BLUE)
    await undo(replica.store, None)
    assert query_file(replica.store.path, COLOR) == [("red",)]


async def test_an_undo_refuses_where_the_value_before_is_known_to_nobody(replica: Replica) -> None:
    """An empty field would be a guess."""
    await _do(replica, "tag.create", Create("tag", TAG, {"color": "red"}))
    await _do(replica, "tag.set", BLUE)
    _forget(replica, 1)
    with pytest.raises(ForgottenError, match="the value that it had replaced"):
        await undo(replica.store, None)
    assert query_file(replica.store.path, COLOR) == [("blue",)]


async def test_what_was_undone_stays_so_when_it_is_forgotten(replica: Replica) -> None:
    """What was undone, and then the undo, too: neither is done again by that."""
    await _do(replica, "tag.create", Create("tag", TAG, {"color": "red"}))
    await _do(replica, "tag.set", BLUE)
    await undo(replica.store, None)
    for forgotten in (2, 3):
        _forget(replica, forgotten)
        assert len(within(replica, undone_actions)) == 1

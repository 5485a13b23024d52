"""What is told beside an undo, of a real log."""

from __future__ import annotations

from typing import Any

from leaderless.catalogue import conflicts, tags, undo_story
from leaderless.catalogue.undo import undo
from leaderless.store.sayings import COMMAND as FOLLOWED
from registry.changes import Create, Update
from tests.catalogue.files import meet
from tests.replicas import Replica
from tests.store.passing import within


async def _tag(replica: Replica, name: str) -> bytes:
    replica.clock.ms += 1_000
    return await tags.create_tag(replica.store, name, {})


async def _after_undo(replica: Replica) -> dict[str, Any]:
    (action, _), own = await undo(replica.store, None), replica.identity.device
    return within(replica, lambda c: undo_story.after(c, own, action))


async def test_what_is_next_is_what_the_next_undo_takes_back(replica: Replica) -> None:
    """Step by step, until there is nothing left."""
    for name in ("one", "two"):
        await _tag(replica, name)
    told = await _after_undo(replica)
    assert (told["next"]["command"], told["next"]["data"]) == ("tag.create", {"tag": "one"})
    assert await _after_undo(replica) == {"next": None, "passed_over": []}


async def test_a_dismissal_is_passed_over_and_that_is_said(replicas: list[Replica]) -> None:
    """Nothing takes back that a person has seen a conflict."""
    a, b, _ = replicas
    await _tag(a, "trip")
    meet(a, b)
    await tags.set_tag(a.store, "trip", {"color": "red"})
    b.clock.ms += 60_000
    await tags.set_tag(b.store, "trip", {"color": "green"})
    meet(a, b)
    b.clock.ms += 60_000
    await conflicts.dismiss_conflicts(b.store, None)
    told = await _after_undo(b)
    assert [item["command"] for item in told["passed_over"]] == ["conflict.dismiss"]
    assert told["next"] is None


async def test_what_a_restore_has_made_follow_is_passed_over_and_that_is_said(
    replica: Replica,
) -> None:
    """Nobody has done it by hand, so no undo takes it back that was not asked for by its id."""
    await _tag(replica, "one")
    replica.clock.ms += 1_000
    made = Create("tag", replica.store.ids.new(), {"canonical_name": "followed"})
    await replica.store.write(lambda tx: tx.commit(FOLLOWED, [made], {"count": 1}))
    own = replica.identity.device
    found = within(replica, lambda c: undo_story.candidate(c, own, None))
    assert found is not None
    assert found.command == "tag.create"
    await _tag(replica, "two")
    await undo(replica.store, None)
    replica.clock.ms += 1_000
    await replica.store.write(lambda tx: tx.commit(FOLLOWED, [_again(made)], {"count": 1}))
    told = within(replica, lambda c: undo_story.after(c, own, found))
    assert [item["command"] for item in told["passed_over"]] == [FOLLOWED] * 2
    assert told["next"]["data"] == {"tag": "one"}


def _again(made: Create) -> Update:
    return Update("tag", made.record, {"color": "red"})


async def test_what_was_taken_back_does_not_stand_in_the_way(replica: Replica) -> None:
    """Only what is in effect and touches the same things does; its device is named."""
    await _tag(replica, "trip")
    first = within(replica, lambda c: undo_story.candidate(c, replica.identity.device, None))
    assert first is not None
    assert within(replica, lambda c: undo_story.standing_on(c, first)) is None
    replica.clock.ms += 1_000
    await tags.set_tag(replica.store, "trip", {"color": "red"})
    await _tag(replica, "other")
    found = within(replica, lambda c: undo_story.standing_on(c, first))
    assert found is not None
    assert (found[0].command, found[1]) == ("tag.set", "device0")
    await undo(replica.store, found[0].command_id.hex())
    assert within(replica, lambda c: undo_story.standing_on(c, first)) is None


async def test_an_action_can_be_named(replica: Replica) -> None:
    """By its id, or what there is none of."""
    await _tag(replica, "trip")
    own = replica.identity.device
    last = within(replica, lambda c: undo_story.candidate(c, own, None))
    assert last is not None
    named = within(replica, lambda c: undo_story.candidate(c, own, last.command_id.hex()))
    assert named is not None
    assert named.command_id == last.command_id
    assert within(replica, lambda c: undo_story.candidate(c, own, "ffffffff")) is None

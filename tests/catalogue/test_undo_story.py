"""What is told beside an undo, of a real log."""

from __future__ import annotations

from typing import Any

import pytest

from entities.user_metadata import metadata_id
from leaderless.catalogue import conflicts, tags, undo_story
from leaderless.catalogue.history import Action, Filter, actions
from leaderless.catalogue.reversal import StandsOnError
from leaderless.catalogue.undo import undo
from leaderless.store.sayings import COMMAND as FOLLOWED
from registry.changes import Create, Position, Update
from tests.catalogue.files import meet
from tests.replicas import START_MS, Replica, query_file
from tests.store.passing import within

TARGET = b"f" * 16
NOW_MS = START_MS + 3_600_000


async def _tag(replica: Replica, name: str) -> bytes:
    replica.clock.ms += 1_000
    return await tags.create_tag(replica.store, name, {})


async def _after_undo(replica: Replica) -> dict[str, Any]:
    (action, _), own = await undo(replica.store, None), replica.identity.device
    return within(
        replica, lambda c: undo_story.after(c, replica.store.registry, NOW_MS, own, action)
    )


async def test_what_is_next_is_what_the_next_undo_takes_back(replica: Replica) -> None:
    """Step by step, until there is nothing left."""
    for name in ("one", "two"):
        await _tag(replica, name)
    told = await _after_undo(replica)
    assert (told["next"]["command"], told["next"]["data"]) == ("tag.create", {"tag": "one"})
    nothing = {"next": None, "next_stays": False, "older": None, "passed_over": []}
    assert told["next_stays"] is False
    assert await _after_undo(replica) == nothing


async def test_what_would_be_refused_next_is_told_with_what_could_be_taken_back(
    replicas: list[Replica],
) -> None:
    """Nobody is sent to an undo that something stands on."""
    a, b, _ = replicas
    await _tag(a, "older")
    await _rated((a, 1), (b, 2))
    await _tag(a, "last")
    told = await _after_undo(a)
    assert (told["next"]["command"], told["next_stays"]) == ("rating", True)
    assert told["older"]["data"] == {"tag": "older"}


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
    told = within(
        replica, lambda c: undo_story.after(c, replica.store.registry, NOW_MS, own, found)
    )
    assert [item["command"] for item in told["passed_over"]] == [FOLLOWED] * 2
    assert told["next"]["data"] == {"tag": "one"}


def _again(made: Create) -> Update:
    return Update("tag", made.record, {"color": "red"})


async def _stands_on(replica: Replica, action: Action) -> tuple[Action, str] | None:
    """Return what is named where an action is refused to be taken back."""
    with pytest.raises(StandsOnError) as refused:
        await undo(replica.store, action.command_id.hex())
    return within(replica, lambda c: undo_story.standing_on(c, refused.value.at))


async def _rated(*raters: tuple[Replica, int]) -> list[Action]:
    """Have devices rate one file, one after the other; return what was done, as all hear of it."""
    done = []
    record = metadata_id("entry", TARGET)
    for at, (replica, rating) in enumerate(raters):
        replica.clock.ms = max(one.clock.ms for one, _ in raters) + 1_000
        fields: dict[Any, Any] = {"scope": "entry", "target": TARGET, "rating": rating}
        made = Update("user_metadata", record, {"rating": rating})
        edit = made if at else Create("user_metadata", record, fields)
        await replica.store.write(lambda tx, edit=edit: tx.commit("rating", [edit]))  # type: ignore[misc]
        done.append(await _last(replica))
        for other, _ in raters:
            if other is not replica:
                meet(replica, other)
    return done


async def _last(replica: Replica) -> Action:
    return await replica.store.read(lambda c: next(actions(c, Filter())))


async def test_what_stands_in_the_way_wrote_what_is_shown_in_that_field(
    replicas: list[Replica],
) -> None:
    """Not what was done last to the record: a note is no reason to keep a rating."""
    a, b, _ = replicas
    first, second = await _rated((a, 1), (b, 2))
    b.clock.ms += 1_000
    note = Update("user_metadata", metadata_id("entry", TARGET), {"note": "x"})
    await b.store.write(lambda tx: tx.commit("note", [note]))
    meet(b, a)
    found = await _stands_on(a, first)
    assert found is not None
    assert (found[0].key, found[1]) == (second.key, "device1")


async def test_what_an_undo_shows_again_is_named_by_what_was_done(replicas: list[Replica]) -> None:
    """The undo wrote it, but what stands in the way is who had said it first."""
    a, b, _ = replicas
    first, second, _ = await _rated((a, 1), (b, 2), (a, 3))
    a.clock.ms += 1_000
    await undo(a.store, None)
    found = await _stands_on(a, first)
    assert found is not None
    assert (found[0].key, found[1]) == (second.key, "device1")


async def test_what_was_taken_back_does_not_stand_in_the_way(replica: Replica) -> None:
    """Only what is in effect does; its device is named."""
    await _tag(replica, "trip")
    first = within(replica, lambda c: undo_story.candidate(c, replica.identity.device, None))
    assert first is not None
    replica.clock.ms += 1_000
    await tags.set_tag(replica.store, "trip", {"color": "red"})
    set_first = await _last(replica)
    replica.clock.ms += 1_000
    await tags.set_tag(replica.store, "trip", {"color": "blue"})
    found = await _stands_on(replica, set_first)
    assert found is not None
    assert (found[0].command, found[1]) == ("tag.set", "device0")
    await undo(replica.store, found[0].command_id.hex())
    await undo(replica.store, set_first.command_id.hex())
    await undo(replica.store, first.command_id.hex())


async def test_what_nobody_has_asked_for_is_not_to_be_taken_back(replica: Replica) -> None:
    """What followed to the id that stays is no action of a person; nor is what is not in the log."""
    await _tag(replica, "trip")
    first = await _last(replica)
    ((tag,),) = query_file(replica.store.path, "SELECT uuid FROM tag")
    replica.clock.ms += 1_000
    made = Update("tag", tag, {"color": "red"})
    await replica.store.write(lambda tx: tx.commit(FOLLOWED, [made], {"count": 1}))
    assert await _stands_on(replica, first) is None
    gone = Position(first.feed, 99)
    assert within(replica, lambda c: undo_story.standing_on(c, gone)) is None


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

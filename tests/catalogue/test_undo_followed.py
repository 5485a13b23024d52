"""Taking back what was said of a file under an id that it has no more, after a device was restored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from entities.user_metadata import metadata_id
from leaderless.catalogue import history
from leaderless.catalogue.conflicts import conflicts
from leaderless.catalogue.history import Action, Filter, actions
from leaderless.catalogue.reversal import StandsOnError
from leaderless.catalogue.undo import undo
from leaderless.catalogue.undone import undone_actions
from leaderless.store.sayings import COMMAND as FOLLOWED
from registry.changes import Update
from tests.replicas import Replica
from tests.store.passing import log_of, own_feed, store_commits, within
from tests.store.test_sayings import Twice, link, meet_all


@pytest.fixture
def twice(tmp_path: Path, replicas: list[Replica]) -> Twice:
    """Return a device that is about to take its rows back."""
    return Twice(tmp_path, replicas)


def _last(twice: Twice, command: str | None = None) -> Action:
    found = within(twice.device, lambda c: [*actions(c, Filter())])
    return next(action for action in found if command in (None, action.command))


async def _undo(twice: Twice, action: Action) -> None:
    twice.device.clock.ms += 1_000
    await undo(twice.device.store, action.command_id.hex())


def _rate(twice: Twice, entry: bytes, rating: int) -> Action:
    """Rate a file that was rated before."""
    twice.say(Update("user_metadata", metadata_id("entry", entry), {"rating": rating}))
    return _last(twice)


def _shown(twice: Twice) -> list[tuple[Any, ...]]:
    return twice.shown("target, note, rating", "user_metadata")


async def test_what_made_the_record_is_taken_back_where_it_is_now(twice: Twice) -> None:
    """The record that followed is gone; what followed to other records stays."""
    twice.note(twice.ours, rating=3)
    rated = _last(twice)
    twice.say(link(twice.ours))
    twice.returned()
    assert _shown(twice) == [(twice.theirs, None, 3)]
    await _undo(twice, rated)
    assert _shown(twice) == []
    assert twice.shown("item", "user_metadata_tag") == [(twice.theirs,)]
    assert rated.key in within(twice.device, undone_actions)


async def test_a_tag_is_taken_off_where_it_is_now(twice: Twice) -> None:
    """By the action that put it on, whatever the id of the link is now."""
    twice.say(link(twice.ours, context="c"))
    tagged = _last(twice)
    twice.note(twice.ours, note="mine")
    twice.returned()
    await _undo(twice, tagged)
    assert twice.shown("item", "user_metadata_tag") == []
    assert _shown(twice) == [(twice.theirs, "mine", None)]


async def test_an_undo_of_such_an_undo_shows_it_again(twice: Twice) -> None:
    """And that one can be taken back once more: nothing is in the way."""
    twice.note(twice.ours, rating=3)
    rated = _last(twice)
    twice.returned()
    for shown in ([], [3], []):
        await _undo(twice, rated)
        assert [rating for *_, rating in _shown(twice)] == shown
        rated = _last(twice)


async def test_a_value_that_was_replaced_before_is_shown_again(twice: Twice) -> None:
    """As it was said of the other id, which the log still has."""
    twice.note(twice.ours, rating=3)
    rated = _rate(twice, twice.ours, 4)
    twice.returned()
    assert _shown(twice) == [(twice.theirs, None, 4)]
    await _undo(twice, rated)
    assert _shown(twice) == [(twice.theirs, None, 3)]


async def test_what_was_said_of_the_id_that_stays_is_shown_again(twice: Twice) -> None:
    """It had made way, and was listed as lost: that is over now."""
    twice.note(twice.theirs, rating=2, note="theirs")
    twice.note(twice.ours, rating=5)
    rated = _last(twice)
    twice.returned()
    assert _shown(twice) == [(twice.theirs, "theirs", 5)]
    await _undo(twice, rated)
    assert _shown(twice) == [(twice.theirs, "theirs", 2)]
    assert within(twice.device, lambda c: conflicts(c, twice.device.store.registry)) == []
    assert rated.key in within(twice.device, undone_actions)


async def test_what_stands_on_what_followed_is_named(twice: Twice) -> None:
    """What was said later, of either id; never that it followed."""
    twice.note(twice.ours, rating=3)
    first = _last(twice)
    second = _rate(twice, twice.ours, 4)
    twice.returned()
    assert await _stands(twice, first) == second.key
    third = _rate(twice, twice.theirs, 5)
    assert await _stands(twice, second) == third.key
    await _undo(twice, third)
    await _undo(twice, second)
    await _undo(twice, first)
    assert _shown(twice) == []


async def _stands(twice: Twice, action: Action) -> tuple[bytes, bytes] | None:
    before = _shown(twice)
    with pytest.raises(StandsOnError) as refused:
        await _undo(twice, action)
    assert _shown(twice) == before
    at = refused.value.at
    found = None if at is None else within(twice.device, lambda c: history.action_at(c, at))
    return None if found is None else found.key


async def test_what_others_have_said_alike_stays(twice: Twice) -> None:
    """A tag that is on the file in both lives is on it for both."""
    twice.say(link(twice.theirs))
    theirs = _last(twice)
    twice.say(link(twice.ours, context="c"))
    ours = _last(twice)
    twice.returned()
    await _undo(twice, ours)
    assert twice.shown("item, context", "user_metadata_tag") == [(twice.theirs, None)]
    twice.say(Update("user_metadata_tag", *_tagged(twice)))
    assert await _stands(twice, theirs) is not None


async def test_what_was_said_alike_of_both_stays(twice: Twice) -> None:
    """Nothing followed, as it was there: the other one is what can be taken back."""
    twice.say(link(twice.ours))
    ours = _last(twice)
    twice.say(link(twice.theirs))
    twice.returned()
    with pytest.raises(StandsOnError, match="said of that file once more"):
        await _undo(twice, ours)
    assert twice.shown("item", "user_metadata_tag") == [(twice.theirs,)]


def _tagged(twice: Twice) -> tuple[bytes, dict[Any, Any]]:
    ((record,),) = twice.shown("uuid", "user_metadata_tag")
    return record, {"context": "later"}


async def test_what_followed_can_still_be_taken_back_as_a_whole(twice: Twice) -> None:
    """By its id; that it names what it repeats makes that no value of before."""
    twice.note(twice.theirs, note="theirs", rating=2)
    twice.note(twice.ours, note="mine", rating=5)
    twice.returned()
    await _undo(twice, _last(twice, FOLLOWED))
    assert set(_shown(twice)) == {(twice.ours, "mine", 5), (twice.theirs, "theirs", 2)}


async def test_another_device_takes_it_back_alike(twice: Twice) -> None:
    """All that it needs stands in the log that everybody has; what it shows is shown everywhere."""
    twice.note(twice.ours, rating=3)
    rated = _last(twice)
    twice.returned()
    meet_all(twice)
    twice.peer.clock.ms = twice.device.clock.ms + 1_000
    await undo(twice.peer.store, rated.command_id.hex())
    meet_all(twice)
    assert _shown(twice) == []
    for one in (twice.device, twice.peer):
        assert rated.key in within(one, undone_actions)


async def test_what_was_said_in_two_lives_at_one_place_is_told_apart(
    tmp_path: Path, replicas: list[Replica]
) -> None:
    """Both lives have used one number of the feed: what was said is taken back by its branch."""
    two = TwoBranches(tmp_path, replicas)
    two.note(two.ours, rating=3)
    rated = _last(two)
    meet_all(two)
    two.returned()
    assert two.ask("SELECT count(*) FROM feed WHERE trunk IS NOT NULL") == [(2,)]
    meet_all(two)
    assert set(_shown(two)) == {(two.theirs, "first life", 3)}
    rated = within(two.device, lambda c: history.actions_called(c, rated.command_id))[0]
    await _undo(two, rated)
    assert set(_shown(two)) == {(two.theirs, "first life", None)}
    assert rated.key in within(two.device, undone_actions)


class TwoBranches(Twice):
    """A device that has said something in either life before anybody knew of the other."""

    def tell(self) -> None:
        """Let the peer hear of rows and of what was said of them."""
        super().tell()
        self.note(self.theirs, note="first life")
        store_commits(self.peer, *log_of(self.device, own_feed(self.device)))

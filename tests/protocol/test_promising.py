"""Of whom it is told that it gives less than it says."""

from __future__ import annotations

import pytest

from leaderless.protocol.commands import Key, Note, Stream
from leaderless.protocol.messages import LogBatch, StateBatch
from leaderless.protocol.promising import SPENT_S, TIMES, Promises, is_all_it_has
from registry.changes import feed_id
from tests.protocol.wire import LIFE, A, B, C

FAR = Key(Stream.STATE, C)


def _break(promises: Promises, times: int, link: int = 1) -> list[object]:
    told = [promises.broken(B, FAR, SPENT_S, 1, link) for _ in range(times)]
    return [note for notes in told for note in notes]


def test_who_gives_less_than_it_says_is_named_once() -> None:
    """After so many times, and no more after that."""
    promises = Promises()
    assert _break(promises, TIMES - 1) == []
    assert _break(promises, 3) == [Note("withholds", {"device": B, "of": C})]
    assert promises.withheld == promises.spent == {(B, FAR)}


def test_a_short_pause_ends_no_wait() -> None:
    """Who was asked in vain a moment ago is still counted on."""
    promises = Promises()
    promises.broken(B, FAR, SPENT_S / 2, 1, 1)
    assert promises.spent == set()


def test_who_was_cut_off_before_its_answer_is_not_named() -> None:
    """It is counted on no more all the same: it may be cut off for ever."""
    promises = Promises()
    assert _break(promises, 2 * TIMES, link=2) == []
    assert (promises.withheld, promises.spent) == (set(), {(B, FAR)})


def test_who_says_itself_that_it_lacks_some_is_not_named() -> None:
    """Its owner never gave it the rest; once it gives all, its word counts again."""
    promises = Promises()
    promises.answered(B, FAR, lacks=True)
    assert _break(promises, 2 * TIMES) == []
    assert promises.spent == {(B, FAR)}
    promises.answered(B, FAR, lacks=False)
    assert len(_break(promises, TIMES)) == 1


def test_who_was_asked_on_a_guess_of_ours_is_not_named() -> None:
    """It has never said that it has any; it is counted on no more all the same."""
    promises = Promises()
    for _ in range(2 * TIMES):
        assert promises.broken(B, FAR, SPENT_S, 1, 1, is_guess=True) == []
    assert promises.spent == {(B, FAR)}


def test_what_our_own_disk_did_not_take_is_nobodys_fault() -> None:
    """As long as the link lives: neither is anybody named, nor counted on no more."""
    promises = Promises()
    promises.excuse(1)
    assert _break(promises, 2 * TIMES) == []
    assert promises.spent == set()
    assert (promises.lost(1), promises.lost(1)) == (True, False)
    assert len(_break(promises, TIMES)) == 1


def test_who_brings_us_further_begins_anew() -> None:
    """What it did not give before is not held against it."""
    promises = Promises()
    _break(promises, TIMES - 1)
    promises.kept(B, FAR)
    assert _break(promises, TIMES - 1) == []


def test_who_promises_nothing_any_more_withholds_nothing() -> None:
    """What is said of it goes with its promise."""
    promises = Promises()
    _break(promises, TIMES)
    promises.forget(lambda device, key: (device, key) == (B, FAR))
    assert promises.withheld == promises.spent == {(B, FAR)}
    promises.forget(lambda *_: False)
    assert promises.withheld == promises.spent == set()


@pytest.mark.parametrize(
    ("batch", "is_all"),
    [
        (StateBatch(C, LIFE, 0, 5, 5, 9, ()), True),
        (StateBatch(C, LIFE, 0, 3, 5, 9, ()), False),
        (StateBatch(C, LIFE, 0, 5, 5, 5, ()), False),
        (StateBatch(C, LIFE, 0, 0, 0, 0, ()), False),
        (StateBatch(A, LIFE, 0, 0, 0, 0, ()), True),
        (StateBatch(A, LIFE, 0, 5, 5, 5, ()), False),
        (LogBatch(feed_id(A, LIFE), 0, 0, ()), False),
    ],
)
def test_a_batch_says_whether_its_sender_lacks_some(
    batch: StateBatch | LogBatch, is_all: bool
) -> None:
    """Its last one, by what it has heard that there is; of our own rows also that it has none."""
    assert is_all_it_has(batch, A) is is_all

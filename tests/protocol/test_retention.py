"""What may be forgotten, as a table of who holds what."""

from __future__ import annotations

import pytest

from leaderless.protocol.retention import (
    Marks,
    Remembered,
    Retention,
    covered,
    held_by_all,
    lapsed,
    outlives_us,
)

ANNA, BEN, CARL = (name * 16 for name in (b"a", b"b", b"c"))
OF_ANNA, OF_BEN = ANNA + bytes(28), BEN + bytes(28)
DAY_MS = 86_400_000
NOW_MS = 1_000 * DAY_MS
YOUNG_MS = NOW_MS - 30 * DAY_MS


def _retention(
    everywhere: int = 9, in_effect: object = (), replaced: object = (), elsewhere: int = 9
) -> Retention:
    applied = {OF_ANNA: 9}
    marks = Marks(applied), Marks(applied)
    for mark, seqs in zip(marks, (in_effect, replaced), strict=True):
        mark.update((OF_ANNA, seq) for seq in seqs)  # type: ignore[attr-defined]
    return Retention(applied, {OF_ANNA: everywhere}, {OF_ANNA: elsewhere}, *marks, YOUNG_MS)


def _commit(seq: int = 5, age_days: int = 100, *, newest: bool = False) -> Remembered:
    return Remembered(OF_ANNA, seq, NOW_MS - age_days * DAY_MS, newest)


def test_who_was_not_seen_for_a_lease_is_lapsed() -> None:
    """To the millisecond of its length a lease holds."""
    seen = {ANNA: NOW_MS - DAY_MS, BEN: NOW_MS - DAY_MS - 1}
    assert lapsed(seen, NOW_MS, DAY_MS) == {BEN: NOW_MS - DAY_MS - 1}


def test_the_one_who_holds_least_decides() -> None:
    """Everybody holds what the last one holds, and no more than is applied here."""
    held = {(BEN, OF_ANNA): 7, (CARL, OF_ANNA): 5, (CARL, OF_BEN): 90}
    assert held_by_all({OF_ANNA: 8, OF_BEN: 3}, [BEN, CARL], held) == {OF_ANNA: 5, OF_BEN: 3}


def test_who_never_said_anything_holds_nothing() -> None:
    """A minimum over those that have spoken would leave out the one that matters."""
    assert held_by_all({OF_ANNA: 8}, [BEN, CARL], {(BEN, OF_ANNA): 8}) == {OF_ANNA: 0}


def test_an_author_holds_its_own_feed() -> None:
    """Nobody has to tell what it has written itself."""
    assert held_by_all({OF_BEN: 8}, [BEN], {}) == {OF_BEN: 8}


def test_a_device_alone_holds_all_there_is() -> None:
    """Where there is nobody else, everybody has what is here."""
    assert held_by_all({OF_ANNA: 8}, [], {}) == {OF_ANNA: 8}


def test_what_we_wrote_outlives_us_where_one_other_has_applied_it() -> None:
    """The one who is furthest decides, and who said nothing has applied nothing."""
    applied, effective = {OF_ANNA: 8}, {(BEN, OF_ANNA): 3, (CARL, OF_ANNA): 90}
    assert outlives_us(ANNA, applied, [BEN], effective) == {OF_ANNA: 3}
    assert outlives_us(ANNA, applied, [BEN, CARL], effective) == {OF_ANNA: 8}
    assert outlives_us(ANNA, applied, [BEN], {}) == {OF_ANNA: 0}


def test_what_others_wrote_outlives_us_and_so_does_all_of_a_device_alone() -> None:
    """Its author had applied it; and where there is nobody else, nobody can lack it."""
    assert outlives_us(ANNA, {OF_BEN: 4}, [CARL], {}) == {OF_BEN: 4}
    assert outlives_us(ANNA, {OF_ANNA: 4}, [], {}) == {OF_ANNA: 4}


def test_tombstones_are_covered_as_far_as_the_last_watermark() -> None:
    """A member that told no watermark of this incarnation is below all of them."""
    assert covered([BEN, CARL], {BEN: 10, CARL: 4}) == 4
    assert covered([BEN, CARL], {BEN: 10}) == 0
    assert covered([], {BEN: 10}) is None


def test_a_mark_is_of_one_position() -> None:
    """What was not marked is not in the set, nor what lies beyond what is applied."""
    marks = Marks({OF_ANNA: 20})
    marks.update([(OF_ANNA, 8), (OF_ANNA, 21), (OF_BEN, 1), (OF_ANNA, 0)])
    marked = [seq for seq in range(30) if (OF_ANNA, seq) in marks]
    assert (marked, (OF_BEN, 1) in marks, "nonsense" in marks) == ([8], False, False)


def test_the_last_that_has_taken_effect_can_be_marked() -> None:
    """Of twenty the twentieth, too."""
    marks = Marks({OF_ANNA: 20})
    marks.add(OF_ANNA, 20)
    assert (OF_ANNA, 20) in marks


@pytest.mark.parametrize("age_days", [1, 100])
def test_what_is_superseded_goes_at_any_age(age_days: int) -> None:
    """Nothing of it is left, so nobody needs it to be whole."""
    assert _retention(everywhere=0).may_go(_commit(age_days=age_days))


def test_what_is_in_effect_goes_when_it_is_old_and_everybody_holds_it() -> None:
    """Each of the two alone is not enough."""
    held, lacking = _retention(5, [5]), _retention(4, [5])
    assert held.may_go(_commit())
    assert not held.may_go(_commit(age_days=1))
    assert not held.may_go(_commit(age_days=30))
    assert not lacking.may_go(_commit())


def test_what_only_we_have_applied_stays() -> None:
    """Superseded or not: were we restored, nobody could tell what it did."""
    assert _retention(elsewhere=5).may_go(_commit())
    assert not _retention(elsewhere=4).may_go(_commit())


def test_the_newest_stay_whatever_became_of_them() -> None:
    """The last actions can be taken back, on a quiet device after a year, too."""
    assert not _retention().may_go(_commit(newest=True))


def test_what_has_not_taken_effect_stays() -> None:
    """A commit on the shelf is needed as it is; the last that is not may go."""
    assert _retention().may_go(_commit(seq=9))
    assert not _retention(elsewhere=10).may_go(_commit(seq=10))
    assert not _retention().may_go(_commit()._replace(feed=OF_BEN))


def test_what_a_reversible_action_replaced_stays() -> None:
    """An undo shows the value that stood there before."""
    assert not _retention(replaced=[5]).may_go(_commit())


def test_the_newest_and_the_young_in_effect_are_reversible() -> None:
    """What is superseded cannot be taken back anyway: something later stands on it."""
    known = _retention(in_effect=[5])
    assert known.is_reversible(_commit(newest=True, seq=6))
    assert known.is_reversible(_commit(age_days=1))
    assert known.is_reversible(_commit(age_days=30))
    assert not known.is_reversible(_commit(age_days=100))
    assert not known.is_reversible(_commit(age_days=1, seq=6))

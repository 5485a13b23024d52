"""Finding what two replicas hold differently."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaderless.protocol import reconcile
from leaderless.protocol.codec import encode
from leaderless.protocol.messages import Compare, Compared
from leaderless.protocol.reconcile import (
    LEAF,
    WHOLE,
    Answer,
    Difference,
    Inventory,
    Listed,
    Part,
    Range,
    Reconciliation,
    are_in_order,
)

Held = dict[tuple[str, bytes], bytes]


def inventory(held: Held) -> Inventory:
    """Lay out what somebody holds."""
    return Inventory((model, uuid, data) for (model, uuid), data in held.items())


def reconciled(here: Held, there: Held) -> tuple[Reconciliation, int]:
    """Ask until all is found; return how it went and the bytes on the wire."""
    asker, answerer = Reconciliation(inventory(here)), inventory(there)
    size = 0
    while ranges := asker.ask():
        answers = answerer.answer(ranges)
        size += len(encode(Compare(ranges))) + len(encode(Compared(answers)))
        asker.heard(answers)
    return asker, size


def expected(here: Held, there: Held) -> set[tuple[str, bytes]]:
    """Return what differs, found the plain way."""
    return {key for key in {*here, *there} if here.get(key) != there.get(key)}


held = st.dictionaries(
    st.tuples(st.sampled_from(["tag", "entry"]), st.binary(min_size=1, max_size=1)),
    st.binary(max_size=2),
    max_size=200,
)


@given(held, held)
def test_what_is_found_is_what_differs(here: Held, there: Held) -> None:
    """Whatever the two hold, also where two models have one uuid."""
    wide_here = {(model, uuid * 16): data for (model, uuid), data in here.items()}
    wide_there = {(model, uuid * 16): data for (model, uuid), data in there.items()}
    asker, _ = reconciled(wide_here, wide_there)
    found = {(item.model, item.uuid) for item in asker.differences}
    assert found == expected(wide_here, wide_there)
    assert len(found) == len(asker.differences)


def _many(count: int) -> Held:
    chance = random.Random(7)
    return {("entry", chance.randbytes(16)): b"x" for _ in range(count)}


def test_ten_differences_in_many_take_few_rounds_and_little_traffic() -> None:
    """Missing here, missing there, and different."""
    here = _many(50_000)
    there = dict(here)
    keys = random.Random(8).sample(sorted(there), 10)
    for at, key in enumerate(keys):
        if at % 2:
            there[key] = b"y"
        else:
            (here if at % 4 else there).pop(key)
    asker, size = reconciled(here, there)
    assert {(item.model, item.uuid) for item in asker.differences} == set(keys)
    assert asker.rounds <= 4
    assert size < 32 << 10


def test_two_that_hold_the_same_need_one_round() -> None:
    """And nothing is found."""
    asker, _ = reconciled(_many(5_000), _many(5_000))
    assert (asker.rounds, asker.differences, asker.is_cut_short) == (1, [], False)


def test_what_is_on_one_side_only_says_so() -> None:
    """The digest of the other side is None."""
    key = ("tag", bytes(16))
    (gone,) = reconciled({key: b"x"}, {})[0].differences
    (new,) = reconciled({}, {key: b"x"})[0].differences
    assert (gone.there, new.here) == (None, None)
    assert Difference("tag", bytes(16), new.there, None) == gone


def test_very_many_differences_are_cut_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever differs in everything is not told of every row."""
    monkeypatch.setattr(reconcile, "MOST_FOUND", 10)
    asker, _ = reconciled(_many(5_000), {})
    assert asker.is_cut_short is False
    assert len(asker.differences) == 5_000
    asker, _ = reconciled({}, _many(5_000))
    assert asker.is_cut_short
    assert 10 <= len(asker.differences) < 5_000


def test_an_inventory_knows_how_much_it_lays_out() -> None:
    """Items of all models."""
    assert len(inventory({("a", bytes(16)): b"", ("b", bytes(16)): b""})) == 2


def test_items_of_one_uuid_are_never_parted() -> None:
    """However many models have it: they are listed."""
    uuid = bytes(16)
    same = {(f"m{at}", uuid): b"x" for at in range(LEAF + 5)}
    (answer,) = inventory(same).answer([Range(*WHOLE)])
    assert len(answer.items) == LEAF + 5


@pytest.mark.parametrize(
    "answers",
    [
        (),
        (Answer(Range(b"a" * 16, b"")),),
        (Answer(Range(*WHOLE), (Part(b"", b"f" * 16),)),),
        (Answer(Range(*WHOLE), (Part(b"b" * 16, b"f" * 16), Part(b"c" * 16, b"f" * 16))),),
        (
            Answer(
                Range(*WHOLE),
                (Part(b"b" * 16, b"f" * 16), Part(b"a" * 16, b"f" * 16), Part(b"", b"f" * 16)),
            ),
        ),
        (
            Answer(
                Range(*WHOLE),
                (Part(b"b" * 16, b"f" * 16), Part(b"b" * 16, b"f" * 16), Part(b"", b"f" * 16)),
            ),
        ),
    ],
)
def test_an_answer_that_does_not_fit_is_refused(answers: tuple[Answer, ...]) -> None:
    """To another question, of one part, of parts that leave something out, run back or hold nothing."""
    asker = Reconciliation(inventory({}))
    asker.ask()
    with pytest.raises(ValueError, match=r"answer|parts"):
        asker.heard(answers)


def test_an_answer_is_heard_once() -> None:
    """The same one again is to no question."""
    asker = Reconciliation(inventory({}))
    answers = inventory({("tag", b"t" * 16): b"x"}).answer(asker.ask())
    asker.heard(answers)
    with pytest.raises(ValueError, match="question"):
        asker.heard(answers)
    assert len(asker.differences) == 1


def _item(last: int) -> Listed:
    return Listed(bytes(15) + bytes([last]), b"d" * 16, "tag")


@pytest.mark.parametrize(
    "items", [(1,), (6,), (7,), (4, 3)], ids=["below", "at the end", "above", "back"]
)
def test_items_that_were_not_asked_for_are_refused(items: tuple[int, ...]) -> None:
    """Whoever answers lists what is in the range, in order, and nothing else."""
    within = Range(_item(2).uuid, _item(6).uuid)
    asker = Reconciliation(inventory({}))
    asker._waiting[0] = within
    assert asker.ask() == (within,)
    with pytest.raises(ValueError, match="items"):
        asker.heard((Answer(within, items=tuple(map(_item, items))),))


@pytest.mark.parametrize(
    ("bounds", "is_so"),
    [
        ([], True),
        ([(b"", b"")], True),
        ([(b"", b"b"), (b"b", b"c"), (b"d", b"")], True),
        ([(b"b", b"b")], False),
        ([(b"c", b"b")], False),
        ([(b"", b"c"), (b"b", b"d")], False),
        ([(b"", b""), (b"c", b"d")], False),
    ],
)
def test_ranges_that_overlap_or_hold_nothing_are_not_in_order(
    bounds: list[tuple[bytes, bytes]], is_so: bool
) -> None:
    """One without an end is the last."""
    assert are_in_order([Range(*item) for item in bounds]) is is_so


def test_questions_are_in_order_whatever_order_they_came_up_in() -> None:
    """So whoever answers can refuse to look anything up twice."""
    here, there = _many(30_000), _many(30_000)
    for key in random.Random(5).sample(sorted(there), 60):
        there[key] = b"y"
    asker, answerer = Reconciliation(inventory(here)), inventory(there)
    while ranges := asker.ask():
        assert are_in_order(ranges)
        asker.heard(answerer.answer(ranges))
    assert len(asker.differences) == 60

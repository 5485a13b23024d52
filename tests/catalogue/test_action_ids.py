"""How much of an action's id names it."""

from __future__ import annotations

import pytest

from leaderless.catalogue.action_ids import common_digits, keys_named, short_id
from registry.changes import Create
from tests.replicas import Replica
from tests.store.passing import within

DONE = bytes.fromhex("0123456789abcdef0123456789abcdef")
AFTER, BEFORE, ELSEWHERE = (
    bytes.fromhex(digits)
    for digits in (
        "0123456789afffffffffffffffffffff",
        "0123456780ffffffffffffffffffffff",
        "ffffffffffffffffffffffff01234567",
    )
)


@pytest.fixture
def log(replica: Replica, monkeypatch: pytest.MonkeyPatch) -> Replica:
    """Return a replica on which actions were done whose ids begin or end alike."""
    for at, command_id in enumerate((DONE, AFTER, BEFORE, ELSEWHERE)):
        monkeypatch.setattr(replica.store, "_command_id", lambda given=command_id: given)
        replica.store.write_here(
            lambda tx, at=at: tx.commit("t", [Create("tag", bytes([at]) * 16)])
        )
    return replica


def _named(replica: Replica, reference: str) -> set[bytes]:
    return {key[1] for key in within(replica, lambda c: keys_named(c, reference))}


def test_an_id_is_as_short_as_it_names_one_action(log: Replica) -> None:
    """Eight digits, or more where another one begins alike; what is short so is taken for it."""
    shown = {item: within(log, lambda c, item=item: short_id(c, item)) for item in
             (DONE, AFTER, BEFORE, ELSEWHERE)}  # fmt: skip
    assert shown == {
        DONE: "0123456789ab",
        AFTER: "0123456789af",
        BEFORE: "0123456780",
        ELSEWHERE: "ffffffff",
    }
    assert all(_named(log, short) == {item} for item, short in shown.items())


def test_a_beginning_goes_before_an_end(log: Replica) -> None:
    """So no id that another one ends with takes the place of one that begins so."""
    assert _named(log, "01234567") == {DONE, AFTER, BEFORE}
    assert _named(log, "f01234567") == {ELSEWHERE}
    assert _named(log, "89ABCDEF") == {DONE}


@pytest.mark.parametrize("reference", ["012", "0123456789abcdef" * 2 + "0", "tag:sea", ""])
def test_what_is_no_id_names_no_action(log: Replica, reference: str) -> None:
    """Fewer than four digits, more than there are, or none."""
    assert _named(log, reference) == set()


def test_the_only_action_is_named_by_eight_digits(replica: Replica) -> None:
    """There is nothing to tell it from."""
    done = replica.store.write_here(lambda tx: tx.commit("t", [Create("tag", DONE)]))
    assert within(replica, lambda c: short_id(c, done)) == done.hex()[:8]


@pytest.mark.parametrize(("other", "count"), [("abcd", 4), ("abXd", 2), ("", 0), ("ab", 2)])
def test_digits_in_common_are_counted_from_the_beginning(other: str, count: int) -> None:
    """Up to the first that differs, or the end of either."""
    assert common_digits("abcd", other) == count

"""What a person here has seen of what others did."""

from __future__ import annotations

from leaderless.catalogue.looks import Look, applied, last_look, remember
from leaderless.store import meta
from registry.changes import Create
from tests.replicas import Replica
from tests.store.passing import own_feed, within

ONE, OTHER = b"1" * 44, b"2" * 44


def test_before_the_first_look_nothing_was_seen(replica: Replica) -> None:
    """So that everything is news."""
    assert within(replica, last_look) == Look(None, {})


def test_what_there_is_to_see_is_how_far_feeds_have_taken_effect(replica: Replica) -> None:
    """By feed, the number of the last commit."""
    for at in range(2):
        edit = Create("tag", bytes([at]) * 16)
        replica.store.write_here(lambda tx, edit=edit: tx.commit("tag.create", [edit]))
    assert within(replica, applied) == {own_feed(replica): 2}


def test_a_look_is_remembered_with_its_time(replica: Replica) -> None:
    """The time is for people."""
    within(replica, lambda c: remember(c, {ONE: 5}, 99))
    assert within(replica, last_look) == Look(99, {ONE: 5})


def test_a_look_that_saw_less_takes_nothing_back(replica: Replica) -> None:
    """Of two at once the one that ends later may have begun earlier."""
    for seen in ({ONE: 5}, {ONE: 3, OTHER: 2}):
        within(replica, lambda c, seen=seen: remember(c, seen, 99))
    assert within(replica, last_look) == Look(99, {ONE: 5, OTHER: 2})


def test_more_feeds_than_a_message_may_name_are_remembered(replica: Replica) -> None:
    """Old incarnations add up, and no limit of decoders of foreign bytes counts here."""
    many = {at.to_bytes(44, "big"): at + 1 for at in range(20_000)}
    within(replica, lambda c: remember(c, many, 99))
    assert within(replica, last_look).seen == many


def test_of_a_look_at_an_older_version_the_time_is_known(replica: Replica) -> None:
    """Once, what had its effect since then is news; that very millisecond counts as unseen."""
    within(replica, lambda c: meta.put(c, "last_look_ms", 50))
    assert within(replica, last_look) == Look(50, None, 49)
    within(replica, lambda c: remember(c, {ONE: 5}, 99))
    assert within(replica, last_look) == Look(99, {ONE: 5})

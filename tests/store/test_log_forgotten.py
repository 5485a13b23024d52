"""Commits whose bodies were forgotten elsewhere: received as all others, and applied in another way."""

from __future__ import annotations

from dataclasses import replace

import pytest

from leaderless.store import log, shelf
from leaderless.store.holdings import read_holdings
from registry.changes import Create, Update
from tests.merge.devices import edit
from tests.replicas import Replica, query_file
from tests.store.passing import (
    log_batch,
    log_of,
    own_feed,
    signed_anew,
    store_commits,
    within,
)

TAG = b"t" * 16


def _bare(item: log.Received) -> log.Received:
    """Return a commit as it comes from somebody who has forgotten its body."""
    return item._replace(changes=(), signed=replace(item.signed, body=b""))


@pytest.fixture
def author(replicas: list[Replica]) -> Replica:
    """Return a device that has written three commits."""
    edit(replicas[0], Create("tag", TAG, {"canonical_name": "tag"}))
    edit(replicas[0], Update("tag", TAG, {"color": "red"}))
    edit(replicas[0], Update("tag", TAG, {"color": "blue"}))
    return replicas[0]


def test_a_forgotten_commit_is_received_and_waits(author: Replica, replicas: list[Replica]) -> None:
    """The chain has no hole, nothing after it takes effect, and the reason is named.

    One that does not count any more, as its feed was closed, is not asked for.
    """
    target, feed = replicas[1], own_feed(author)
    first, second, third = log_of(author, feed)
    assert store_commits(target, first, _bare(second), third) == [True, True, True]
    (waiting,) = within(target, shelf.waiting)
    assert (waiting.seq, waiting.waits_for) == (2, shelf.FORGOTTEN)
    assert query_file(target.store.path, "SELECT color FROM tag") == [(None,)]
    holdings = within(target, read_holdings)
    assert holdings.forgotten == {feed: 2}
    assert feed in holdings.unproved
    assert within(author, read_holdings).forgotten == {}
    within(target, lambda conn: conn.exec_driver_sql("UPDATE feed SET counts = 1"))
    assert within(target, read_holdings).forgotten == {}


def test_what_stands_in_a_branch_says_what_before_it_is_waited_for(
    author: Replica, replicas: list[Replica]
) -> None:
    """It is not looked at until all before the fork has taken effect; so no reason is written down."""
    target, feed = replicas[1], own_feed(author)
    first, second, third = log_of(author, feed)
    twin = signed_anew(author.identity, third, command="twin")
    store_commits(target, _bare(first), second, third, twin)
    trunk, *branches = sorted(within(target, shelf.waiting))
    assert (trunk.seq, trunk.waits_for) == (1, shelf.FORGOTTEN)
    before = f"commit 2 of {author.identity.device.hex()}, which is before it"
    assert [(item.seq, item.waits_for) for item in branches] == [(3, before)] * 2


def test_a_commit_that_nobody_has_looked_at_waits_for_its_turn(
    author: Replica, replicas: list[Replica]
) -> None:
    """There is always something behind "waits for"."""
    target = replicas[1]
    store_commits(target, _bare(log_of(author, own_feed(author))[0]))
    within(target, lambda conn: conn.exec_driver_sql("UPDATE commit_log SET waits_for = NULL"))
    assert [item.waits_for for item in within(target, shelf.waiting)] == [shelf.TURN]


def test_a_part_that_is_forgotten_holds_the_whole_command_back(
    author: Replica, replicas: list[Replica]
) -> None:
    """Whichever part it is; once all of them are here."""
    target, feed = replicas[1], own_feed(author)
    many = [Create("tag", at.to_bytes(16, "big"), {"canonical_name": "x"}) for at in range(10_001)]
    edit(author, *many)
    *before, one, two = [item for at in (0, 3, 4) for item in log_of(author, feed, at)][:5]
    assert (one.header.part, two.header.part) == (1, 2)
    store_commits(target, *before, one)
    (waiting,) = within(target, shelf.waiting)
    assert waiting.waits_for == "part 2 of 2 of its command"
    assert within(target, shelf.forgotten) == {}
    store_commits(target, _bare(two))
    assert within(target, shelf.forgotten) == {feed: 4}


def test_a_forgotten_body_travels_as_an_empty_one(author: Replica) -> None:
    """With the header and the signature that it always had."""
    feed = own_feed(author)
    whole = log_batch(author, feed)
    assert whole is not None
    within(
        author,
        lambda conn: conn.exec_driver_sql("UPDATE commit_log SET body = NULL WHERE seq < 3"),
    )
    sent = log_batch(author, feed)
    assert sent is not None
    bare = [replace(signed, body=b"") for signed in whole.commits[:2]]
    assert sent.commits == (*bare, whole.commits[2])

"""The shelf: commits that wait, and for what."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, event

from leaderless.ids import RecordIds
from leaderless.protocol import commits
from leaderless.protocol.hashing import digest
from leaderless.store import log, meta, shelf
from leaderless.store.feeds import feed_with
from leaderless.store.store import Store
from registry.changes import Dependency, Dot, FeedId, FieldWrite, Form, RecordId, SharedChange
from tests import forgery
from tests.replicas import Replica, query_file
from tests.store.passing import chained, dump, log_of, own_feed, signed_anew, store_commits, within
from tests.store.test_log import LOG, NAMES, built_on, held_feed, in_parts, make_tag, some_commits


def test_a_command_in_parts_says_which_part_it_waits_for(replicas: list[Replica]) -> None:
    """The shelf counts the parts that came."""
    a, b, _ = replicas
    parts = in_parts(a, 3)
    store_commits(b, *parts[:2])
    (waiting,) = within(b, shelf.waiting)
    assert (waiting.seq, waiting.command, waiting.waits_for) == (
        1,
        "tag.create",
        "part 3 of 3 of its command",
    )


def test_what_follows_a_command_in_parts_waits_behind_it(replicas: list[Replica]) -> None:
    """Later commits of a feed take effect after it, with the next batch as with the same."""
    a, b, _ = replicas
    commits = in_parts(a, 2, more=2)
    store_commits(b, *commits)
    assert held_feed(b, commits[0].header.feed).applied == 4


# --- dependencies ---------------------------------------------------------------------------------


def test_a_commit_waits_for_what_it_builds_on(replicas: list[Replica]) -> None:
    """What an author had seen takes effect first, in whatever order it arrives."""
    a, b, c = replicas
    base, later = built_on(a, c)
    store_commits(b, *later)
    assert query_file(b.store.path, NAMES) == []
    store_commits(b, *base)
    assert len(query_file(b.store.path, NAMES)) == 3


def test_the_shelf_names_what_is_waited_for(replicas: list[Replica]) -> None:
    """The reason is the commit and the device that are missing."""
    a, b, c = replicas
    base, later = built_on(a, c)
    store_commits(b, base[0], *later)
    (waiting,) = within(b, shelf.waiting)
    assert (waiting.feed, waiting.seq) == (own_feed(c), 1)
    assert waiting.waits_for == f"commit 2 of {a.identity.device.hex()}"


def test_the_shelf_survives_a_restart(replicas: list[Replica]) -> None:
    """What waits is on disk with its reason, and takes effect after the restart."""
    a, b, c = replicas
    base, later = built_on(a, c)
    store_commits(b, *later)
    before = within(b, shelf.waiting)
    b.store.close()
    ids = RecordIds(b.clock)
    b.store = Store(b.store.path, b.store.registry, b.clock, ids, b.identity.sign)
    b.store.load()
    assert within(b, shelf.waiting) == before != []
    store_commits(b, *base)
    assert within(b, shelf.waiting) == []


def test_what_took_effect_waits_for_nothing(replicas: list[Replica]) -> None:
    """The reason goes when the commit leaves the shelf."""
    a, b, c = replicas
    base, later = built_on(a, c)
    store_commits(b, *later)
    store_commits(b, *base)
    query = "SELECT count(*) FROM commit_log WHERE waits_for IS NOT NULL OR applied_at IS NULL"
    assert query_file(b.store.path, query) == [(0,)]


def test_a_chain_over_feeds_takes_effect_at_once(replicas: list[Replica]) -> None:
    """The last missing commit frees all that waited, over any number of feeds."""
    a, b, c = replicas
    base, middle = built_on(a, c)
    store_commits(a, *middle)
    top = some_commits(a, 1)[-1]
    store_commits(b, *middle)
    assert store_commits(b, *base, top) == [True, True, True]
    assert within(b, shelf.waiting) == []


def test_a_commit_upon_another_branch_stays_on_the_shelf(replicas: list[Replica]) -> None:
    """Who has seen the other branch of a fork is kept, and the reason is said."""
    a, b, c = replicas
    base, (later,) = built_on(a, c)
    store_commits(b, *base)
    astray = Dependency(own_feed(a), 2, b"?" * 32)
    store_commits(b, signed_anew(c.identity, later, dependencies=(astray,)))
    (waiting,) = within(b, shelf.waiting)
    wanted = f"another commit 2 of {a.identity.device.hex()} than is here"
    assert waiting.waits_for == wanted


def test_every_part_s_dependencies_gate_the_command(replicas: list[Replica]) -> None:
    """A command waits for what any of its parts builds on."""
    a, b, c = replicas
    base, _ = built_on(a, c)
    parts = in_parts(c, 2)
    head = Dependency(own_feed(a), 2, base[1].hash)
    first = signed_anew(c.identity, parts[0], dependencies=())
    second = signed_anew(c.identity, parts[1], dependencies=(head,))
    store_commits(b, *chained(c.identity, first, second))
    (waiting,) = within(b, shelf.waiting)
    assert waiting.waits_for == f"commit 2 of {a.identity.device.hex()}"


# --- effects --------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [Form.DELETE, Form.UPDATE])
def test_a_commit_waits_for_what_its_changes_name_whatever_its_header_says(
    replicas: list[Replica], form: Form
) -> None:
    """Devices that hear of it before and after what it names end alike."""
    a, b, c = replicas
    tag = make_tag(a, "trip")
    dot = Dot(own_feed(a), 1)
    writes = (FieldWrite("color", None, "red"),) if form is Form.UPDATE else ()
    change = SharedChange(form, "tag", RecordId(tag), (dot,), writes)
    signed = forgery.signed_commit(c, change=change)
    header = commits.decode_header(signed.header)
    forged = log.Received(header, (change,), signed, digest(signed.header))
    made = log_of(a, own_feed(a))
    store_commits(a, forged)
    store_commits(b, forged)
    (waiting,) = within(b, shelf.waiting)
    assert waiting.waits_for == f"commit 1 of {a.identity.device.hex()}, which it names"
    store_commits(b, *made)
    assert within(b, shelf.waiting) == []
    hashes = [within(replica, lambda c: meta.get(c, meta.SHARED_HASH)) for replica in (a, b)]
    assert hashes[0] == hashes[1]
    assert dump(a, LOG[2:5]) == dump(b, LOG[2:5])


def test_a_long_log_is_not_read_for_what_waits(replica: Replica) -> None:
    """It is asked for after every write: one look at each feed, and at its next commit."""
    asked: list[str] = []
    needed = Dependency(FeedId(bytes(44)), 1, b"h" * 32)

    def ask(connection: Connection) -> list[str]:
        def note(*about: Any) -> None:
            asked.append(about[2])

        event.listen(connection, "before_cursor_execute", note)
        for question in (shelf.forgotten, shelf.waiting, partial(feed_with, needed=needed)):
            question(connection)
        event.remove(connection, "before_cursor_execute", note)
        plans = [
            connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}", ("x",) * query.count("?"))
            for query in asked
        ]
        return [row[3] for plan in plans for row in plan]

    steps = within(replica, ask)
    assert sum(step.startswith("SEARCH c USING") for step in steps) == len(asked) == 3

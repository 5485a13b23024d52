"""How much of a state of the shared records has been fetched."""

from __future__ import annotations

from leaderless.store import staging
from leaderless.store.fetched import read_staging
from leaderless.store.record_source import read_records
from registry.changes import Create
from tests.merge.devices import edit, receive_all
from tests.replicas import Replica
from tests.store.passing import own_feed, within

TAGS = [bytes([at]) * 16 for at in (1, 2)]


def test_a_state_is_whole_once_its_records_and_the_headers_are_here(
    replicas: list[Replica],
) -> None:
    """It says from whom on it goes on, and of what it is."""
    source, target, _ = replicas
    for tag in TAGS:
        edit(source, Create("tag", tag, {"canonical_name": "tag"}))
    assert within(target, read_staging) is None
    after, feed = b"", own_feed(source)
    for done in (False, True):
        batch = within(
            source, lambda conn, after=after, size=2 if done else 1: read_records(conn, after, size)
        )  # type: ignore[misc]
        within(target, lambda conn, batch=batch: staging.stage(conn, batch, b"s" * 16))  # type: ignore[misc]
        held = within(target, read_staging)
        assert held is not None
        assert (held.start, held.as_of, held.done, held.whole) == (
            {feed: 2},
            {feed: 2},
            done,
            False,
        )
        after = held.cursor
    assert after == TAGS[1] + b"tag"
    receive_all(source, target)
    held = within(target, read_staging)
    assert held is not None
    assert held.whole

"""Commits that peers send: applied as they were signed, or refused whole."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from leaderless.identity import load_or_create
from leaderless.protocol.errors import InvalidCommitError
from leaderless.store.holdings import read_holdings
from registry.changes import FieldWrite, Form, Incarnation, RecordId, SharedChange, Update, feed_id
from registry.hlc import CEILING_MS, MAX_DRIFT_MS, Stamp
from tests.forgery import TAG, log_batch, own_feed, signed_commit
from tests.replicas import START_MS, Replica, query_file
from tests.sync.applying import applier, held, refused

if TYPE_CHECKING:
    from pathlib import Path

YEAR_MS = 365 * 86_400_000


async def test_a_signed_commit_takes_effect_whoever_brings_it(replicas: list[Replica]) -> None:
    """A commit is its author's by its signature, not by the connection it came on."""
    author, relay, receiver = replicas
    batch = log_batch(own_feed(author), signed_commit(author))
    outcome = await (await applier(receiver)).apply(batch, relay.identity.device)
    assert (outcome.used, outcome.notes) == (True, ())
    assert query_file(receiver.store.path, "SELECT uuid, color FROM tag") == [(TAG, "red")]


async def test_commits_beyond_the_next_are_not_used(replicas: list[Replica]) -> None:
    """A batch that leaves a gap in a feed is dropped whole, and asked for again."""
    author, _, receiver = replicas
    batch = replace(log_batch(own_feed(author), signed_commit(author)), after=3)
    before = held(receiver)
    outcome = await (await applier(receiver)).apply(batch, author.identity.device)
    assert not outcome.used
    assert held(receiver) == before


async def test_a_feed_without_a_commit_leaves_no_trace(replicas: list[Replica]) -> None:
    """An empty batch of an invented feed makes nothing here."""
    author, _, receiver = replicas
    feed = feed_id(author.identity.device, Incarnation(7, bytes(8)))
    before = held(receiver)
    await (await applier(receiver)).apply(log_batch(feed), author.identity.device)
    assert held(receiver) == before


async def test_what_does_not_follow_and_nobody_holds_is_doubted_no_more(
    replicas: list[Replica],
) -> None:
    """The author was restored since: whoever has its feed as it is here ends the doubt."""
    author, relay, receiver = replicas
    feed, apply = own_feed(author), await applier(receiver)
    astray = signed_commit(author, seq=2, previous=b"?" * 32)
    await apply.apply(log_batch(feed, signed_commit(author)), relay.identity.device)
    await apply.apply(replace(log_batch(feed, astray), after=1, head=2), relay.identity.device)
    assert feed in await receiver.store.read(lambda c: read_holdings(c).doubted)
    await apply.apply(log_batch(feed, signed_commit(author)), relay.identity.device)
    assert feed not in await receiver.store.read(lambda c: read_holdings(c).doubted)


async def test_commits_of_who_is_no_member_are_refused(
    replicas: list[Replica], tmp_path: Path
) -> None:
    """A feed of a device that no statement names is refused, even without a commit in it."""
    author, _, receiver = replicas
    stranger = load_or_create(tmp_path / "stranger")
    batch = log_batch(feed_id(stranger.device, Incarnation(1, bytes(8))))
    assert await refused(receiver, batch, author.identity.device) == "not_a_member"


@pytest.mark.parametrize(
    "wrong", ["signature", "signer", "feed", "library", "stamp", "body", "header"]
)
async def test_an_invalid_commit_is_refused_and_nothing_is_kept(
    replicas: list[Replica], wrong: str
) -> None:
    """What its author did not sign so, for this library and feed, in valid bytes, is refused."""
    author, relay, receiver = replicas
    feed = own_feed(author)
    signed = {
        "signature": lambda: signed_commit(author, signature=bytes(64)),
        "signer": lambda: signed_commit(relay, feed=feed),
        "feed": lambda: signed_commit(author, feed=own_feed(relay)),
        "library": lambda: signed_commit(author, library=bytes(16)),
        "stamp": lambda: signed_commit(author, stamp=Stamp(CEILING_MS, 0, 0)),
        "body": lambda: replace(signed_commit(author), body=b"\x90"),
        "header": lambda: replace(signed_commit(author), header=b"\x90"),
    }[wrong]()
    before = held(receiver)
    with pytest.raises(InvalidCommitError):
        await (await applier(receiver)).apply(log_batch(feed, signed), author.identity.device)
    assert held(receiver) == before


async def test_the_valid_commits_before_an_invalid_one_are_not_kept(
    replicas: list[Replica],
) -> None:
    """A message with one invalid commit is refused whole."""
    author, _, receiver = replicas
    bad = signed_commit(author, signature=bytes(64))
    batch = log_batch(own_feed(author), signed_commit(author), bad)
    before = held(receiver)
    with pytest.raises(InvalidCommitError):
        await (await applier(receiver)).apply(batch, author.identity.device)
    assert held(receiver) == before


@pytest.mark.parametrize(
    ("model", "write"),
    [
        ("device", FieldWrite("name", None, "x")),
        ("tag", FieldWrite("color", "x", "red")),
        ("tag", FieldWrite("aliases", None, True)),
        ("tag", FieldWrite("search_weight", None, 1 << 63)),
    ],
)
async def test_no_valid_commit_can_hold_up_who_builds_on_it(
    replicas: list[Replica], model: str, write: FieldWrite
) -> None:
    """What no table can show is applied and kept in the registers: it fails nothing."""
    author, _, receiver = replicas
    change = SharedChange(Form.CREATE, model, RecordId(bytes(16)), writes=(write,))
    batch = log_batch(own_feed(author), signed_commit(author, change=change))
    outcome = await (await applier(receiver)).apply(batch, author.identity.device)
    assert outcome.used
    assert query_file(receiver.store.path, "SELECT count(*) FROM record") == [(1,)]


async def test_a_stamp_just_below_the_ceiling_is_valid(replicas: list[Replica]) -> None:
    """The last possible stamp is applied like any other, and its author is named."""
    author, _, receiver = replicas
    signed = signed_commit(author, stamp=Stamp(CEILING_MS - 1, 0, 0))
    outcome = await (await applier(receiver)).apply(
        log_batch(own_feed(author), signed), author.identity.device
    )
    assert outcome.notes == (("future_stamp", {"device": author.identity.device}),)


async def test_a_commit_a_year_ahead_is_applied_and_its_author_named(
    replicas: list[Replica],
) -> None:
    """Holding it back would stall all who saw it: it counts, and says whose clock is wrong."""
    author, relay, receiver = replicas
    signed = signed_commit(author, stamp=Stamp(START_MS + YEAR_MS, 0, 0))
    outcome = await (await applier(receiver)).apply(
        log_batch(own_feed(author), signed), relay.identity.device
    )
    assert outcome.notes == (("future_stamp", {"device": author.identity.device}),)
    assert query_file(receiver.store.path, "SELECT color FROM tag") == [("red",)]


async def test_a_commit_a_year_ahead_does_not_pull_our_clock(replicas: list[Replica]) -> None:
    """Our clock goes past our wall by the drift bound at most, and stays a valid clock."""
    author, _, receiver = replicas
    signed = signed_commit(author, stamp=Stamp(START_MS + YEAR_MS, 0, 0))
    await (await applier(receiver)).apply(
        log_batch(own_feed(author), signed), author.identity.device
    )
    ((clock_ms,),) = query_file(
        receiver.store.path, "SELECT value FROM meta WHERE name = 'clock_ms'"
    )
    assert clock_ms <= START_MS + MAX_DRIFT_MS


async def test_a_later_local_edit_wins_over_a_value_from_the_future(
    replicas: list[Replica],
) -> None:
    """Whoever has seen a value can replace it, whatever any clock says, and everywhere."""
    author, _, receiver = replicas
    first = log_batch(
        own_feed(author), signed_commit(author, stamp=Stamp(START_MS + YEAR_MS, 0, 0))
    )
    await (await applier(receiver)).apply(first, author.identity.device)
    edit = Update("tag", TAG, {"color": "green"})
    await receiver.store.write(lambda tx: tx.commit("tag.set", [edit]))
    assert query_file(receiver.store.path, "SELECT color FROM tag") == [("green",)]


async def test_a_commit_without_its_body_is_kept_by_its_header(replicas: list[Replica]) -> None:
    """The signature covers the header, and whoever sends it may have forgotten the body."""
    author, relay, receiver = replicas
    stamp = Stamp(START_MS + YEAR_MS, 0, 0)
    bare = replace(signed_commit(author, stamp=stamp), body=b"")
    outcome = await (await applier(receiver)).apply(
        log_batch(own_feed(author), bare), relay.identity.device
    )
    assert (outcome.used, outcome.notes) == (True, ())
    assert query_file(receiver.store.path, "SELECT body, applied_at FROM commit_log") == [
        (None, None)
    ]
    forged = replace(bare, signature=bytes(64))
    batch = log_batch(own_feed(author), forged)
    assert await refused(receiver, batch, relay.identity.device) == "invalid_commit"

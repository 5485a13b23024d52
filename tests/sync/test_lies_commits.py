"""A relay that lies about others' commits, statements and proofs, or answers comparisons wrongly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import trio
import trio.testing

from leaderless.errors import LeaderlessError
from leaderless.protocol.commands import Key, Stream
from leaderless.protocol.membership import Signed
from leaderless.protocol.messages import (
    Compared,
    FeedPosition,
    LogBatch,
    Message,
    Positions,
    Proof,
    SignedCommit,
    Statements,
    Vectors,
)
from leaderless.protocol.reconcile import Answer, Listed
from leaderless.protocol.trusting import LEAST_DISTRUST_S
from tests.cluster import rows
from tests.forgery import own_feed, signed_commit
from tests.liar import of_feed
from tests.sync.scene import COMMITS, Made, Scene, lied_to

Change = Callable[[Scene, LogBatch], list[Message]]


def _about_commits(change: Change) -> Made:
    return lambda scene: of_feed(own_feed(scene.owner.replica), lambda batch: change(scene, batch))


def _each(change: Callable[[SignedCommit], SignedCommit]) -> Made:
    return _about_commits(
        lambda _, batch: [replace(batch, commits=tuple(map(change, batch.commits)))]
    )


def _listed(change: Callable[[tuple[SignedCommit, ...]], tuple[SignedCommit, ...]]) -> Made:
    return _about_commits(lambda _, batch: [replace(batch, commits=change(batch.commits))])


def _signed_by_the_liar(scene: Scene, batch: LogBatch) -> list[Message]:
    forged = signed_commit(scene.liar.replica, feed=batch.feed)
    return [replace(batch, commits=(*batch.commits, forged))]


WRONG: dict[str, Made] = {
    "alters a body": _each(lambda commit: replace(commit, body=commit.body[:-1] + b"x")),
    "alters a header": _each(lambda commit: replace(commit, header=commit.header[:-1] + b"x")),
    "invents": _about_commits(_signed_by_the_liar),
    "withholds one": _listed(lambda commits: (*commits[:1], *commits[2:])),
    "reorders": _listed(lambda commits: commits[::-1]),
    "repeats one": _listed(lambda commits: (commits[0], *commits)),
    "begins elsewhere": _about_commits(lambda _, batch: [replace(batch, after=0)]),
}


@pytest.mark.parametrize("make", WRONG.values(), ids=WRONG.keys())
async def test_wrong_commits_are_named_and_never_stored(
    tmp_path: Path, clock: trio.testing.MockClock, make: Made
) -> None:
    """The feed is not asked of the liar again at once, though it is connected again; others are."""
    async with lied_to(tmp_path, make, knows=True) as scene:
        victim, feed = scene.victim, own_feed(scene.owner.replica)
        before = rows(victim, COMMITS)
        await scene.passes(lambda: "distrusted" in victim.kinds(), 10.0)
        assert scene.named() == {scene.liar.device}
        assert (
            scene.liar.device,
            Key(Stream.LOG, feed),
        ) in victim.driver.exchange.fetching.trust.distrusted
        assert rows(victim, COMMITS) == before
        await trio.sleep(LEAST_DISTRUST_S - 1.0)
        assert scene.lying.asked_for(feed) == 1
        assert scene.lying.links > 1
        await scene.heal()


def _boasting(feed: bytes, amount: int) -> Callable[[Message], list[Message]]:
    """Say that one holds `amount` commits of a feed, whatever one holds."""

    def lie(message: Message) -> list[Message]:
        if not isinstance(message, Positions) or feed not in message.vectors.feeds:
            return [message]
        feeds = {**message.vectors.feeds, feed: FeedPosition(amount, amount)}
        return [replace(message, vectors=Vectors(message.vectors.owned, feeds))]

    return lie


WITHHELD: dict[str, Change] = {
    "the tail": lambda _, batch: [replace(batch, commits=batch.commits[:1], head=batch.after + 1)],
    "all, saying so": lambda _, batch: [replace(batch, commits=(), head=batch.after)],
    "all, promising": lambda _, batch: [replace(batch, commits=(), head=1 << 40)],
    "all, silently": lambda _, __: [],
}


@pytest.mark.parametrize("change", WITHHELD.values(), ids=WITHHELD.keys())
async def test_who_withholds_commits_is_named_and_passed_over(
    tmp_path: Path, clock: trio.testing.MockClock, change: Change
) -> None:
    """What it says that it holds and does not give is not called in sync, and comes from others."""

    def make(scene: Scene) -> Callable[[Message], list[Message]]:
        boast = _boasting(own_feed(scene.owner.replica), 1 << 40)
        lie = _about_commits(change)(scene)
        return lambda message: [said for first in lie(message) for said in boast(first)]

    async with lied_to(tmp_path, make, knows=True) as scene:
        await scene.passes(lambda: "withholds" in scene.victim.kinds(), 200.0)
        assert scene.named() == {scene.liar.device}
        assert not scene.is_in_sync(scene.victim, scene.liar)
        await scene.heal()
        await scene.owner_changes()
        await scene.passes(lambda: scene.is_in_sync(scene.victim, scene.honest), 10.0)


HARMLESS: dict[str, Change] = {
    "repeats": lambda _, batch: [batch] * 5,
    "promises more": lambda _, batch: [replace(batch, head=1 << 40)],
}


@pytest.mark.parametrize("change", HARMLESS.values(), ids=HARMLESS.keys())
async def test_what_changes_no_signed_byte_does_no_harm(
    tmp_path: Path, clock: trio.testing.MockClock, change: Change
) -> None:
    """Commits that come again, or fewer than promised, are what their author signed."""
    async with lied_to(tmp_path, _about_commits(change), knows=True) as scene:
        await scene.passes(lambda: scene.is_in_sync(scene.victim, scene.liar), 10.0)
        assert scene.named() == set()
        await scene.heal()


# --- statements, proofs, comparisons --------------------------------------------------------------


async def test_altered_statements_end_the_connection_and_not_at_network_speed(
    tmp_path: Path, clock: trio.testing.MockClock
) -> None:
    """Whoever sends what no admin has signed is named, and heard again later and later."""

    def make(scene: Scene) -> Callable[[Message], list[Message]]:
        ((body,), *_) = rows(scene.liar, "SELECT body FROM statement")
        forged = Statements((Signed(body, bytes(64)),))
        return lambda message: [message, *([forged] if isinstance(message, Proof) else [])]

    async with lied_to(tmp_path, make, knows=True) as scene:
        await trio.sleep(300.0)
        errors = [data for kind, data in scene.victim.told if kind == "peer_error"]
        assert {data["code"] for data in errors} == {"unverified"}
        assert 3 <= len(errors) <= 20
        assert scene.named() == {scene.liar.device}
        await scene.heal()


async def test_a_false_proof_is_no_proof(tmp_path: Path, clock: trio.testing.MockClock) -> None:
    """Who says that it holds something else where it stands as we do is named as differing."""

    def lie(message: Message) -> list[Message]:
        return [replace(message, state=bytes(32)) if isinstance(message, Proof) else message]

    async with lied_to(tmp_path, lambda _: lie, knows=True) as scene:
        victim = scene.victim
        await scene.passes(lambda: "differs" in victim.kinds(), 10.0)
        assert [data["device"] for kind, data in victim.told if kind == "differs"] == [
            scene.liar.device
        ]
        assert not scene.is_in_sync(victim, scene.liar)
        await scene.heal()


def _stray(answer: Answer) -> Answer:
    items = (Listed(b"\xff" * 16, bytes(16), "tag"), Listed(bytes(16), bytes(16), "tag"))
    return answer._replace(parts=(), items=items)


ANSWERS = [
    pytest.param(lambda answers: answers[:-1], id="withholds"),
    pytest.param(lambda answers: (*answers, *answers), id="repeats"),
    pytest.param(lambda answers: tuple(map(_stray, answers)), id="reorders"),
]


@pytest.mark.parametrize("change", ANSWERS)
async def test_a_wrong_answer_to_a_comparison_is_no_answer(
    tmp_path: Path,
    clock: trio.testing.MockClock,
    change: Callable[[tuple[Answer, ...]], tuple[Answer, ...]],
) -> None:
    """Whoever asked is told so by name; nothing that is held changes."""

    def lie(message: Message) -> list[Message]:
        return [Compared(change(message.answers)) if isinstance(message, Compared) else message]

    async with lied_to(tmp_path, lambda _: lie, knows=True) as scene:
        await scene.passes(lambda: scene.is_in_sync(scene.victim, scene.liar), 10.0)
        before = rows(scene.victim, COMMITS)
        with pytest.raises(LeaderlessError) as caught:
            await scene.victim.driver.compare(scene.liar.device)
        assert caught.value.code == "out_of_turn"
        assert rows(scene.victim, COMMITS) == before
        await scene.heal()

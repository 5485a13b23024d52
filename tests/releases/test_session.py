"""Sessions of released versions, as they were recorded, played to today's code."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from leaderless.protocol import codec
from leaderless.protocol.messages import SENDS_RECORDS, Bye, LogBatch, Message, Proof, StateBatch
from leaderless.protocol.versions import UPGRADE
from scripts.releases.frames import Frame, conversation
from scripts.releases.session import FILLED, FILLING, NAMES, SERVING
from tests.releases.kept import DEADLINE_S, RELEASES, Release, meeting
from tests.releases.test_library import exported, faults
from tests.releases.wire import read_as_1_0
from tests.replicas import load_or_create, query_file
from tests.store.passing import within


@pytest.fixture(params=RELEASES)
def release(request: pytest.FixtureRequest) -> Release:
    """Name one version after the other."""
    return Release(request.param)


@pytest.fixture(params=[name for name in RELEASES if Release(name).protocol < SENDS_RECORDS])
def oldest(request: pytest.FixtureRequest) -> Release:
    """Name one version of protocol 1.0 after the other."""
    return Release(request.param)


def said_by(release: Release, sender: int, *parts: int) -> list[Frame]:
    """Return what one side said in some parts of the session, in all if none is named."""
    return [
        frame
        for frame in release.frames()
        if frame.sender == sender and frame.part in (parts or (frame.part,))
    ]


def last_proof(frames: list[Frame]) -> Proof:
    """Return the proof that was given last."""
    said = [codec.decode(frame.data) for frame in frames]
    return [message for message in said if isinstance(message, Proof)][-1]


def key_of(folder: Path, at: int) -> bytes:
    """Return the public key of a device of the fixtures."""
    return load_or_create(folder / f"key{at}").public_key


def served(said: list[Message]) -> list[str]:
    """Return the batches with rows or commits among what was said, in an order of their own."""
    rows = [item for item in said if isinstance(item, StateBatch) and item.changes]
    return sorted(map(repr, (*rows, *(x for x in said if isinstance(x, LogBatch) and x.commits))))


def test_the_recording_reads_as_the_conversation_beside_it(release: Release) -> None:
    """What people read is what is played."""
    text = (release.folder / "session.txt").read_text(encoding="utf-8")
    assert conversation(release.frames(), NAMES) == text


def test_what_it_said_means_today_what_it_meant(release: Release) -> None:
    """Each recorded message is understood, and said again is the same message."""
    for frame in release.frames():
        message = codec.decode(frame.data)
        assert codec.decode(codec.encode(message)) == message


async def test_it_fills_an_empty_device_of_today(release: Release, tmp_path: Path) -> None:
    """From hello to changes as they come: equal records, and the proof that was given then."""
    filled = release.opened("filled", FILLED, tmp_path)
    frames = said_by(release, SERVING)
    async with meeting(filled, tmp_path, key_of(tmp_path, SERVING)) as (node, player):
        await player.play(frames)
        await player.until_proof(last_proof(frames))
        assert exported(filled) == (release.folder / "session.ndjson").read_bytes()
        assert faults(filled) == []
        assert "peer_error" not in node.kinds()


async def test_it_is_filled_by_a_device_of_today(release: Release, tmp_path: Path) -> None:
    """What its empty device asked for is served, and it hears the proof that it gave itself."""
    serving = release.opened("serving", SERVING, tmp_path)
    frames = said_by(release, FILLED, FILLING)
    async with meeting(serving, tmp_path, key_of(tmp_path, FILLED)) as (node, player):
        await player.play(frames)
        await player.until_proof(last_proof(frames))
        then = [codec.decode(frame.data) for frame in said_by(release, SERVING, FILLING)]
        # Its device said what it held before that could have come: the rest comes after the proof.
        await player.until(lambda said: served(said) == served(then))
        assert "peer_error" not in node.kinds()


@pytest.mark.parametrize(
    ("name", "me", "other"), [("serving", SERVING, FILLED), ("filled", FILLED, SERVING)]
)
async def test_all_that_it_hears_it_understands(
    oldest: Release, tmp_path: Path, name: str, me: int, other: int
) -> None:
    """No device of today says to a 1.0 peer what only later versions read."""
    replica = oldest.opened(name, me, tmp_path)
    frames = said_by(oldest, other, FILLING)
    async with meeting(replica, tmp_path, key_of(tmp_path, other)) as (_, player):
        await player.play(frames)
        await player.until_proof(last_proof(frames))
    for frame in player.heard:
        read_as_1_0(frame)


async def test_it_is_told_in_words_to_upgrade_where_it_cannot_go_on(
    oldest: Release, tmp_path: Path
) -> None:
    """Of commits whose content is forgotten it is sent nothing; of all else what it asked for."""
    serving = oldest.opened("serving", SERVING, tmp_path)
    feeds = query_file(serving.store.path, "SELECT id, feed FROM feed ORDER BY id")
    forget = f"UPDATE commit_log SET body = NULL WHERE feed = {feeds[0][0]}"  # noqa: S608
    within(serving, lambda c: c.exec_driver_sql(forget))
    frames = said_by(oldest, FILLED, FILLING)
    async with meeting(serving, tmp_path, key_of(tmp_path, FILLED)) as (node, player):
        await player.play(frames)
        await player.until_proof(last_proof(frames))
        with trio.fail_after(DEADLINE_S):
            while Bye("upgrade_needed", UPGRADE) not in player.said():
                node.driver._do(node.driver.exchange.tick(trio.current_time()))
                await trio.lowlevel.checkpoint()
    logs = [message for message in player.said() if isinstance(message, LogBatch)]
    assert {message.feed for message in logs if message.commits} == {feed for _, feed in feeds[1:]}
    for frame in player.heard:
        read_as_1_0(frame)


def test_what_was_recorded_is_what_1_0_reads(oldest: Release) -> None:
    """The grammar that today's frames are held against is that of the release itself."""
    for frame in oldest.frames():
        read_as_1_0(frame.data)

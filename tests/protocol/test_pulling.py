"""What was asked for, of whom, and how far it came."""

from __future__ import annotations

import pytest

from leaderless.protocol.commands import Key, Send, Stream
from leaderless.protocol.messages import (
    FeedPosition,
    OwnedPosition,
    PullLog,
    PullState,
    Vectors,
)
from leaderless.protocol.peer import Peer
from leaderless.protocol.pulling import Pull, Pulls, log_pull, state_pull
from registry.changes import Incarnation, feed_id
from tests.protocol.wire import LIFE, A, B

FAR = Key(Stream.STATE, bytes([90]) * 16)
FEED = feed_id(FAR.of, LIFE)
LOG = Key(Stream.LOG, FEED)
OWN = Key(Stream.STATE, B)


def _peer(link: int, device: bytes = B, far: int | None = None) -> Peer:
    peer = Peer(link, device, True, "b:1", 0.0, 0.0, Vectors())
    if far is not None:
        peer.owned[FAR.of] = OwnedPosition(LIFE, far)
    return peer


def _asked(pulls: Pulls, link: int = 1, lo: int = 5, key: Key = FAR) -> Pull:
    pulls.ask(_peer(link), key, PullState(key.of, LIFE, lo), 10.0)
    pull = pulls.of(key)
    assert pull is not None
    return pull


@pytest.mark.parametrize(
    ("held", "lo"),
    [(None, 0), (OwnedPosition(LIFE, 7), 7), (OwnedPosition(Incarnation(2, bytes(8)), 7), 0)],
)
def test_rows_are_asked_for_beyond_ours_of_the_same_life(
    held: OwnedPosition | None, lo: int
) -> None:
    """What was counted in another one says nothing of this one."""
    ours = Vectors({} if held is None else {FAR.of: held})
    assert state_pull(FAR.of, LIFE, ours) == PullState(FAR.of, LIFE, lo)


def test_commits_are_asked_for_beyond_what_is_stored() -> None:
    """Whether they have taken effect or not."""
    assert log_pull(FEED, Vectors()) == PullLog(FEED, 0)
    held = FeedPosition(9, 3)
    assert log_pull(FEED, Vectors({}, {FEED: held})) == PullLog(FEED, 9)


def test_a_stream_has_one_source() -> None:
    """Who is asked last takes the place of who was asked before."""
    pulls = Pulls()
    _asked(pulls, 1)
    state = PullState(FAR.of, LIFE, 6)
    assert pulls.ask(_peer(2), FAR, state, 11.0) == Send(2, state)
    assert pulls.on(FAR, 1) is None
    assert pulls.on(FAR, 2) is pulls.of(FAR) == Pull(2, 6, 11.0, 6, False)
    log = PullLog(FEED, 4)
    assert pulls.ask(_peer(1), LOG, log, 12.0) == Send(1, log)
    assert pulls.of(LOG) == Pull(1, 4, 12.0, 4, False)


def test_what_a_device_says_of_itself_stays_open() -> None:
    """Its rows and its feed alike: it sends them as they change."""
    pulls = Pulls()
    assert _asked(pulls, key=OWN).is_open
    feed = feed_id(B, LIFE)
    pulls.ask(_peer(1), Key(Stream.LOG, feed), PullLog(feed, 0), 0.0)
    pull = pulls.of(Key(Stream.LOG, feed))
    assert pull is not None
    assert pull.is_open


def test_only_what_goes_further_is_progress() -> None:
    """It is from then on that a source has its time."""
    pull = _asked(Pulls(), lo=5)
    assert not pull.came(5, 20.0)
    assert (pull.reached, pull.since) == (5, 10.0)
    assert pull.came(6, 21.0)
    assert (pull.lo, pull.reached, pull.since) == (5, 6, 21.0)


def test_what_has_ended_is_waited_for_no_more() -> None:
    """On the link that is meant, if one is; what was never asked for ends as well."""
    pulls = Pulls()
    _asked(pulls, 1)
    for link in (2, None):
        pulls.end_on(FAR, link)
        assert pulls.of(FAR) is not None
    pulls.end_on(FAR, 1)
    assert pulls.of(FAR) is None
    _asked(pulls, 1)
    for _ in range(2):
        pulls.end(FAR)
        assert pulls.of(FAR) is None
    pulls.end_on(FAR, 1)


def test_with_a_link_goes_what_was_asked_for_on_it() -> None:
    """All of that, and nothing else."""
    pulls = Pulls()
    _asked(pulls, 1)
    _asked(pulls, 2, key=OWN)
    pulls.lost(1)
    assert pulls.of(FAR) is None
    assert pulls.of(OWN) is not None


@pytest.mark.parametrize(
    ("peer", "ends"),
    [
        (_peer(1, A, far=4), True),
        (_peer(1, A, far=5), False),
        (_peer(1, A), False),
        (_peer(2, A, far=4), False),
    ],
)
def test_who_has_dropped_its_copy_is_not_waited_for(peer: Peer, ends: bool) -> None:
    """It says that it holds less than was asked for; who says nothing of it, or another, does not."""
    pulls = Pulls()
    _asked(pulls, 1, lo=5)
    pulls.end_fallen([peer])
    assert (pulls.of(FAR) is None) is ends


def test_an_owner_is_waited_for_whatever_it_holds() -> None:
    """It is to send what it writes next."""
    pulls = Pulls()
    _asked(pulls, 1, lo=5, key=OWN)
    peer = _peer(1)
    peer.owned[B] = OwnedPosition(LIFE, 4)
    pulls.end_fallen([peer])
    assert pulls.of(OWN) is not None

"""When the state of the shared records is asked for, and whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from leaderless.protocol.commands import Command, Send, TakeRecords
from leaderless.protocol.fetching import STALLED_S
from leaderless.protocol.gathering import FIRST, PROMISED_S, Gathering
from leaderless.protocol.messages import (
    FeedPosition,
    Hello,
    Positions,
    PullLog,
    PullRecords,
    Records,
    Vectors,
)
from leaderless.protocol.peer import Peer
from leaderless.protocol.trusting import LEAST_DISAGREED_S, Trust
from leaderless.protocol.vectors import Holdings, Staging
from tests.protocol.wire import LIBRARY, LIFE

F, G = b"f" * 44, b"g" * 44
PLACE = b"u" * 16 + b"tag"


def _peer(link: int, feeds: Mapping[bytes, int], version: tuple[int, int] = (1, 1)) -> Peer:
    """Return a peer that has applied, and received, so much of these feeds."""
    peer = Peer(link, bytes([link]) * 16, True, "x:1", 0, 0, Vectors())
    peer.hello = Hello(version, LIBRARY, LIFE, {}, b"m" * 32, bytes(32), 0, "x")
    told = {feed: FeedPosition(at, at) for feed, at in feeds.items()}
    peer.learn(Positions(Vectors({}, told), whole=True))
    return peer


def _ours(
    forgotten: Mapping[bytes, int],
    staging: Staging | None = None,
    received: Mapping[bytes, int] | None = None,
) -> Holdings:
    feeds = {feed: FeedPosition(at, 0) for feed, at in (received or {}).items()}
    return Holdings(Vectors({}, feeds), {}, b"", b"", {}, forgotten=forgotten, staging=staging)


def _staging(cursor: bytes = PLACE, *, done: bool = False) -> Staging:
    return Staging({F: 5}, {F: 6}, cursor, 1, done)


def _asks(link: int, after: bytes) -> list[Command]:
    return [Send(link, PullRecords(after))]


LACKS = _ours({F: 3})


def test_nothing_is_asked_for_as_long_as_the_log_goes_on() -> None:
    """Whatever peers hold."""
    assert Gathering(Trust()).plan([_peer(1, {F: 9})], _ours({}), 0.0) == []


def test_who_has_applied_what_is_forgotten_is_asked_for_it() -> None:
    """The one of most feeds; not one that is behind, nor one that does not know the question."""
    peers = [_peer(1, {F: 2}), _peer(2, {F: 9}, (1, 0)), _peer(3, {F: 3}), _peer(4, {F: 3, G: 1})]
    assert Gathering(Trust()).plan(peers, _ours({F: 3, G: 1}), 0.0) == _asks(4, FIRST)
    assert Gathering(Trust()).plan(peers[:3], _ours({F: 3, G: 1}), 0.0) == _asks(3, FIRST)
    assert Gathering(Trust()).plan(peers[:2], _ours({F: 3, G: 1}), 0.0) == []
    shy = _peer(5, {F: 9})
    shy.hello = None
    assert Gathering(Trust()).plan([shy], LACKS, 0.0) == []


def test_batch_after_batch_is_asked_of_the_same_source() -> None:
    """Each once the one before it is staged."""
    gathering, peers = Gathering(Trust()), [_peer(1, {F: 9}), _peer(2, {F: 9})]
    peers.reverse()
    assert gathering.plan(peers, LACKS, 0.0) == _asks(1, FIRST)
    assert gathering.plan(peers, LACKS, 1.0) == []
    first = Records(FIRST, {F: 5}, (b"one",), done=False)
    assert gathering.expects(1, first)
    assert not gathering.expects(2, first)
    gathering.arrived(2, first, used=False)
    gathering.arrived(1, first, used=True)
    assert gathering.plan(peers, _ours({F: 3}, _staging()), 2.0) == _asks(1, PLACE)


def test_a_source_that_stalls_or_does_not_fit_is_passed_over() -> None:
    """The one that stalls after its time, the other at once; who is alone is asked again."""
    gathering, peers = Gathering(Trust()), [_peer(1, {F: 9}), _peer(2, {F: 9})]
    gathering.plan(peers, LACKS, 0.0)
    assert gathering.plan(peers, LACKS, STALLED_S - 1) == []
    assert gathering.replan_at == STALLED_S
    assert gathering.plan(peers, LACKS, STALLED_S) == _asks(2, FIRST)
    gathering.arrived(2, Records(FIRST, {}, (), done=False), used=False)
    assert gathering.plan(peers, LACKS, STALLED_S + 1) == _asks(1, FIRST)
    gathering.arrived(1, Records(FIRST, {}, (), done=False), used=False)
    assert gathering.plan(peers[:1], LACKS, STALLED_S + 2) == []
    assert gathering.plan(peers[:1], LACKS, 2 * STALLED_S + 1) == _asks(1, FIRST)


def test_whose_first_batch_does_not_fit_is_asked_for_its_last_commits() -> None:
    """Of feeds of which we have as much: there may be a fork of which one of us knows nothing."""
    ours = Vectors({}, {F: FeedPosition(5, 2), G: FeedPosition(3, 3)})
    first = Records(FIRST, {F: 5, G: 4, b"h" * 44: 1}, (), done=True)
    assert Gathering(Trust()).compare(7, first, ours) == [Send(7, PullLog(F, 4))]
    assert Gathering(Trust()).compare(7, replace(first, after=PLACE), ours) == []


def test_a_source_that_did_not_fit_is_asked_again_once_a_fork_is_known() -> None:
    """To us or to it; it may have told that before it answered, and until then it has its time."""
    branch = F[:28] + b"b" * 16
    did_not_fit = Records(FIRST, {}, (), done=False)
    for feeds, ours in (({F: 9, branch: 4}, LACKS), ({F: 9}, _ours({F: 3}, None, {branch: 4}))):
        gathering = Gathering(Trust())
        gathering.plan([_peer(1, {F: 9})], LACKS, 0.0)
        assert gathering.plan([_peer(1, feeds)], ours, 1.0) == []
        gathering.arrived(1, did_not_fit, used=False)
        assert gathering.plan([_peer(1, {F: 9})], LACKS, 1.0) == []
        assert gathering.plan([_peer(1, feeds)], ours, 1.0) == _asks(1, FIRST)
        gathering.arrived(1, did_not_fit, used=False)
        assert gathering.plan([_peer(1, feeds)], ours, 2.0) == []


def test_another_source_goes_on_if_it_has_applied_as_much() -> None:
    """At once when the link of the first is gone."""
    gathering = Gathering(Trust())
    gathering.plan([_peer(1, {F: 9})], LACKS, 0.0)
    gathering.lost(2)
    gathering.lost(1)
    going = _ours({F: 3}, _staging())
    assert gathering.plan([_peer(2, {F: 4})], going, 1.0) == []
    assert gathering.plan([_peer(2, {F: 4}), _peer(3, {F: 5})], going, 1.0) == _asks(3, PLACE)


def test_it_begins_anew_where_nobody_can_go_on() -> None:
    """After some time, with whoever has what is needed; without anybody it waits."""
    gathering, going = Gathering(Trust()), _ours({F: 3}, _staging())
    assert gathering.plan([], going, 0.0) == []
    assert gathering.replan_at is None
    behind = [_peer(2, {F: 4})]
    assert gathering.plan(behind, going, 1.0) == []
    assert gathering.replan_at == STALLED_S
    assert gathering.plan(behind, going, STALLED_S) == _asks(2, FIRST)
    assert gathering.plan(behind, going, STALLED_S + 1) == []


def test_headers_that_nobody_has_are_not_waited_for_long() -> None:
    """What is staged takes effect with all headers; those of a source that is gone may never come."""
    gathering, held = Gathering(Trust()), {F: 3}
    done = _ours({F: 3}, _staging(done=True), held)
    assert gathering.plan([_peer(1, {F: 6})], done, 0.0) == []
    assert gathering.replan_at == PROMISED_S
    assert gathering.plan([_peer(1, {F: 5}), _peer(2, {})], done, 1.0) == []
    assert gathering.replan_at == STALLED_S
    assert gathering.plan([_peer(1, {F: 5})], done, STALLED_S) == _asks(1, FIRST)
    here = _ours({F: 3}, _staging(done=True), {F: 6})
    assert Gathering(Trust()).plan([_peer(1, {})], here, 0.0) == []


def test_what_is_whole_is_to_take_effect_whoever_is_connected() -> None:
    """Whenever it is looked at: a disk may have taken nothing the last time."""
    gathering = Gathering(Trust())
    whole = _ours({F: 3}, replace(_staging(done=True), whole=True), {F: 6})
    assert gathering.plan([], whole, 0.0) == [TakeRecords()]
    assert gathering.plan([_peer(1, {F: 9})], whole, 9.0) == [TakeRecords()]


def test_headers_that_are_promised_and_do_not_come_are_not_waited_for_either() -> None:
    """As long as some come all is well; then it begins anew, with another than before."""
    gathering, peers = Gathering(Trust()), [_peer(1, {F: 6}), _peer(2, {F: 6})]
    assert gathering.plan(peers, LACKS, 0.0) == _asks(1, FIRST)
    gathering.arrived(1, Records(FIRST, {F: 5}, (b"one",), done=False), used=True)
    assert gathering.plan(peers, _ours({F: 3}, _staging()), 1.0) == _asks(1, PLACE)
    gathering.arrived(1, Records(PLACE, {F: 6}, (), done=False), used=True)
    for at in (3, 4):
        waits = _ours({F: 3}, _staging(done=True), {F: at})
        assert gathering.plan(peers, waits, 10.0 * at) == []
    assert gathering.replan_at == 40.0 + PROMISED_S
    assert gathering.plan(peers, waits, 40.0 + PROMISED_S) == _asks(2, FIRST)


def test_a_device_that_told_what_cannot_be_is_not_asked_again() -> None:
    """Another one is; itself only after long, as it may have been mended."""
    trust, peers = Trust(), [_peer(1, {F: 9}), _peer(2, {F: 9})]
    gathering = Gathering(trust)
    trust.disagreed(peers[0].device, 0.0)
    assert gathering.plan(peers, LACKS, 0.0) == _asks(2, FIRST)
    gathering.lost(2)
    assert gathering.plan(peers[:1], LACKS, 1.0) == []
    assert gathering.replan_at == LEAST_DISAGREED_S
    assert gathering.plan(peers[:1], LACKS, LEAST_DISAGREED_S) == _asks(1, FIRST)


def test_what_came_whole_is_not_asked_for_again_before_it_took_effect() -> None:
    """What is needed after that is asked for at once."""
    gathering, peers = Gathering(Trust()), [_peer(1, {F: 9, G: 9})]
    gathering.plan(peers, LACKS, 0.0)
    gathering.arrived(1, Records(FIRST, {F: 5}, (), done=True), used=True)
    assert gathering.plan(peers, LACKS, 1.0) == []
    assert gathering.plan(peers, _ours({G: 1}), 2.0) == _asks(1, FIRST)


def test_damaged_records_are_asked_of_who_has_applied_all_that_is_here() -> None:
    """Whoever has applied less could not say what became of the rest."""
    ours = replace(_ours({}), damaged=True, vectors=Vectors({}, {F: FeedPosition(4, 4)}))
    assert Gathering(Trust()).plan([_peer(1, {F: 3}), _peer(2, {F: 4})], ours, 0.0) == _asks(
        2, FIRST
    )
    assert Gathering(Trust()).plan([_peer(1, {F: 3})], ours, 0.0) == []


def test_records_that_give_way_are_asked_of_those_that_agree() -> None:
    """Never of who gave them; of others only if none of those is there."""
    giver, other, agrees = _peer(1, {F: 4}), _peer(2, {F: 4}), _peer(3, {F: 4})
    vectors = Vectors({}, {F: FeedPosition(4, 4)})
    ours = replace(
        _ours({}), damaged=True, outvoted=True, givers=frozenset({giver.device}), vectors=vectors
    )
    gathering = Gathering(Trust())
    gathering.prefer(frozenset({giver.device, agrees.device}))
    assert gathering.plan([giver, other, agrees], ours, 0.0) == _asks(3, FIRST)
    gathering = Gathering(Trust())
    gathering.prefer(frozenset({agrees.device}))
    assert gathering.plan([giver], ours, 0.0) == []
    assert gathering.plan([giver, other], ours, 0.0) == _asks(2, FIRST)


def test_who_gave_what_most_had_otherwise_is_asked_again_once_they_are_gone_for_long() -> None:
    """In doubt this device is in sync with nobody, and those that raised it may never come back."""
    feed = b"f" * 44
    vectors = Vectors({}, {feed: FeedPosition(3, 3)})
    giver, other = (_peer(link, {feed: 3}) for link in (1, 2))
    ours = replace(
        _ours({}), damaged=True, outvoted=True, givers=frozenset({giver.device}), vectors=vectors
    )
    gathering = Gathering(Trust())
    assert gathering.plan([giver], ours, 0.0) == []
    assert gathering.replan_at == PROMISED_S
    gathering.plan([other], ours, 1.0)
    gathering.lost(2)
    assert gathering.plan([giver], ours, 2.0) == []
    assert gathering.plan([giver], ours, 1.0 + PROMISED_S) == []
    assert gathering.plan([giver], ours, 2.0 + PROMISED_S) == _asks(1, FIRST)

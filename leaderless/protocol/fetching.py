"""Streams that come in: whom to ask for what, and when to ask somebody else.

Every peer is asked for its own rows and its own feed, and keeps sending them as they change. All
else is fetched where it is held, each stream from one source at a time: the one that holds most.
A source that sends nothing for `STALLED_S` is passed over (asked again, if it is the only one), and
an owner that does not push its own change within `GRACE_S`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from leaderless.protocol.commands import Command, Key, Send, Stream
from leaderless.protocol.messages import PullLog, PullState, StateBatch
from registry.changes import feed_id

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from leaderless.protocol.messages import LogBatch, Vectors
    from leaderless.protocol.peer import Peer
    from registry.changes import Incarnation

GRACE_S: Final = 2.0
STALLED_S: Final = 30.0


@dataclass(slots=True)
class _Pull:
    """A stream that was asked for on a link, and when something last came of it."""

    link: int
    since: float


class _Asked(NamedTuple):
    """Where we stood when a stream was last asked of somebody that does not own it."""

    position: object
    link: int
    when: float


class Fetching:
    """What was asked of whom, over all peers."""

    def __init__(self, device: bytes) -> None:
        """Fetch for `device`; what others hold of itself and it does not remember, too."""
        self._device = device
        self._pulls: dict[Key, _Pull] = {}
        self._behind_since: dict[Key, float] = {}
        self._asked: dict[Key, _Asked] = {}
        self._doubted: frozenset[bytes] = frozenset()
        self._distrusted: set[tuple[bytes, Key]] = set()
        self.replan_at: float | None = None
        """When `plan` comes to another answer if nothing happens before."""

    def distrust(self, device: bytes, key: Key) -> None:
        """Ask a device no more for a stream: what it sent of it was not what its owner signed."""
        self._distrusted.add((device, key))

    def lost(self, link: int) -> None:
        """A link is gone, and with it what was asked for on it."""
        self._pulls = {key: pull for key, pull in self._pulls.items() if pull.link != link}

    def subscribe(self, peer: Peer, ours: Vectors, now: float) -> list[Command]:
        """Ask a peer that said hello for its own rows and feed, once a link."""
        state = Key(Stream.STATE, peer.device)
        asked = self._pulls.get(state)
        if peer.hello is None or (asked is not None and asked.link == peer.link):
            return []
        incarnation = peer.hello.incarnation
        log = Key(Stream.LOG, feed_id(peer.device, incarnation))
        return [
            self._ask(peer, state, _state_pull(peer.device, incarnation, ours), now),
            self._ask(peer, log, _log_pull(log.of, ours), now),
        ]

    def plan(
        self,
        peers: Iterable[Peer],
        ours: Vectors,
        closed: Container[bytes],
        now: float,
        doubted: frozenset[bytes] = frozenset(),
    ) -> list[Command]:
        """Fetch what peers hold and we lack, each stream from its best source.

        Of `closed` streams nothing more is taken; of `doubted` feeds all is, from the start.
        """
        self.replan_at = None
        self._doubted = doubted
        sources: dict[Key, list[tuple[int, Peer]]] = {}
        for peer in peers:
            if peer.known:
                again = {Key(Stream.LOG, feed): 1 for feed in doubted if peer.holds(feed)}
                for key, amount in {**again, **peer.ahead(ours)}.items():
                    if key.of not in closed and (peer.device, key) not in self._distrusted:
                        sources.setdefault(key, []).append((amount, peer))
        if Key(Stream.STATE, self._device) in sources:
            # We were restored: the log waits until the rows are here, and with them the incarnation.
            own = [key for key in sources if key.of[:16] == self._device]
            for key in own:
                if key.stream is Stream.LOG:
                    del sources[key]
        self._behind_since = {key: self._behind_since.get(key, now) for key in sources}
        commands: list[Command] = []
        for key, candidates in sources.items():
            others = self._free_to_serve(key, candidates, ours, now)
            if others:
                best = max(others, key=lambda item: (item[0], -item[1].link))[1]
                commands.append(self._fetch(best, key, ours, now))
        return commands

    def _free_to_serve(
        self, key: Key, candidates: list[tuple[int, Peer]], ours: Vectors, now: float
    ) -> list[tuple[int, Peer]]:
        """Return who may be asked now: nobody while the source that was asked has its time.

        Who is the only source is asked again when its time is over: it may have lost its place. Who
        was asked for just this before, and is done, did not bring us further: that can wait as long.
        """
        pull = self._pulls.get(key)
        if pull is None:
            asked_for = self._asked.get(key)
            if asked_for is None or asked_for.position != self._position(key, ours):
                return candidates
            others = [item for item in candidates if item[1].link != asked_for.link]
            until = asked_for.when + STALLED_S
            if others or now >= until:
                return others or candidates
            self._wake_at(until)
            return []
        others = [item for item in candidates if item[1].link != pull.link]
        asked = next((peer for _, peer in candidates if peer.link == pull.link), None)
        is_owner = asked is not None and asked.device == key.of[:16]
        patience = GRACE_S if is_owner and others else STALLED_S
        until = max(pull.since, self._behind_since[key]) + patience
        if now >= until:
            return others or candidates
        self._wake_at(until)
        return []

    def _position(self, key: Key, ours: Vectors) -> object:
        """Return from where a stream would be asked for; None for a feed from its start again."""
        if key.stream is Stream.STATE:
            return ours.owned.get(key.of)
        held = ours.feeds.get(key.of)
        if key.of in self._doubted:
            return None
        return 0 if held is None else held.received

    def _wake_at(self, when: float) -> None:
        self.replan_at = when if self.replan_at is None else min(self.replan_at, when)

    def _fetch(self, peer: Peer, key: Key, ours: Vectors, now: float) -> Command:
        self._asked[key] = _Asked(self._position(key, ours), peer.link, now)
        if key.stream is Stream.LOG and key.of in self._doubted:
            return self._ask(peer, key, PullLog(key.of, 0), now)
        if key.stream is Stream.LOG:
            return self._ask(peer, key, _log_pull(key.of, ours), now)
        incarnation = peer.owned[key.of].incarnation
        pull = _state_pull(key.of, incarnation, ours)
        if key.of == self._device:
            # Of ourselves we want all: what was written here since may use the same numbers.
            pull = PullState(key.of, incarnation, 0)
        return self._ask(peer, key, pull, now)

    def _ask(self, peer: Peer, key: Key, message: PullState | PullLog, now: float) -> Command:
        self._pulls[key] = _Pull(peer.link, now)
        return Send(peer.link, message)

    def arrived(
        self,
        link: int,
        batch: StateBatch | LogBatch,
        peer: Peer | None,
        ours: Vectors,
        now: float,
        *,
        used: bool,
    ) -> list[Command]:
        """A batch that came on `link` is dealt with; `used` is False if it did not fit.

        `peer` is who sent it, None if its link is gone.
        """
        if isinstance(batch, StateBatch):
            key, done = Key(Stream.STATE, batch.owner), batch.hi >= batch.head
        else:
            reaches = batch.after + len(batch.commits)
            key, done = Key(Stream.LOG, batch.feed), reaches >= batch.head
        pull = self._pulls.get(key)
        if pull is None or pull.link != link:
            return []
        pull.since = now
        if peer is None or key.of[:16] != peer.device:
            if done or not used:
                del self._pulls[key]
        elif not used:
            # Its stream does not fit ours any more (we dropped a copy): from our position on.
            del self._pulls[Key(Stream.STATE, peer.device)]
            return self.subscribe(peer, ours, now)
        return []


def _state_pull(owner: bytes, incarnation: Incarnation, ours: Vectors) -> PullState:
    held = ours.owned.get(owner)
    same = held is not None and held.incarnation == incarnation
    return PullState(owner, incarnation, held.watermark if held is not None and same else 0)


def _log_pull(feed: bytes, ours: Vectors) -> PullLog:
    held = ours.feeds.get(feed)
    return PullLog(feed, 0 if held is None else held.received)

"""Streams that come in: whom to ask for what, and when to ask somebody else.

Every peer is asked for its own rows and its own feed, and keeps sending them as they change. All
else is fetched where it is held, each stream from one source at a time: the one that holds most.

- A source that sends nothing further for `STALLED_S` is passed over, and an owner that does not push
  its own change within `GRACE_S`.
- One that brought us no further rests, longer each time, and comes after all others from then on:
  what it promises is not believed, but asked for again.
- One that sent what its owner never signed is *distrusted*: it is not asked for that again on this
  connection, nor soon on the next.
- *Suspects* are several of whom one did so: they are believed one at a time.
- Of a copy that no word covers, or of which nobody has the rest, whoever is level is asked for a word.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from leaderless.protocol.commands import Command, Key, Stream, key_of
from leaderless.protocol.messages import PullLog, PullState, StateBatch
from leaderless.protocol.patience import Rests
from leaderless.protocol.promising import SPENT_S, Promises, is_all_it_has
from leaderless.protocol.pulling import Pulls, log_pull, state_pull
from leaderless.protocol.returning import knows_more
from leaderless.protocol.trusting import NEVER, Trust
from registry.changes import feed_id

if TYPE_CHECKING:
    from collections.abc import Iterable

    from leaderless.protocol.messages import LogBatch, Vectors
    from leaderless.protocol.peer import Peer
    from leaderless.protocol.vectors import Holdings

GRACE_S: Final = 2.0
STALLED_S: Final = 30.0
TOLD_S: Final = 1.0
"""What came is durable before we hear of our new position: so long it counts as on its way."""
LEAST_REST_S: Final = 0.5
MOST_REST_S: Final = 60.0
"""Of a source that brought us no further: a question a minute is no burden for anybody."""


class _Asked(NamedTuple):
    """Where we stood when a device was last asked for a stream, and when its answer has to show."""

    position: object
    until: float
    link: int


class Fetching:
    """What was asked of whom, over all peers."""

    def __init__(self, device: bytes) -> None:
        """Fetch for `device`; what others hold of itself and it does not remember, too."""
        self._device = device
        self._pulls = Pulls()
        self._behind_since: dict[Key, float] = {}
        self._asked: dict[tuple[bytes, Key], _Asked] = {}
        self._doubted: frozenset[bytes] = frozenset()
        self._beside: frozenset[bytes] = frozenset((device,))
        self._rests: Rests[tuple[bytes, Key]] = Rests(LEAST_REST_S, MOST_REST_S)
        self._guesses: Rests[tuple[bytes, Key]] = Rests(LEAST_REST_S, MOST_REST_S)
        self.trust = Trust()
        self.promises = Promises()
        self.replan_at: float | None = None
        """When `plan` comes to another answer if nothing happens before."""

    # --- trust ------------------------------------------------------------------------------------

    def distrust(
        self,
        device: bytes,
        key: Key,
        link: int | None,
        why: str,
        now: float,
        *,
        only_now: bool = False,
    ) -> None:
        """Ask a device no more for a stream while it is on `link`: what it sent of it was forged.

        `only_now` asks it again after a pause, on the same link, too; so is one that did it
        once on this link: what was here of it may be from before it was mended.
        """
        self.trust.distrust(device, key, link, why, now, only_now=only_now)
        self._asked.pop((device, key), None)
        self._pulls.end_on(key, link)

    def suspect(self, device: bytes, key: Key, link: int | None, now: float) -> None:
        """A device is one of several that had a part in what was forged: it may try once more."""
        self.trust.suspect(device, key)
        self._asked.pop((device, key), None)
        self._rests.add((device, key), now)
        self._pulls.end_on(key, link)

    def accepts(self, peer: Peer, key: Key, now: float) -> bool:
        """Return whether what a peer sends of a stream is looked at: suspects only when asked.

        One source gives all of what is kept aside: what nobody asked for would take its place.
        """
        asked = self._pulls.on(key, peer.link) is not None
        if key.stream is Stream.STATE and key.of in self._beside and not asked:
            return False
        return self.trust.hears(peer, key, now, asked=asked)

    def _may_ask(self, peer: Peer, key: Key, now: float) -> bool:
        """Return whether a peer is asked for a stream again, after what it did the last time."""
        when = self.trust.asks_at(peer, key, now)
        if when > now and when != NEVER:
            self._wake_at(when)
        return when <= now

    # --- asking -----------------------------------------------------------------------------------

    def lost(self, link: int) -> None:
        """A link is gone, and with it what was asked for on it."""
        self._pulls.lost(link)
        if self.promises.lost(link):
            self._asked = {what: at for what, at in self._asked.items() if at.link != link}
        self.trust.lost(link)

    def subscribe(self, peer: Peer, ours: Vectors, now: float) -> list[Command]:
        """Ask a peer that said hello for its own rows and feed, once a link."""
        if peer.hello is None or peer.subscribed:
            return []
        peer.subscribed = True
        incarnation = peer.hello.incarnation
        state = Key(Stream.STATE, peer.device)
        log = Key(Stream.LOG, feed_id(peer.device, incarnation))
        pulls: tuple[tuple[Key, PullState | PullLog], ...] = (
            (state, state_pull(peer.device, incarnation, ours)),
            (log, log_pull(log.of, ours)),
        )
        return [
            self._pulls.ask(peer, key, pull, now)
            for key, pull in pulls
            if self._may_ask(peer, key, now)
        ]

    def plan(self, peers: Iterable[Peer], holdings: Holdings, now: float) -> list[Command]:
        """Fetch what peers hold and we lack, each stream from its best source.

        Of closed streams nothing more is taken; of doubted feeds all is, from the start.
        """
        self.replan_at = None
        self._doubt(holdings.doubted)
        self._beside = holdings.beside | {self._device}
        self.trust.clear(lambda key: _is_proved(key, holdings))
        peers = list(peers)
        self._pulls.end_fallen(peers)
        sources = self._sources(peers, holdings, now)
        self._behind_since = {key: self._behind_since.get(key, now) for key in sources}
        self.promises.forget(
            lambda device, key: any(peer.device == device for _, peer in sources.get(key, ()))
        )
        commands: list[Command] = []
        for key, candidates in sources.items():
            free = self._free_to_serve(key, candidates, now)
            commands += self._best(key, free, holdings, now)
        return commands

    def _doubt(self, feeds: frozenset[bytes]) -> None:
        """Read doubted feeds from their start, whatever of them is on its way."""
        for feed in feeds - self._doubted:
            self._pulls.end(Key(Stream.LOG, feed))
        self._doubted = feeds

    def _sources(
        self, peers: list[Peer], holdings: Holdings, now: float
    ) -> dict[Key, list[tuple[int, Peer]]]:
        """Return who may be asked for what, and how much more than we it says it holds.

        Of a doubted feed who holds more first: what does not follow from ours came from there.
        """
        ours, doubted = holdings.vectors, sorted(holdings.doubted)
        sources: dict[Key, list[tuple[int, Peer]]] = {}
        for peer in peers:
            if peer.known:
                again = {Key(Stream.LOG, feed): 0 for feed in doubted if peer.holds(feed)}
                for key, amount in {**again, **peer.ahead(ours)}.items():
                    if key.of not in holdings.closed and self._may_ask(peer, key, now):
                        sources.setdefault(key, []).append((amount, peer))
        for owner in sorted(holdings.uncovered | holdings.short):
            key = Key(Stream.STATE, owner)
            level = [
                (0, peer)
                for peer in peers
                if peer.owned.get(owner) == ours.owned[owner] and self._may_ask(peer, key, now)
            ]
            if level and key not in sources:
                sources[key] = level
        self._may_give_back(peers, holdings, sources, now)
        return sources

    def _may_give_back(
        self,
        peers: list[Peer],
        holdings: Holdings,
        sources: dict[Key, list[tuple[int, Peer]]],
        now: float,
    ) -> None:
        """Of our own rows, ask those who hold what we do not remember, and nobody else."""
        key = Key(Stream.STATE, self._device)
        sources.pop(key, None)
        giving = [
            (more, peer)
            for peer in peers
            if (more := knows_more(peer, self._device, holdings)) and self._may_ask(peer, key, now)
        ]
        if giving:
            sources[key] = giving

    def may_bring(self, peer: Peer, key: Key, now: float) -> bool:
        """Return whether a peer may still give what it says it has: it was not found to lie."""
        return (peer.device, key) not in self.promises.spent and self._may_ask(peer, key, now)

    def _free_to_serve(
        self, key: Key, candidates: list[tuple[int, Peer]], now: float
    ) -> list[tuple[int, Peer]]:
        """Return who may be asked now: nobody while the source that was asked has its time."""
        pull = self._pulls.of(key)
        if pull is None:
            return candidates
        others = [item for item in candidates if item[1].link != pull.link]
        asked = next((peer for _, peer in candidates if peer.link == pull.link), None)
        patience = GRACE_S if pull.is_open and others else STALLED_S
        until = max(pull.since, self._behind_since[key]) + patience
        if now < until:
            self._wake_at(until)
            return []
        if asked is not None and patience == STALLED_S:
            self._pulls.end(key)
            return candidates
        return others or candidates

    def _best(
        self, key: Key, candidates: list[tuple[int, Peer]], holdings: Holdings, now: float
    ) -> list[Command]:
        """Ask the best of those that do not rest: who never failed, then who holds most."""
        commands: list[Command] = []
        ready = []
        if key.of in holdings.suspected:
            candidates = self._with_most(key, candidates)
        for amount, peer in candidates:
            # Who holds no more than we do is asked as it might have another word, or be of another
            # life. That it has not says nothing of what it holds.
            is_guess = key.stream is Stream.STATE and (
                not amount or (key.of == self._device and key not in peer.ahead(holdings.vectors))
            )
            rests = self._guesses if is_guess else self._rests
            commands += self._brought_nothing(key, peer, rests, holdings.vectors, now)
            until = rests.until((peer.device, key))
            asked = self._asked.get((peer.device, key))
            if asked is not None:
                until = max(until, asked.until)
            if now < until:
                self._wake_at(until)
            else:
                # Suspects have to bring a whole copy: of them who holds most, whatever was before.
                is_suspected = key.of in holdings.suspected
                failed_s = 0.0 if is_suspected else rests.length_s((peer.device, key))
                ready.append((-failed_s, amount, -peer.link, peer))
        if ready:
            commands.append(self._fetch(max(ready)[-1], key, holdings, now))
        return commands

    def _with_most(self, key: Key, candidates: list[tuple[int, Peer]]) -> list[tuple[int, Peer]]:
        """Return who holds most of a suspect's rows, unless it has failed again and again.

        Of two lives of a cloned owner the lesser copy would be in the way of the other again.
        """
        lengths = {peer.device: self._rests.length_s((peer.device, key)) for _, peer in candidates}
        patient = (amount for amount, peer in candidates if lengths[peer.device] < SPENT_S)
        most = max(patient, default=0)
        return [item for item in candidates if item[0] >= most]

    def _brought_nothing(
        self, key: Key, peer: Peer, rests: Rests[tuple[bytes, Key]], ours: Vectors, now: float
    ) -> list[Command]:
        """Let a peer rest that was asked before, and we still stand where we stood."""
        asked = self._asked.get((peer.device, key))
        if asked is None:
            return []
        if asked.position == self._position(key, ours) and now < asked.until:
            return []
        del self._asked[peer.device, key]
        if asked.position != self._position(key, ours):
            return []
        rests.add((peer.device, key), now)
        rest_s, links = rests.length_s((peer.device, key)), (asked.link, peer.link)
        is_guess = rests is self._guesses
        return self.promises.broken(peer.device, key, rest_s, *links, is_guess=is_guess)

    def _position(self, key: Key, ours: Vectors) -> object:
        """Return from where a stream would be asked for; None for a feed from its start again."""
        if key.stream is Stream.STATE:
            return ours.owned.get(key.of)
        return None if key.of in self._doubted else log_pull(key.of, ours).after

    def _wake_at(self, when: float) -> None:
        self.replan_at = when if self.replan_at is None else min(self.replan_at, when)

    def _fetch(self, peer: Peer, key: Key, holdings: Holdings, now: float) -> Command:
        ours = holdings.vectors
        self._asked[peer.device, key] = _Asked(self._position(key, ours), now, peer.link)
        if key.stream is Stream.LOG:
            all_of_it = PullLog(key.of, 0) if key.of in self._doubted else None
            return self._pulls.ask(peer, key, all_of_it or log_pull(key.of, ours), now)
        incarnation = peer.owned[key.of].incarnation
        pull = state_pull(key.of, incarnation, ours)
        if key.of == self._device or key.of in holdings.suspected:
            # Of ourselves we want all, from one peer. What is here of a suspect's may be another
            # one's.
            pull = PullState(key.of, incarnation, 0)
        return self._pulls.ask(peer, key, pull, now)

    def arrived(
        self,
        link: int,
        batch: StateBatch | LogBatch,
        peer: Peer | None,
        now: float,
        *,
        used: bool,
    ) -> None:
        """A batch that came on `link` is dealt with; `used` is False if it did not fit.

        `peer` is who sent it, None if its link is gone.
        """
        key = key_of(batch)
        if isinstance(batch, StateBatch):
            reaches, done = batch.hi, batch.hi >= batch.head
        else:
            reaches = batch.after + len(batch.commits)
            done = reaches >= batch.head
        pull = self._pulls.on(key, link)
        if pull is None:
            return
        if peer is not None and done:
            lacks = is_all_it_has(batch, self._device)
            self.promises.answered(peer.device, key, lacks=lacks)
        if used and pull.came(reaches, now) and peer is not None:
            # Of what is kept aside it counts only that all has come: our position shows it.
            if key.of not in self._beside:
                self._rests.clear((peer.device, key))
                self._guesses.clear((peer.device, key))
                self.promises.kept(peer.device, key)
            self._told_soon(peer.device, key, now)
        # What does not fit ours any more (we dropped a copy) is asked for anew, from our position on.
        if not used or (done and not pull.is_open):
            self._pulls.end(key)

    def _told_soon(self, device: bytes, key: Key, now: float) -> None:
        asked = self._asked.get((device, key))
        if asked is not None:
            self._asked[device, key] = asked._replace(until=now + TOLD_S)


def _is_proved(key: Key, holdings: Holdings) -> bool:
    held = holdings.vectors.owned.get(key.of)
    return held is not None and held.watermark > 0 and key.of not in holdings.unproved

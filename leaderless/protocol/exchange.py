"""What to say to whom next: the session of one device with all its peers, as a pure machine.

Events are method calls with the time; each returns the commands they lead to. A session goes
through: hello from both sides → statements, positions and the own device row → streams → live.

Who sends what:

- Every peer is asked for its own rows and its own feed, and keeps sending them as they change.
- Everything else is fetched where it is held, from one source at a time, up to what that holds; if
  the source goes, another is asked from the same position. What its owner is connected to send
  us itself is fetched elsewhere only if it does not come within `fetching.GRACE_S`.
- A source reads its database when the peer has room (`WINDOW_BYTES` not yet durable there), so
  nothing is buffered without bound and nothing is dropped.
- Changes of what we hold are announced, at most every `ANNOUNCE_S`, which acknowledges them too.
- Where positions are equal, both sides send the digest of their set hashes: only equal digests
  make two replicas "in sync".

================  =========================================================================
event             commands
================  =========================================================================
link_up           Send(Hello); Close of the one of two crossed links that loses
received Hello    statements and positions where they differ; our device row; PullState, PullLog
received Pull…    Load, while the window has room
loaded            SendFrame, Load of the next
received batch    Apply; then `applied`: Send(Credit); then `ours_changed`: announce, prove, plan
tick              what waited for its time: announcements, grace, pings, silent peers
================  =========================================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from leaderless.protocol import meeting, serving
from leaderless.protocol.announcing import Announcing
from leaderless.protocol.commands import (
    Apply,
    Close,
    Command,
    Introduce,
    Key,
    Note,
    Read,
    Reconcile,
    Send,
    SendStatements,
    key_of,
)
from leaderless.protocol.fetching import Fetching
from leaderless.protocol.gathering import Gathering
from leaderless.protocol.greeting import CROSSED, Greeter, welcome
from leaderless.protocol.limits import MAX_POSITIONS, MAX_STREAMS
from leaderless.protocol.majority import Majority
from leaderless.protocol.messages import (
    PROTOCOL_VERSION,
    Bye,
    Compare,
    Compared,
    Credit,
    Hello,
    LogBatch,
    Ping,
    Pong,
    Positions,
    Proof,
    PullLog,
    PullRecords,
    PullState,
    Records,
    StateBatch,
    Statements,
    Unknown,
)
from leaderless.protocol.patience import Rests
from leaderless.protocol.peer import Peer
from leaderless.protocol.proving import compare, prove
from leaderless.protocol.returning import CLONED, Returning
from leaderless.protocol.silence import PING_S, given_up, is_to_be_asked, next_look
from leaderless.protocol.trusting import is_beside_the_point
from leaderless.protocol.vectors import readable
from leaderless.protocol.versions import QUIET_S, UPGRADE, Upgrades, not_known

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from leaderless.protocol.messages import Message, Vectors
    from leaderless.protocol.vectors import Holdings
    from registry.changes import Incarnation

LEAST_REST_S: Final = 1.0
MOST_REST_S: Final = 30.0
"""A peer that breaks a rule whenever it is connected does so every half minute at most."""


class Exchange:
    """The session of this device with every peer; holds no promise that is not durable."""

    def __init__(
        self,
        device: bytes,
        library: bytes,
        models: Mapping[str, int],
        software: str,
        others: Callable[[], Collection[bytes]] = frozenset,
    ) -> None:
        """Be `device`; `others` returns the devices of the other members."""
        self.device = device
        self.library = library
        self._greeter = Greeter(device, library, models, software)
        self.peers: dict[int, Peer] = {}
        self._ours: Holdings | None = None
        self._digest = b""
        self._proof: Proof | None = None
        self.fetching = Fetching(device)
        self._rests: Rests[bytes] = Rests(LEAST_REST_S, MOST_REST_S)
        self.gathering = Gathering(self.fetching.trust)
        self._majority = Majority(self.fetching.trust, self.gathering)
        self._announcing = Announcing()
        self._upgrades = Upgrades()
        self.returning = Returning(device, others)

    @property
    def ours(self) -> Holdings:
        """Return what this device holds; `ours_changed` comes before everything else."""
        if self._ours is None:
            raise RuntimeError("the exchange was not told what this device holds")
        return self._ours

    def lives_on(self, holdings: Holdings) -> bool:
        """Return whether these are of the incarnation that peers were told of."""
        if self._ours is None:
            return True
        mine = holdings.vectors.owned.get(self.device)
        return mine is None or mine.incarnation == self._incarnation()

    def _incarnation(self) -> Incarnation:
        return self.ours.vectors.owned[self.device].incarnation

    # --- links ------------------------------------------------------------------------------------

    def link_up(
        self, link: int, device: bytes, address: str, now: float, wall_ms: int, *, dialed: bool
    ) -> list[Command]:
        """A link to a member is there; `device` is what it proved to be."""
        if self.ours.life == CLONED:
            return [Close(link, "cloned", "another machine runs as this device")]
        if now < self._rests.until(device):
            return [Close(link, "resting", "it broke a rule a moment ago: later")]
        peer = Peer(link, device, dialed, address, now, now, self.ours.vectors)
        commands: list[Command] = []
        rival = next((other for other in self.peers.values() if other.device == device), None)
        if rival is not None:
            loser = self._greeter.loser(rival, peer, now)
            text = "another connection between these two devices is used"
            commands.append(Close(loser.link, CROSSED, text))
            if loser is peer:
                return commands
            commands += self.link_down(rival.link, now)
        self.peers[link] = peer
        hello = self._greeter.hello(device, self.ours, self._digest, wall_ms)
        return [*commands, Send(link, hello)]

    def link_down(self, link: int, now: float) -> list[Command]:
        """A link is gone; what it was asked for is asked of others."""
        self.peers.pop(link, None)
        self.fetching.lost(link)
        self.gathering.lost(link)
        return self._plan(now)

    # --- messages ---------------------------------------------------------------------------------

    def received(
        self, link: int, message: Message, size: int, now: float, wall_ms: int
    ) -> list[Command]:
        """A peer sent a message of `size` payload bytes."""
        peer = self.peers.get(link)
        if peer is None or peer.closing:
            return []
        peer.heard = now
        peer.pinged = False
        if isinstance(message, Bye) and message.code == CROSSED:
            return [Note("link_closed", {"device": peer.device, "code": CROSSED})]
        if isinstance(message, Bye):
            return [Note("peer_left", {"device": peer.device, "why": message.text})]
        if isinstance(message, Statements) and peer.hello is None:
            # One that takes us, or itself, for no member says why before anything else.
            return [Apply(link, message, size)]
        if isinstance(message, Hello) != (peer.hello is None):
            return [_close(peer, "out_of_turn", "hello comes first, and once")]
        if isinstance(message, Hello):
            return self._on_hello(peer, message, now, wall_ms)
        if isinstance(message, Unknown):
            return not_known(peer, message.kind)
        return self._on_message(peer, message, size, now)

    def _on_message(self, peer: Peer, message: Message, size: int, now: float) -> list[Command]:
        """A peer that said hello goes on."""
        link = peer.link
        match message:
            case Statements() | StateBatch() | LogBatch() | Records():
                if not self._is_wanted(peer, message, now):
                    return [Send(link, Credit(size))]
                if isinstance(message, StateBatch) and meeting.agrees(peer, message, self.device):
                    return self.applied(Apply(link, message, size), now, used=False)
                meeting.answered(peer, message, self.device)
                return [Apply(link, message, size)]
            case Positions():
                return self._on_positions(peer, message, now)
            case PullState() | PullLog() | PullRecords():
                if len(peer.outgoing) >= MAX_STREAMS:
                    return [_close(peer, "too_many", "more streams were asked for than there are")]
                return serving.open_stream(peer, message, self.ours.vectors, self.device)
            case Credit(amount):
                if amount > peer.unacknowledged:
                    return [_close(peer, "out_of_turn", "more was credited than was sent")]
                peer.unacknowledged -= amount
                return serving.serve(peer, self.ours.vectors, self.device)
            case Proof():
                peer.proof = message
                return compare(peer, self._proof, now)
            case Compare() | Compared():
                return [Reconcile(link, message, size)]
            case Ping():
                return [Send(link, Pong())]
        return []

    def _on_positions(self, peer: Peer, message: Positions, now: float) -> list[Command]:
        is_first = not peer.known
        peer.learn(message)
        if peer.told() > MAX_POSITIONS:
            return [_close(peer, "too_many", "more positions were told than there can be")]
        return [
            *(meeting.meet(peer, self.device, self.library, self.ours, now) if is_first else ()),
            *self.fetching.subscribe(peer, self.ours.vectors, now),
            *serving.serve(peer, self.ours.vectors, self.device),
            *self._settle(now),
        ]

    def _is_wanted(
        self, peer: Peer, message: Statements | StateBatch | LogBatch | Records, now: float
    ) -> bool:
        """Return whether something was asked for, or needs not be."""
        if isinstance(message, Records):
            return self.gathering.expects(peer.link, message)
        if isinstance(message, Statements):
            return True
        if isinstance(message, StateBatch):
            if message.introduction:
                return True
            if is_beside_the_point(message, peer, self.peers.values(), self.ours):
                return False
        is_answer = meeting.is_answer(peer, message, self.device)
        return is_answer or self.fetching.accepts(peer, key_of(message), now)

    def _on_hello(self, peer: Peer, hello: Hello, now: float, wall_ms: int) -> list[Command]:
        wrong = self._greeter.mismatch(hello)
        if wrong is not None:
            return [_close(peer, *wrong)]
        commands = welcome(peer, hello, self.ours, wall_ms)
        self._announcing.told_one(self.ours.vectors)
        if peer.known:
            commands += [
                *meeting.meet(peer, self.device, self.library, self.ours, now),
                *self.fetching.subscribe(peer, self.ours.vectors, now),
                *self._settle(now),
            ]
        return commands

    # --- streams ----------------------------------------------------------------------------------

    def loaded(self, link: int, key: Key, read: Read | None) -> list[Command]:
        """A batch of a stream was read; None: there was nothing to read."""
        peer = self.peers.get(link)
        if peer is None:
            return []
        return serving.loaded(peer, key, read, self.ours.vectors, self.device)

    # --- trust ------------------------------------------------------------------------------------

    def link_to(self, device: bytes) -> int | None:
        """Return the link to a device, None if there is none."""
        return next((peer.link for peer in self.peers.values() if peer.device == device), None)

    def broke_a_rule(self, device: bytes, now: float) -> None:
        """A link ends because its peer broke a rule: it is not heard again at once."""
        self._rests.add(device, now)

    def applied(self, apply: Apply, now: float, *, used: bool) -> list[Command]:
        """What a peer sent is durable, or was dropped because it did not fit (`used` is False)."""
        peer, message = self.peers.get(apply.link), apply.message
        is_introduction = isinstance(message, StateBatch) and message.introduction
        if isinstance(message, Statements) or is_introduction:
            return []
        commands: list[Command] = [] if peer is None else [Send(apply.link, Credit(apply.size))]
        if isinstance(message, Records):
            self.gathering.arrived(apply.link, message, used=used)
            # What was used has changed what we hold: `ours_changed` is told, and goes on.
            if used:
                return commands
            if peer is not None:
                commands += self.gathering.compare(apply.link, message, self.ours.vectors)
            return commands + self._plan(now)
        if peer is not None and peer.asked_word is not None and key_of(message).of == self.device:
            commands += meeting.met(peer, self.device, self.ours)
        self.fetching.arrived(apply.link, message, peer, now, used=used)
        return commands + self._plan(now)

    def ours_changed(self, holdings: Holdings, now: float) -> list[Command]:
        """What this device holds has changed, durably."""
        before = self._ours
        self._ours = holdings
        self._digest = holdings.vectors_digest()
        state = holdings.state_digest()
        self._proof = None if state is None else Proof(self._digest, state)
        commands: list[Command] = []
        if before is not None and before.membership != holdings.membership:
            commands += [SendStatements(peer.link) for peer in self._open_peers()]
        for peer in list(self.peers.values()):
            if peer.hello is not None:
                commands += serving.serve(peer, self.ours.vectors, self.device)
        return [*commands, *self._settle(now)]

    def own_device_changed(self) -> list[Command]:
        """Our device row changed: it goes to every peer ahead of everything else."""
        met = [peer for peer in self._open_peers() if peer.known and peer.asked_word is None]
        return [Introduce(peer.link) for peer in met]

    def _open_peers(self) -> list[Peer]:
        return [peer for peer in self.peers.values() if peer.hello is not None]

    def _settle(self, now: float) -> list[Command]:
        proofs = prove(self.peers.values(), self._proof, now)
        news = self._announcing.news(self.ours.vectors, now)
        told = (
            []
            if news is None
            else [self._positions(peer, news.vectors) for peer in self._open_peers()]
        )
        returned = self.returning.plan(self.peers.values(), self.ours, self.fetching, now)
        doubted = self._majority.plan(self.peers.values(), self.ours, self._proof, now)
        return [*told, *proofs, *self._plan(now), *returned, *doubted]

    def _positions(self, peer: Peer, vectors: Vectors, *, whole: bool = False) -> Send:
        version = PROTOCOL_VERSION if peer.hello is None else peer.hello.version
        return Send(peer.link, Positions(readable(vectors, version), whole))

    def _plan(self, now: float) -> list[Command]:
        peers = self.peers.values()
        return [
            *self.fetching.plan(peers, self.ours, now),
            *self.gathering.plan(peers, self.ours, now),
        ]

    def is_proved(self, peer: Peer) -> bool:
        """Return whether this device and a peer hold the same, as both have shown.

        An earlier proof counts no more while we could give none ourselves: a device may have
        introduced itself, which moves no position.
        """
        return self._proof is not None and peer.proved == self._digest and not peer.differs

    # --- time -------------------------------------------------------------------------------------

    def tick(self, now: float) -> list[Command]:
        """Do what waited for its time."""
        commands: list[Command] = []
        for peer in list(self.peers.values()):
            if peer.closing:
                continue
            left = given_up(peer, now)
            if left is not None:
                commands.append(_close(peer, *left))
            elif meeting.was_waited_for(peer, self.device, self.ours, self.fetching, now):
                commands += meeting.met(peer, self.device, self.ours)
            elif self._upgrades.is_due(peer, self.ours.vectors):
                commands.append(_close(peer, "upgrade_needed", UPGRADE))
            elif is_to_be_asked(peer, now):
                peer.pinged = True
                commands.append(Send(peer.link, Ping()))
        return [*commands, *self._settle(now)]

    def next_tick(self, now: float) -> float:
        """Return when `tick` has something to do next, if nothing happens before."""
        times = [now + PING_S]
        staying = [peer for peer in self.peers.values() if not peer.closing]
        times += map(next_look, staying)
        if any(self._upgrades.is_waiting(peer, self.ours.vectors) for peer in staying):
            times.append(now + QUIET_S)  # pings of the peer would put off our looks for ever
        news = self._announcing.due(self.ours.vectors)
        waits = (self.fetching, self.gathering, self.returning, self._majority)
        others = (news, *(waiting.replan_at for waiting in waits))
        return min([*times, *(when for when in others if when is not None)])


def _close(peer: Peer, code: str, text: str) -> Close:
    peer.closing = True
    return Close(peer.link, code, text)

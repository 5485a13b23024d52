"""What to say to whom next: the session of one device with all its peers, as a pure machine.

Events are method calls with the time; each returns the commands they lead to. A session goes
through: hello from both sides → statements, positions and the own device row → streams → live.

Who sends what:

- Every peer is asked for its own rows and its own feed, and keeps sending them as they change.
- Everything else is fetched where it is held, from one source at a time, up to what that holds; if
  the source goes, another is asked from the same position. What its owner is connected to send
  us itself is fetched elsewhere only if it does not come within `GRACE_S`.
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

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from leaderless.protocol.commands import (
    Apply,
    Close,
    Command,
    Introduce,
    Key,
    Load,
    Note,
    Send,
    SendFrame,
    SendStatements,
    Stream,
)
from leaderless.protocol.limits import WINDOW_BYTES
from leaderless.protocol.messages import (
    PROTOCOL_VERSION,
    Bye,
    Credit,
    Hello,
    LogBatch,
    Ping,
    Pong,
    Positions,
    Proof,
    PullLog,
    PullState,
    StateBatch,
    Statements,
    Vectors,
)
from leaderless.protocol.peer import Outgoing, Peer
from leaderless.protocol.vectors import vectors_digest
from registry.changes import feed_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from leaderless.protocol.messages import Message
    from leaderless.protocol.vectors import Holdings
    from registry.changes import Incarnation

_Position = TypeVar("_Position")

HELLO_S: Final = 10.0
"""A peer that proved its key has this long for its first message."""
GRACE_S: Final = 2.0
ANNOUNCE_S: Final = 0.1
PING_S: Final = 15.0
SILENT_S: Final = 45.0
STALLED_S: Final = 30.0
"""A source that sends nothing of what it was asked for is passed over after this."""
CROSSED_S: Final = 10.0
"""Two links made within this time crossed; later, a new one means that the old one is dead."""


@dataclass(slots=True)
class Pull:
    """A stream that we fetch from a peer that does not own it."""

    link: int
    since: float


class Exchange:
    """The session of this device with every peer; holds no promise that is not durable."""

    def __init__(
        self, device: bytes, library: bytes, models: Mapping[str, int], software: str
    ) -> None:
        self.device = device
        self.library = library
        self._models = models
        self._software = software
        self.peers: dict[int, Peer] = {}
        self._ours: Holdings | None = None
        self._digest = b""
        self._pulls: dict[Key, Pull] = {}
        self._behind_since: dict[Key, float] = {}
        self._announced = Vectors()
        self._announced_at = float("-inf")
        self._replan_at: float | None = None

    @property
    def ours(self) -> Holdings:
        """Return what this device holds; `ours_changed` comes before everything else."""
        if self._ours is None:
            raise RuntimeError("the exchange was not told what this device holds")
        return self._ours

    def _incarnation(self) -> Incarnation:
        return self.ours.vectors.owned[self.device].incarnation

    # --- links ------------------------------------------------------------------------------------

    def link_up(
        self, link: int, device: bytes, address: str, now: float, wall_ms: int, *, dialed: bool
    ) -> list[Command]:
        """A link to a member is there; `device` is what it proved to be."""
        peer = Peer(link, device, dialed, address, now, now, self.ours.vectors)
        commands: list[Command] = []
        rival = next((other for other in self.peers.values() if other.device == device), None)
        if rival is not None:
            loser = self._loser(rival, peer, now)
            text = "another connection between these two devices is used"
            commands.append(Close(loser.link, "crossed", text))
            if loser is peer:
                return commands
            self.link_down(rival.link, now)
        self.peers[link] = peer
        hello = Hello(
            PROTOCOL_VERSION,
            self.library,
            self._incarnation(),
            self._models,
            self.ours.membership,
            self._digest,
            wall_ms,
            self._software,
            self.ours.vectors.owned.get(device),
        )
        return [*commands, Send(link, hello)]

    def _loser(self, old: Peer, new: Peer, now: float) -> Peer:
        """Return which of two links to one peer goes; both sides come to the same answer."""
        if old.dialed == new.dialed or now - old.since > CROSSED_S:
            return old
        kept_is_dialed = self.device < old.device
        return old if new.dialed == kept_is_dialed else new

    def link_down(self, link: int, now: float) -> list[Command]:
        """A link is gone; what it was asked for is asked of others."""
        self.peers.pop(link, None)
        self._pulls = {key: pull for key, pull in self._pulls.items() if pull.link != link}
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
        if isinstance(message, Bye):
            return [Note("peer_left", {"device": peer.device, "why": message.text})]
        if peer.hello is None:
            if not isinstance(message, Hello):
                return [_close(peer, "out_of_turn", "the first message must be hello")]
            return self._on_hello(peer, message, now, wall_ms)
        match message:
            case Hello():
                return [_close(peer, "out_of_turn", "hello came twice")]
            case Statements() | StateBatch() | LogBatch():
                return [Apply(link, message, size)]
            case Positions():
                peer.learn(message)
                return [*self._subscribe(peer, now), *self._serve(peer), *self._settle(now)]
            case PullState() | PullLog():
                return self._on_pull(peer, message)
            case Credit(amount):
                peer.unacknowledged = max(0, peer.unacknowledged - amount)
                return self._serve(peer)
            case Proof():
                peer.proof = message
                return self._compare(peer, now)
            case Ping():
                return [Send(link, Pong())]
        return []

    def _on_hello(self, peer: Peer, hello: Hello, now: float, wall_ms: int) -> list[Command]:
        link = peer.link
        if hello.version[0] != PROTOCOL_VERSION[0]:
            older = "here" if hello.version[0] > PROTOCOL_VERSION[0] else "there"
            text = f"protocol {hello.version[0]} meets {PROTOCOL_VERSION[0]}: upgrade {older}"
            return [_close(peer, "incompatible", text)]
        if hello.library != self.library:
            return [_close(peer, "other_library", "the two devices are of different libraries")]
        mine = self.ours.vectors.owned[self.device]
        if hello.yours is not None and mine.behind(hello.yours):
            text = "this device was restored from a backup or cloned: peers hold newer states of it"
            return [Note("restored", {"device": peer.device}), _close(peer, "restored", text)]
        peer.hello = hello
        peer.clock_ahead_ms = hello.wall_ms - wall_ms
        commands: list[Command] = [Note("peer_connected", {"device": peer.device})]
        if hello.membership != self.ours.membership:
            commands.append(SendStatements(link))
        commands.append(Introduce(link))
        if hello.vectors == vectors_digest(peer.sent_vectors):
            peer.learn(Positions(peer.sent_vectors, whole=True))
            if self.ours.vectors != peer.sent_vectors:
                commands.append(Send(link, Positions(self.ours.vectors, whole=True)))
            commands += [*self._subscribe(peer, now), *self._settle(now)]
        else:
            commands.append(Send(link, Positions(self.ours.vectors, whole=True)))
        return commands

    def _subscribe(self, peer: Peer, now: float) -> list[Command]:
        """Ask a peer for its own rows and feed, once its positions are known."""
        marker = Key(Stream.STATE, peer.device)
        if peer.hello is None or self._pulls.get(marker, Pull(-1, 0)).link == peer.link:
            return []
        self._pulls[marker] = Pull(peer.link, now)
        incarnation = peer.hello.incarnation
        feed = feed_id(peer.device, incarnation)
        held = self.ours.vectors.owned.get(peer.device)
        lo = held.watermark if held is not None and held.incarnation == incarnation else 0
        position = self.ours.vectors.feeds.get(feed)
        after = 0 if position is None else position.received
        self._pulls[Key(Stream.LOG, feed)] = Pull(peer.link, now)
        return [
            Send(peer.link, PullState(peer.device, incarnation, lo)),
            Send(peer.link, PullLog(feed, after)),
        ]

    # --- sending ----------------------------------------------------------------------------------

    def _on_pull(self, peer: Peer, message: PullState | PullLog) -> list[Command]:
        if isinstance(message, PullLog):
            key, after = Key(Stream.LOG, message.feed), message.after
        else:
            key = Key(Stream.STATE, message.owner)
            held = self.ours.vectors.owned.get(message.owner)
            same = held is not None and held.incarnation == message.incarnation
            after = message.lo if same else 0
        peer.outgoing[key] = Outgoing(after)
        return self._serve(peer)

    def _head(self, key: Key) -> int:
        if key.stream is Stream.STATE:
            owned = self.ours.vectors.owned.get(key.of)
            return 0 if owned is None else owned.watermark
        feed = self.ours.vectors.feeds.get(key.of)
        return 0 if feed is None else feed.received

    def _serve(self, peer: Peer) -> list[Command]:
        """Read on for a peer that has room, one batch of each stream at a time."""
        commands: list[Command] = []
        for key, stream in list(peer.outgoing.items()):
            if stream.loading:
                continue
            if stream.after >= self._head(key):
                if key.of[:16] != self.device:
                    del peer.outgoing[key]
                continue
            if peer.unacknowledged < WINDOW_BYTES:
                stream.loading = True
                commands.append(Load(peer.link, key, stream.after))
        return commands

    def loaded(
        self, link: int, key: Key, reaches: int, frame: bytes | None, size: int
    ) -> list[Command]:
        """A batch of `size` payload bytes was read that reaches to a position; None: nothing."""
        peer = self.peers.get(link)
        stream = None if peer is None else peer.outgoing.get(key)
        if peer is None or stream is None:
            return []
        stream.loading = False
        if frame is None:
            return []
        stream.after = reaches
        peer.unacknowledged += size
        return [SendFrame(link, frame), *self._serve(peer)]

    # --- receiving --------------------------------------------------------------------------------

    def applied(self, apply: Apply, now: float, *, used: bool) -> list[Command]:
        """What a peer sent is durable, or was dropped because it did not fit (`used` is False)."""
        peer = self.peers.get(apply.link)
        message = apply.message
        if isinstance(message, Statements):
            return []
        if isinstance(message, StateBatch):
            key, done = Key(Stream.STATE, message.owner), message.hi >= message.head
            counted = not message.introduction
        else:
            reaches = message.after + len(message.commits)
            key, done, counted = Key(Stream.LOG, message.feed), reaches >= message.head, True
        commands: list[Command] = []
        if peer is not None and counted:
            commands.append(Send(apply.link, Credit(apply.size)))
        pull = self._pulls.get(key)
        if counted and pull is not None and pull.link == apply.link:
            pull.since = now
            follows = peer is not None and key.of[:16] == peer.device
            if (done or not used) and not follows:
                del self._pulls[key]
            elif not used and peer is not None:
                # Its stream does not fit ours any more (we dropped a copy): from our position on.
                del self._pulls[Key(Stream.STATE, peer.device)]
                commands += self._subscribe(peer, now)
        return commands

    def ours_changed(self, holdings: Holdings, now: float) -> list[Command]:
        """What this device holds has changed, durably."""
        before = self._ours
        self._ours = holdings
        self._digest = holdings.vectors_digest()
        commands: list[Command] = []
        if before is not None and before.membership != holdings.membership:
            commands += [SendStatements(link) for link in self._open_links()]
        for peer in list(self.peers.values()):
            if peer.hello is not None:
                commands += self._serve(peer)
        return [*commands, *self._settle(now)]

    def own_device_changed(self) -> list[Command]:
        """Our device row changed: it goes to every peer ahead of everything else."""
        return [Introduce(link) for link in self._open_links()]

    def _open_links(self) -> list[int]:
        return [peer.link for peer in self.peers.values() if peer.hello is not None]

    def _settle(self, now: float) -> list[Command]:
        return [*self._announce(now), *self._prove(now), *self._plan(now)]

    # --- announcing -------------------------------------------------------------------------------

    def _announce(self, now: float) -> list[Command]:
        vectors = self.ours.vectors
        if now < self._announced_at + ANNOUNCE_S:
            return []
        owned = _changed(vectors.owned, self._announced.owned)
        feeds = _changed(vectors.feeds, self._announced.feeds)
        self._announced = vectors
        if not owned and not feeds:
            return []
        self._announced_at = now
        message = Positions(Vectors(owned, feeds))
        return [Send(link, message) for link in self._open_links()]

    # --- proving ----------------------------------------------------------------------------------

    def _prove(self, now: float) -> list[Command]:
        state = self.ours.state_digest()
        commands: list[Command] = []
        if state is None:
            return commands
        proof = Proof(self._digest, state)
        for peer in self.peers.values():
            if peer.known and peer.proof_sent != proof and self._level(peer):
                peer.proof_sent = proof
                commands.append(Send(peer.link, proof))
            commands += self._compare(peer, now)
        return commands

    def _level(self, peer: Peer) -> bool:
        return vectors_digest(peer.vectors()) == self._digest

    def _compare(self, peer: Peer, now: float) -> list[Command]:
        """Hold a peer's proof against ours, where both speak of the same positions."""
        state = self.ours.state_digest()
        if peer.proof is None or state is None or peer.proof.vectors != self._digest:
            return []
        if peer.proof.state == state:
            if peer.proved == self._digest:
                return []
            peer.proved, peer.proved_at, peer.differs = self._digest, now, False
            return [Note("proved", {"device": peer.device})]
        if peer.differs:
            return []
        peer.differs, peer.proved = True, b""
        return [Note("differs", {"device": peer.device})]

    def is_proved(self, peer: Peer) -> bool:
        """Return whether this device and a peer hold the same, as both have shown."""
        return peer.proved == self._digest != b"" and not peer.differs

    # --- planning ---------------------------------------------------------------------------------

    def _plan(self, now: float) -> list[Command]:
        """Fetch what others hold and we lack, each stream from its best source."""
        self._replan_at = None
        sources: dict[Key, list[tuple[int, Peer]]] = {}
        for peer in self.peers.values():
            if peer.known:
                for key, amount in peer.ahead(self.ours.vectors).items():
                    sources.setdefault(key, []).append((amount, peer))
        self._behind_since = {key: self._behind_since.get(key, now) for key in sources}
        commands: list[Command] = []
        for key, candidates in sources.items():
            pull = self._pulls.get(key)
            limit = STALLED_S
            if pull is not None and self._is_owner(pull.link, key):
                limit = GRACE_S
            if pull is not None:
                since = max(pull.since, self._behind_since[key])
                others = [item for item in candidates if item[1].link != pull.link]
                if now < since + limit or not others:
                    self._wake_at(since + limit if others else None)
                    continue
            else:
                others = candidates
            best = max(others, key=lambda item: (item[0], -item[1].link))[1]
            commands += self._fetch(best, key, now)
        return commands

    def _is_owner(self, link: int, key: Key) -> bool:
        peer = self.peers.get(link)
        return peer is not None and peer.device == key.of[:16]

    def _fetch(self, peer: Peer, key: Key, now: float) -> list[Command]:
        self._pulls[key] = Pull(peer.link, now)
        if key.stream is Stream.LOG:
            held = self.ours.vectors.feeds.get(key.of)
            return [Send(peer.link, PullLog(key.of, 0 if held is None else held.received))]
        theirs = peer.owned[key.of]
        mine = self.ours.vectors.owned.get(key.of)
        same = mine is not None and mine.incarnation == theirs.incarnation
        lo = mine.watermark if mine is not None and same else 0
        return [Send(peer.link, PullState(key.of, theirs.incarnation, lo))]

    def _wake_at(self, when: float | None) -> None:
        if when is not None:
            self._replan_at = when if self._replan_at is None else min(self._replan_at, when)

    # --- time -------------------------------------------------------------------------------------

    def tick(self, now: float) -> list[Command]:
        """Do what waited for its time."""
        commands: list[Command] = []
        for peer in list(self.peers.values()):
            if peer.closing:
                continue
            if peer.hello is None:
                if now >= peer.since + HELLO_S:
                    commands.append(_close(peer, "no_hello", "no hello came in time"))
            elif now >= peer.heard + SILENT_S:
                commands.append(_close(peer, "silent", "nothing came for too long"))
            elif now >= peer.heard + PING_S and not peer.pinged:
                peer.pinged = True
                commands.append(Send(peer.link, Ping()))
        return [*commands, *self._settle(now)]

    def next_tick(self, now: float) -> float:
        """Return when `tick` has something to do next, if nothing happens before."""
        times = [now + PING_S]
        for peer in self.peers.values():
            if peer.closing:
                continue
            if peer.hello is None:
                times.append(peer.since + HELLO_S)
            else:
                times.append(peer.heard + (SILENT_S if peer.pinged else PING_S))
        if self._announced != self.ours.vectors:
            times.append(self._announced_at + ANNOUNCE_S)
        if self._replan_at is not None:
            times.append(self._replan_at)
        return min(times)


def _close(peer: Peer, code: str, text: str) -> Close:
    peer.closing = True
    return Close(peer.link, code, text)


def _changed(
    now: Mapping[bytes, _Position], before: Mapping[bytes, _Position]
) -> dict[bytes, _Position]:
    return {key: value for key, value in now.items() if before.get(key) != value}

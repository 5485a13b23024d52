"""An imaginary wire between real exchanges; time is a number."""

from __future__ import annotations

from dataclasses import dataclass, field

from leaderless.protocol.codec import decode_sized, encode_sized
from leaderless.protocol.commands import (
    Apply,
    Close,
    Command,
    Introduce,
    Key,
    Load,
    Note,
    Read,
    Send,
    SendFrame,
    SendStatements,
    Stream,
)
from leaderless.protocol.exchange import (
    Exchange,
)
from leaderless.protocol.messages import (
    Bye,
    FeedPosition,
    Hello,
    LogBatch,
    Message,
    OwnedPosition,
    Positions,
    PullLog,
    PullState,
    SignedCommit,
    StateBatch,
    Statements,
    Vectors,
)
from leaderless.protocol.vectors import Holdings, OwnedProof
from registry.changes import Incarnation

LIFE = Incarnation(1, b"n" * 8)
LIBRARY = b"l" * 16
A, B, C = (bytes([65 + at]) * 16 for at in range(3))


@dataclass
class Side:
    """A device that holds numbers: per owner a watermark, per feed a count."""

    device: bytes
    exchange: Exchange = field(init=False)
    owned: dict[bytes, int] = field(default_factory=dict)
    feeds: dict[bytes, int] = field(default_factory=dict)
    membership: bytes = b"m" * 32
    notes: list[str] = field(default_factory=list)
    closed: list[tuple[int, str]] = field(default_factory=list)
    flaw: bytes = b""
    unproved: dict[bytes, str] = field(default_factory=dict)
    shut: frozenset[bytes] = frozenset()
    uncovered: frozenset[bytes] = frozenset()
    short: frozenset[bytes] = frozenset()
    suspected: frozenset[bytes] = frozenset()
    life: str = ""
    disputed: int | None = None
    others: frozenset[bytes] = frozenset()

    def __post_init__(self) -> None:
        self.owned.setdefault(self.device, 0)
        self.exchange = Exchange(self.device, LIBRARY, {"tag": 1}, "test", lambda: self.others)
        self.exchange.ours_changed(self.holdings(), 0.0)

    def holdings(self) -> Holdings:
        """Return what this side holds; equal numbers are equal states, unless it has a flaw."""
        vectors = Vectors(
            {owner: OwnedPosition(LIFE, at) for owner, at in self.owned.items()},
            {feed: FeedPosition(at, at) for feed, at in self.feeds.items()},
        )
        proofs = {owner: OwnedProof(at, self.flaw) for owner, at in self.owned.items()}
        return Holdings(
            vectors,
            proofs,
            bytes(256),
            self.membership,
            self.unproved,
            self.shut,
            uncovered=self.uncovered,
            short=self.short,
            suspected=self.suspected,
            life=self.life,
            disputed=self.disputed,
        )

    def distrust(
        self, device: bytes, key: Key, why: str, now: float, *, only_now: bool = False
    ) -> None:
        """A device forged something, as a driver says it."""
        link = self.exchange.link_to(device)
        self.exchange.fetching.distrust(device, key, link, why, now, only_now=only_now)

    def suspect(self, device: bytes, key: Key, now: float) -> None:
        """A device may have forged something, as a driver says it."""
        self.exchange.fetching.suspect(device, key, self.exchange.link_to(device), now)


class Wire:
    """Two or more sides, and the messages between them."""

    def __init__(self, *sides: Side) -> None:
        self.sides = sides
        self.now = 100.0
        self.links: dict[tuple[int, int], tuple[int, int]] = {}
        self.queue: list[tuple[int, int, Message, int]] = []
        self.said: list[Message] = []
        self.loads = 0

    def connect(self, a: int, b: int, number: int = 1) -> None:
        """Connect two sides; a dials."""
        self.links[a, number], self.links[b, number] = (b, number), (a, number)
        for me, other, dialed in ((a, b, True), (b, a, False)):
            device = self.sides[other].device
            self.do(
                me,
                self.sides[me].exchange.link_up(
                    number, device, "wire:1", self.now, 0, dialed=dialed
                ),
            )

    def do(self, me: int, commands: list[Command]) -> None:
        """Carry out what a side asks for."""
        side = self.sides[me]
        for command in commands:
            match command:
                case Send(link, message):
                    self.post(me, link, message)
                case SendFrame(link, frame):
                    message, size = decode_sized(frame)
                    self.post(me, link, message, size)
                case Load(link, key, after):
                    self.load(me, link, key, after)
                case SendStatements(link):
                    self.post(me, link, Statements(()))
                case Introduce(link):
                    batch = StateBatch(side.device, LIFE, 0, 0, 0, 0, (), introduction=True)
                    self.post(me, link, batch)
                case Apply():
                    self.apply(me, command)
                case Close(link, code, text):
                    side.closed.append((link, code))
                    self.post(me, link, Bye(code, text))
                case Note(kind):
                    side.notes.append(kind)

    def post(self, me: int, link: int, message: Message, size: int = 10) -> None:
        """Put a message on the wire."""
        self.said.append(message)
        if (me, link) in self.links:
            other, number = self.links[me, link]
            self.queue.append((other, number, message, size))

    def load(self, me: int, link: int, key: Key, after: int) -> None:
        """Read a batch of at most 100 from a side."""
        side = self.sides[me]
        self.loads += 1
        message: Message
        if key.stream is Stream.STATE:
            head = side.owned[key.of]
            reaches = min(after + 100, head)
            message = StateBatch(key.of, LIFE, after, reaches, head, head, ())
        else:
            head = side.feeds[key.of]
            reaches = min(after + 100, head)
            one = SignedCommit(b"", bytes(64), b"")
            message = LogBatch(key.of, after, head, (one,) * (reaches - after))
        frame, size = encode_sized(message)
        self.do(me, side.exchange.loaded(link, key, Read(reaches, head, frame, size)))

    def apply(self, me: int, command: Apply) -> None:
        """Take a batch in, tell of it, and of what is held now."""
        side, message = self.sides[me], command.message
        used = True
        if isinstance(message, StateBatch) and not message.introduction:
            used = message.lo <= side.owned.setdefault(message.owner, 0)
            if used:
                side.owned[message.owner] = max(side.owned[message.owner], message.hi)
        elif isinstance(message, LogBatch):
            used = message.after <= side.feeds.setdefault(message.feed, 0)
            if used:
                reaches = message.after + len(message.commits)
                side.feeds[message.feed] = max(side.feeds[message.feed], reaches)
        elif isinstance(message, Statements):
            side.membership = b"m" * 32
        self.do(me, side.exchange.applied(command, self.now, used=used))
        self.changed(me)

    def changed(self, me: int) -> None:
        """Tell a side what it holds."""
        side = self.sides[me]
        self.do(me, side.exchange.ours_changed(side.holdings(), self.now))

    def deliver(self, most: int = 10_000) -> None:
        """Deliver messages until none is left."""
        while self.queue and most:
            most -= 1
            me, link, message, size = self.queue.pop(0)
            side = self.sides[me]
            self.do(me, side.exchange.received(link, message, size, self.now, 0))

    def run(self, seconds: float = 1.0) -> None:
        """Let time pass, with every tick that was asked for, and deliver everything."""
        self.deliver()
        end = self.now + seconds
        for _ in range(1_000):
            due = [side.exchange.next_tick(self.now) for side in self.sides]
            self.now = min([*due, end])
            for at, side in enumerate(self.sides):
                if due[at] <= self.now:
                    self.do(at, side.exchange.tick(self.now))
            self.deliver()
            if self.now >= end:
                return
        raise AssertionError("time does not pass")

    def cut(self, me: int, number: int = 1) -> None:
        """Cut a link; both sides notice."""
        other, theirs = self.links.pop((me, number))
        self.links.pop((other, theirs))
        self.queue = [item for item in self.queue if item[1] != number]
        self.do(me, self.sides[me].exchange.link_down(number, self.now))
        self.do(other, self.sides[other].exchange.link_down(theirs, self.now))

    def proved(self, me: int) -> bool:
        """Return whether a side takes all its peers for equal."""
        exchange = self.sides[me].exchange
        return all(exchange.is_proved(peer) for peer in exchange.peers.values())


def greeted(
    side: Side,
    device: bytes,
    link: int = 1,
    positions: Vectors | None = None,
    now: float = 0.0,
    version: tuple[int, int] = (1, 0),
) -> list[Command]:
    """Let a peer greet a side, and say what it holds; return what the side does then."""
    side.exchange.link_up(link, device, "wire:1", now, 0, dialed=True)
    hello = Hello(version, LIBRARY, LIFE, {}, b"m" * 32, bytes(32), 0, "x")
    commands = side.exchange.received(link, hello, 10, now, 0)
    if positions is not None:
        commands = side.exchange.received(link, Positions(positions, whole=True), 10, now, 0)
    return commands


def until(side: Side, end: float, now: float = 0.0) -> list[Command]:
    """Let time pass, with every tick that is asked for; return what the side does."""
    done: list[Command] = []
    while (now := side.exchange.next_tick(now)) <= end:
        done += side.exchange.tick(now)
    return done


def asked_by(commands: list[Command]) -> list[PullState | PullLog]:
    """Return what is asked for."""
    said = [command.message for command in commands if isinstance(command, Send)]
    return [message for message in said if isinstance(message, PullState | PullLog)]


def behind(side: Side, positions: Vectors) -> list[Command]:
    """Let a peer B that is ahead greet a side; return what the side does."""
    return greeted(side, B, 1, positions)

"""Conversations between real exchanges over an imaginary wire; time is a number."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from leaderless.protocol.codec import decode_sized, encode_sized
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
from leaderless.protocol.exchange import (
    CROSSED_S,
    HELLO_S,
    PING_S,
    SILENT_S,
    Exchange,
)
from leaderless.protocol.fetching import GRACE_S, STALLED_S
from leaderless.protocol.limits import WINDOW_BYTES
from leaderless.protocol.messages import (
    Bye,
    Credit,
    FeedPosition,
    Hello,
    LogBatch,
    Message,
    OwnedPosition,
    Ping,
    Pong,
    Positions,
    Proof,
    PullLog,
    PullState,
    SignedCommit,
    StateBatch,
    Statements,
    Vectors,
)
from leaderless.protocol.vectors import Holdings, OwnedProof
from registry.changes import Incarnation, feed_id

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

    def __post_init__(self) -> None:
        self.owned.setdefault(self.device, 0)
        self.exchange = Exchange(self.device, LIBRARY, {"tag": 1}, "test")
        self.exchange.ours_changed(self.holdings(), 0.0)

    def holdings(self) -> Holdings:
        """Return what this side holds; equal numbers are equal states, unless it has a flaw."""
        vectors = Vectors(
            {owner: OwnedPosition(LIFE, at) for owner, at in self.owned.items()},
            {feed: FeedPosition(at, at) for feed, at in self.feeds.items()},
        )
        proofs = {owner: OwnedProof(at, self.flaw) for owner, at in self.owned.items()}
        return Holdings(vectors, proofs, bytes(256), self.membership, self.unproved)


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
        self.do(me, side.exchange.loaded(link, key, reaches, frame, size))

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


def test_an_empty_device_is_filled_and_both_prove_it() -> None:
    """Rows and commits arrive in batches, and then both sides say that they are equal."""
    full, empty = Side(A, owned={A: 1_000}, feeds={feed_id(A, LIFE): 250}), Side(B)
    wire = Wire(full, empty)
    wire.connect(0, 1)
    wire.run()
    assert empty.owned[A] == 1_000
    assert empty.feeds[feed_id(A, LIFE)] == 250
    assert wire.proved(0)
    assert wire.proved(1)
    assert "proved" in full.notes


def test_equal_devices_exchange_hardly_anything() -> None:
    """Two that are equal greet, introduce themselves and prove it; no positions, no rows."""
    sides = [Side(A, owned={A: 9, B: 9}), Side(B, owned={A: 9, B: 9})]
    wire = Wire(*sides)
    wire.connect(0, 1)
    wire.run()
    assert wire.proved(0)
    assert not any(isinstance(message, StateBatch) and message.hi for message in wire.said)
    assert wire.loads == 0


def test_a_change_is_pushed_to_who_is_live() -> None:
    """A device's own new rows go out without being asked for again."""
    a, b = Side(A), Side(B)
    wire = Wire(a, b)
    wire.connect(0, 1)
    wire.run()
    a.owned[A] = 5
    wire.changed(0)
    wire.run()
    assert b.owned[A] == 5
    assert wire.proved(0)


def test_a_third_device_gets_it_from_the_one_between() -> None:
    """In a line a-b-c, c asks b for what a owns, and is told of later changes."""
    a, b, c = Side(A, owned={A: 300}, feeds={feed_id(A, LIFE): 3}), Side(B), Side(C)
    wire = Wire(a, b, c)
    wire.connect(0, 1, 1)
    wire.connect(1, 2, 2)
    wire.run(3)
    assert c.owned[A] == 300
    assert c.feeds[feed_id(A, LIFE)] == 3
    a.owned[A] = 301
    wire.changed(0)
    wire.run(3)
    assert c.owned[A] == 301
    assert wire.proved(2)


def test_another_source_is_asked_when_the_first_dies() -> None:
    """When the link to a source breaks in the middle, the rest is asked of another."""
    far = bytes([90]) * 16
    a, b, c = Side(A, owned={far: 500}), Side(B, owned={far: 500}), Side(C)
    wire = Wire(a, b, c)
    wire.connect(0, 2, 1)
    wire.connect(1, 2, 2)
    wire.deliver(14)
    wire.cut(0, 1)
    wire.run()
    assert c.owned[far] == 500


def test_a_source_that_stalls_is_passed_over() -> None:
    """A peer that does not send what it was asked for loses the job to another."""
    far = bytes([90]) * 16
    a, b, c = Side(A, owned={far: 500}), Side(B, owned={far: 400}), Side(C)
    wire = Wire(a, b, c)
    wire.load = lambda me, *rest: None if me == 0 else Wire.load(wire, me, *rest)  # type: ignore[method-assign]
    wire.connect(0, 2, 1)
    wire.connect(1, 2, 2)
    wire.run(STALLED_S + 1)
    assert c.owned[far] == 400


def test_what_the_owner_does_not_send_in_time_is_fetched_elsewhere() -> None:
    """A connected owner has a moment to push its change; then another source is asked."""
    a, b, c = Side(A), Side(B), Side(C)
    wire = Wire(a, b, c)
    for number, (one, other) in enumerate(((0, 1), (0, 2), (1, 2)), start=1):
        wire.connect(one, other, number)
    wire.run()
    whole = Wire.load
    wire.load = lambda me, link, key, after: (  # type: ignore[method-assign]
        None if (me, link) == (0, 2) else whole(wire, me, link, key, after)
    )
    a.owned[A] = 7
    wire.changed(0)
    wire.run(GRACE_S / 2)
    assert c.owned.get(A, 0) == 0
    wire.run(GRACE_S)
    assert c.owned[A] == 7


def test_a_slow_peer_bounds_what_is_on_the_way() -> None:
    """Without credits a source stops after the window and the batch that crosses it."""
    full, empty = Side(A, owned={A: 1_000_000}), Side(B)
    exchange = full.exchange
    exchange.link_up(1, B, "wire:1", 0, 0, dialed=True)
    hello = Hello((1, 0), LIBRARY, LIFE, {}, b"m" * 32, bytes(32), 0, "x")
    exchange.received(1, hello, 10, 0, 0)
    commands = exchange.received(1, PullState(A, LIFE, 0), 10, 0, 0)
    sent = 0
    while loads := [command for command in commands if isinstance(command, Load)]:
        (load,) = loads
        size = 40_000
        sent += size
        commands = exchange.loaded(1, load.key, load.after + 10, b"frame", size)
    assert WINDOW_BYTES <= sent < WINDOW_BYTES + 40_000
    assert any(isinstance(c, Load) for c in exchange.received(1, Credit(40_000), 10, 0, 0))
    assert empty.owned == {B: 0}


def test_nothing_to_read_ends_a_load() -> None:
    """A read that finds nothing sends nothing; one for a gone link is forgotten."""
    side = Side(A, owned={A: 5})
    key = Key(Stream.STATE, A)
    assert side.exchange.loaded(1, key, 5, b"frame", 5) == []
    side.exchange.link_up(1, B, "wire:1", 0, 0, dialed=True)
    hello = Hello((1, 0), LIBRARY, LIFE, {}, b"m" * 32, bytes(32), 0, "x")
    side.exchange.received(1, hello, 10, 0, 0)
    side.exchange.received(1, PullState(A, LIFE, 0), 10, 0, 0)
    assert side.exchange.loaded(1, key, 0, None, 0) == []


def test_equal_positions_with_unequal_hashes_are_reported() -> None:
    """Where positions agree and hashes do not, nobody says in sync, and both say so once."""
    a, b = Side(A, owned={A: 9, B: 9}), Side(B, owned={A: 9, B: 9}, flaw=b"x")
    wire = Wire(a, b)
    wire.connect(0, 1)
    wire.run()
    wire.changed(0)
    wire.run()
    assert a.notes.count("differs") == 1
    assert not wire.proved(0)
    assert not wire.proved(1)


def test_nothing_is_claimed_while_something_is_unproved() -> None:
    """A replica with an unproved copy sends no proof."""
    wire = Wire(Side(A, unproved={B: "inexact"}), Side(B))
    wire.connect(0, 1)
    wire.run()
    assert not wire.proved(1)


def test_statements_go_where_they_are_missing() -> None:
    """Unequal memberships are settled before rows, and a later change goes to everyone."""
    a, b = Side(A), Side(B, membership=b"x" * 32)
    wire = Wire(a, b)
    wire.connect(0, 1)
    wire.run()
    assert any(isinstance(message, Statements) for message in wire.said)
    wire.said.clear()
    a.membership = b"y" * 32
    wire.changed(0)
    assert any(isinstance(message, Statements) for message in wire.said)


def test_the_own_device_row_goes_to_everyone() -> None:
    """A change of the device row is introduced on every link."""
    wire = Wire(Side(A), Side(B))
    wire.connect(0, 1)
    wire.run()
    assert wire.sides[0].exchange.own_device_changed() == [Introduce(1)]


@pytest.mark.parametrize(
    ("hello", "code"),
    [
        (Hello((2, 0), LIBRARY, LIFE, {}, b"m" * 32, bytes(32), 0, "x"), "incompatible"),
        (Hello((0, 9), LIBRARY, LIFE, {}, b"m" * 32, bytes(32), 0, "x"), "incompatible"),
        (Hello((1, 9), b"k" * 16, LIFE, {}, b"m" * 32, bytes(32), 0, "x"), "other_library"),
        (
            Hello((1, 0), LIBRARY, LIFE, {}, b"m" * 32, bytes(32), 0, "x", OwnedPosition(LIFE, 99)),
            "restored",
        ),
        (Ping(), "out_of_turn"),
    ],
)
def test_a_greeting_that_cannot_be_answered_ends_the_link(hello: Message, code: str) -> None:
    """Another major version, another library, a past that we forgot and no hello are named."""
    side = Side(A)
    side.exchange.link_up(1, B, "wire:1", 0, 0, dialed=True)
    commands = side.exchange.received(1, hello, 10, 0, 0)
    assert [c.code for c in commands if isinstance(c, Close)] == [code]


def test_a_second_hello_ends_the_link() -> None:
    """Hello comes once."""
    side = Side(A)
    hello = Hello((1, 0), LIBRARY, LIFE, {}, b"m" * 32, bytes(32), 0, "x")
    side.exchange.link_up(1, B, "wire:1", 0, 0, dialed=True)
    side.exchange.received(1, hello, 10, 0, 0)
    (close,) = side.exchange.received(1, hello, 10, 0, 0)
    assert isinstance(close, Close)


def test_words_from_a_gone_link_mean_nothing() -> None:
    """A message or an applied batch of a link that is down changes nothing."""
    side = Side(A)
    assert side.exchange.received(9, Ping(), 10, 0, 0) == []
    batch = StateBatch(B, LIFE, 0, 5, 5, 5, ())
    assert side.exchange.applied(Apply(9, batch, 10), 0, used=True) == []
    assert side.exchange.applied(Apply(9, Statements(()), 10), 0, used=True) == []


def test_a_goodbye_is_noted_and_a_pong_is_not() -> None:
    """Why a peer left can be read; a pong only shows that it lives."""
    side = Side(A)
    side.exchange.link_up(1, B, "wire:1", 0, 0, dialed=True)
    hello = Hello((1, 0), LIBRARY, LIFE, {}, b"m" * 32, bytes(32), 0, "x")
    side.exchange.received(1, hello, 10, 0, 0)
    assert side.exchange.received(1, Pong(), 10, 0, 0) == []
    (note,) = side.exchange.received(1, Bye("stop", "why"), 10, 0, 0)
    assert isinstance(note, Note)


def test_a_silent_peer_is_asked_and_then_left() -> None:
    """After a while of silence a ping goes out, after a longer one the link ends."""
    a, b = Side(A), Side(B)
    wire = Wire(a, b)
    wire.connect(0, 1)
    wire.run()
    wire.run(PING_S * 3)
    assert a.closed == []
    assert any(isinstance(message, Ping) for message in wire.said)
    wire.links.clear()
    wire.run(SILENT_S + 1)
    assert (1, "silent") in a.closed


def test_a_peer_without_a_hello_is_left() -> None:
    """Who proves a key and then says nothing has ten seconds."""
    side = Side(A)
    side.exchange.link_up(1, B, "wire:1", 0, 0, dialed=False)
    assert side.exchange.next_tick(0) == HELLO_S
    (close,) = side.exchange.tick(HELLO_S)
    assert isinstance(close, Close)


def test_of_two_crossed_links_both_sides_keep_the_same() -> None:
    """When both dial at once, the link that the lesser id dialled stays on both sides."""
    a, b = Side(A), Side(B)
    wire = Wire(a, b)
    wire.connect(1, 0, 1)
    wire.connect(0, 1, 2)
    assert list(a.exchange.peers) == list(b.exchange.peers) == [2]
    wire = Wire(Side(A), Side(B))
    wire.connect(0, 1, 1)
    wire.connect(1, 0, 2)
    assert list(wire.sides[0].exchange.peers) == list(wire.sides[1].exchange.peers) == [1]


def test_a_new_link_replaces_a_half_dead_one() -> None:
    """Long after the first, or from the same dialler, a second link means the first is dead."""
    for dialed, later in ((True, 0.0), (False, CROSSED_S + 1)):
        side = Side(B)
        side.exchange.link_up(1, A, "wire:1", 0, 0, dialed=True)
        side.exchange.link_up(2, A, "wire:1", later, 0, dialed=dialed)
        assert list(side.exchange.peers) == [2]


def test_a_newer_life_of_an_owner_is_read_from_the_start() -> None:
    """Rows of another incarnation than ours are asked for from zero, and served so."""
    side = Side(A, owned={A: 0, C: 50})
    side.exchange.link_up(1, B, "wire:1", 0, 0, dialed=True)
    hello = Hello((1, 0), LIBRARY, LIFE, {}, b"m" * 32, bytes(32), 0, "x")
    side.exchange.received(1, hello, 10, 0, 0)
    newer = Positions(Vectors({C: OwnedPosition(Incarnation(2, b"n" * 8), 9)}), whole=True)
    commands = side.exchange.received(1, newer, 10, 0, 0)
    pulls = [c.message for c in commands if isinstance(c, Send)]
    assert PullState(C, Incarnation(2, b"n" * 8), 0) in pulls
    commands = side.exchange.received(1, PullState(C, Incarnation(9, b"n" * 8), 40), 10, 0, 0)
    assert [c.after for c in commands if isinstance(c, Load)] == [0]


def test_a_batch_that_does_not_fit_is_asked_for_again() -> None:
    """When a follow-up of the owner begins beyond what we hold, we ask from our position."""
    side = Side(A, owned={A: 0, B: 5})
    side.exchange.link_up(1, B, "wire:1", 0, 0, dialed=True)
    hello = Hello((1, 0), LIBRARY, LIFE, {}, b"m" * 32, bytes(32), 0, "x")
    side.exchange.received(1, hello, 10, 0, 0)
    side.exchange.received(1, Positions(Vectors(), whole=True), 10, 0, 0)
    apply = Apply(1, StateBatch(B, LIFE, 8, 9, 9, 9, ()), 10)
    commands = side.exchange.applied(apply, 0, used=False)
    assert PullState(B, LIFE, 5) in [c.message for c in commands if isinstance(c, Send)]


def test_an_unknown_feed_has_nothing_to_serve() -> None:
    """A pull of what we do not hold is answered with nothing."""
    side = Side(A)
    side.exchange.link_up(1, B, "wire:1", 0, 0, dialed=True)
    hello = Hello((1, 0), LIBRARY, LIFE, {}, b"m" * 32, bytes(32), 0, "x")
    side.exchange.received(1, hello, 10, 0, 0)
    assert side.exchange.received(1, PullLog(bytes(44), 0), 10, 0, 0) == []
    assert side.exchange.received(1, PullState(C, LIFE, 0), 10, 0, 0) == []


def test_an_exchange_without_holdings_is_our_own_bug() -> None:
    """What is held has to be told first."""
    with pytest.raises(RuntimeError):
        Exchange(A, LIBRARY, {}, "test").link_up(1, B, "wire:1", 0, 0, dialed=True)


def test_a_change_between_two_hellos_is_told() -> None:
    """What changed after our hello left, and before theirs came, is sent with all positions."""
    side = Side(A, owned={A: 1})
    side.exchange.link_up(1, B, "wire:1", 0, 0, dialed=True)
    sent = side.holdings().vectors_digest()
    side.owned[A] = 2
    side.exchange.ours_changed(side.holdings(), 0.0)
    hello = Hello((1, 0), LIBRARY, LIFE, {}, b"m" * 32, sent, 0, "x")
    commands = side.exchange.received(1, hello, 10, 0, 0)
    told = [c.message for c in commands if isinstance(c, Send)]
    assert Positions(side.holdings().vectors, whole=True) in told


def test_a_vanished_owner_is_no_news() -> None:
    """Positions that only lost an entry lead to no announcement, and to no busy loop."""
    side = Side(A, owned={A: 1, B: 1})
    side.exchange.tick(1.0)
    del side.owned[B]
    side.exchange.ours_changed(side.holdings(), 2.0)
    assert side.exchange.next_tick(2.0) == 2.0 + PING_S


def test_a_proof_of_other_positions_waits() -> None:
    """A proof that speaks of positions we do not have yet is kept, and claims nothing."""
    side = Side(A)
    side.exchange.link_up(1, B, "wire:1", 0, 0, dialed=True)
    hello = Hello((1, 0), LIBRARY, LIFE, {}, b"m" * 32, bytes(32), 0, "x")
    side.exchange.received(1, hello, 10, 0, 0)
    assert side.exchange.received(1, Proof(b"v" * 32, b"s" * 32), 10, 0, 0) == []
    assert not side.exchange.is_proved(side.exchange.peers[1])

"""What a peer that asks is sent, and when."""

from __future__ import annotations

from leaderless.protocol.commands import (
    Key,
    Load,
    Read,
    SendFrame,
    Stream,
)
from leaderless.protocol.limits import WINDOW_BYTES
from leaderless.protocol.messages import (
    READS_COLUMNS,
    Credit,
    Hello,
    PullLog,
    PullRecords,
    PullState,
    Vectors,
)
from registry.changes import feed_id
from tests.protocol.wire import LIBRARY, LIFE, A, B, C, Side, Wire, greeted


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
        commands = exchange.loaded(1, load.key, Read(load.after + 10, 10**6, b"frame", size))
    assert WINDOW_BYTES <= sent < WINDOW_BYTES + 40_000
    assert any(isinstance(c, Load) for c in exchange.received(1, Credit(40_000), 10, 0, 0))
    assert empty.owned == {B: 0}


def test_nothing_to_read_ends_a_load() -> None:
    """A read that finds nothing sends nothing; one for a gone link is forgotten."""
    side = Side(A, owned={A: 5})
    key = Key(Stream.STATE, A)
    assert side.exchange.loaded(1, key, Read(5, 5, b"frame", 5)) == []
    side.exchange.link_up(1, B, "wire:1", 0, 0, dialed=True)
    hello = Hello((1, 0), LIBRARY, LIFE, {}, b"m" * 32, bytes(32), 0, "x")
    side.exchange.received(1, hello, 10, 0, 0)
    side.exchange.received(1, PullState(A, LIFE, 0), 10, 0, 0)
    assert side.exchange.loaded(1, key, None) == []


def test_an_unknown_feed_has_nothing_to_serve() -> None:
    """A pull of what we do not hold leads to one look, and to an answer that says so."""
    side = Side(A)
    side.exchange.link_up(1, B, "wire:1", 0, 0, dialed=True)
    hello = Hello((1, 0), LIBRARY, LIFE, {}, b"m" * 32, bytes(32), 0, "x")
    side.exchange.received(1, hello, 10, 0, 0)
    log, rows = Key(Stream.LOG, bytes(44)), Key(Stream.STATE, C)
    assert side.exchange.received(1, PullLog(bytes(44), 0), 10, 0, 0) == [Load(1, log, 0)]
    nothing = Read(0, 0, b"frame", 5)
    assert side.exchange.loaded(1, log, nothing) == [SendFrame(1, b"frame")]
    assert side.exchange.received(1, Credit(5), 10, 0, 0) == []
    assert side.exchange.received(1, PullState(C, LIFE, 0), 10, 0, 0) == [Load(1, rows, 0)]
    assert side.exchange.loaded(1, rows, None) == []
    assert side.exchange.received(1, Credit(0), 10, 0, 0) == []


def test_a_stream_of_our_own_stays_open_and_another_ends() -> None:
    """What we own is sent as it comes; of somebody else's rows only what was asked for."""
    a, b = Side(A, owned={A: 150, C: 150}, feeds={feed_id(A, LIFE): 3}), Side(B)
    wire = Wire(a, b)
    wire.connect(0, 1)
    wire.run()
    assert set(a.exchange.peers[1].outgoing) == {
        Key(Stream.STATE, A),
        Key(Stream.LOG, feed_id(A, LIFE)),
    }
    assert b.owned[C] == 150


def test_a_stream_is_read_one_batch_at_a_time() -> None:
    """While a batch is being read nothing further of its stream is asked of the database."""
    side = Side(A, owned={A: 900})
    side.exchange.link_up(1, B, "wire:1", 0, 0, dialed=True)
    hello = Hello((1, 0), LIBRARY, LIFE, {}, b"m" * 32, bytes(32), 0, "x")
    side.exchange.received(1, hello, 10, 0, 0)
    (load,) = side.exchange.received(1, PullState(A, LIFE, 0), 10, 0, 0)
    assert isinstance(load, Load)
    assert side.exchange.received(1, Credit(0), 10, 0, 0) == []


def test_a_batch_for_a_stream_that_was_not_asked_for_is_forgotten() -> None:
    """A read that ends after its stream did sends nothing."""
    side = Side(A, owned={A: 5})
    side.exchange.link_up(1, B, "wire:1", 0, 0, dialed=True)
    key = Key(Stream.STATE, A)
    assert side.exchange.loaded(1, key, Read(5, 5, b"frame", 5)) == []


def test_a_feed_that_never_was_ours_is_not_kept_open() -> None:
    """A pull of our feed in another life than this one leaves no stream behind."""
    side = Side(A)
    side.exchange.link_up(1, B, "wire:1", 0, 0, dialed=True)
    hello = Hello((1, 0), LIBRARY, LIFE, {}, b"m" * 32, bytes(32), 0, "x")
    side.exchange.received(1, hello, 10, 0, 0)
    side.exchange.received(1, PullLog(A + bytes(28), 0), 10, 0, 0)
    assert side.exchange.peers[1].outgoing == {}


def test_what_a_batch_has_promised_is_sent_before_the_stream_ends() -> None:
    """The database can be ahead of what we were told is held: the peer waits for what it heard of."""
    side = Side(A, owned={A: 0, C: 5})
    side.exchange.link_up(1, B, "wire:1", 0, 0, dialed=True)
    hello = Hello((1, 0), LIBRARY, LIFE, {}, b"m" * 32, bytes(32), 0, "x")
    side.exchange.received(1, hello, 10, 0, 0)
    key = Key(Stream.STATE, C)
    assert side.exchange.received(1, PullState(C, LIFE, 0), 10, 0, 0) == [Load(1, key, 0)]
    commands = side.exchange.loaded(1, key, Read(5, 8, b"frame", 5))
    assert commands[1:] == [Load(1, key, 5)]
    side.exchange.loaded(1, key, Read(8, 8, b"frame", 5))
    assert key not in side.exchange.peers[1].outgoing


def test_one_batch_of_records_is_one_question() -> None:
    """It is read when there is room, sent, and forgotten, whatever bytes the place begins with."""
    side = Side(A)
    side.exchange.link_up(1, B, "wire:1", 0, 0, dialed=True)
    hello = Hello((1, 1), LIBRARY, LIFE, {}, b"m" * 32, bytes(32), 0, "x")
    side.exchange.received(1, hello, 10, 0, 0)
    place = A + b"tag"
    key = Key(Stream.RECORDS, place)
    assert side.exchange.received(1, PullRecords(place), 10, 0, 0) == [Load(1, key, 0)]
    commands = side.exchange.loaded(1, key, Read(1, 1, b"frame", WINDOW_BYTES))
    assert commands == [SendFrame(1, b"frame")]
    assert side.exchange.received(1, PullRecords(b""), 10, 0, 0) == []
    assert side.exchange.received(1, Credit(WINDOW_BYTES), 10, 0, 0) == [
        Load(1, Key(Stream.RECORDS, b""), 0)
    ]


def test_what_its_reader_is_too_old_for_is_not_sent() -> None:
    """That stream ends there; what else it asked for goes on, and it is remembered why."""
    side = Side(A, owned={A: 0, C: 5})
    side.exchange.link_up(1, B, "wire:1", 0, 0, dialed=True)
    hello = Hello((1, 0), LIBRARY, LIFE, {}, b"m" * 32, bytes(32), 0, "x")
    side.exchange.received(1, hello, 10, 0, 0)
    key = Key(Stream.STATE, C)
    side.exchange.received(1, PullState(C, LIFE, 0), 10, 0, 0)
    assert side.exchange.loaded(1, key, Read(5, 5, b"frame", 5, (1, 1))) == []
    peer = side.exchange.peers[1]
    assert (key in peer.outgoing, peer.beyond, peer.unacknowledged) == (False, {key}, 0)


def test_rows_are_read_as_columns_for_who_can_read_these() -> None:
    """And commits for nobody."""
    for version, columns in [((1, 0), False), (READS_COLUMNS, True)]:
        side = Side(A, owned={A: 5, C: 5}, feeds={feed_id(C, LIFE): 5})
        greeted(side, B, 1, Vectors(), version=version)
        (load,) = side.exchange.received(1, PullState(C, LIFE, 0), 10, 0, 0)
        assert load == Load(1, Key(Stream.STATE, C), 0, columns=columns)
        (load,) = side.exchange.received(1, PullLog(feed_id(C, LIFE), 0), 10, 0, 0)
        assert load == Load(1, Key(Stream.LOG, feed_id(C, LIFE)), 0)

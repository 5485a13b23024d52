"""Streams that go out: what a peer asked for, read from the database while the peer has room.

Of the shared records it asks for one batch after another: each is a stream of its own, of length 1.

A peer has room while less than `WINDOW_BYTES` on the way to it is not yet durable there. A stream
of our own stays open for what is to come; one of somebody else's ends where our copy ends, and is
answered with an empty batch where there is nothing: who asks has not to wait, and gets the newest
word of its owner.
"""

from __future__ import annotations

from leaderless.protocol.commands import Command, Key, Load, Read, SendFrame, Stream
from leaderless.protocol.limits import WINDOW_BYTES
from leaderless.protocol.messages import (
    READS_COLUMNS,
    PullLog,
    PullRecords,
    PullState,
    Vectors,
)
from leaderless.protocol.peer import Outgoing, Peer
from registry.changes import feed_id


def open_stream(
    peer: Peer, message: PullState | PullLog | PullRecords, ours: Vectors, own: bytes
) -> list[Command]:
    """A peer asks for a stream from a position on; `own` is this device."""
    if isinstance(message, PullLog):
        key, after = Key(Stream.LOG, message.feed), message.after
    elif isinstance(message, PullRecords):
        key, after = Key(Stream.RECORDS, message.after), 0
    else:
        key = Key(Stream.STATE, message.owner)
        held = ours.owned.get(message.owner)
        same = held is not None and held.incarnation == message.incarnation
        after = message.lo if same else 0
    known = message.known if isinstance(message, PullState) else b""
    peer.outgoing[key] = Outgoing(after, known=known)
    return serve(peer, ours, own)


def serve(peer: Peer, ours: Vectors, own: bytes) -> list[Command]:
    """Read on for a peer that has room, one batch of each stream at a time."""
    commands: list[Command] = []
    for key, stream in list(peer.outgoing.items()):
        if stream.loading or _is_held_back(peer, key, own):
            continue
        # A batch is read from the database, which can be ahead of what we were told is held: what it
        # promised is sent before the stream ends, else the peer would wait for it in vain.
        if stream.after >= max(_head(key, ours), stream.head) and (
            stream.answered or key.of[:16] == own
        ):
            # A feed of ours that there is none of yet stays open only if it is the current one.
            own_one = key.stream is not Stream.RECORDS and key.of[:16] == own
            if not own_one or not _is_current(key, ours, own):
                del peer.outgoing[key]
            continue
        if peer.unacknowledged < WINDOW_BYTES:
            stream.loading = True
            columns = key.stream is Stream.STATE and _reads_columns(peer)
            commands.append(Load(peer.link, key, stream.after, stream.known, columns))
    return commands


def _reads_columns(peer: Peer) -> bool:
    return peer.hello is not None and peer.hello.version >= READS_COLUMNS


def _is_held_back(peer: Peer, key: Key, own: bytes) -> bool:
    """Return whether a peer has to say first what it has heard of us."""
    return peer.asked_word is not None and key == Key(Stream.STATE, own)


def loaded(peer: Peer, key: Key, read: Read | None, ours: Vectors, own: bytes) -> list[Command]:
    """A batch was read, or nothing was left to read."""
    stream = peer.outgoing.get(key)
    if stream is None:
        return []
    stream.loading, stream.answered = False, True
    if read is None:
        return []
    if peer.hello is not None and read.needs > peer.hello.version:
        # All else goes on; what it can do about it is said once all else is done.
        del peer.outgoing[key]
        peer.beyond.add(key)
        return []
    peer.unacknowledged += read.size
    if read.head <= read.reaches <= stream.after:
        del peer.outgoing[key]  # there was nothing to send, and that is what it says
        return [SendFrame(peer.link, read.frame)]
    stream.after, stream.head = read.reaches, read.head
    return [SendFrame(peer.link, read.frame), *serve(peer, ours, own)]


def _is_current(key: Key, ours: Vectors, own: bytes) -> bool:
    held = ours.owned[own].incarnation
    return key.stream is Stream.STATE or key.of == feed_id(own, held)


def _head(key: Key, ours: Vectors) -> int:
    if key.stream is Stream.RECORDS:
        return 1
    if key.stream is Stream.STATE:
        owned = ours.owned.get(key.of)
        return 0 if owned is None else owned.watermark
    feed = ours.feeds.get(key.of)
    return 0 if feed is None else feed.received

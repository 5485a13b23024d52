"""Commits of the log as an undo reads them: one change at a time, wherever in a commit it stands.

A commit may hold 10,000 changes, and an undo asks for one of them per record: a body is kept as
bytes with the places at which its changes end, and no more of it is decoded than was asked for.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import msgpack

from leaderless.protocol import commits, limits
from leaderless.protocol.hashing import digest
from leaderless.protocol.packing import unpack_each
from registry.changes import FeedId

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from registry.changes import CommitHeader, SharedChange

_KEPT_BYTES: Final = 64 << 20
"""Of bodies that are kept: those of some 300,000 changes."""


class Page:
    """One commit, whose changes are decoded when they are asked for."""

    def __init__(self, header: CommitHeader, body: bytes) -> None:
        self.header = header
        self._body = body
        self._ends = array("Q")
        unpacker = msgpack.Unpacker(max_buffer_size=len(body))
        unpacker.feed(body)
        while unpacker.tell() < len(body):
            unpacker.skip()
            self._ends.append(unpacker.tell())

    @property
    def size_bytes(self) -> int:
        """Return how large the body is."""
        return len(self._body)

    def change(self, place: int) -> SharedChange | None:
        """Return the change at a place, None if there is none."""
        if place + 1 >= len(self._ends):
            return None
        piece = self._body[: self._ends[0]]  # the feeds
        piece += self._body[self._ends[place] : self._ends[place + 1]]
        about = replace(self.header, body_hash=digest(piece), body_bytes=len(piece))
        return commits.decode_body(about, piece)[0]

    def changes_of(self, record: bytes) -> tuple[SharedChange, ...]:
        """Return all that a commit does to records with that id."""
        pieces = unpack_each(self._body, limits.MAX_CHANGES + 1, limits.MAX_HEAD_BYTES, unset=True)
        next(pieces)  # the feeds
        places = [place for place, (_, _, changed, *_) in enumerate(pieces) if changed == record]
        return tuple(change for at in places if (change := self.change(at)) is not None)

    def places(self) -> dict[bytes, int]:
        """Return where a commit first changes each record, by `place_key`."""
        pieces = unpack_each(self._body, limits.MAX_CHANGES + 1, limits.MAX_HEAD_BYTES, unset=True)
        next(pieces)  # the feeds
        found: dict[bytes, int] = {}
        for place, (_, model, record, *_) in enumerate(pieces):
            found.setdefault(place_key(model, record), place)
        return found


def place_key(model: str, record: bytes) -> bytes:
    """Return a record's key in `Page.places`: one object of the fewest bytes."""
    return bytes(record) + model.encode()


class Pages:
    """The log by position: what was read last is kept, and where the records of searched pages are."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._pages: OrderedDict[tuple[bytes, int], Page | None] = OrderedDict()
        self._kept_bytes = 0
        self._places: dict[tuple[bytes, int], dict[bytes, int]] = {}

    def page(self, feed: bytes, seq: int) -> Page | None:
        """Return the commit at a position, None if the log does not have it, or not its body."""
        at = (feed, seq)
        if at in self._pages:
            self._pages.move_to_end(at)
            return self._pages[at]
        page = self._pages[at] = self._read(feed, seq)
        self._kept_bytes += 0 if page is None else page.size_bytes
        while self._kept_bytes > _KEPT_BYTES and len(self._pages) > 1:
            _, dropped = self._pages.popitem(last=False)
            self._kept_bytes -= 0 if dropped is None else dropped.size_bytes
        return page

    def place(self, feed: bytes, seq: int, model: str, record: bytes) -> int | None:
        """Return where the commit at a position first changes a record, None if it does not."""
        at = (feed, seq)
        places = self._places.get(at)
        if places is None:
            page = self.page(*at)
            places = self._places[at] = {} if page is None else page.places()
        return places.get(place_key(model, record))

    def _read(self, feed: bytes, seq: int) -> Page | None:
        row = self._connection.exec_driver_sql(
            "SELECT c.header, c.body FROM commit_log c JOIN feed f ON f.id = c.feed"
            " WHERE f.feed = ? AND c.seq = ?",
            (feed, seq),
        ).first()
        if row is None or row[1] is None:
            return None
        return Page(replace(commits.decode_header(row[0]), feed=FeedId(feed)), row[1])

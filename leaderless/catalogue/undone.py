"""Which action a commit that is called an undo takes back, and so what was undone.

A header says whatever its author wrote there: an undo counts where it comes after what it names and
changes what that had changed; where the content of one of the two is forgotten, what is signed in
its header is believed. Taking back itself is `undo`'s business.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from leaderless.catalogue.followed import Followed
from leaderless.catalogue.history import ActionKey, actions_called
from leaderless.catalogue.pages import Pages
from leaderless.protocol import commits, limits
from leaderless.protocol.packing import unpack_each
from leaderless.store import meant
from leaderless.store.feeds import feed_with
from registry.changes import LIFE_BYTES, FeedId

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

    from leaderless.catalogue.history import Action
    from registry.changes import CommitHeader, Dependency

UNDO: Final = "undo"
FEED: Final = "feed"
"""In the data of an undo: the feed of what it takes back, beside the command id."""

About = tuple[str, bytes]
"""A record: (model, uuid)."""


def undone_actions(connection: Connection) -> frozenset[ActionKey]:
    """Return what was undone, by an undo that was not undone itself."""
    rows = connection.exec_driver_sql(
        # What a row has behind its body is read from the index: a body may be as long as 8 MiB.
        "SELECT f.feed, h.header FROM commit_log c INDEXED BY commit_by_name"
        " CROSS JOIN feed f ON f.id = c.feed"
        " CROSS JOIN commit_log h ON h.feed = c.feed AND h.seq = c.seq"
        # Told in words: the index has undos alone.
        f" WHERE c.command = '{UNDO}' AND c.seq <= f.applied ORDER BY c.stamp DESC"
    )
    undone: set[ActionKey] = set()
    for feed, packed in rows.all():
        header = replace(commits.decode_header(packed), feed=FeedId(feed))
        if header.part > 1 or ActionKey(header.feed, header.command_id) in undone:
            continue
        taken = taken_back(connection, header)
        if taken is not None:
            undone.add(taken.key)
    return frozenset(undone)


def taken_back(connection: Connection, header: CommitHeader) -> Action | None:
    """Return the action that the commit of this header takes back, None if it is no undo."""
    command_id = header.data.get("command_id")
    if header.command != UNDO or not isinstance(command_id, bytes):
        return None
    feed = header.data.get(FEED)
    first = _first_part(connection, header)
    for action in actions_called(connection, command_id):
        # Undos of before the feed was named go by the id alone.
        # What is in a branch now went by its feed's name when it was taken back.
        named = (None, action.feed, meant.signed_name(action.feed))
        if feed in named and _comes_after(connection, first, action):
            if action.forgotten or _is_forgotten(connection, first):
                return action
            about = next(_records(connection, *first.position), None)
            if about is not None and _changes(connection, action, about):
                return action
    return None


def _first_part(connection: Connection, header: CommitHeader) -> CommitHeader:
    """Return the header of the part that says what all parts depend on."""
    if header.part == 1:
        return header
    packed = connection.exec_driver_sql(
        "SELECT c.header FROM commit_log c JOIN feed f ON f.id = c.feed"
        " WHERE f.feed = ? AND c.seq = ?",
        (header.feed, header.seq - header.part + 1),
    ).scalar()
    if packed is None:
        return header
    return replace(commits.decode_header(packed), feed=header.feed)


def _comes_after(connection: Connection, header: CommitHeader, action: Action) -> bool:
    """Return whether the author of a commit had an action before it, by what it has signed."""
    if meant.is_at_or_behind(connection, header.feed, action.feed):
        return header.seq > action.last_seq
    signed = meant.signed_name(action.feed)
    # A commit names the heads that changed since the one before it: the last one named counts.
    rows = connection.exec_driver_sql(
        "SELECT c.header FROM commit_log c JOIN feed f ON f.id = c.feed"
        " WHERE f.feed = ? AND c.seq <= ? AND instr(c.header, ?) > 0 ORDER BY c.seq DESC",
        (header.feed, header.seq, action.feed[:LIFE_BYTES]),
    )
    try:
        for packed in rows.scalars():
            for needed in commits.decode_header(packed).dependencies:
                if needed.feed == action.feed or (
                    needed.feed == signed and _leads_to(connection, needed, action)
                ):
                    return needed.seq >= action.last_seq
    finally:
        rows.close()
    return False


def _leads_to(connection: Connection, needed: Dependency, action: Action) -> bool:
    """Return whether what a header names by the name of a feed is in the branch of an action."""
    at = feed_with(connection, needed)
    return at is not None and meant.is_at_or_behind(connection, at.feed, action.feed)


def _changes(connection: Connection, action: Action, about: About) -> bool:
    """Return whether an action changes a record, or one whose changes that repeats."""
    followed = Followed(connection, Pages(connection))
    return _changes_itself(connection, action, about) or any(
        _changes_itself(connection, action, before) for before in followed.before([about])
    )


def _changes_itself(connection: Connection, action: Action, about: About) -> bool:
    seqs = connection.exec_driver_sql(
        "SELECT c.seq FROM commit_log c JOIN feed f ON f.id = c.feed WHERE f.feed = ?"
        " AND c.command_id = ? AND instr(c.body, ?) > 0 ORDER BY c.seq",
        (*action.key, about[1]),
    ).scalars()
    return any(about in _records(connection, action.feed, seq) for seq in seqs.all())


def _is_forgotten(connection: Connection, header: CommitHeader) -> bool:
    """Return whether the content of a commit is not here any more."""
    return bool(
        connection.exec_driver_sql(
            "SELECT c.body IS NULL FROM commit_log c JOIN feed f ON f.id = c.feed"
            " WHERE f.feed = ? AND c.seq = ?",
            tuple(header.position),
        ).scalar()
    )


def _records(connection: Connection, feed: bytes, seq: int) -> Iterator[About]:
    """Yield the records that a commit changes, in its order."""
    body = connection.exec_driver_sql(
        "SELECT c.body FROM commit_log c JOIN feed f ON f.id = c.feed"
        " WHERE f.feed = ? AND c.seq = ?",
        (feed, seq),
    ).scalar_one()
    pieces = unpack_each(body, limits.MAX_CHANGES + 1, limits.MAX_HEAD_BYTES, unset=True)
    next(pieces)  # the feeds
    for _, model, record, *_ in pieces:
        yield model, record

"""Commands are values."""

from __future__ import annotations

from leaderless.protocol.commands import Key, Note, Stream, key_of
from leaderless.protocol.messages import LogBatch, StateBatch
from registry.changes import Incarnation


def test_commands_compare_by_what_they_say() -> None:
    """Two equal commands are equal, so a test can name the one it expects."""
    assert Note("proved", {"device": b""}) == Note("proved", {"device": b""})
    assert Key(Stream.STATE, b"a") != Key(Stream.LOG, b"a")


def test_a_batch_names_the_stream_that_it_is_of() -> None:
    """Rows by their owner, commits by their feed."""
    rows = StateBatch(b"owner", Incarnation(1, bytes(8)), 0, 0, 0, 0, ())
    assert key_of(rows) == Key(Stream.STATE, b"owner")
    assert key_of(LogBatch(b"feed", 0, 0, ())) == Key(Stream.LOG, b"feed")

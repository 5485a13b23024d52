"""Commands are values."""

from __future__ import annotations

from leaderless.protocol.commands import Key, Note, Stream


def test_commands_compare_by_what_they_say() -> None:
    """Two equal commands are equal, so a test can name the one it expects."""
    assert Note("proved", {"device": b""}) == Note("proved", {"device": b""})
    assert Key(Stream.STATE, b"a") != Key(Stream.LOG, b"a")

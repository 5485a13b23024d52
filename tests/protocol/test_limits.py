"""Limits fit each other."""

from __future__ import annotations

from leaderless.protocol import limits


def test_the_largest_commit_fits_a_frame() -> None:
    """A body of the largest size travels with its header."""
    assert limits.MAX_BODY_BYTES + limits.MAX_HEAD_BYTES * 2 < limits.MAX_FRAME_BYTES


def test_a_source_keeps_to_what_a_receiver_takes() -> None:
    """What we send is within what we accept."""
    assert limits.BATCH_ROWS <= limits.MAX_ROWS
    assert limits.LOG_BYTES < limits.MAX_FRAME_BYTES

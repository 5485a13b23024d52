"""Commits are found, and lists of actions read, without their bodies."""

from __future__ import annotations

from pathlib import Path

from leaderless.store.migrations.statements import run_file

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Write the log anew, with indexes: that takes as much room again until it is done."""
    run_file(Path(__file__).with_suffix(".sql"))

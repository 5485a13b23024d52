"""Lists of actions are read without their bodies."""

from __future__ import annotations

from pathlib import Path

from leaderless.store.migrations.statements import run_file

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make the indexes; each reads the log once."""
    run_file(Path(__file__).with_suffix(".sql"))

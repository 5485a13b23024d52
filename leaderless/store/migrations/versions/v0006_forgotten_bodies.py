"""The body of a commit can be forgotten; its signed header stays."""

from __future__ import annotations

from pathlib import Path

from leaderless.store.migrations.statements import run_file

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Write the log anew: SQLite cannot take a NOT NULL off a column."""
    run_file(Path(__file__).with_suffix(".sql"))

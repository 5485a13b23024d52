"""What is known of what others hold, and what is kept when something is forgotten."""

from __future__ import annotations

from pathlib import Path

from leaderless.store.migrations.statements import run_file

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add tables and columns; make an index smaller that undos alone are looked for in."""
    run_file(Path(__file__).with_suffix(".sql"))

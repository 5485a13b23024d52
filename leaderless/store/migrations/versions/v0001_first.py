"""The first schema."""

from __future__ import annotations

from pathlib import Path

from leaderless.store.migrations.statements import run_file

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create every table."""
    run_file(Path(__file__).with_suffix(".sql"))

"""What a restore brings back, as a function of the log instead of one device's own memory."""

from __future__ import annotations

from pathlib import Path

from leaderless.store.migrations.statements import run_file

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Change the columns; the store fills them when it opens (`meta.REBUILD`)."""
    run_file(Path(__file__).with_suffix(".sql"))

"""Links, contents, albums, metadata; the journal anew from the log."""

from __future__ import annotations

from pathlib import Path

from leaderless.store.migrations.statements import run_file

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the tables; the store fills the journal when it opens (`meta.REBUILD`)."""
    run_file(Path(__file__).with_suffix(".sql"))

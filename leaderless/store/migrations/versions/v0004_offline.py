"""Folders that are not there are offline for everybody."""

from __future__ import annotations

from pathlib import Path

from leaderless.store.migrations.statements import run_file

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the column; the indexer fills it with its next look."""
    run_file(Path(__file__).with_suffix(".sql"))

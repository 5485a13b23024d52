"""The state of shared records that is fetched from a peer is kept aside until it is whole."""

from __future__ import annotations

from pathlib import Path

from leaderless.store.migrations.statements import run_file

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add the tables of what is fetched."""
    run_file(Path(__file__).with_suffix(".sql"))

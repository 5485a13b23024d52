"""Devices that were revoked, and how far their feeds count."""

from __future__ import annotations

from pathlib import Path

from leaderless.store.migrations.statements import run_file

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add what closes a feed."""
    run_file(Path(__file__).with_suffix(".sql"))

"""What a restored device takes back from its peers is kept aside until it is whole."""

from __future__ import annotations

from pathlib import Path

from leaderless.store.migrations.statements import run_file

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Add the table of what is given back, and that of what this device has signed."""
    run_file(Path(__file__).with_suffix(".sql"))

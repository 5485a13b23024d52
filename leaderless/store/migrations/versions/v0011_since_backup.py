"""What a restored device has found since its backup is kept until it goes on."""

from __future__ import annotations

from pathlib import Path

from leaderless.store.migrations.statements import run_file

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Add the table of own rows that are put aside."""
    run_file(Path(__file__).with_suffix(".sql"))

"""Schema versions that a test makes up, behind the real ones."""

from __future__ import annotations

import shutil
from pathlib import Path

from leaderless.store import migrations

_STEP = """
from alembic import op

revision = "{revision:04}"
down_revision = "{before:04}"


def upgrade():
    {step}
"""


def with_versions(folder: Path, *steps: str) -> Path:
    """Return a folder with the real migrations, and one more for each line of code."""
    (real,) = migrations.__path__
    made = folder / "migrations"
    shutil.copytree(real, made, ignore=shutil.ignore_patterns("__pycache__"))
    newest = len(list((made / "versions").glob("v*.py")))
    for at, step in enumerate(steps, start=newest + 1):
        text = _STEP.format(revision=at, before=at - 1, step=step)
        (made / "versions" / f"v{at:04}_made_up.py").write_text(text)
    return made

"""The steps from one schema version to the next, run by Alembic on a connection of the store.

Imported where a file is to be upgraded, and there alone: what Alembic brings along costs a start more
than all that is read of a library of a million files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection


def upgrade(connection: Connection, migrations: Path) -> None:
    """Take every step of `migrations` that is missing; the caller holds the transaction."""
    config = Config()
    config.set_main_option("script_location", str(migrations))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")

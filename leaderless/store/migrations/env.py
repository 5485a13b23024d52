"""What Alembic runs: the versions beside it, on the connection that the store hands over."""

from __future__ import annotations

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=None,
    version_table="schema_version",
    # The caller holds one transaction around all versions.
    transactional_ddl=False,
)
context.run_migrations()

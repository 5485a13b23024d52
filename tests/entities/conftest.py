"""A database for the tests of models, in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, event

from leaderless.store.migrations import versions
from registry.changes import DeviceId

OWNER, OTHER = DeviceId(b"o" * 16), DeviceId(b"p" * 16)


@pytest.fixture
def connection() -> Iterator[Connection]:
    """Open a database with the schema, two owners, and foreign keys on."""
    engine = create_engine("sqlite://")

    @event.listens_for(engine, "connect")
    def _keys(raw: Any, _: object) -> None:
        raw.execute("PRAGMA foreign_keys = ON")

    with engine.connect() as opened:
        raw = opened.connection.driver_connection
        assert raw is not None
        for path in sorted(Path(versions.__file__).parent.glob("v*.sql")):
            raw.executescript(path.read_text(encoding="utf-8"))
        for key, device in ((1, OWNER), (2, OTHER)):
            opened.exec_driver_sql(
                "INSERT INTO incarnation (id, device, generation, nonce, set_hash)"
                " VALUES (?, ?, 1, ?, ?)",
                (key, device, bytes(8), bytes(256)),
            )
        opened.commit()
        yield opened
        assert opened.exec_driver_sql("PRAGMA foreign_key_check").all() == []
    engine.dispose()

"""The sign of life of the writing connection."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from leaderless.store.engine import writer_engine
from leaderless.store.pulse import STEPS, Pulse

COUNTED = (
    "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < {})"
    " SELECT max(x) FROM c"
)


@pytest.fixture
def pulse() -> Pulse:
    """Return a pulse that has not beaten yet."""
    return Pulse()


@pytest.fixture
def engine(tmp_path: Path, pulse: Pulse) -> Engine:
    """Return the writing engine of a file that one table stands in."""
    made = writer_engine(tmp_path / "library.db", pulse)
    with made.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (x INTEGER)")
    return made


def _beats(engine: Engine, pulse: Pulse, statement: str) -> int:
    with engine.begin() as connection:
        before = pulse.beats
        connection.exec_driver_sql(statement).all()
        return pulse.beats - before


def test_each_statement_beats_once(engine: Engine, pulse: Pulse) -> None:
    """However short, a statement that was executed is a step on."""
    assert _beats(engine, pulse, "SELECT 1") == 1


def test_a_long_statement_beats_as_it_goes(engine: Engine, pulse: Pulse) -> None:
    """One that takes a minute is no writer that hangs."""
    assert _beats(engine, pulse, COUNTED.format(STEPS)) > 5


def test_a_statement_that_waits_for_a_lock_has_no_pulse(
    engine: Engine, pulse: Pulse, tmp_path: Path
) -> None:
    """What was begun and not executed counts for nothing, nor does its failure."""
    other = writer_engine(tmp_path / "library.db")
    with engine.connect() as connection, other.begin():
        connection.connection.dbapi_connection.execute("PRAGMA busy_timeout = 0")  # type: ignore[union-attr]
        before = pulse.beats
        with pytest.raises(OperationalError, match="locked"):
            connection.exec_driver_sql("INSERT INTO t VALUES (1)")
        assert pulse.beats == before
    other.dispose()


def test_a_connection_without_a_listener_has_none(tmp_path: Path) -> None:
    """Tools write without being watched."""
    alone = writer_engine(tmp_path / "other.db")
    with alone.begin() as connection:
        assert connection.exec_driver_sql(COUNTED.format(STEPS)).scalar() == STEPS
    alone.dispose()

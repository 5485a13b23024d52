"""Shared tables recomputed from what they are made of, and held against what stood there.

Registers, journal and visible tables are functions of the log; `rebuild` runs it again from the
start. `show_again` makes the visible tables of some models anew from the registers: after a model
was installed, or changed its version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from leaderless.protocol import commits, hashing
from leaderless.store import log, meta
from leaderless.store.forgotten import ForgottenError, is_whole
from leaderless.store.registers import Records
from leaderless.words import doing

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from sqlalchemy import Connection

    from registry.models import Registry

# Each with the columns that are functions of the log.
_DERIVED = {
    "record": "model, uuid, state, deaths, remains, locked_by",
    "journal": "model, record, field, subkey, value, loser",
    "reference": "target, model, record, field",
}

_AT_ONCE: Final = 2_000
"""Records that are held in memory together."""


class Rebuilt(NamedTuple):
    """What a rebuild found: commits that were run, what they make, and what differed."""

    commits: int
    records: int
    """Those that are alive, as `verify` counts them."""
    deleted: int
    """Those that are remembered, and not alive."""
    differences: tuple[str, ...]


def rebuild(
    connection: Connection,
    registry: Registry,
    now_ms: int,
    tell: Callable[[int], None] = lambda _: None,
) -> Rebuilt:
    """Run the whole log again; returns where the result differs from what stood there.

    The caller holds one transaction around it. `tell` hears now and then how many commits were run.
    Raises ForgottenError and changes nothing where the log is not whole: records that it cannot make
    again stay as they are.
    """
    if not is_whole(connection):
        raise ForgottenError(
            "the log cannot be run again: the content of older commits has been forgotten",
            hint="leaderless verify counts what is here, and compares it with other devices",
        )
    shown = [model.sync_name for model in registry.shared()]
    tables = {**_DERIVED, **dict.fromkeys(shown, "*")}
    held = meta.get(connection, meta.SHARED_HASH)
    for table, columns in tables.items():
        connection.exec_driver_sql(
            f"CREATE TEMP TABLE was_{table} AS SELECT {columns} FROM {table}"
        )
    noted = (
        "CREATE TEMP TABLE was_noted AS SELECT record, loser, field, subkey, noted_at FROM journal"
    )
    connection.exec_driver_sql(noted)
    clear(connection, registry)
    clock = meta.clock(connection)
    connection.exec_driver_sql("UPDATE feed SET applied = 0, applied_hash = ?", (commits.NO_HASH,))
    # A branch begins behind what it is a branch of.
    connection.exec_driver_sql(
        "UPDATE feed SET (applied, applied_hash) = (SELECT t.received, t.received_hash FROM feed t"
        " WHERE t.id = feed.trunk) WHERE trunk IS NOT NULL"
    )
    run = log.apply_ready(connection, registry, now_ms, tell)
    meta.put_clock(connection, clock)
    connection.exec_driver_sql(
        "UPDATE journal SET noted_at = coalesce((SELECT noted_at FROM was_noted w WHERE"
        " w.record = journal.record AND w.loser = journal.loser AND w.field = journal.field"
        " AND w.subkey = journal.subkey), noted_at)"
    )
    _without_dropped(connection)
    differences = [
        difference
        for table, columns in tables.items()
        if (difference := _difference(connection, table, columns)) is not None
    ]
    if held != meta.get(connection, meta.SHARED_HASH):
        differences.append("the set hash")
    for table in (*tables, "noted"):
        connection.exec_driver_sql(f"DROP TABLE was_{table}")
    records, alive = connection.exec_driver_sql("SELECT count(*), count(state) FROM record").one()
    return Rebuilt(run, alive, records - alive, tuple(differences))


def clear(connection: Connection, registry: Registry) -> None:
    """Drop all that is made from the log; the log stays as it is, with what is applied of it."""
    shown = [model.sync_name for model in registry.shared()]
    for table in reversed([*_DERIVED, *shown]):
        connection.exec_driver_sql(f"DELETE FROM {table}")
    meta.put(connection, meta.SHARED_HASH, hashing.EMPTY_SET)


def _without_dropped(connection: Connection) -> None:
    """Take losses out of the journal again that had been dropped for their age."""
    before_ms = meta.get(connection, meta.JOURNAL_DROPPED)
    if before_ms is not None:
        # A packed reference begins with its stamp, and that with its time: three bytes in.
        connection.exec_driver_sql(
            "DELETE FROM journal WHERE substr(loser, 4, 6) < ? AND NOT EXISTS (SELECT 1 FROM"
            " was_noted w WHERE w.record = journal.record AND w.loser = journal.loser"
            " AND w.field = journal.field AND w.subkey = journal.subkey)",
            (before_ms.to_bytes(6, "big"),),
        )


def _difference(connection: Connection, table: str, columns: str) -> str | None:
    """Return how many rows of a table came and went, None if it is as it was."""
    now, was = f"SELECT {columns} FROM {table}", f"SELECT * FROM was_{table}"
    came = connection.exec_driver_sql(f"SELECT count(*) FROM ({now} EXCEPT {was})").scalar_one()
    went = connection.exec_driver_sql(f"SELECT count(*) FROM ({was} EXCEPT {now})").scalar_one()
    if came == went == 0:
        return None
    wrong = doing(went, "row", "was wrong", "were wrong")
    return f"{table}: {wrong}, {came} {'is' if came == 1 else 'are'} right now"


def show_again(
    connection: Connection,
    registry: Registry,
    models: Collection[str],
    now_ms: int,
    tell: Callable[[int], None] = lambda _: None,
) -> int:
    """Make the visible tables of `models` anew from the registers; return how many records.

    `tell` hears now and then how many were shown.
    """
    shown = 0
    for model in models:
        after = b""
        # What refers to these is shown with them, unless its own turn comes anyway.
        alone = _referrers(registry, model) <= set(models)
        while keys := _next_keys(connection, model, after):
            Records(connection, registry, now_ms).show(keys, () if alone else keys)
            after = keys[-1][1]
            shown += len(keys)
            tell(shown)
    return shown


def _referrers(registry: Registry, model: str) -> set[str]:
    """Return the models whose records may refer to those of a model."""
    return {
        other.sync_name
        for other in registry.shared()
        if any(item.reference == model for item in other.references())
    }


def _next_keys(connection: Connection, model: str, after: bytes) -> list[tuple[str, bytes]]:
    """Return the next records of a model, in the order of their ids."""
    found = connection.exec_driver_sql(
        "SELECT uuid FROM record WHERE model = ? AND uuid > ? ORDER BY uuid LIMIT ?",
        (model, after, _AT_ONCE),
    )
    return [(model, uuid) for uuid in found.scalars()]

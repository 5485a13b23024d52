"""How rows of device-owned models are stored and read back: one implementation for all of them.

Rules (they hold for every owned table):

- A row is upserted by uuid, by newer versions only: twice, late or relayed, the result is the same.
- A tombstone wins over any row of its uuid, as an owner never uses a uuid again. Not over rows of a
  later incarnation: an owner that was restored does not remember what it had deleted since.
- A deleted row that something here still refers to stays, *dead*: invisible, out of rev queries and
  hashes, sent only as an ancestor. It goes with its last referrer. Nothing cascades.
- References are uuids on the wire and local keys inside, resolved by sub-select among rows of the
  same owner. A reference to what is not here breaks the foreign key and with it the batch.
- Fields that this version does not know are kept in `extra` and handed on.

Statements go to the driver as text with tuples: these are the hot paths.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

import msgpack

from registry.errors import InvalidChangeError, NotOwnerError
from registry.rows import Rows, StateEffect, StateQuery, StateRow, StateRows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sqlalchemy import Connection, Table

    from registry.changes import StateChange
    from registry.models import Field
    from registry.rows import Epochs

_Item = TypeVar("_Item")

# SQLite allows 32,766 variables in a statement; a lookup of this size costs little to prepare.
_LOOKUP = 500
_LOOKED_AT_TOGETHER = 16
"""Of fewer rows each is looked for at once: most of them are changes of rows that are here."""

_PUT_TOMBSTONE = (
    "INSERT INTO tombstone (uuid, model, epoch, rev) VALUES (?, ?, ?, ?) ON CONFLICT (uuid) DO"
    " UPDATE SET epoch = excluded.epoch, rev = excluded.rev"
    " WHERE excluded.epoch <> tombstone.epoch OR excluded.rev > tombstone.rev"
)


class OwnedRows:
    """The apply function and the queries of one owned table."""

    def __init__(
        self, table: Table, fields: Sequence[Field], referrers: Sequence[tuple[str, str]] = ()
    ) -> None:
        """Prepare the statements; `referrers` are the (table, column) pairs that refer here."""
        self.name = table.name
        self.fields = tuple(fields)
        self.columns = tuple(field.name for field in fields)
        self._places = {name: at for at, name in enumerate(self.columns, start=2)}
        self._select, self._late = _select_text(table.name, fields)
        unused = " AND ".join(
            f"NOT EXISTS (SELECT 1 FROM {name} r WHERE r.{column} = {table.name}.id)"
            for name, column in referrers
        )
        self._sweep = f"DELETE FROM {table.name} WHERE dead = 1 AND {unused or '1'}"
        self._bury = f"UPDATE {table.name} SET dead = 1 WHERE uuid = ? AND dead = 0"

    # --- apply ------------------------------------------------------------------------------------

    def apply_state_change(
        self, connection: Connection, epochs: Epochs, change: StateChange
    ) -> StateEffect:
        """Upsert the rows of `change`, then bury what its tombstones name.

        Returns the live rows that went and came. Raises NotOwnerError where a uuid belongs to
        another owner. Rows come parents first, tombstones children first.
        """
        before: list[StateRow] = []
        after: Sequence[StateRow] = ()
        if change.rows:
            after = self._upsert(connection, epochs, change, before)
        if change.removed:
            self._remove(connection, epochs, change, before)
        return StateEffect(before, after)

    def sweep_state(self, connection: Connection) -> None:
        """Remove dead rows that nothing refers to any more, leaves first."""
        while connection.exec_driver_sql(self._sweep).rowcount:
            pass

    def _upsert(
        self,
        connection: Connection,
        epochs: Epochs,
        change: StateChange,
        before: list[StateRow],
    ) -> Sequence[StateRow]:
        """Write what is newer than what is here; add what it replaces to `before`, return what came."""
        rows = list(self._normal(change))
        uuids = [row[0] for row in rows]
        is_first = self._is_first(connection, uuids)
        held = {} if is_first else self._held(connection, epochs, uuids)
        gone = {} if is_first else _tombstones(connection, uuids)
        fresh: list[tuple[Any, ...]] = []
        latest: dict[bytes, tuple[Any, ...]] = {}
        for row in rows:
            uuid, rev = row[0], row[1]
            dead = uuid in change.dead
            known = held.get(uuid)
            if known is not None and (dead or known[1] >= rev):
                continue
            if uuid in latest and latest[uuid][1] >= rev:
                continue  # what is counted has to be the row that stays
            if not dead and uuid in gone and gone[uuid][1] == epochs.current:
                continue
            fresh.append((*row[:2], int(dead), *row[2:]))
            if not dead:
                latest[uuid] = row
        if fresh:
            connection.exec_driver_sql(self.upsert_text(epochs), fresh)
        risen = [(uuid,) for uuid in latest if uuid in gone and gone[uuid][1] in epochs.known]
        if risen:
            connection.exec_driver_sql("DELETE FROM tombstone WHERE uuid = ?", risen)
        before.extend(known[2] for uuid in latest if (known := held.get(uuid)) and known[2])
        came = list(latest.values())
        if any(row[-1] is not None for row in came):
            return list(map(self._state_row, came))
        are_all = len(came) == len(rows) and not change.dead and change.columns == self.columns
        total = change.rows.total if are_all and isinstance(change.rows, Rows) else None
        return StateRows(self.columns, came, total)

    def _remove(
        self,
        connection: Connection,
        epochs: Epochs,
        change: StateChange,
        before: list[StateRow],
    ) -> None:
        uuids = [uuid for uuid, _ in change.removed]
        held = self._held(connection, epochs, uuids)
        for uuid, (_, epoch) in _tombstones(connection, uuids).items():
            if epoch not in epochs.known:
                raise NotOwnerError(f"{self.name} {uuid.hex()} was another device's")
        connection.exec_driver_sql(
            _PUT_TOMBSTONE,
            [(uuid, self.name, epochs.current, rev) for uuid, rev in change.removed],
        )
        connection.exec_driver_sql(self._bury, [(uuid,) for uuid in uuids])
        before.extend(row for _, _, row in held.values() if row is not None)

    def _normal(self, change: StateChange) -> Iterator[tuple[Any, ...]]:
        """Yield rows as (uuid, rev, value per field of this version, packed unknown fields)."""
        if change.columns == self.columns:
            yield from ((*row, None) for row in change.rows)
            return
        if len(set(change.columns)) != len(change.columns):
            raise InvalidChangeError(f"a batch of {self.name} names a column twice")
        places = {name: at for at, name in enumerate(change.columns, start=2)}
        known = [places.pop(name, None) for name in self.columns]
        for row in change.rows:
            extra = {name: row[at] for name, at in sorted(places.items()) if row[at] is not None}
            values = (None if at is None else row[at] for at in known)
            yield (row[0], row[1], *values, msgpack.packb(extra) if extra else None)

    def _state_row(self, row: Sequence[Any]) -> StateRow:
        """Return (uuid, rev, fields that are there) of a normal row."""
        fields = {
            name: value
            for name, value in zip(self.columns, row[2:], strict=False)
            if value is not None
        }
        if row[-1] is not None:
            fields.update(msgpack.unpackb(row[-1]))
        return StateRow(row[0], row[1], fields)

    def _held(
        self, connection: Connection, epochs: Epochs, uuids: Iterable[bytes]
    ) -> dict[bytes, tuple[int, int, StateRow | None]]:
        """Return (epoch, rev in terms of the current epoch, live row) of those uuids that are here.

        A row of an earlier incarnation counts as older than any rev of the current one.
        """
        width = len(self.columns) + 3
        held: dict[bytes, tuple[int, int, StateRow | None]] = {}
        for chunk in _chunks(uuids):
            query = f"{self._select} WHERE e.uuid IN ({', '.join('?' * len(chunk))})"
            for row in connection.exec_driver_sql(query, chunk):
                dead, epoch = row[width], row[width + 1]
                if epoch not in epochs.known:
                    raise NotOwnerError(f"{self.name} {row[0].hex()} belongs to another device")
                rev = row[1] if epoch == epochs.current else -1
                held[row[0]] = (epoch, rev, None if dead else self._state_row(row[:width]))
        return held

    def _is_first(self, connection: Connection, uuids: Sequence[bytes]) -> bool:
        """Return whether surely nothing is known of these uuids: no row here, and no tombstone.

        New ids rise, and those that are made together are neighbours: one look at what lies between
        the first and the last of them spares a look for each.
        """
        if len(uuids) < _LOOKED_AT_TOGETHER:
            return False
        query = (
            f"SELECT EXISTS (SELECT 1 FROM {self.name} WHERE uuid BETWEEN ?1 AND ?2)"
            " OR EXISTS (SELECT 1 FROM tombstone WHERE uuid BETWEEN ?1 AND ?2)"
        )
        ends = (min(uuids), max(uuids))
        return not connection.exec_driver_sql(query, ends).scalar_one()

    def upsert_text(self, epochs: Epochs) -> str:
        """Return the statement that writes a row: uuid, rev, dead, a value per field, extra."""
        names = ("uuid", "rev", "dead", *self.columns, "extra")
        owned = ", ".join(str(epoch) for epoch in sorted(epochs.known))
        values = ["?1", "?2", "?3"]
        for at, field in enumerate(self.fields, start=4):
            if field.reference is None:
                values.append(f"?{at}")
                continue
            # -1 is nobody's key: what is not here breaks the foreign key instead of becoming null.
            found = f"(SELECT id FROM {field.reference} WHERE uuid = ?{at} AND epoch IN ({owned}))"
            values.append(f"CASE WHEN ?{at} IS NULL THEN NULL ELSE coalesce({found}, -1) END")
        values.append(f"?{len(names)}")
        changed = ", ".join(f"{name} = excluded.{name}" for name in (*names[1:], "epoch"))
        return (
            f"INSERT INTO {self.name} ({', '.join(names)}, epoch)"
            f" VALUES ({', '.join(values)}, {epochs.current})"
            f" ON CONFLICT (uuid) DO UPDATE SET {changed}"
            f" WHERE excluded.epoch <> {self.name}.epoch OR excluded.rev > {self.name}.rev"
        )

    # --- queries ----------------------------------------------------------------------------------

    def query_state(
        self, connection: Connection, epoch: int, lo: int, hi: int, limit: int
    ) -> StateQuery:
        """Return at most `limit` live rows of an owner with lo < rev <= hi, in rev order."""
        query = (
            f"{self._select} WHERE e.epoch = ? AND e.rev > ? AND e.rev <= ? AND e.dead = 0"
            " ORDER BY e.rev LIMIT ?"
        )
        found = connection.exec_driver_sql(query, (epoch, lo, hi, limit))
        return self._result(found, lambda row, late_rev: late_rev > row[1])

    def query_rows(
        self, connection: Connection, epoch: int, lo: int, keys: Sequence[int]
    ) -> StateQuery:
        """Return rows of an owner by local key, dead ones too: the ancestors of other rows.

        `late` are the rows they refer to that a holder of everything up to `lo` may lack.
        """
        rows: list[Any] = []
        for chunk in _chunks(keys):
            query = (
                f"{self._select} WHERE e.epoch = {epoch:d} AND e.id IN"
                f" ({', '.join('?' * len(chunk))}) ORDER BY e.rev"
            )
            rows.extend(connection.exec_driver_sql(query, chunk))
        result = self._result(rows, lambda _, late_rev: late_rev > lo)
        dead = [row[0] for row in rows if row[len(self.columns) + 3]]
        gone = {uuid: rev for uuid, (rev, _) in _tombstones(connection, dead).items()}
        return result._replace(dead=gone)

    def _result(self, found: Iterable[Any], is_late: Any) -> StateQuery:  # noqa: ANN401 - predicate
        width = len(self.columns) + 2
        rows: list[tuple[Any, ...]] = []
        extras: dict[int, dict[str, Any]] = {}
        late: set[tuple[str, int]] = set()
        for row in found:
            values = row[:width]
            if row[width] is not None:
                values, extras[len(rows)] = self._with_kept(values, msgpack.unpackb(row[width]))
            rows.append(tuple(values))
            for at, model in self._late:
                key = row[at]
                if key is not None and (row[at + 2] or is_late(row, row[at + 1])):
                    late.add((model, key))
        columns = self.columns
        if extras:
            names = tuple(sorted({name for extra in extras.values() for name in extra}))
            columns = (*columns, *names)
            rows = [
                (*row, *(extras.get(at, {}).get(name) for name in names))
                for at, row in enumerate(rows)
            ]
        return StateQuery(columns, rows, frozenset(late))

    def _with_kept(
        self, values: Sequence[Any], extra: dict[str, Any]
    ) -> tuple[list[Any], dict[str, Any]]:
        """Return a row with the fields that came before their columns and do not fit there."""
        said = list(values)
        for name in extra.keys() & self._places.keys():
            said[self._places[name]] = extra.pop(name)
        return said, extra


def _select_text(name: str, fields: Sequence[Field]) -> tuple[str, tuple[tuple[int, str], ...]]:
    """Return a select of wire values, and the places of the columns that describe references.

    Columns: uuid, rev, a value per field, extra, dead, epoch, then key, rev and dead per reference.
    """
    values: list[str] = []
    joins: list[str] = []
    about: list[str] = []
    late: list[tuple[int, str]] = []
    for at, field in enumerate(fields):
        if field.reference is None:
            values.append(f"e.{field.name}")
            continue
        values.append(f"r{at}.uuid")
        joins.append(f" LEFT JOIN {field.reference} r{at} ON r{at}.id = e.{field.name}")
        late.append((len(fields) + 5 + len(about), field.reference))
        about += [f"r{at}.id", f"r{at}.rev", f"r{at}.dead"]
    listed = ", ".join(["e.uuid", "e.rev", *values, "e.extra", "e.dead", "e.epoch", *about])
    return f"SELECT {listed} FROM {name} e{''.join(joins)}", tuple(late)


def _tombstones(connection: Connection, uuids: Sequence[bytes]) -> dict[bytes, tuple[int, int]]:
    """Return the (rev, epoch) of the tombstone of each uuid that has one."""
    found: dict[bytes, tuple[int, int]] = {}
    for chunk in _chunks(uuids):
        listed = ", ".join("?" * len(chunk))
        query = f"SELECT uuid, rev, epoch FROM tombstone WHERE uuid IN ({listed})"
        found.update(
            (uuid, (rev, epoch)) for uuid, rev, epoch in connection.exec_driver_sql(query, chunk)
        )
    return found


def _chunks(items: Iterable[_Item]) -> Iterator[tuple[_Item, ...]]:
    iterator = iter(items)
    while chunk := tuple(islice(iterator, _LOOKUP)):
        yield chunk

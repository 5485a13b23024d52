"""What was fetched of the shared records, joined with what is here: record by record, in one go.

How it comes to be staged, and what becomes of the log, is `store.staging`'s business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from leaderless.protocol import limits
from leaderless.protocol.errors import ProtocolError
from leaderless.protocol.packing import pack, unpack_each
from leaderless.protocol.records import decode_ref, decode_state, encode_ref
from leaderless.store.contents import Contents
from leaderless.store.record_source import losses_of
from leaderless.store.registers import Records
from registry.joining import Memory, join, unseen
from registry.state import NOTHING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy import Connection

    from registry.models import Registry

Key = tuple[str, bytes]
_AT_ONCE: Final = 1_000
"""Records that are held in memory together."""
_LOOKUP: Final = 500


class DisagreesError(ProtocolError):
    """The state that a device sent does not fit the log that others signed."""

    code = "state_disagrees"

    def __init__(self, source: bytes, why: str) -> None:
        super().__init__(f"the state of the records that was fetched cannot be: {why}")
        self.source = source


class Joining:
    """One run over all records, those that are staged and those that are here."""

    def __init__(
        self,
        connection: Connection,
        registry: Registry,
        now_ms: int,
        mine: Mapping[bytes, int],
        theirs: Mapping[bytes, int],
    ) -> None:
        """Join what is here, `mine` being applied, with what is staged as of `theirs`."""
        self._connection = connection
        self._registry = registry
        self._now_ms = now_ms
        self._mine = mine
        self._theirs = theirs
        feeds = connection.exec_driver_sql("SELECT feed, id FROM feed").all()
        self._contents = Contents(connection, dict(tuple(row) for row in feeds))

    def run(self, tell: Callable[[int], None]) -> int:
        """Join all records; return how many there were. Raises DisagreesError."""
        done = 0
        at: Key = ("", b"")
        while keys := self._next(at):
            self._join(keys)
            at = keys[-1]
            done += len(keys)
            tell(done)
        return done

    def _next(self, after: Key) -> list[Key]:
        keys: set[Key] = set()
        for table in ("record", "staged_record"):
            found = self._connection.exec_driver_sql(
                f"SELECT model, uuid FROM {table} WHERE (model, uuid) > (?, ?)"
                " ORDER BY model, uuid LIMIT ?",
                (*after, _AT_ONCE),
            )
            keys.update((model, uuid) for model, uuid in found)
        return sorted(keys)[:_AT_ONCE]

    def _join(self, keys: Sequence[Key]) -> None:
        staged = self._staged(keys)
        records = Records(self._connection, self._registry, self._now_ms)
        records.load(keys)
        lost = losses_of(self._connection, keys)
        for key in keys:
            state, losses = records.state(*key), lost.get(key, {})
            mine = Memory(state, unseen(state, losses), self._mine)
            theirs = staged.get(key) or Memory(NOTHING, {}, self._theirs)
            joined = join(mine, theirs)
            if joined.state != state or (key in staged and state == NOTHING):
                records.put(key, joined.state)
            if joined.losses.keys() != losses.keys() or joined.state != state:
                self._journal(key, joined)
        records.save()

    def _staged(self, keys: Sequence[Key]) -> dict[Key, Memory]:
        """Return what is staged of these records, held against the commits that are here."""
        found: dict[Key, Memory] = {}
        sources: dict[Key, bytes] = {}
        first, last = keys[0], keys[-1]
        rows = self._connection.exec_driver_sql(
            "SELECT model, uuid, state, deaths, remains, unseen, source FROM staged_record"
            " WHERE (model, uuid) >= (?, ?) AND (model, uuid) <= (?, ?)",
            (*first, *last),
        )
        for model, uuid, state, deaths, remains, losses, source in rows:
            held = {
                ((field, subkey), decode_ref(ref)): value
                for field, subkey, value, ref in unpack_each(
                    losses, limits.MAX_ITEMS, limits.MAX_HEAD_BYTES, unset=True
                )
            }
            memory = Memory(decode_state(state, deaths, remains), held, self._theirs)
            found[model, uuid], sources[model, uuid] = memory, source
        wrong = self._contents.contradicted(found)
        if wrong is not None:
            key, at = wrong
            why = f"commit {at.seq} of {at.feed[:16].hex()} is another"
            raise DisagreesError(sources[key], why)
        return found

    def _journal(self, key: Key, joined: Memory) -> None:
        """Have the journal say what is lost of a record now."""
        rows: dict[tuple[Any, ...], bytes] = {
            (field, subkey or "", encode_ref(ref)): pack(value)
            for ((field, subkey), ref), value in joined.losses.items()
        }
        rows |= {("", "", encode_ref(ref)): pack(None) for ref in joined.state.failed_deletes}
        held = self._connection.exec_driver_sql(
            "SELECT id, field, subkey, loser FROM journal WHERE record = ? AND model = ?",
            (key[1], key[0]),
        ).all()
        gone = [(number,) for number, *name in held if tuple(name) not in rows]
        if gone:
            self._connection.exec_driver_sql("DELETE FROM journal WHERE id = ?", gone)
        if rows:
            self._connection.exec_driver_sql(
                "INSERT INTO journal (model, record, field, subkey, value, loser, noted_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                [
                    (*key, field, subkey, value, loser, self._now_ms)
                    for (field, subkey, loser), value in rows.items()
                ],
            )

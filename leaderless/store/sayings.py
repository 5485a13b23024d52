"""What people said of a row that is known under another id now: it follows to the one that stays.

A restored device has found a file that it had found before the restore, too; people tagged either.
One action, of this device, says of the id that stays what was said of the other one, where nobody has
said anything later of that; the records that nobody would see any more are deleted. It reaches
everybody like any edit, but each value comes right behind the one that it repeats: what was said of
the id that stays since then, and is not heard of yet, wins. Of two values that differ the earlier one
is listed as a conflict, whichever id it was said of: who said the later one had not seen it.
Each names what it repeats, so that this can still be told, and taken back.
"""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from leaderless.errors import LeaderlessError
from leaderless.store import meta
from leaderless.store.registers import read_state
from registry.changes import LOCK_FIELD, UNSET, Create, Delete, Lock, Lose, RecordId, Update
from registry.derived import derived_id, link_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from sqlalchemy import Connection

    from leaderless.store.transaction import Transaction
    from registry.changes import Dot, Edit, FieldKey, Value, WriteRef
    from registry.hlc import Stamp
    from registry.models import Field, Model
    from registry.state import RecordState, Write

COMMAND: Final = "device.restore"
"""The name of these commits in the history."""
_Key = tuple[str, bytes]
"""A record: (model, uuid)."""


def follow(transaction: Transaction) -> int:
    """Let what is said of rows follow to those that stay for them; return of how much that fails.

    Of what another device holds locked nothing changes.
    """
    connection = transaction.conn
    following = _Following(transaction)
    for model in transaction.registry.shared():
        for field in model.fields:
            if field.about is not None:
                for record, stays in _records(connection, model, field):
                    following.add(model, field, record, stays)
    edits = following.edits()
    if not edits:
        return following.failed
    if meta.get(connection, meta.REVOKED) is not None:
        return following.failed + _records_of(edits)
    connection.exec_driver_sql("SAVEPOINT following")
    try:
        transaction.commit(COMMAND, edits, {"count": len(following.items)})
        # Last, as it would hold back all else.
        if locks := following.locks():
            transaction.commit(COMMAND, locks, {"count": len(locks)})
    except LeaderlessError:
        # A record may have grown beyond what one change holds: the rows are worth more than that.
        connection.exec_driver_sql("ROLLBACK TO following")
        following.failed += _records_of(edits)
    connection.exec_driver_sql("RELEASE following")
    return following.failed


def actions_here(connection: Connection) -> frozenset[tuple[bytes, bytes]]:
    """Return by feed and command id the actions in the log by which something followed.

    Only a device that was restored says so: in other libraries no commit is looked at, and in none
    what stands behind a body, which may be long.
    """
    found = connection.exec_driver_sql(
        "SELECT DISTINCT f.feed, c.command_id FROM feed f CROSS JOIN commit_log c ON c.feed = f.id"
        " WHERE substr(f.feed, 17, 4) > x'00000001' AND c.seq <= f.applied"
        " AND instr(c.header, ?) > 0 AND c.command = ?",
        (COMMAND.encode(), COMMAND),
    ).all()
    return frozenset((feed, command_id) for feed, command_id in found)


def _records_of(edits: Iterable[Edit]) -> int:
    return len({(edit.model, bytes(edit.record)) for edit in edits})


def _records(connection: Connection, model: Model, field: Field) -> Iterator[tuple[bytes, bytes]]:
    """Yield the records that name a row by a field, and the id that stays for that row."""
    found = connection.exec_driver_sql(
        f"SELECT r.uuid, s.stays FROM since_backup s JOIN {model.sync_name} r"
        f" ON r.{field.name} = s.uuid WHERE s.model = ? AND s.stays <> s.uuid ORDER BY r.uuid",
        (field.about,),
    ).all()
    yield from ((record, stays) for record, stays in found)


class _Heard(NamedTuple):
    """What a record says that follows to another one."""

    said: dict[FieldKey, Write]
    dots: frozenset[Dot]
    refs: frozenset[WriteRef]
    """All that shows there, what names the row among it."""


class _Following:
    """Collects what is to be said where: of a record one edit, and what is lost against that."""

    def __init__(self, transaction: Transaction) -> None:
        self._connection = transaction.conn
        self._author = transaction.own_device
        self._heard: dict[_Key, list[_Heard]] = {}
        self._ends: dict[_Key, dict[FieldKey, Value]] = {}
        self._gone: dict[_Key, list[Edit]] = {}
        self._fields: dict[tuple[str, str], Field] = {}
        self._locked: dict[_Key, None] = {}
        self.items: set[bytes] = set()
        """The rows of which something is said."""
        self.failed = 0

    def add(self, model: Model, field: Field, record: bytes, stays: bytes) -> None:
        """Let what a record says follow to the row that stays; it may do so itself."""
        held = read_state(self._connection, model.sync_name, record)
        target = _id_for(model, field, record, held, stays)
        key = (model.sync_name, record if target is None else bytes(target))
        self._ends.setdefault(key, {})[field.name, None] = stays
        self.items.add(stays)
        if target is None:
            return
        said, is_whole = {}, True
        for name, write in held.shown().items():
            if name[0] in (field.name, LOCK_FIELD) or write.value is UNSET:
                continue
            known = model.field(name[0])
            if known is not None and known.accepts(write.value):
                said[name] = write
                self._fields[model.sync_name, name[0]] = known
            else:
                is_whole = False
        self._heard.setdefault(key, []).append(_Heard(said, held.dots, _refs(held.shown())))
        if not is_whole:
            # What only later versions know stays where it is, for them.
            self.failed += 1
        elif self._may_edit(held):
            if held.locked_by is not None:
                self._locked[key] = None
            self._gone.setdefault(key, []).append(Delete(model.sync_name, RecordId(record)))

    def edits(self) -> list[Edit]:
        """Return the edits; what another device holds locked is counted as failed."""
        first: list[Edit] = []
        then: list[tuple[Stamp, Edit]] = []
        for (model, record), ends in self._ends.items():
            held = read_state(self._connection, model, record)
            heard = self._heard.get((model, record), [])
            said = _latest(heard)
            now = held.shown() if held.alive else {}
            news = _news(now, said)
            shown = {name: write.value for name, write in (now | news).items()}
            lost = list(self._lost(model, record, heard, shown))
            moved = {} if heard else {name: now[name] for name in ends}
            if not self._may_edit(held) and (news or lost or moved):
                self.failed += 1
                continue
            if not held.alive:
                made, news = self._made(model, news)
                all_of_it = frozenset().union(*(one.refs for one in heard))
                fields = _named(made | ends)
                first.append(Create(model, RecordId(record), fields, (*all_of_it,)))
            for as_of, values in _by_stamp(news):
                unseen = tuple(now[name].ref for name in values if name in now)
                fields = _named(values)
                repeats = (*_refs({name: said[name] for name in values}),)
                edit = Update(model, RecordId(record), fields, (), unseen, as_of, repeats)
                then.append((as_of, edit))
            for as_of, values in _by_stamp(moved):
                fields = _named({name: ends[name] for name in values})
                then.append((as_of, Update(model, RecordId(record), fields, as_of=as_of)))
            then += lost
            first += self._gone.get((model, record), [])
        return [*first, *(edit for _, edit in sorted(then, key=itemgetter(0)))]

    def locks(self) -> list[Edit]:
        """Return the locks of this device that follow, once all else has."""
        return [
            Lock(model, RecordId(record))
            for model, record in self._locked
            if read_state(self._connection, model, record).locked_by is None
        ]

    def _made(
        self, model: str, said: Mapping[FieldKey, Write]
    ) -> tuple[dict[FieldKey, Value], dict[FieldKey, Write]]:
        """Return what a record is made with, and what is said of it once it is there."""
        made = {
            name: write.value
            for name, write in said.items()
            if (field := self._field(model, name)).bookkeeping or not field.nullable
        }
        return made, {name: write for name, write in said.items() if name not in made}

    def _lost(
        self, model: str, record: bytes, heard: Iterable[_Heard], shown: Mapping[FieldKey, Value]
    ) -> Iterator[tuple[Stamp, Edit]]:
        """Yield what is to be listed of what was said, as another value is shown."""
        for said, dots, _ in heard:
            lost = {
                name: write
                for name, write in said.items()
                if write.value != shown[name] and not self._field(model, name).bookkeeping
            }
            for as_of, values in _by_stamp(lost):
                fields = _named(values)
                repeats = (*_refs({name: said[name] for name in values}),)
                yield as_of, Lose(model, RecordId(record), fields, (*dots,), as_of, repeats)

    def _field(self, model: str, name: FieldKey) -> Field:
        return self._fields[model, name[0]]

    def _may_edit(self, held: RecordState) -> bool:
        return held.locked_by in (None, self._author)


def _refs(writes: Mapping[FieldKey, Write]) -> frozenset[WriteRef]:
    """Return what wrote values, but for locks: these are not repeated."""
    return frozenset(write.ref for key, write in writes.items() if key[0] != LOCK_FIELD)


def _latest(heard: Iterable[_Heard]) -> dict[FieldKey, Write]:
    """Return by register what was said last."""
    latest: dict[FieldKey, Write] = {}
    for said, *_ in heard:
        for name, write in said.items():
            if name not in latest or latest[name].ref < write.ref:
                latest[name] = write
    return latest


def _id_for(
    model: Model, field: Field, record: bytes, held: RecordState, stays: bytes
) -> RecordId | None:
    """Return the id of the record that says of `stays` what this one says, None for this one itself."""
    ends: dict[Any, Any] = {name: write.value for (name, _), write in held.shown().items()}
    if model.record_id is not None:
        return model.record_id({**ends, field.name: stays})
    if model.link is None or field.name not in (model.link.item, model.link.group):
        return None
    before, after = (
        link_id(model.sync_name, said[model.link.item], said[model.link.group])
        for said in (ends, {**ends, field.name: stays})
    )
    # The same file in an album once more has an id of its own.
    return after if before == record else derived_id(COMMAND, record, stays)


def _news(now: dict[FieldKey, Write], said: dict[FieldKey, Write]) -> dict[FieldKey, Write]:
    """Return what was said that a record does not say, or said earlier."""
    return {
        name: write
        for name, write in said.items()
        if name not in now or (now[name].ref < write.ref and now[name].value != write.value)
    }


def _by_stamp(writes: Mapping[FieldKey, Write]) -> Iterator[tuple[Stamp, dict[FieldKey, Value]]]:
    """Yield what was said at once, and when."""
    found: dict[Stamp, dict[FieldKey, Value]] = {}
    for name, write in writes.items():
        found.setdefault(write.ref.stamp, {})[name] = write.value
    yield from found.items()


def _named(values: dict[FieldKey, Value]) -> dict[str | tuple[str, str], Value]:
    """Return values under the names by which an edit knows registers."""
    return {
        name if subkey is None else (name, subkey): value
        for (name, subkey), value in values.items()
    }

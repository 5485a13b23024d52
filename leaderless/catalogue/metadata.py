"""What people say of files: note, favorite, hidden, rating, and data of their own.

It is said of the content where the full hash is known, so it holds for every copy, or of one entry
alone. What a file shows is its content's overlaid by its entry's, field by field. A field that was
never written is unset; one that was cleared is empty: it holds None, and an entry's hides what its
content says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from entities.content import content_id
from entities.user_metadata import FIELDS, metadata_id
from leaderless.catalogue.places import chunks
from leaderless.catalogue.targets import CONTENT, ENTRY, missing_contents
from leaderless.errors import UsageError
from leaderless.protocol.records import decode_state
from registry.changes import LOCK_FIELD, UNSET, Create, Update

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sqlalchemy import Connection

    from leaderless.catalogue.tagging import Files
    from leaderless.catalogue.targets import Target
    from leaderless.store.store import Store
    from leaderless.store.transaction import Transaction
    from registry.changes import Edit, FieldKey, Value
    from registry.state import RecordState, Write

    Fields = Mapping[str | tuple[str, str], Value]

MODEL: Final = "user_metadata"
MAX_NOTE: Final = 65_536
MAX_KEY: Final = 256
_BOOKKEEPING: Final = frozenset(item.name for item in FIELDS if item.bookkeeping) | {LOCK_FIELD}


def overlay(
    content_fields: Mapping[FieldKey, Any], entry_fields: Mapping[FieldKey, Any]
) -> dict[FieldKey, Any]:
    """Return what a file shows, by register: its content's fields, its entry's over them.

    A field that is in neither is unset. One that the entry has cleared (None) is empty, whatever
    the content says. Data of one's own is overlaid key by key.
    """
    return {**content_fields, **entry_fields}


class Said(NamedTuple):
    """What was done: to how many files, in how many records (copies share one), by which command.

    `own` are files that show something else all the same, said of their entry alone.
    """

    command_id: bytes | None
    targets: int
    records: int
    own: int


async def annotate(
    store: Store, files: Files, fields: Fields, command: str, data: Mapping[str, Value]
) -> Said:
    """Say something of files, all in one action: `fields` as in an edit of user_metadata.

    Files that say so already are left out; where that is all of them, nothing is written. Raises
    NotFoundError or UsageError; nothing is changed then.
    """
    check_fields(fields)

    def write(transaction: Transaction) -> Said:
        connection = transaction.conn
        targets = files.select(connection, store.own_epoch)
        wanted = {_record(target): target for target in targets}
        meant = dict(_meant(connection, wanted, fields))
        own = 0 if files.scope else _otherwise(connection, targets, fields)
        command_id = None
        if meant:
            edits = missing_contents(connection, (wanted[record] for record in meant))
            edits += [_edit(wanted[record], fields, alive=meant[record]) for record in meant]
            command_id = transaction.commit(command, edits, {**data, "count": len(meant)})
        return Said(command_id, len(targets), len(meant), own)

    return await store.write(write)


def check_fields(fields: Fields) -> None:
    """Raise UsageError where a value cannot be said of a file."""
    for key, value in fields.items():
        if key == "rating" and value not in (None, UNSET, *range(6)):
            raise UsageError("a rating is a number from 0 to 5", hint="leaderless rate TARGET 4")
        if isinstance(key, tuple):
            _check_text("a key", key[1], MAX_KEY)
        if isinstance(value, str):
            _check_text("a note" if key == "note" else "a value", value, MAX_NOTE)


def _check_text(what: str, text: str, most: int) -> None:
    if not text or len(text) > most:
        raise UsageError(f"{what} has 1 to {most} characters")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"{what} has to be text in UTF-8") from error


def _record(target: Target) -> bytes:
    return metadata_id(target.scope, target.item)


def _edit(target: Target, fields: Fields, *, alive: bool) -> Edit:
    """Return the edit that writes fields; a record that was deleted starts empty again."""
    if alive:
        return Update(MODEL, _record(target), fields)
    about: Fields = {"scope": target.scope, "target": target.item}
    return Create(MODEL, _record(target), {**about, **fields})


def _meant(
    connection: Connection, wanted: Mapping[bytes, Target], fields: Fields
) -> Iterator[tuple[bytes, bool]]:
    """Yield the records in which fields would change what is shown, and whether each is alive."""
    for some in chunks(list(wanted)):
        states = metadata_states(connection, some)
        for record in some:
            if not _says_so(states.get(record), wanted[record], fields):
                yield record, record in states


def _says_so(state: RecordState | None, target: Target, fields: Fields) -> bool:
    """Return whether a record shows just that; what it has no value for, cleared shows as well."""
    shown = said(state)
    hides = target.scope == ENTRY and target.content_hash is not None
    nothing = (UNSET,) if hides else (UNSET, None, False)
    for key, value in fields.items():
        held = shown.get(key if isinstance(key, tuple) else (key, None))
        if held is None and not any(value is item for item in nothing):
            return False
        if held is not None and (type(held.value), held.value) != (type(value), value):
            return False
    return True


def _otherwise(connection: Connection, targets: Sequence[Target], fields: Fields) -> int:
    """Return how many files keep showing what was said of their entry alone."""
    own = [metadata_id(ENTRY, item.entry) for item in targets if item.scope == CONTENT]
    wanted = {key if isinstance(key, tuple) else (key, None): v for key, v in fields.items()}
    count = 0
    for state in metadata_states(connection, own).values():
        shown = said(state)
        count += any(key in shown and shown[key].value != value for key, value in wanted.items())
    return count


# --- reading --------------------------------------------------------------------------------------


def metadata_states(connection: Connection, records: Iterable[bytes]) -> dict[bytes, RecordState]:
    """Return the states of those metadata records that are alive."""
    states: dict[bytes, RecordState] = {}
    for some in chunks(list(records)):
        found = connection.exec_driver_sql(
            "SELECT uuid, state FROM record WHERE model = ? AND state IS NOT NULL"
            f" AND uuid IN ({', '.join('?' * len(some))})",
            (MODEL, *some),
        )
        states.update((uuid, decode_state(state)) for uuid, state in found)
    return states


def said(state: RecordState | None) -> dict[FieldKey, Write]:
    """Return what a metadata record says, by register; None says nothing."""
    shown = {} if state is None else state.shown()
    return {
        key: write
        for key, write in shown.items()
        if key[0] not in _BOOKKEEPING and write.value is not UNSET
    }


def records_of(entry: bytes, content_hash: bytes | None) -> tuple[bytes | None, bytes]:
    """Return the ids of what is said of a file: of its content, if that is known, and its entry."""
    of_content = None
    if content_hash is not None:
        of_content = metadata_id(CONTENT, content_id(content_hash))
    return of_content, metadata_id(ENTRY, entry)


def metadata_json(fields: Mapping[FieldKey, Value]) -> dict[str, Any]:
    """Return what a file shows, for JSON: unset fields are absent, empty ones null."""
    shown: dict[str, Any] = {}
    for (name, subkey), value in sorted(fields.items(), key=lambda item: str(item[0])):
        if subkey is None:
            shown[name] = value
        elif value is not None:
            shown.setdefault(name, {})[subkey] = value
    return shown

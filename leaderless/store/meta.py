"""Single facts about the file: which library, which device, its clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from registry.hlc import Clock

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection

LIBRARY = "library"
OWN_DEVICE = "own_device"
OWN_EPOCH = "own_epoch"
SHARED_HASH = "shared_hash"
MODELS = "models"  # the built-in shared models and versions that the visible tables were made by
INSTALLED = "installed"  # what was known of models of packages when this file was opened last
REBUILD = "rebuild"  # set by a schema upgrade after which the log has to be run again
DISK_TRIED = "disk_tried"  # when a write showed last that a disk that had failed is well again
REPLACED = "replaced"  # how this file came to replace a damaged one (store/repair.py)
STATE_WANTED = "state_wanted"  # set while shared records are damaged that the log cannot make anew
GIVERS = "givers"  # whose word the shared records here are: the devices that gave a state of them
EVIDENCE = "evidence"  # the last commit (rowid) whose header was read for what it proves
JOURNAL_DROPPED = "journal_dropped"  # losses that were noted before (ms) were dropped for their age
MEMBERSHIP = "membership"  # digest of the statements that were known last
RESTORING = "restoring"  # since when (ms) this device takes its own rows back from its peers
WENT_ON = "went_on"  # when (ms) it had done so last, in this run of the program
SUPERSEDED = "superseded"  # when (ms) it was told last of a later incarnation that it had not begun
CAME_BACK = "came_back"  # that it goes on, and what it was given back (store/came_back.py)
STAGING = "staging"  # how far the state of the shared records has been fetched from others
SINCE_BACKUP = "since_backup"  # what is kept of the rows since then, and from where they count
STARTS = "starts"  # how far the own rows were at each start
DISPUTED = "disputed"  # our own word on other rows than those that we have at its rev
HEARD_GENERATION = "heard_generation"  # the highest of ours that a peer has told us of
CLONED = "cloned"  # since when (ms) another machine runs as this device
READMITTED = "readmitted"  # from which generation on this device is a member again
REVOKED = "revoked"  # since when (ms) this device knows that it is no member any more
RENAMED = "renamed"  # set when positions got other names: tables are to be shown again
_RELAYED = "relayed/"
_RELAYED_ABOVE = "relayed_above/"
_TOUCHED = "touched/"
_TAKEN_BACK = "taken_back/"
_SUSPECTED = "suspected/"
STAYS = 2  # what such a fact says where the proved copy is still there
ASIDE = "aside/"
_PAUSED = "paused/"  # since when (ms) the contents of a location are not read
OF_COPIES = (
    _RELAYED,
    _RELAYED_ABOVE,
    _TOUCHED,
    _TAKEN_BACK,
    _SUSPECTED,
)  # how rows came to be here
_CLOCK_MS = "clock_ms"
_CLOCK_COUNTER = "clock_counter"
_ID_BYTES = 16
_PUT = (
    "INSERT INTO meta (name, value) VALUES (?, ?)"
    " ON CONFLICT (name) DO UPDATE SET value = excluded.value"
)


def get(connection: Connection, name: str) -> Any:  # noqa: ANN401 - a fact of any type
    """Return a fact; it was written when the library was made."""
    return connection.exec_driver_sql("SELECT value FROM meta WHERE name = ?", (name,)).scalar()


def known(connection: Connection, *names: str) -> dict[str, Any]:
    """Return those of some facts that are known, in one statement."""
    marks = ", ".join("?" * len(names))
    query = f"SELECT name, value FROM meta WHERE name IN ({marks})"  # noqa: S608 - marks alone
    return dict(connection.exec_driver_sql(query, names).all())


def put(connection: Connection, name: str, value: bytes | int | str) -> None:
    """Set a fact."""
    connection.exec_driver_sql(_PUT, (name, value))


def devices(connection: Connection, name: str) -> tuple[bytes, ...]:
    """Return the devices that a fact lists, in their order; none if it was never written."""
    listed: bytes = get(connection, name) or b""
    return tuple(listed[at : at + _ID_BYTES] for at in range(0, len(listed), _ID_BYTES))


def put_devices(connection: Connection, name: str, listed: Iterable[bytes]) -> None:
    """Set a fact that lists devices; of none, forget it."""
    packed = b"".join(sorted(set(listed)))
    if packed:
        put(connection, name, packed)
    else:
        drop(connection, name)


def drop(connection: Connection, name: str) -> None:
    """Forget a fact, if it was known."""
    connection.exec_driver_sql("DELETE FROM meta WHERE name = ?", (name,))


def drop_all(connection: Connection, kind: str) -> None:
    """Forget the facts of a kind, of whatever owner they are."""
    connection.exec_driver_sql(
        "DELETE FROM meta WHERE name > ? AND name < ?", (kind, kind[:-1] + "0")
    )


def relayed(owner: bytes) -> str:
    """Return the fact that names who relayed rows of an owner since its copy was proved last."""
    return _RELAYED + owner.hex()


def relayed_above(owner: bytes) -> str:
    """Return the fact that says above which rev the first of them brought rows."""
    return _RELAYED_ABOVE + owner.hex()


def touched(owner: bytes) -> str:
    """Return the fact that some of an owner's copy, proved or not, came through others."""
    return _TOUCHED + owner.hex()


def taken_back(owner: bytes) -> str:
    """Return the fact that names whose rows of an owner did not fit a proved copy the last time."""
    return _TAKEN_BACK + owner.hex()


def suspected(owner: bytes) -> str:
    """Return the fact that sources of an owner are suspects, until a copy of it is proved.

    Its value is 1 where the copy was dropped for it, STAYS where a proved one stays until then.
    """
    return _SUSPECTED + owner.hex()


def aside(owner: bytes) -> str:
    """Return the fact that says how far a peer has given an owner's rows that are kept aside."""
    return ASIDE + owner.hex()


def paused(location: bytes) -> str:
    """Return the fact that a person wants the contents of a location unread for now."""
    return _PAUSED + location.hex()


def paused_locations(connection: Connection) -> frozenset[bytes]:
    """Return the locations of which that is so."""
    found = connection.exec_driver_sql(
        "SELECT name FROM meta WHERE name > ? AND name < ?", (_PAUSED, "paused0")
    )
    return frozenset(bytes.fromhex(name.removeprefix(_PAUSED)) for name in found.scalars())


def suspected_owners(connection: Connection) -> dict[bytes, bool]:
    """Return the owners of whom that is so, and whether a proved copy stays."""
    found = connection.exec_driver_sql(
        "SELECT name, value FROM meta WHERE name > ? AND name < ?", (_SUSPECTED, "suspected0")
    )
    return {bytes.fromhex(name.removeprefix(_SUSPECTED)): at == STAYS for name, at in found}


def clock(connection: Connection) -> Clock:
    """Return the clock as it was made durable last."""
    found = known(connection, _CLOCK_MS, _CLOCK_COUNTER)
    return Clock(found.get(_CLOCK_MS, 0), found.get(_CLOCK_COUNTER, 0))


def put_clock(connection: Connection, state: Clock) -> None:
    """Make the clock durable with whatever the transaction writes beside it."""
    facts = [(_CLOCK_MS, state.ms), (_CLOCK_COUNTER, state.counter)]
    connection.exec_driver_sql(_PUT, facts)

"""Records by what a person calls them: a name, or the beginning or end of an id.

Ids made at one time begin alike, so where a name fits several the ends are shown: four digits, or
as many as tell each from all others.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from leaderless.catalogue.matching import readings
from leaderless.errors import LeaderlessError, NotFoundError, UsageError
from leaderless.escape import shell_word
from leaderless.protocol.records import decode_state
from registry.state import last_fields

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from sqlalchemy import Connection

    from registry.changes import Value

_T = TypeVar("_T")

MIN_DIGITS: Final = 4
_CALLED: Final = ("canonical_name", "display_name", "name")
_MAX_NAMED: Final = 10

RENAMING: Final = "rename OLD NAME --another"
"""The rest of the command that gives a second one a name."""


class Edited(NamedTuple):
    """What was edited, and the id of the action that an undo takes back."""

    uuid: bytes
    action: bytes


class NameTakenError(LeaderlessError):
    """There is one of that name already, and nobody said that another is meant."""

    code = "name_taken"


def refuse_namesake(
    kind: str, name: str, taken: bytes | None, how: str = "create NAME --another"
) -> None:
    """Raise NameTakenError, with the id of the one that there is (None: there is none).

    `how` is the rest of the command that does it all the same.

    Two of one name stay legal: two devices can make them unseen, and a person who means it can.
    """
    if taken is not None:
        article = "an" if kind == "album" else "a"
        raise NameTakenError(
            f"there is {article} {kind} “{name}” already: {taken.hex()}",
            hint=f"leaderless {kind} show {taken.hex()}; leaderless {kind} {how}"
            " makes a second one of that name",
        )


def read_as(reference: str, found: Callable[[str], Sequence[_T]]) -> list[_T]:
    """Return what is found for a name as it was given, else for what escapes in it stand for.

    What is printed with escapes can be pasted back so. What fits more than one reading is returned
    for all of them.
    """
    first, *others = readings(reference) or [reference]
    if hits := list(found(first)):
        return hits
    texts = (reading for reading in others if _is_text(reading))
    return list(dict.fromkeys(hit for reading in texts for hit in found(reading)))


def _is_text(reading: str) -> bool:
    try:
        reading.encode()
    except UnicodeEncodeError:
        return False
    return True


def fitting(reference: str, ids: Iterable[bytes]) -> list[bytes]:
    """Return the ids that begin or end as a person wrote; fewer than four digits fit none."""
    digits = reference.lower().replace("-", "")
    if len(digits) < MIN_DIGITS:
        return []
    return [uuid for uuid in ids if uuid.hex().startswith(digits) or uuid.hex().endswith(digits)]


def ending(uuid: bytes, ids: Collection[bytes]) -> str:
    """Return the shortest end of an id that fits none of the other ids."""
    digits = uuid.hex()
    for length in range(MIN_DIGITS, len(digits)):
        if fitting(digits[-length:], ids) == [uuid]:
            return digits[-length:]
    return digits


def made(uuid: bytes) -> str:
    """Return when a record was made, which the ids of new records tell; else nothing."""
    if uuid[6] >> 4 != 7:
        return ""
    seconds = int.from_bytes(uuid[:6], "big") // 1000
    try:
        moment = dt.datetime.fromtimestamp(seconds, tz=dt.UTC)
    except (ValueError, OverflowError, OSError):
        return ""  # the clock of its device stood beyond the calendar
    return f"made {moment:%Y-%m-%d %H:%M:%S} UTC"


def the_one(
    what: str,
    reference: str,
    found: Sequence[bytes],
    ids: Collection[bytes],
    about: Callable[[bytes], str],
    hint: str,
) -> bytes:
    """Return the one id that was found for a reference.

    Raises NotFoundError with `hint`; UsageError for an empty reference, and one that says of each
    what tells it apart where several fit.
    """
    if not reference:
        raise UsageError(f"an empty name names no {what}", hint=hint)
    if not found:
        raise NotFoundError(f"there is no {what} “{reference}”", hint=hint)
    if len(found) == 1:
        return bytes(found[0])
    named = []
    for uuid in sorted(found)[:_MAX_NAMED]:
        said = ", ".join(filter(None, (about(uuid), made(uuid))))
        named.append(f"{ending(uuid, ids)} ({said})" if said else ending(uuid, ids))
    if len(found) > _MAX_NAMED:
        named.append(f"and {len(found) - _MAX_NAMED} more")
    raise UsageError(
        f"“{reference}” fits {len(found)} {what}s: {', '.join(named)}",
        hint="say which one by these digits, the end of its id",
    )


def where_gone(kind: str, reference: str, gone: Iterable[Mapping[str, Value]], hint: str) -> str:
    """Return what helps where no `kind` is called so: `hint`, or how one that was deleted is back.

    `gone` are the values that the deleted ones had.
    """
    if any(reference in map(held.get, _CALLED) for held in gone):
        return f"one was deleted; leaderless {kind} restore {shell_word(reference)} brings it back"
    return hint


def deleted(connection: Connection, model: str) -> dict[bytes, dict[str, Value]]:
    """Return the deleted records of a model with the values they had, as far as they are kept."""
    found = connection.exec_driver_sql(
        "SELECT uuid, deaths, remains FROM record WHERE model = ? AND state IS NULL", (model,)
    )
    return {uuid: last_fields(decode_state(None, *beside)) for uuid, *beside in found.fetchall()}

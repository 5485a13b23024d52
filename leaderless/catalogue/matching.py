r"""Whether a file's name holds what a person typed: in any case, and however its letters are composed.

What is typed may be a name as it is shown: ``\x1b``, ``\n`` and ``\\`` then mean what they stand for.
"""

from __future__ import annotations

import re
import unicodedata
from functools import partial
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sqlalchemy import Connection

_MAX_TYPED: Final = 4_096
"""Characters; no file system has longer names, even with each byte written as an escape."""
_ESCAPE: Final = re.compile(
    r"\\(?:(\\)|([nrt])|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))"
)
_SURE: Final = re.compile(r"[^\x00-\x1f\x7f-\U0010ffff%_;`afhijklnstwy]+")
"""ASCII that no other character is, or holds, once it is folded (the sign of a kelvin is a k, ß is ss),
and that LIKE takes for what it is."""
_LETTERS: Final = {"n": "\n", "r": "\r", "t": "\t"}


def folded(text: str) -> str:
    """Return text so that what people take for the same letters is equal."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def name_holds(name: bytes, typed: str, *, at_end: bool = False) -> bool:
    """Return whether a name holds, or ends in, text that is folded already."""
    shown = folded(name.decode("utf-8", "surrogateescape"))
    return shown.endswith(typed) if at_end else typed in shown


def readings(typed: str) -> list[str]:
    r"""Return what a person may mean: what was typed, and what escapes in it stand for.

    ``\x9b`` is how both the byte and the control character are shown, so it has two readings.
    """
    if len(typed) > _MAX_TYPED:
        return []
    as_bytes = _ESCAPE.sub(lambda found: _meant(found, 0xDC00), typed)
    as_characters = _ESCAPE.sub(lambda found: _meant(found, 0), typed)
    return list(dict.fromkeys((typed, as_bytes, as_characters)))


def _meant(found: re.Match[str], above: int) -> str:
    backslash, letter, byte, *points = found.groups()
    if backslash:
        return "\\"
    if letter:
        return _LETTERS[letter]
    if byte:
        value = int(byte, 16)
        return chr(value + (above if value >= 0x80 else 0))
    point = int(points[0] or points[1], 16)
    return chr(point) if point <= 0x10FFFF else found[0]


def holds(connection: Connection, typed: str, *, at_end: bool = False) -> tuple[str, list[object]]:
    """Return an SQL condition on `e.name`, and its values, that holds for names with `typed` in them.

    Text that is not UTF-8 (with surrogates) is looked for as the bytes it stands for.
    """
    conditions: list[str] = []
    values: list[object] = []
    for reading in readings(typed):
        try:
            reading.encode("utf-8")
        except UnicodeEncodeError:
            found = _holds_bytes(reading, at_end=at_end)
        else:
            found = _holds_text(connection, folded(reading), at_end=at_end)
        conditions.append(found[0])
        values += found[1]
    return f"({' OR '.join(conditions) or '0'})", values


def _holds_bytes(reading: str, *, at_end: bool) -> tuple[str, list[object]]:
    try:
        raw = reading.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return "0", []  # half a character of another encoding: no name is written so
    if at_end:
        return "substr(e.name, -?) = ?", [len(raw), raw]
    return "instr(e.name, ?) > 0", [raw]


def _holds_text(connection: Connection, wanted: str, *, at_end: bool) -> tuple[str, list[object]]:
    # Nearly all names are ASCII, and SQLite folds those itself, much faster than Python would: it has
    # as many characters of such a name as bytes.
    text = "CAST(e.name AS TEXT)"
    plain = f"instr(lower({text}), ?) > 0"
    given: list[object] = [wanted]
    if at_end:
        plain, given = f"substr(lower({text}), -?) = ?", [len(wanted), wanted]
    function = "name_ends" if at_end else "name_holds"
    connection.connection.driver_connection.create_function(  # type: ignore[union-attr]
        function, 2, partial(name_holds, at_end=at_end), deterministic=True
    )
    is_ascii = f"length({text}) = length(e.name)"
    condition = f"CASE WHEN {is_ascii} THEN {plain} ELSE {function}(e.name, ?) END"
    # What no other letters fold to stands in the name as it was typed, whatever is around it: most
    # names do not hold it, and nothing more is asked of those.
    sure = max(_SURE.findall(wanted), key=len, default="")
    return f"{text} LIKE ? AND {condition}", [f"%{sure}%", *given, wanted]

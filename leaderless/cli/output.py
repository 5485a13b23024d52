"""How answers look: JSON for programs, text for people, chatter on standard error."""

from __future__ import annotations

import json
import os
import re
import sys
from typing import TYPE_CHECKING, Any

import click

from leaderless.escape import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_BEYOND = re.compile(r"[^\n -~]")


def say(text: str) -> None:
    """Print a line of data."""
    click.echo(text)


def chat(text: str) -> None:
    """Tell a person something that is not data."""
    click.echo(text, err=True)


def put_json(answer: object) -> None:
    """Print an answer for programs."""
    indent = 2 if sys.stdout.isatty() else None
    narrow = (sys.stdout.encoding or "").lower().replace("-", "") != "utf8"
    click.echo(harmless_json(json.dumps(answer, ensure_ascii=narrow, indent=indent)))


def harmless_json(text: str) -> str:
    """Return JSON that says the same with no character that could steer a terminal."""
    return text if text.isascii() and "\x7f" not in text else _BEYOND.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    character = found[0]
    if printable(character) == character:
        return character
    return json.dumps(character)[1:-1] if character != "\x7f" else "\\u007f"


def name_text(value: object) -> str:
    """Return a name from JSON (text, or {"b64": …}) so that it is safe on a terminal."""
    return printable(_bytes_of(value) if isinstance(value, dict) else str(value))


def _bytes_of(name: dict[str, Any]) -> bytes:
    import base64  # noqa: PLC0415 - rare, and starting is what is counted here

    return base64.b64decode(name.get("b64", ""))


def value_text(value: object) -> str:
    """Return a field's value from JSON as it is given to `set`, safe on a terminal."""
    return printable(bare_text(value))


def bare_text(value: object) -> str:
    """Return a field's value as `value_text` does, for what makes it safe itself: a table."""
    if value is None:
        return "(empty)"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ", ".join(bare_text(item) for item in value)
    if isinstance(value, dict):
        if "b64" in value:
            return _bytes_of(value).decode("utf-8", "surrogateescape")
        return ", ".join(f"{key}={bare_text(item)}" for key, item in value.items())
    return str(value)


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows in columns under headings; nothing at all if there is no row."""
    shown = [[_cell(value) for value in row] for row in rows]
    if not shown:
        return
    widths = [
        max(len(heading), *(len(row[at]) for row in shown)) for at, heading in enumerate(headings)
    ]
    for line in ([heading.upper() for heading in headings], *shown):
        say("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _cell(value: object) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return bare_text(value)
    return name_text(value)


LOCK = ("locked_by", "locked_by_id")
"""What JSON says of who holds a record locked."""


def locked_text(item: dict[str, Any]) -> str:
    """Return by whom something is locked, nothing where it is not."""
    by = item.get("locked_by")
    return "" if by is None else f"by {name_text(by)}"


def size_text(size: object) -> str:
    """Return bytes as people read them."""
    if size is None:
        return "-"
    number = float(str(size))
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if number < 1024 or unit == "TiB":
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return str(size)


def time_text(milliseconds: object) -> str:
    """Return a time as people read it, in the local zone."""
    if milliseconds is None:
        return "-"
    import datetime as dt  # noqa: PLC0415 - rare, and starting is what is counted here

    moment = dt.datetime.fromtimestamp(int(str(milliseconds)) / 1000, tz=dt.UTC).astimezone()
    return moment.strftime("%Y-%m-%d %H:%M:%S")


def path_json(path: str) -> Any:  # noqa: ANN401 - JSON
    """Return a path that a person typed as it travels to the daemon."""
    raw = os.fsencode(path)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        import base64  # noqa: PLC0415 - rare, and starting is what is counted here

        return {"b64": base64.b64encode(raw).decode("ascii")}

"""What a person writes for a field, as the writes of its registers; for any shared model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from leaderless.errors import UsageError
from registry.models import FieldKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from registry.changes import Value
    from registry.models import Field

Writes = dict[str | tuple[str, str], "Value"]

MAX_NAME: Final = 256
"""Characters of the name of a tag or an album."""


def check_name(what: str, name: object) -> str:
    """Return the name of a `what` ("a tag"); raises UsageError for what can be none."""
    if not isinstance(name, str) or not name or len(name) > MAX_NAME:
        raise UsageError(f"{what}'s name has 1 to {MAX_NAME} characters")
    return _checked_text(f"{what}'s name", name)


def _checked_text(what: str, text: str) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise UsageError(
            f"{what} is no text: it holds bytes that are not UTF-8",
            hint="text is written in UTF-8",
        ) from None
    return text


def parse_value(what: str, fields: Iterable[Field], name: str, value: object) -> Writes:
    """Return the register writes that set a field of a `what` ("a tag") to what a person gave.

    A set takes "+element" or "-element" (commas between), a map "key=value" ("key=" removes it),
    and both take a list of these. Bytes are written in hex. None is unset, which is not empty.
    Values that JSON gave a type are taken as they are. Raises UsageError for what does not fit.
    """
    known = {field.name: field for field in fields}
    field = known.get(name)
    if field is None:
        raise UsageError(
            f"{what} has no field “{name}”", hint=f"fields: {', '.join(sorted(known))}"
        )
    if field.kind is FieldKind.PLAIN:
        parsed = _parse_plain(field, value)
        if not field.accepts(parsed):
            raise UsageError(f"{name} cannot be “{value}”", hint=_takes(field))
        return {name: parsed}
    writes: Writes = {}
    for item in value if isinstance(value, list) else [value]:
        if not isinstance(item, str):
            raise UsageError(f"{name} is given as text", hint=_takes(field))
        _checked_text(name, item)
        is_set = field.kind is FieldKind.SET
        writes.update(_parse_set(name, item) if is_set else _parse_map(field, item))
    return writes


def _parse_set(name: str, value: str) -> Writes:
    writes: Writes = {}
    for part in value.split(","):
        sign, element = (part[0], part[1:]) if part[:1] in ("+", "-") else ("+", part)
        if not element:
            raise UsageError(f"{name} takes +ELEMENT or -ELEMENT")
        writes[name, element] = True if sign == "+" else None
    return writes


def _parse_map(field: Field, value: str) -> Writes:
    key, equals, text = value.partition("=")
    if not equals or not key:
        raise UsageError(f"{field.name} takes KEY=VALUE")
    parsed = _parse_plain(field, text) if text else None
    if not field.accepts(parsed):
        raise UsageError(f"{field.name} cannot hold “{text}”", hint=_takes(field))
    return {(field.name, key): parsed}


def _parse_plain(field: Field, value: object) -> Value:
    """Return a value as the first of the field's types that it can be; text is always text."""
    if isinstance(value, list):
        raise UsageError(f"{field.name} is given once", hint=_takes(field))
    if not isinstance(value, str):
        return value
    if str in field.types:
        return _checked_text(field.name, value)
    if bool in field.types and value.lower() in ("true", "false"):
        return value.lower() == "true"
    for kind in (int, float):
        if kind in field.types:
            try:
                return kind(value)
            except ValueError:
                continue
    if bytes in field.types:
        try:
            return bytes.fromhex(value)
        except ValueError:
            pass
    raise UsageError(f"{field.name} cannot be “{value}”", hint=_takes(field))


def _takes(field: Field) -> str:
    words = {str: "text", bytes: "hex digits", bool: "true or false", int: "a number"}
    words[float] = "a number"
    listed = " or ".join(dict.fromkeys(words[kind] for kind in field.types if kind in words))
    within = [f"from {field.least:g}"] if field.least is not None else []
    within += [f"to {field.most:g}"] if field.most is not None else []
    shape = "" if field.kind is FieldKind.PLAIN else f"the {field.kind.value}'s values are "
    return " ".join([f"{field.name}: {shape}{listed}", *within])

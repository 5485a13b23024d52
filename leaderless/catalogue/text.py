"""Rows as JSON: names as text where they are text, numbers that every reader can hold."""

from __future__ import annotations

import base64
import math
from typing import TYPE_CHECKING, Any

from registry.changes import UNSET

if TYPE_CHECKING:
    from registry.changes import Value

NAMES = frozenset([("entry", "name"), ("location", "path"), ("volume", "mount_point")])
"""Fields whose bytes are a name or path; other bytes are ids or hashes and shown as hex."""


def name_json(name: bytes) -> str | dict[str, str]:
    """Return a name as text if it is valid UTF-8, else as {"b64": …}."""
    try:
        return name.decode("utf-8")
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(name).decode("ascii")}


def name_bytes(value: object) -> bytes | None:
    """Return the bytes of a name in JSON, or None if it is none."""
    try:
        if isinstance(value, str):
            return value.encode("utf-8", "surrogateescape")
        if isinstance(value, dict) and isinstance(value.get("b64"), str):
            return base64.b64decode(value["b64"], validate=True)
    except ValueError:
        return None
    return None


def value_json(model: str, field: str, value: Value) -> Any:  # noqa: ANN401 - JSON
    """Return a field's value for `export`: integers as decimal strings, bytes as above."""
    if isinstance(value, bytes):
        return name_json(value) if (model, field) in NAMES else value.hex()
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return str(value)
    if isinstance(value, dict):
        return {str(key): value_json(model, field, item) for key, item in value.items()}
    if isinstance(value, list):
        return [value_json(model, field, item) for item in value]
    return _number_json(value)


def plain_json(value: Value) -> Any:  # noqa: ANN401 - JSON
    """Return a value as people are shown it: bytes, which are ids there, as hex; unset as null.

    Numbers that JSON does not know are text, and so are the keys of maps.
    """
    if value is UNSET:
        return None
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {
            key.hex() if isinstance(key, bytes) else str(key): plain_json(item)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [plain_json(item) for item in value]
    return _number_json(value)


def _number_json(value: Value) -> Value:
    """Return what JSON has no number for as text: "nan", "inf", "-inf"."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value

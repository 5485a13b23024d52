"""What the built-in models ask of values beyond the types of their fields.

Whoever edits records of any model (`anymodel`) is held to what the verbs of tags, albums, notes and
links hold themselves to. What a peer sends is judged by the registry alone: nothing here may refuse
a commit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from entities.tag_relation import KINDS
from leaderless.catalogue.albums import SORT_ORDERS
from leaderless.catalogue.metadata import check_fields
from leaderless.catalogue.ordering import is_key
from leaderless.catalogue.tagging import SOURCES
from leaderless.catalogue.targets import CONTENT, ENTRY
from leaderless.catalogue.values import check_name
from leaderless.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from leaderless.catalogue.values import Writes
    from registry.changes import Value
    from registry.models import Model

_NAMED: Final = {("tag", "canonical_name"): "a tag", ("album", "name"): "an album"}
_CHOICES: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {
    ("album", "sort_order"): SORT_ORDERS,
    ("tag_relation", "relation"): KINDS,
    ("user_metadata", "scope"): (ENTRY, CONTENT),
    ("user_metadata_tag", "scope"): (ENTRY, CONTENT),
    ("user_metadata_tag", "source"): SOURCES,
    ("album_entry", "scope"): (ENTRY, CONTENT),
}
MADE_BY: Final = {
    "tag": ("created_by_device",),
    "album": ("created_by_device",),
    "album_entry": ("added_by",),
}
"""Fields that name the device which makes a record; nobody else writes them."""
_FIXED: Final = {
    "content": ("hash", "size_bytes"),
    "user_metadata": ("scope", "target"),
    "user_metadata_tag": ("item", "scope", "tag"),
    "album_entry": ("item", "scope", "album"),
}
"""Fields that say what a record is about: its id follows from them."""
_LENGTHS: Final = {
    ("content", "hash"): 32,
    ("album", "cover"): 16,
    ("user_metadata", "target"): 16,
    ("user_metadata_tag", "item"): 16,
    ("user_metadata_tag", "tag"): 16,
    ("album_entry", "item"): 16,
    ("album_entry", "album"): 16,
    ("tag_relation", "child"): 16,
    ("tag_relation", "parent"): 16,
}
"""Bytes of ids and hashes."""


def check_created(model: Model, fields: Writes) -> None:
    """Raise UsageError where a new record of this model cannot have these fields."""
    for name, what in (
        (name, what) for (of, name), what in _NAMED.items() if of == model.sync_name
    ):
        check_name(what, fields.get(name))
    _check(model, fields)


def check_changed(model: Model, fields: Writes) -> None:
    """Raise UsageError where a record of this model cannot be given these values."""
    ends = (model.link.item, model.link.group) if model.link is not None else ()
    for name in (*_FIXED.get(model.sync_name, ()), *ends):
        if name in fields:
            raise UsageError(
                f"{name} says what a {model.sync_name} is about, and stays as it is",
                hint=f"leaderless record delete {model.sync_name} ID; then make another",
            )
    _check(model, fields)


def _check(model: Model, fields: Writes) -> None:
    for key, value in fields.items():
        if isinstance(key, str):
            _check_value(model.sync_name, key, value)
    if model.sync_name == "user_metadata":
        check_fields(
            {key: value for key, value in fields.items() if key not in ("scope", "target")}
        )


def _check_value(model: str, name: str, value: Value) -> None:
    at = (model, name)
    if name in MADE_BY.get(model, ()):
        raise UsageError(f"{name} is set by the device that makes a {model}")
    if at == ("tag", "merged_into"):
        raise UsageError(f"{name}: tags are merged by name", hint="leaderless tag merge A B")
    if at in _NAMED:
        check_name(_NAMED[at], value)
    if value is None:
        return
    if at in _CHOICES and value not in _CHOICES[at]:
        choices = ", ".join(_CHOICES[at])
        raise UsageError(f"{name} cannot be “{value}”", hint=f"{name}: {choices}")
    if at in _LENGTHS and isinstance(value, bytes) and len(value) != _LENGTHS[at]:
        raise UsageError(f"{name} is {2 * _LENGTHS[at]} hex digits")
    if at == ("album_entry", "position") and not is_key(value):
        raise UsageError(
            f"“{value}” is no place in an order", hint="leaderless album move ALBUM TARGET --to N"
        )

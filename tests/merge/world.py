"""What a library of tests is about, and what the oracle makes of it: which records are to be seen.

The naive counterpart of `store/visibility.py` and of what tags and their relations derive: every
question is answered anew from all records, nothing is remembered.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from entities import MODELS
from entities.user_metadata import metadata_id
from registry.derived import link_id
from registry.models import FieldKind, Model, Registry, WhenGone
from tests.merge.oracle import Key, Outcome

REGISTRY = Registry(MODELS)
TAGS = [bytes([at]) * 16 for at in (0x11, 0x22, 0x33)]
ALBUMS = [bytes([at]) * 16 for at in (0x44, 0x55)]
ITEMS = [bytes([at]) * 16 for at in (0x66, 0x77)]

Fields = dict[str | tuple[str, str], Any]


def records() -> dict[Key, Fields]:
    """Return every record that a test may make, with the fields that its creator writes."""
    made: dict[Key, Fields] = {("tag", tag): {"canonical_name": "tag"} for tag in TAGS}
    made |= {("album", album): {"name": "album"} for album in ALBUMS}
    for item in ITEMS:
        made["user_metadata", metadata_id("content", item)] = {"scope": "content", "target": item}
        for album in ALBUMS:
            link = link_id("album_entry", item, album)
            made["album_entry", link] = {"item": item, "scope": "content", "album": album}
        for tag in TAGS[:2]:
            link = link_id("user_metadata_tag", item, tag)
            made["user_metadata_tag", link] = {"item": item, "scope": "content", "tag": tag}
    for child in TAGS:
        for parent in TAGS:
            link = link_id("tag_relation", child, parent)
            if child != parent:
                fields: Fields = {"child": child, "parent": parent, "relation": "parent_child"}
                made["tag_relation", link] = fields
    return made


def ends(key: Key) -> list[Key]:
    """Return the records that a link joins, as far as they are shared."""
    model = REGISTRY.get(key[0])
    fields = records()[key]
    return [
        (str(item.reference), fields[item.name])
        for item in (() if model is None else model.references())
        if item.name in fields
    ]


def tables(outcomes: Mapping[Key, Outcome]) -> dict[str, dict[bytes, dict[str, Any]]]:
    """Return what is to be seen in every shared table, by record and column."""
    shown = _Shown(outcomes)
    seen: dict[str, dict[bytes, dict[str, Any]]] = {}
    for model in REGISTRY.shared():
        seen[model.sync_name] = {
            record: shown.row(model, record)
            for (name, record) in outcomes
            if name == model.sync_name and shown.is_seen(name, record)
        }
    _merge_tags(seen["tag"])
    _skip_cycles(seen["tag_relation"], outcomes)
    return seen


class _Shown:
    """What is seen of records, each judged from the start."""

    def __init__(self, outcomes: Mapping[Key, Outcome]) -> None:
        self.outcomes = outcomes

    def is_seen(self, name: str, record: Any) -> bool:
        """Return whether a record is alive, whole, and so is all that it hangs on."""
        outcome = self.outcomes.get((name, record))
        model = REGISTRY.get(name)
        if outcome is None or outcome.fields is None or model is None:
            return False
        for item in model.fields:
            value = outcome.fields.get((item.name, None))
            if value is None and not item.nullable:
                return False
            hangs = item.when_gone is WhenGone.CASCADE and value is not None
            if hangs and not self.is_seen(str(item.reference), value):
                return False
        return True

    def row(self, model: Model, record: bytes) -> dict[str, Any]:
        """Return the columns of a record."""
        fields = self.outcomes[model.sync_name, record].fields
        assert fields is not None
        row: dict[str, Any] = {}
        for item in model.fields:
            if item.kind is FieldKind.PLAIN:
                value = fields.get((item.name, None))
                gone = item.when_gone is WhenGone.SET_NULL and value is not None
                if gone and not self.is_seen(str(item.reference), value):
                    value = None
                row[item.name] = value
                continue
            entries = {key: value for (name, key), value in fields.items() if name == item.name}
            there = {str(key): value for key, value in entries.items() if value is not None}
            if item.kind is FieldKind.SET:
                row[item.name] = json.dumps(sorted(there))
            else:
                row[item.name] = json.dumps(there, sort_keys=True)
        return row


def _merge_tags(seen: dict[bytes, dict[str, Any]]) -> None:
    """Give every tag the least id that it is joined to, over any number of steps."""
    joined = {tag: {tag} for tag in seen}
    for _ in seen:
        for tag, row in seen.items():
            if row["merged_into"] is not None:
                both = joined[tag] | joined[row["merged_into"]]
                for member in both:
                    joined[member] = joined[member] | both
    for tag, row in seen.items():
        least = min(joined[tag])
        row["canonical"] = None if least == tag else least


def _skip_cycles(seen: dict[bytes, dict[str, Any]], outcomes: Mapping[Key, Outcome]) -> None:
    """Mark the relations that would close a cycle, the first written ones going first."""
    taken: set[tuple[bytes, bytes]] = set()

    def order(record: bytes) -> Any:
        return outcomes["tag_relation", record].first

    for record in sorted(seen, key=order):
        row = seen[record]
        row["skipped"] = 0
        if row["relation"] != "parent_child":
            continue
        if _leads(taken, row["parent"], row["child"]):
            row["skipped"] = 1
        else:
            taken.add((row["child"], row["parent"]))


def _leads(edges: set[tuple[bytes, bytes]], start: bytes, end: bytes) -> bool:
    """Return whether one comes from `start` upwards to `end`."""
    reached = {start}
    for _ in range(len(edges) + 1):
        reached |= {parent for child, parent in edges if child in reached}
    return end in reached

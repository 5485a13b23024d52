"""What the built-in models ask of values, whoever edits their records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from entities import MODELS
from leaderless.catalogue.anymodel import create_record, set_record
from leaderless.catalogue.modelrules import check_changed, check_created
from leaderless.errors import UsageError
from registry.models import Registry
from tests.replicas import Replica, query_file

SHARED = Registry(MODELS)
ID, HASH = b"i" * 16, b"h" * 32
LINK: Mapping[str, Any] = {"item": ID, "scope": "content"}


def _model(name: str) -> Any:
    return SHARED.get(name)


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        ("tag", {}),
        ("tag", {"canonical_name": ""}),
        ("tag", {"canonical_name": "x" * 257}),
        ("tag", {"canonical_name": "x", "merged_into": ID}),
        ("tag", {"canonical_name": "x", "created_by_device": ID}),
        ("album", {"name": None}),
        ("album", {"name": "x", "sort_order": "random"}),
        ("album", {"name": "x", "cover": b"short"}),
        ("tag_relation", {"child": ID, "parent": ID, "relation": "enemy"}),
        ("user_metadata", {"scope": "dog", "target": ID}),
        ("user_metadata", {"scope": "entry", "target": b"short"}),
        ("user_metadata", {"scope": "entry", "target": ID, "note": ""}),
        ("user_metadata_tag", {**LINK, "tag": ID, "source": "rumour"}),
        ("album_entry", {**LINK, "album": ID, "position": "first"}),
        ("album_entry", {**LINK, "album": ID, "added_by": ID}),
        ("content", {"hash": b"short"}),
    ],
)
def test_what_no_verb_would_make_is_refused(model: str, fields: Any) -> None:
    """Names, choices, ids, places and what only a device or a verb writes."""
    with pytest.raises(UsageError):
        check_created(_model(model), fields)


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        ("tag", {"canonical_name": "sea", "color": None, ("aliases", "x"): True}),
        ("album", {"name": "best", "sort_order": "added", "cover": None}),
        ("tag_relation", {"child": ID, "parent": ID, "relation": "synonym"}),
        ("user_metadata", {"scope": "entry", "target": ID, "note": "x", "rating": 5}),
        ("user_metadata_tag", {**LINK, "tag": ID, "source": "ai"}),
        ("album_entry", {**LINK, "album": ID, "position": "a0", "caption": "x"}),
        ("content", {"hash": HASH, "mime": "text/plain"}),
    ],
)
def test_what_a_verb_would_make_is_made(model: str, fields: Any) -> None:
    """No value that the verbs themselves write is refused."""
    check_created(_model(model), fields)


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        ("user_metadata", {"scope": "entry"}),
        ("user_metadata", {"target": ID}),
        ("user_metadata_tag", {"tag": ID}),
        ("album_entry", {"item": ID}),
        ("tag_relation", {"child": ID}),
        ("content", {"size_bytes": 7}),
        ("album", {"name": None}),
    ],
)
def test_what_a_record_is_about_stays(model: str, fields: Any) -> None:
    """Its id follows from that; and a name is never taken away."""
    with pytest.raises(UsageError):
        check_changed(_model(model), fields)


def test_whatever_else_is_said_may_change() -> None:
    """An update names only what it changes."""
    check_changed(_model("tag"), {"color": "red"})
    check_changed(_model("album_entry"), {"caption": "dusk"})


async def test_records_are_held_to_it(replica: Replica) -> None:
    """Making and changing alike; the device that makes one stands in it."""
    with pytest.raises(UsageError):
        await create_record(replica.store, "tag", {"canonical_name": ""})
    uuid = await create_record(replica.store, "tag", {"canonical_name": "sea"})
    with pytest.raises(UsageError):
        await set_record(replica.store, "tag", uuid.hex(), {"canonical_name": "x" * 257})
    made = query_file(replica.store.path, "SELECT canonical_name, created_by_device FROM tag")
    assert made == [("sea", replica.identity.device)]

"""Tags, edited in a real store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import pytest
from sqlalchemy import Connection

from entities.tag import FIELDS
from leaderless.catalogue import tag_listing, tags
from leaderless.errors import NotFoundError, UsageError
from tests.replicas import Replica
from tests.store.passing import within

_T = TypeVar("_T")


async def _read(replica: Replica, question: Callable[[Connection], _T]) -> _T:
    return await replica.store.read(question)


async def _make(replica: Replica, name: str, **fields: object) -> bytes:
    return await tags.create_tag(replica.store, name, fields, another=True)


async def _shown(replica: Replica, uuid: bytes) -> dict[str, Any]:
    """Return a tag as the list shows it."""
    listed = await _read(replica, tag_listing.list_tags)
    return next(_own(tag) for tag in listed if tag["id"] == uuid.hex())


def _own(tag: dict[str, Any]) -> dict[str, Any]:
    """Return what is said of a tag alone, without what it stands to."""
    return {name: tag[name] for name in ("id", *(field.name for field in FIELDS))}


# --- making and changing --------------------------------------------------------------------------


async def test_a_new_tag_has_what_it_was_given(replica: Replica) -> None:
    """Its name, each field by its kind, and the device that made it."""
    uuid = await _make(
        replica,
        "trip",
        aliases="+tour,journey",
        attributes=["place=sea", "year=2026"],
        search_weight="-5",
        is_organizational_anchor="TRUE",
        color="",
    )
    shown = await _shown(replica, uuid)
    assert {name: value for name, value in shown.items() if value is not None} == {
        "id": uuid.hex(),
        "canonical_name": "trip",
        "aliases": ["journey", "tour"],
        "attributes": {"place": "sea", "year": "2026"},
        "composition_rules": {},
        "search_weight": -5,
        "is_organizational_anchor": True,
        "color": "",
        "created_by_device": replica.identity.device.hex(),
    }


async def test_two_tags_of_one_name_are_two(replica: Replica) -> None:
    """Making one again changes nothing about the first."""
    assert await _make(replica, "trip") != await _make(replica, "trip")
    assert len(await _read(replica, tag_listing.list_tags)) == 2


async def test_the_list_is_ordered_by_namespace_and_name(replica: Replica) -> None:
    """Those without a namespace come first."""
    for name, given in (("b", {}), ("a", {"namespace": "x"}), ("c", {"namespace": "x"}), ("a", {})):
        await _make(replica, name, **given)
    listed = await _read(replica, tag_listing.list_tags)
    shown = [(tag["namespace"], tag["canonical_name"]) for tag in listed]
    assert shown == [(None, "a"), (None, "b"), ("x", "a"), ("x", "c")]


@pytest.mark.parametrize("name", ["", "x" * 257, "b\udcff"])
@pytest.mark.parametrize("verb", ["create", "rename", "set"])
async def test_a_name_that_is_none_is_refused(replica: Replica, verb: str, name: str) -> None:
    """Empty, endless or not UTF-8: nothing changes."""
    await _make(replica, "trip")
    edits = {
        "create": lambda: _make(replica, name),
        "rename": lambda: tags.rename_tag(replica.store, "trip", name),
        "set": lambda: tags.set_tag(replica.store, "trip", {"canonical_name": name}),
    }
    with pytest.raises(UsageError, match=r"^a tag's name "):
        await edits[verb]()
    names = [tag["canonical_name"] for tag in await _read(replica, tag_listing.list_tags)]
    assert names == ["trip"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("colour", "red"),
        ("id", "x"),
        ("created_by_device", "00"),
        ("color", 7),
        ("color", ["red", "blue"]),
        ("color", "\udcff"),
        ("search_weight", "much"),
        ("search_weight", ""),
        ("search_weight", str(1 << 63)),
        ("search_weight", 1 << 63),
        ("is_organizational_anchor", "yes"),
        ("is_organizational_anchor", 1),
        ("canonical_name", None),
        ("aliases", "+"),
        ("aliases", ""),
        ("aliases", "a,,b"),
        ("aliases", None),
        ("aliases", [7]),
        ("aliases", "\udcff"),
        ("attributes", "key"),
        ("attributes", "=value"),
        ("attributes", {"key": "value"}),
        ("attributes", "key=\udcff"),
    ],
)
async def test_what_a_field_cannot_hold_is_refused(
    replica: Replica, field: str, value: object
) -> None:
    """The error names the field, and nothing of the edit is kept."""
    uuid = await _make(replica, "trip", icon="sun")
    before = await _shown(replica, uuid)
    with pytest.raises(UsageError) as caught:
        await tags.set_tag(replica.store, "trip", {"icon": "moon", field: value})
    assert field in caught.value.message or field == "canonical_name"
    assert await _shown(replica, uuid) == before


async def test_the_fields_that_there_are_are_listed(replica: Replica) -> None:
    """A slip of the pen is answered with the names of all fields."""
    await _make(replica, "trip")
    with pytest.raises(UsageError) as caught:
        await tags.set_tag(replica.store, "trip", {"colour": "red"})
    assert "color, " in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("given", "field", "value"),
    [
        ({"color": "red"}, "color", "red"),
        ({"color": ""}, "color", ""),
        ({"color": None}, "color", None),
        ({"search_weight": None}, "search_weight", None),
        ({"search_weight": 7}, "search_weight", 7),
        ({"is_organizational_anchor": False}, "is_organizational_anchor", False),
        ({"aliases": "-tour"}, "aliases", ["trek"]),
        ({"aliases": "voyage"}, "aliases", ["tour", "trek", "voyage"]),
        ({"aliases": ["-tour", "-trek"]}, "aliases", []),
        ({"attributes": "a=2"}, "attributes", {"a": "2", "b": "1"}),
        ({"attributes": "a="}, "attributes", {"b": "1"}),
        ({"attributes": "a=x=y"}, "attributes", {"a": "x=y", "b": "1"}),
    ],
)
async def test_setting_a_field_changes_just_that(
    replica: Replica, given: Mapping[str, object], field: str, value: object
) -> None:
    """Text sets, nothing unsets (which is not empty), parts of sets and maps change alone."""
    uuid = await _make(
        replica,
        "trip",
        color="blue",
        search_weight="3",
        is_organizational_anchor="true",
        aliases="tour,trek",
        attributes=["a=1", "b=1"],
    )
    before = await _shown(replica, uuid)
    assert (await tags.set_tag(replica.store, "trip", given)).uuid == uuid
    assert await _shown(replica, uuid) == {**before, field: value}


async def test_setting_nothing_is_refused(replica: Replica) -> None:
    """An edit without fields is a mistake, and the hint shows how one looks."""
    await _make(replica, "trip")
    with pytest.raises(UsageError) as caught:
        await tags.set_tag(replica.store, "trip", {})
    assert "FIELD=VALUE" in (caught.value.hint or "")


async def test_a_renamed_tag_goes_by_its_new_name_alone(replica: Replica) -> None:
    """The old name finds nothing."""
    uuid = await _make(replica, "trip")
    await tags.rename_tag(replica.store, "trip", "travel")
    assert within(replica, lambda c: tags.find_tag(c, "travel")) == uuid
    with pytest.raises(NotFoundError):
        within(replica, lambda c: tags.find_tag(c, "trip"))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("nonsense", "x"),
        ("merged_into", "x"),
        ("created_by_device", "x"),
        ("search_weight", "much"),
        ("is_organizational_anchor", "perhaps"),
        ("attributes", "novalue"),
        ("aliases", "+"),
        ("color", 7),
    ],
)
async def test_a_value_that_does_not_fit_is_refused(
    replica: Replica, field: str, value: object
) -> None:
    """Unknown fields, wrong types, and what is not set by hand; no tag is made then."""
    with pytest.raises(UsageError):
        await tags.create_tag(replica.store, "trip", {field: value})
    assert within(replica, tag_listing.list_tags) == []


async def test_every_kind_of_field_can_be_set(replica: Replica) -> None:
    """Text, numbers, yes and no, sets and maps; null takes a plain one away."""
    await tags.create_tag(replica.store, "trip", {"color": "red", "search_weight": "5"})
    await tags.set_tag(
        replica.store,
        "trip",
        {"color": None, "is_organizational_anchor": "true", "attributes": "a=b", "aliases": "x"},
    )
    (tag,) = within(replica, tag_listing.list_tags)
    assert (tag["color"], tag["search_weight"], tag["is_organizational_anchor"]) == (None, 5, True)
    assert (tag["attributes"], tag["aliases"]) == ({"a": "b"}, ["x"])
    with pytest.raises(UsageError, match="nothing to set"):
        await tags.set_tag(replica.store, "trip", {})

"""Tags, edited in a real store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pytest
from sqlalchemy import Connection

from leaderless.catalogue import tags
from leaderless.errors import NotFoundError, UsageError
from tests.cluster import open_cluster
from tests.replicas import Replica

_T = TypeVar("_T")


async def _read(replica: Replica, question: Callable[[Connection], _T]) -> _T:
    return await replica.store.read(question)


async def _make(replica: Replica, name: str, **fields: object) -> bytes:
    return await tags.create_tag(replica.store, name, fields)


async def _shown(replica: Replica, uuid: bytes) -> dict[str, Any]:
    """Return a tag as the list shows it."""
    listed = await _read(replica, tags.list_tags)
    return next(tag for tag in listed if tag["id"] == uuid.hex())


async def _find(replica: Replica, reference: str) -> bytes:
    return await _read(replica, lambda connection: tags.find_tag(connection, reference))


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
    assert len(await _read(replica, tags.list_tags)) == 2


async def test_the_list_is_ordered_by_namespace_and_name(replica: Replica) -> None:
    """Those without a namespace come first."""
    for name, given in (("b", {}), ("a", {"namespace": "x"}), ("c", {"namespace": "x"}), ("a", {})):
        await _make(replica, name, **given)
    listed = await _read(replica, tags.list_tags)
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
    names = [tag["canonical_name"] for tag in await _read(replica, tags.list_tags)]
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
    assert await tags.set_tag(replica.store, "trip", given) == uuid
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
    assert await _find(replica, "travel") == uuid
    with pytest.raises(NotFoundError):
        await _find(replica, "trip")


# --- finding one ----------------------------------------------------------------------------------


@pytest.mark.parametrize("reference", ["trip", "Trip!", "tour", "work:trip"])
async def test_a_tag_goes_by_its_names(replica: Replica, reference: str) -> None:
    """Canonical name, the name it is shown by, an alias, and the name in its namespace."""
    uuid = await _make(replica, "trip", display_name="Trip!", aliases="tour", namespace="work")
    await _make(replica, "other", namespace="work")
    assert await _find(replica, reference) == uuid


@pytest.mark.parametrize("part", [slice(None), slice(0, 8), slice(-8, None)])
async def test_a_tag_goes_by_either_end_of_its_id(replica: Replica, part: slice) -> None:
    """The whole id does as well."""
    uuid = await _make(replica, "trip")
    assert await _find(replica, uuid.hex()[part]) == uuid


async def test_the_namespace_tells_two_of_a_name_apart(replica: Replica) -> None:
    """NAMESPACE:NAME is the one in it."""
    await _make(replica, "trip", namespace="home")
    uuid = await _make(replica, "trip", namespace="work")
    assert await _find(replica, "work:trip") == uuid


async def test_a_name_of_several_is_refused_with_what_tells_them_apart(replica: Replica) -> None:
    """Colour, namespace, aliases and time stand beside ends of ids, each of which finds its tag."""
    one = await _make(replica, "trip", color="red", namespace="work")
    replica.clock.ms += 60_000
    two = await _make(replica, "trip", aliases="tour,trek")
    with pytest.raises(UsageError) as caught:
        await _find(replica, "trip")
    message = caught.value.message
    assert message.startswith("“trip” fits 2 tags: ")
    first, second = message.partition(": ")[2].split("), ")
    assert first.partition(" (")[2] == "namespace work, color red, made 2027-01-15 08:00:00 UTC"
    assert second.partition(" (")[2] == "aliases tour, trek, made 2027-01-15 08:01:00 UTC)"
    ends = [text.partition(" ")[0] for text in (first, second)]
    assert [await _find(replica, end) for end in ends] == [one, two]


@pytest.mark.parametrize("reference", ["nobody", "%", "____", "0000", ""])
async def test_what_no_tag_is_called_is_not_found(replica: Replica, reference: str) -> None:
    """Signs that mean something to a database stand for themselves."""
    await _make(replica, "trip")
    with pytest.raises(NotFoundError) as caught:
        await _find(replica, reference)
    assert caught.value.hint == "leaderless tag list"


# --- deleting and restoring -----------------------------------------------------------------------


async def test_a_deleted_tag_comes_back_with_the_values_it_had(replica: Replica) -> None:
    """By its name, also when another of that name was deleted and restored before."""
    uuid = await _make(replica, "trip", color="red", aliases="tour", attributes="a=1")
    before = await _shown(replica, uuid)
    assert await tags.delete_tag(replica.store, "trip") == uuid
    assert await _read(replica, tags.list_tags) == []
    assert await tags.restore_tag(replica.store, "trip") == uuid
    assert await _shown(replica, uuid) == before


async def test_deleted_tags_are_listed_as_they_were(replica: Replica) -> None:
    """Name, fields and id of each are there, and of living tags nothing."""
    uuid = await _make(replica, "trip", color="red", aliases="tour,trek")
    before = {**await _shown(replica, uuid), "attributes": None, "composition_rules": None}
    await _make(replica, "alive")
    await tags.delete_tag(replica.store, "trip")
    assert await _read(replica, tags.list_deleted) == [before]


@pytest.mark.parametrize("part", [slice(0, 10), slice(-6, None)])
async def test_a_deleted_tag_goes_by_either_end_of_its_id(replica: Replica, part: slice) -> None:
    """What the list of deleted tags shows can be typed."""
    uuid = await _make(replica, "trip")
    await tags.delete_tag(replica.store, "trip")
    assert await tags.restore_tag(replica.store, uuid.hex()[part]) == uuid


async def test_a_living_tag_cannot_be_restored(replica: Replica) -> None:
    """The hint names the list of those that can."""
    await _make(replica, "trip")
    with pytest.raises(NotFoundError, match="no deleted tag “trip”") as caught:
        await tags.restore_tag(replica.store, "trip")
    assert caught.value.hint == "leaderless tag list --deleted"


async def test_two_deleted_tags_of_a_name_are_told_apart(replica: Replica) -> None:
    """As living ones are."""
    for color in ("red", "blue"):
        await _make(replica, "trip", color=color)
        await tags.delete_tag(replica.store, "trip")
    with pytest.raises(UsageError, match=r"2 deleted tags: .*color red.*color blue"):
        await tags.restore_tag(replica.store, "trip")


# --- conflicts ------------------------------------------------------------------------------------


async def test_a_value_that_lost_is_in_the_journal(tmp_path: Path) -> None:
    """With its field, its author and the one that won, in times that every reader can hold."""
    async with open_cluster(tmp_path, 2) as cluster:
        one, two = (node.replica for node in cluster.nodes)
        uuid = await _make(one, "trip", color="white")
        ends = await cluster.connect(0, 1)
        await cluster.until_in_sync((0, 1))
        for end in ends:
            await end.aclose()
        await cluster.until(lambda: not any(node.driver.connected() for node in cluster.nodes))
        await tags.set_tag(one.store, "trip", {"color": "red"})
        two.clock.ms += 60_000
        await tags.set_tag(two.store, "trip", {"color": "blue"})
        await cluster.connect(0, 1)
        await cluster.until_in_sync((0, 1))
        (lost,) = await _read(one, tags.conflicts)
    assert {name: lost[name] for name in ("model", "record", "field", "subkey", "value")} == {
        "model": "tag",
        "record": uuid.hex(),
        "field": "color",
        "subkey": None,
        "value": "red",
    }
    assert (lost["author"], lost["winner"]) == (
        one.identity.device.hex(),
        two.identity.device.hex(),
    )
    assert int(lost["winner_at_ms"]) - int(lost["at_ms"]) == 60_000

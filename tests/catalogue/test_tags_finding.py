"""Finding tags by what a person calls them, the deleted ones too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from sqlalchemy import Connection

from leaderless.catalogue import tag_listing, tag_relations, tags
from leaderless.errors import NotFoundError, UsageError
from leaderless.escape import printable
from tests.replicas import Replica
from tests.store.passing import within

_T = TypeVar("_T")


async def _read(replica: Replica, question: Callable[[Connection], _T]) -> _T:
    return await replica.store.read(question)


async def _make(replica: Replica, name: str, **fields: object) -> bytes:
    return await tags.create_tag(replica.store, name, fields, another=True)


async def _shown(replica: Replica, uuid: bytes) -> dict[str, Any]:
    """Return a tag as the list shows it."""
    return await _read(replica, lambda connection: tag_listing.show_tag(connection, uuid))


async def _find(replica: Replica, reference: str) -> bytes:
    return await _read(replica, lambda connection: tags.find_tag(connection, reference))


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


@pytest.mark.parametrize("reference", ["nobody", "%", "____", "0000"])
async def test_what_no_tag_is_called_is_not_found(replica: Replica, reference: str) -> None:
    """Signs that mean something to a database stand for themselves."""
    await _make(replica, "trip")
    with pytest.raises(NotFoundError) as caught:
        await _find(replica, reference)
    assert caught.value.hint == "leaderless tag list"


async def test_a_tag_is_found_by_each_of_its_names(replica: Replica) -> None:
    """Its name, its shown name, an alias, with its namespace, and all of its id but a digit."""
    given = {"display_name": "Voyage", "aliases": "+tour", "namespace": "life"}
    tag = await tags.create_tag(replica.store, "trip", given)
    for reference in ("trip", "Voyage", "tour", "life:trip", tag.hex()[:31]):
        assert within(replica, lambda c, name=reference: tags.find_tag(c, name)) == tag
    with pytest.raises(NotFoundError) as refused:
        within(replica, lambda c: tags.find_tag(c, "work:trip"))
    assert refused.value.hint == "leaderless tag list"


async def test_a_namespace_tells_tags_of_one_name_apart(replica: Replica) -> None:
    """The bare name is that of several, and the error lists the ends of their ids."""
    one = await tags.create_tag(replica.store, "java", {"namespace": "island"})
    other = await tags.create_tag(replica.store, "java", {"namespace": "code"})
    assert within(replica, lambda c: tags.find_tag(c, "code:java")) == other
    with pytest.raises(UsageError, match=one.hex()[-4:]):
        within(replica, lambda c: tags.find_tag(c, "java"))


# --- deleting and restoring -----------------------------------------------------------------------


async def test_a_deleted_tag_comes_back_with_the_values_it_had(replica: Replica) -> None:
    """By its name, also when another of that name was deleted and restored before."""
    uuid = await _make(replica, "trip", color="red", aliases="tour", attributes="a=1")
    before = await _shown(replica, uuid)
    assert await tags.delete_tag(replica.store, "trip") == uuid
    assert await _read(replica, tag_listing.list_tags) == []
    assert await tags.restore_tag(replica.store, "trip") == uuid
    assert await _shown(replica, uuid) == before


async def test_deleted_tags_are_listed_as_they_were(replica: Replica) -> None:
    """Name, fields and id of each are there, and of living tags nothing."""
    uuid = await _make(replica, "trip", color="red", aliases="tour,trek")
    shown = await _shown(replica, uuid)
    await _make(replica, "alive")
    await tags.delete_tag(replica.store, "trip")
    (listed,) = await _read(replica, tag_listing.list_deleted)
    before = {name: shown[name] for name in listed}
    assert listed == {**before, "attributes": None, "composition_rules": None}


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


async def test_a_tag_that_was_never_there_is_not_restored(replica: Replica) -> None:
    """Nor one that is there."""
    await tags.create_tag(replica.store, "trip", {})
    for name in ("trip", "nobody"):
        with pytest.raises(NotFoundError, match="deleted tag"):
            await tags.restore_tag(replica.store, name)


async def test_what_was_merged_is_deleted_listed_and_restored_as_one(replica: Replica) -> None:
    """Either name brings both back, as they were."""
    one, other = await _make(replica, "trip"), await _make(replica, "tour")
    await tag_relations.merge(replica.store, "trip", "tour")
    before = await _shown(replica, one)
    await tags.delete_tag(replica.store, "tour")
    (listed,) = await _read(replica, tag_listing.list_deleted)
    assert (listed["id"], listed["merged"]) == (one.hex(), [{"id": other.hex(), "name": "tour"}])
    assert await tags.restore_tag(replica.store, "tour") == one
    assert await _shown(replica, one) == before


async def test_a_name_that_two_merged_tags_bear_is_no_choice(replica: Replica) -> None:
    """Living or deleted, they are one."""
    uuid, other = await _make(replica, "trip"), await _make(replica, "trip")
    await tag_relations.merge(replica.store, uuid.hex(), other.hex())
    assert await _find(replica, "trip") == uuid
    await tags.delete_tag(replica.store, "trip")
    assert await tags.restore_tag(replica.store, "trip") == uuid


@pytest.mark.parametrize("name", ["a\nb", "red\x1b[31m", "back\\slash"])
async def test_a_tag_is_found_as_it_is_printed(replica: Replica, name: str) -> None:
    """Living or deleted, what a list shows can be pasted back."""
    uuid = await tags.create_tag(replica.store, name, {})
    for given in (name, printable(name)):
        assert await replica.store.read(lambda c, said=given: tags.find_tag(c, said)) == uuid
    await tags.delete_tag(replica.store, printable(name))
    assert await tags.restore_tag(replica.store, printable(name)) == uuid

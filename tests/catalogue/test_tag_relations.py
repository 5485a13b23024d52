"""Tags above, beside and into each other, on one device and on several."""

from __future__ import annotations

from typing import Any

import pytest

from leaderless.catalogue.find import Query, find_entries
from leaderless.catalogue.hierarchy import Hierarchy, read_hierarchy
from leaderless.catalogue.tag_listing import list_tags, show_tag
from leaderless.catalogue.tag_relations import merge, put_under, relate, take_from_under, unrelate
from leaderless.catalogue.tagging import Files, add_tag, remove_tag
from leaderless.catalogue.tags import create_tag, delete_tag, find_tag, restore_tag
from leaderless.errors import NotFoundError, UsageError
from tests.catalogue.files import Drive, meet
from tests.replicas import Replica, query_file
from tests.store.passing import within


async def make(replica: Replica, *names: str) -> list[bytes]:
    """Make tags; the first is the oldest."""
    return [await create_tag(replica.store, name, {}, another=True) for name in names]


def shown(replica: Replica, name: str) -> dict[str, Any]:
    """Return a tag as it is shown."""
    return within(replica, lambda c: show_tag(c, find_tag(c, name)))


def called(tags: list[dict[str, Any]]) -> list[str]:
    """Return the names of tags."""
    return [tag["name"] for tag in tags]


def found(replica: Replica, name: str) -> set[str]:
    """Return the paths that `find --tag` finds."""

    def search(connection: Any) -> list[dict[str, Any]]:
        tags = read_hierarchy(connection).carried(find_tag(connection, name))
        return find_entries(connection, Query(tags=tags), b"", ())

    return {entry["path"] for entry in within(replica, search)}


# --- above and below ------------------------------------------------------------------------------


async def test_a_parent_finds_what_carries_its_children(replica: Replica) -> None:
    """However deep; a child does not find what carries its parent alone."""
    drive = Drive(replica, "docs")
    for name in ("a", "b", "c"):
        drive.put(name)
    await make(replica, "place", "italy", "rome")
    assert (await put_under(replica.store, "rome", "italy")).is_news
    assert (await put_under(replica.store, "italy", "place")).is_news
    assert not (await put_under(replica.store, "italy", "place")).is_news
    for name, tag in (("a", "rome"), ("b", "italy"), ("c", "place")):
        await add_tag(replica.store, tag, Files((f"/docs/{name}",)))
    assert found(replica, "place") == {"/docs/a", "/docs/b", "/docs/c"}
    assert found(replica, "italy") == {"/docs/a", "/docs/b"}
    assert found(replica, "rome") == {"/docs/a"}
    assert called(shown(replica, "italy")["parents"]) == ["place"]
    assert called(shown(replica, "italy")["children"]) == ["rome"]


async def test_a_circle_is_refused_with_its_reason(replica: Replica) -> None:
    """The hint takes the edge away that is in the way; a tag is not under itself either."""
    a, b, _ = await make(replica, "a", "b", "c")
    await put_under(replica.store, "a", "b")
    await put_under(replica.store, "b", "c")
    with pytest.raises(UsageError, match="“c” already") as refused:
        await put_under(replica.store, "c", "a")
    assert refused.value.hint is not None
    assert "from under" in refused.value.hint
    with pytest.raises(UsageError, match="one tag"):
        await put_under(replica.store, "a", a.hex())
    await take_from_under(replica.store, "a", b.hex())
    assert (await put_under(replica.store, "c", "a")).is_news


def edges(skipped: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Return who is not under whom."""
    return [(edge["child"], edge["parent"]) for edge in skipped]


async def test_a_circle_made_by_two_devices_is_skipped_and_shown(replicas: list[Replica]) -> None:
    """Both show the same edge as skipped; it does not count, and takes effect once it may."""
    a, b, _ = replicas
    Drive(a, "docs").put("x")
    await make(a, "one", "two")
    await add_tag(a.store, "one", Files(("/docs/x",)))
    meet(a, b)
    b.clock.ms += 1_000
    await put_under(a.store, "one", "two")
    await put_under(b.store, "two", "one")
    meet(a, b)
    for replica in (a, b):
        assert edges(shown(replica, "one")["skipped"]) == [("two", "one")]
        assert edges(within(replica, list_tags)[1]["skipped"]) == [("two", "one")]
        assert (found(replica, "one"), found(replica, "two")) == ({"/docs/x"}, {"/docs/x"})
    with pytest.raises(UsageError, match="circle"):
        await put_under(a.store, "two", "one")
    await take_from_under(b.store, "one", "two")
    meet(a, b)
    for replica in (a, b):
        assert shown(replica, "one")["skipped"] == []
        assert called(shown(replica, "one")["children"]) == ["two"]
        assert found(replica, "two") == set()


async def test_only_what_is_right_under_a_tag_is_taken_away(replica: Replica) -> None:
    """Anything else is not found."""
    await make(replica, "a", "b")
    with pytest.raises(NotFoundError, match="not right under"):
        await take_from_under(replica.store, "a", "b")


# --- beside ---------------------------------------------------------------------------------------


async def test_related_tags_are_shown_at_both_ends(replica: Replica) -> None:
    """Whoever is named first: it is one relation, whose kind can be changed and taken away."""
    await make(replica, "sea", "ocean")
    assert (await relate(replica.store, "sea", "ocean", "related")).is_news
    assert not (await relate(replica.store, "ocean", "sea", "related")).is_news
    assert (await relate(replica.store, "ocean", "sea", "synonym", 0.5)).is_news
    for name, other in (("sea", "ocean"), ("ocean", "sea")):
        (relation,) = shown(replica, name)["relations"]
        assert (relation["name"], relation["kind"], relation["strength"]) == (other, "synonym", 0.5)
    assert (await unrelate(replica.store, "ocean", "sea")).is_news
    assert shown(replica, "sea")["relations"] == []
    with pytest.raises(NotFoundError):
        await unrelate(replica.store, "ocean", "sea")


async def test_two_tags_stand_to_each_other_in_one_way(replica: Replica) -> None:
    """What is under another is not beside it, and the other way round; the hint undoes it."""
    await make(replica, "a", "b", "c")
    await relate(replica.store, "a", "b", "synonym")
    with pytest.raises(UsageError, match="neither") as refused:
        await put_under(replica.store, "b", "a")
    assert "unrelate" in str(refused.value.hint)
    await put_under(replica.store, "b", "c")
    with pytest.raises(UsageError, match="under") as refused:
        await relate(replica.store, "c", "b", "related")
    assert "unparent" in str(refused.value.hint)
    with pytest.raises(UsageError, match="no relation"):
        await relate(replica.store, "a", "c", "parent_child")


# --- into each other ------------------------------------------------------------------------------


async def test_a_merged_tag_is_found_by_either_name(replica: Replica) -> None:
    """The files of both are its files, it is listed once, and it says what was merged."""
    drive = Drive(replica, "docs")
    for name in ("a", "b"):
        drive.put(name)
    old, _ = await make(replica, "holiday", "vacation")
    await add_tag(replica.store, "holiday", Files(("/docs/a",)))
    await add_tag(replica.store, "vacation", Files(("/docs/a", "/docs/b")))
    assert await merge(replica.store, "vacation", "holiday") == (old, True)
    assert await merge(replica.store, "holiday", "vacation") == (old, False)
    assert shown(replica, "vacation") == shown(replica, "holiday")
    (listed,) = within(replica, list_tags)
    assert (listed["canonical_name"], listed["files"]) == ("holiday", "2")
    assert called(listed["merged"]) == ["vacation"]
    assert found(replica, "vacation") == {"/docs/a", "/docs/b"}
    assert (await add_tag(replica.store, "holiday", Files(("/docs/b",)))).touched == 0
    assert (await remove_tag(replica.store, "holiday", Files(("/docs/a", "/docs/b")))).touched == 2
    assert found(replica, "vacation") == set()


async def test_devices_that_merge_in_opposite_directions_agree(replicas: list[Replica]) -> None:
    """Both show the older tag; a third that is merged afterwards breaks no bond."""
    a, b, _ = replicas
    old, *_ = await make(a, "one", "two", "three")
    meet(a, b)
    await merge(a.store, "one", "two")
    await merge(b.store, "two", "one")
    meet(a, b)
    await merge(b.store, "three", "two")
    meet(a, b)
    for replica in (a, b):
        (listed,) = within(replica, list_tags)
        assert (listed["id"], called(listed["merged"])) == (old.hex(), ["three", "two"])


async def test_merging_merged_tags_keeps_all_of_them_together(replica: Replica) -> None:
    """Whatever was merged into what before, no earlier merge is overwritten."""
    await make(replica, *"abcdef")
    for one, other in ("ab", "dc", "ef", "ac", "fb"):
        await merge(replica.store, one, other)
    (listed,) = within(replica, list_tags)
    assert called(listed["merged"]) == ["b", "c", "d", "e", "f"]


async def test_two_tags_of_one_name_can_be_merged_by_their_ids(replica: Replica) -> None:
    """Until then the name is that of several; afterwards it is one tag's."""
    one, other = await make(replica, "trip", "trip")
    with pytest.raises(UsageError, match="fits 2 tags"):
        within(replica, lambda c: find_tag(c, "trip"))
    await merge(replica.store, one.hex(), other.hex())
    assert within(replica, lambda c: find_tag(c, "trip")) == one


async def test_a_merged_tag_is_deleted_and_restored_as_one(replica: Replica) -> None:
    """No part of it stays behind, and all of it comes back."""
    await make(replica, "one", "two", "other")
    await merge(replica.store, "one", "two")
    await delete_tag(replica.store, "two")
    assert query_file(replica.store.path, "SELECT canonical_name FROM tag") == [("other",)]
    await restore_tag(replica.store, "two")
    assert called(shown(replica, "one")["merged"]) == ["two"]


async def test_children_of_merged_tags_are_children_of_both(replica: Replica) -> None:
    """Edges count for what a tag was merged into; one between the two says nothing any more."""
    drive = Drive(replica, "docs")
    drive.put("a")
    await make(replica, "one", "two", "child")
    await put_under(replica.store, "child", "two")
    await put_under(replica.store, "two", "one")
    await add_tag(replica.store, "child", Files(("/docs/a",)))
    await merge(replica.store, "one", "two")
    assert found(replica, "one") == {"/docs/a"}
    assert shown(replica, "one")["skipped"] == []
    await take_from_under(replica.store, "child", "one")
    assert found(replica, "one") == set()


async def test_a_circle_that_a_merge_makes_is_skipped(replica: Replica) -> None:
    """The later edge does not count, and is shown so."""
    await make(replica, "top", "middle", "low")
    await put_under(replica.store, "low", "middle")
    await put_under(replica.store, "middle", "top")
    await merge(replica.store, "top", "low")
    hierarchy: Hierarchy = within(replica, read_hierarchy)
    top = within(replica, lambda c: find_tag(c, "low"))
    middle = within(replica, lambda c: find_tag(c, "middle"))
    assert (hierarchy.above(top), hierarchy.below(top)) == ({middle}, set())
    assert edges(shown(replica, "top")["skipped"]) == [("middle", "top")]

"""find's filters, also those that a tag and a location make."""

from __future__ import annotations

from typing import Any

import pytest

from leaderless.catalogue.find import Query, find_entries
from leaderless.catalogue.listing import find_locations
from leaderless.catalogue.tagging import Files, add_tag
from leaderless.catalogue.tags import create_tag
from leaderless.errors import NotFoundError
from tests.catalogue.files import Drive, meet
from tests.replicas import Replica
from tests.store.passing import within


def found(replica: Replica, **given: Any) -> list[str]:
    """Return the paths that a query finds, sorted."""
    query = Query(**given)
    entries = within(replica, lambda c: find_entries(c, query, replica.identity.device, ()))
    return sorted(entry["path"] for entry in entries)


async def test_filters_have_to_hold_together(replica: Replica) -> None:
    """A tag and a text find what carries the one and is called the other."""
    drive = Drive(replica, "docs")
    for name in ("one", "two", "three"):
        drive.put(name, name)
    tag = await create_tag(replica.store, "trip", {})
    await add_tag(replica.store, "trip", Files(("/docs/one", "/docs/two")))
    assert found(replica, tags=[tag]) == ["/docs/one", "/docs/two"]
    assert found(replica, tags=[tag], text="t") == ["/docs/two"]
    assert found(replica, tags=[]) == []
    assert found(replica, tags=[tag], kind="directory") == []
    assert found(replica, tags=[tag], larger_bytes=1_000) == []


async def test_what_is_gone_carries_nothing(replica: Replica) -> None:
    """A deleted file is not found by its tag; a copy that appears later is."""
    drive = Drive(replica, "docs")
    entry = drive.put("one", "same")
    tag = await create_tag(replica.store, "trip", {})
    await add_tag(replica.store, "trip", Files(("/docs/one",)))
    drive.drop(entry)
    assert found(replica, tags=[tag]) == []
    drive.put("back", "same")
    assert found(replica, tags=[tag]) == ["/docs/back"]


def test_a_location_is_meant_on_every_device(replicas: list[Replica]) -> None:
    """By its name, its path or either end of its id; an unknown one is an error."""
    a, b, _ = replicas
    for replica, name in ((a, "mine"), (b, "theirs")):
        Drive(replica, "photos").put(name)
    other = Drive(a, "docs")
    meet(a, b)
    keys = within(a, lambda c: find_locations(c, "photos"))
    assert found(a, locations=keys, kind="file") == ["/photos/mine", "/photos/theirs"]
    assert within(a, lambda c: find_locations(c, "/photos")) == keys
    for reference in (other.location.hex(), other.location.hex()[-20:]):
        assert len(within(a, lambda c, end=reference: find_locations(c, end))) == 1
    with pytest.raises(NotFoundError, match="no location"):
        within(a, lambda c: find_locations(c, "nowhere"))


def test_a_query_without_a_filter_is_empty() -> None:
    """A limit is no filter; an empty text is one that everything fits."""
    assert Query(limit=5).is_empty
    assert not Query(text="").is_empty
    assert not Query(tags=[]).is_empty

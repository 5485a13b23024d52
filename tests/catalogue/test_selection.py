"""Many files at once, by name and by search."""

from __future__ import annotations

import pytest

from leaderless.catalogue.find import Query
from leaderless.catalogue.selection import select
from leaderless.errors import NotFoundError, UsageError
from tests.catalogue.files import Drive
from tests.replicas import Replica
from tests.store.passing import within


def test_names_and_a_search_are_joined(replica: Replica) -> None:
    """Each entry comes once, copies of one content as themselves; named ones first."""
    drive = Drive(replica, "docs")
    one, two, three = drive.put("one", "same"), drive.put("two", "same"), drive.put("three")
    epoch = replica.store.own_epoch
    found = within(replica, lambda c: select(c, epoch, ["/docs/three"], Query(text="o")))
    assert [target.entry for target in found] == [three, drive.root, one, two]
    assert [target.scope for target in found] == ["entry", "entry", "content", "content"]
    assert found[2].item == found[3].item


@pytest.mark.parametrize(
    ("query", "error"),
    [
        (None, UsageError),
        (Query(), UsageError),
        (Query(text="zzz"), NotFoundError),
        (Query(kind="folder"), UsageError),
    ],
)
def test_nothing_and_everything_have_to_be_meant(
    replica: Replica, query: Query | None, error: type[Exception]
) -> None:
    """No files, filter or such kind, and nothing found, are errors; an empty text means everything."""
    Drive(replica, "docs").put("one")
    epoch = replica.store.own_epoch
    with pytest.raises(error):
        within(replica, lambda c: select(c, epoch, [], query))
    assert len(within(replica, lambda c: select(c, epoch, [], Query(text="")))) == 2

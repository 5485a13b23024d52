"""Libraries that released versions have written, in the hands of today's code."""

from __future__ import annotations

from pathlib import Path

import pytest

from leaderless.catalogue.export import export_lines
from leaderless.store import engine, shelf
from leaderless.store.rebuild import rebuild
from leaderless.store.verification import verify
from registry.changes import Create, Update
from registry.models import Field
from scripts.releases.library import NEWER, SUMMER
from tests.releases.kept import RELEASES, Release
from tests.replicas import Replica, add_tree, query_file
from tests.store.passing import held, log_of, own_feed, within
from tests.store.upgrades import later, moody_tag, upgraded, with_fields


@pytest.fixture(params=RELEASES)
def release(request: pytest.FixtureRequest) -> Release:
    """Name one version after the other."""
    return Release(request.param)


@pytest.fixture
def library(release: Release, tmp_path: Path) -> Replica:
    """Open a version's library: in the middle of a catch-up."""
    return release.opened("library", 0, tmp_path)


def exported(replica: Replica) -> bytes:
    """Return every synced record of a device."""
    return within(replica, lambda c: b"".join(export_lines(c, replica.store.registry)))


def faults(replica: Replica) -> list[str]:
    """Return what `verify` finds to be wrong."""
    found = within(replica, lambda c: verify(c, replica.store.registry))
    return [count.fault for count in found if count.fault is not None]


def test_its_library_is_opened_and_whole(library: Replica) -> None:
    """Its schema is brought up to date; keys and pages are sound, nothing was left out."""
    within(library, lambda c: engine.check(c, library.store.path))
    assert library.store.failed == {}


def test_what_it_holds_is_what_it_held(release: Release, library: Replica) -> None:
    """Today's export of it is, byte for byte, the one that was made then."""
    assert exported(library) == (release.folder / "library.ndjson").read_bytes()


def test_its_rows_and_records_hash_as_they_did(library: Replica) -> None:
    """All that is counted anew is as it was kept, of every owner and of the shared records."""
    assert faults(library) == []


def test_its_log_makes_the_same_records_today(library: Replica) -> None:
    """Registers, journal and tables are what running its commits again makes of them."""
    registry = library.store.registry
    assert within(library, lambda c: rebuild(c, registry, 0)).differences == ()


def test_its_conflicts_and_what_waits_are_still_there(library: Replica) -> None:
    """The journal lists what lost, the shelf what a commit waits for, the copy what is to come."""
    assert query_file(library.store.path, "SELECT count(*) > 0 FROM journal") == [(1,)]
    (waiting,) = within(library, shelf.waiting)
    assert waiting.waits_for.startswith("commit ")
    inexact = "SELECT count(*) FROM incarnation WHERE watermark < as_of"
    assert query_file(library.store.path, inexact) == [(1,)]


def test_what_only_newer_versions_knew_is_still_there(library: Replica) -> None:
    """Fields and models of a device that was newer then: as rows, registers and extras."""
    path = library.store.path
    assert query_file(path, "SELECT DISTINCT model FROM opaque_row") == [("job",)]
    assert query_file(path, "SELECT count(*) FROM record WHERE model = 'bookmark'") == [(1,)]
    assert query_file(path, "SELECT count(*) FROM entry WHERE extra IS NOT NULL") == [(1,)]


def test_it_goes_on_writing(library: Replica) -> None:
    """Rows and commits follow those that the old version wrote, in the same feed, and verify."""
    before = held(library, library).watermark
    feed = own_feed(library)
    commits = len(log_of(library, feed))
    add_tree(library, 2, "today")
    edits = [Update("tag", SUMMER, {"color": "pink"}), Create("tag", b"n" * 16, {})]
    library.store.write_here(lambda tx: tx.commit("tag.set", edits))
    assert held(library, library).watermark == before + 5
    assert len(log_of(library, feed)) == commits + 1
    assert query_file(library.store.path, "SELECT count(*) FROM tag WHERE color = 'pink'") == [(1,)]
    assert faults(library) == []


def test_what_only_newer_versions_knew_is_shown_by_one_that_knows_it(library: Replica) -> None:
    """After an upgrade fields and models stand in their tables; records and hashes are as before."""
    gained = [model for model in NEWER if model.schema]
    steps = [statement for model in gained for statement in model.schema]
    steps += ["ALTER TABLE entry ADD COLUMN thumbnail TEXT", "ALTER TABLE tag ADD COLUMN mood TEXT"]
    registry = later(with_fields(Field("thumbnail")), moody_tag(), *gained)
    before = exported(library)
    with upgraded(library, registry, *steps) as shows:
        path = shows.store.path
        assert query_file(path, "SELECT mood FROM tag WHERE mood IS NOT NULL") == [("bright",)]
        assert query_file(path, "SELECT name FROM entry WHERE thumbnail = 'tiny'") == [
            (b"caf\xe9.jpg",)
        ]
        assert query_file(path, "SELECT title FROM bookmark") == [("read me",)]
        assert query_file(path, "SELECT state FROM job ORDER BY id") == [("done",), ("waits",)]
        assert query_file(path, "SELECT 1 FROM opaque_row") == []
        assert faults(shows) == []
        assert exported(shows) == before

"""Which own row is the same thing as one that is known under another id."""

from __future__ import annotations

from pathlib import Path

import pytest

from entities import MODELS
from leaderless.store import twins
from registry.models import Model, Ownership, Registry
from tests.replicas import Replica, add_tree
from tests.store.passing import held, within
from tests.store.restored import Lives

REGISTRY = Registry(MODELS)
NEW = b"n" * 16


@pytest.fixture
def lives(tmp_path: Path, replicas: list[Replica]) -> Lives:
    """Return a device with a folder of two files."""
    add_tree(replicas[0], 2)
    return Lives(tmp_path, replicas)


def model(name: str) -> Model:
    """Return a built-in model."""
    found = REGISTRY.get(name)
    assert found is not None
    return found


def known(lives: Lives, name: str, /, **fields: object) -> bytes | None:
    """Return which row is the same thing as one of these fields."""
    own = held(lives.device, lives.device)
    rows = {NEW: fields}
    return within(lives.device, lambda c: twins.known(c, own, model(name), rows)).get(NEW)


def test_a_file_is_known_by_its_place_and_kind(lives: Lives) -> None:
    """The root of a folder by its location; what is deleted is known no more."""
    file, location, root = lives.ask(
        "SELECT e.uuid, l.uuid, p.uuid FROM entry e JOIN location l ON l.id = e.location"
        " JOIN entry p ON p.id = e.parent ORDER BY e.name"
    )[0]
    place = {"location": location, "parent": root}
    assert known(lives, "entry", **place, name=b"file0", kind="file") == file
    assert known(lives, "entry", **place, name=b"file0", kind="directory") is None
    assert known(lives, "entry", **place, name=b"file9", kind="file") is None
    assert known(lives, "entry", location=location, name=b"docs", kind="directory") == root
    lives.drop("entry", file)
    assert known(lives, "entry", **place, name=b"file0", kind="file") is None


def test_a_folder_is_known_by_its_path_and_a_drive_by_its_file_system(lives: Lives) -> None:
    """Whatever they are called."""
    ((location, volume),) = lives.ask(
        "SELECT l.uuid, v.uuid FROM location l JOIN volume v ON v.id = l.volume"
    )
    assert known(lives, "location", volume=volume, path=b"/docs", name="x") == location
    assert known(lives, "location", volume=volume, path=b"/other", name="docs") is None
    assert known(lives, "volume", fingerprint="uuid:1") == volume
    assert known(lives, "volume", fingerprint="uuid:2") is None


def test_what_is_another_devices_is_another_thing(lives: Lives) -> None:
    """A drive that two devices have seen has a row of each."""
    lives.tell()
    own = held(lives.peer, lives.peer)
    rows = {NEW: {"fingerprint": "uuid:1"}}
    assert within(lives.peer, lambda c: twins.known(c, own, model("volume"), rows)) == {}


def test_nothing_is_looked_for_where_a_model_says_nothing(lives: Lives) -> None:
    """A row of such a model is what its id says."""
    plain = Model("device", 1, Ownership.SHARED, (), apply_shared_change=lambda *_: None)
    own = held(lives.device, lives.device)
    assert within(lives.device, lambda c: twins.known(c, own, plain, {NEW: {}})) == {}
    assert within(lives.device, lambda c: twins.known(c, own, model("entry"), {})) == {}


def test_a_large_folder_is_looked_through_once(lives: Lives) -> None:
    """Not once for each file that is looked for: the rows that may be meant are found by an index."""
    own = held(lives.device, lives.device)
    plans: list[str] = []

    def explain(connection):  # noqa: ANN001, ANN202 - a connection
        entry = model("entry")
        fields = [field for name in entry.identity if (field := entry.field(name)) is not None]
        twins.prepare(connection, fields)
        query = twins.question(entry, own, fields, 1)
        plans.extend(row[3] for row in connection.exec_driver_sql("EXPLAIN QUERY PLAN " + query))
        connection.exec_driver_sql("DROP TABLE temp.sought")

    within(lives.device, explain)
    assert any("r USING INDEX entry_by_parent" in plan for plan in plans)
    assert any("s USING INDEX sought_by" in plan for plan in plans)

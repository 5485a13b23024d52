"""Shared tables recomputed from the log, and held against what stood there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from entities import MODELS
from leaderless.ids import RecordIds
from leaderless.protocol import commits
from leaderless.store import meta
from leaderless.store.rebuild import Rebuilt, rebuild, show_again
from leaderless.store.store import Store
from registry.changes import Create, Delete, Edit, Lock, Restore, Update
from registry.models import Registry
from tests import bookmark
from tests.replicas import Replica, query_file
from tests.store.passing import dump, log_of, own_feed, store_commits, within
from tests.store.versions import OLDER, as_version

SEA, TRIP, ALBUM, LINK, PAGE = (bytes([at]) * 16 for at in range(1, 6))
MIXED_UP = (
    "UPDATE record SET state = (SELECT state FROM record WHERE model = 'album')"
    " WHERE model = 'tag' AND state IS NOT NULL"
)
SHARED = (
    "SELECT model, uuid, state, deaths, locked_by FROM record ORDER BY model, uuid",
    "SELECT model, record, field, subkey, value, loser FROM journal ORDER BY record, field, loser",
    "SELECT * FROM reference ORDER BY target, record, field",
    "SELECT * FROM tag ORDER BY uuid",
    "SELECT * FROM album ORDER BY uuid",
    "SELECT * FROM album_entry ORDER BY uuid",
    "SELECT value FROM meta WHERE name = 'shared_hash'",
)


def _edit(replica: Replica, *edits: Edit) -> None:
    replica.clock.ms += 1
    replica.store.write_here(lambda tx: tx.commit("test", edits))


def _exchange(*replicas: Replica) -> None:
    for source in replicas:
        for target in replicas:
            store_commits(target, *log_of(source, own_feed(source)))


def _rebuilt(replica: Replica) -> Rebuilt:
    return within(replica, lambda c: rebuild(c, replica.store.registry, replica.clock.ms))


def _change(replica: Replica, statement: str) -> None:
    within(replica, lambda c: c.exec_driver_sql(statement))


def _lived(replicas: list[Replica]) -> tuple[Replica, Replica]:
    """Let two devices edit apart and together: with conflicts, a delete, a restore and a link."""
    a, b, _ = replicas
    place = {"item": PAGE, "scope": "content", "album": ALBUM}
    _edit(a, Create("tag", SEA, {"color": "blue", ("aliases", "ocean"): True}))
    _edit(a, Create("tag", TRIP, {"color": "red"}), Create("album", ALBUM, {"name": "summer"}))
    _edit(a, Create("album_entry", LINK, place))
    store_commits(b, *log_of(a, own_feed(a)))
    _edit(a, Update("tag", SEA, {"color": "green"}))
    b.clock.ms += 1_000
    _edit(b, Update("tag", SEA, {"color": "grey", "icon": "wave"}))
    _edit(b, Delete("tag", TRIP))
    _edit(a, Update("tag", TRIP, {"color": "pink"}))
    _edit(b, Delete("album", ALBUM))
    _exchange(a, b)
    _edit(a, Restore("album", ALBUM))
    _exchange(a, b)
    return a, b


@pytest.fixture
def lived(replicas: list[Replica]) -> Replica:
    """Return a device with a past."""
    return _lived(replicas)[0]


def test_a_rebuild_proves_what_stood_there_equal(lived: Replica) -> None:
    """Every table, the journal and the set hash come out as they were, also with locks."""
    _edit(lived, Lock("tag", SEA))
    before = dump(lived, SHARED)
    done = _rebuilt(lived)
    assert done.differences == ()
    assert (done.commits, done.records, done.deleted) == (10, 3, 1)
    assert dump(lived, SHARED) == before


@pytest.mark.parametrize(
    ("statement", "difference"),
    [
        ("UPDATE tag SET color = 'black'", "tag: 1 row was wrong, 1 is right now"),
        ("DELETE FROM tag", "tag: 0 rows were wrong, 1 is right now"),
        ("UPDATE album SET name = NULL", "album: 1 row was wrong, 1 is right now"),
        ("DELETE FROM album_entry", "album_entry: 0 rows were wrong, 1 is right now"),
        ("INSERT INTO tag (uuid) VALUES (zeroblob(16))", "tag: 1 row was wrong, 0 are right now"),
        (MIXED_UP, "record: 1 row was wrong, 1 is right now"),
        ("DELETE FROM reference", "reference: 0 rows were wrong, 1 is right now"),
        ("UPDATE journal SET value = x'c0'", "journal: "),
        ("UPDATE meta SET value = zeroblob(256) WHERE name = 'shared_hash'", "the set hash"),
    ],
)
def test_a_rebuild_finds_and_mends_what_was_tampered_with(
    lived: Replica, statement: str, difference: str
) -> None:
    """It says which table differed and how much; afterwards everything is as it was."""
    before = dump(lived, SHARED)
    _change(lived, statement)
    (found,) = _rebuilt(lived).differences
    assert found.startswith(difference)
    assert dump(lived, SHARED) == before
    assert _rebuilt(lived).differences == ()


def test_a_rebuild_keeps_when_a_loss_was_noted(lived: Replica) -> None:
    """That is this device's own memory, which no log has."""
    noted = "SELECT record, loser, noted_at FROM journal ORDER BY record, loser"
    before = query_file(lived.store.path, noted)
    lived.clock.ms += 60_000
    _rebuilt(lived)
    assert query_file(lived.store.path, noted) == before != []


def test_a_rebuild_leaves_the_clock_where_it_was(lived: Replica) -> None:
    """A clock never runs back, and old commits do not push it on."""
    before = within(lived, meta.clock)
    _rebuilt(lived)
    assert within(lived, meta.clock) == before


def test_a_rebuild_says_how_many_commits_were_run(lived: Replica) -> None:
    """Whoever waits for it can be told."""
    told: list[int] = []
    within(lived, lambda c: rebuild(c, lived.store.registry, 0, told.append))
    assert told == [9]


def test_a_rebuild_leaves_the_shelf_on_the_shelf(replicas: list[Replica]) -> None:
    """What waits for a commit that is not here waits on."""
    a, b, c = replicas
    _edit(a, Create("tag", SEA, {}))
    store_commits(b, *log_of(a, own_feed(a)))
    _edit(b, Update("tag", SEA, {"color": "red"}))
    store_commits(c, *log_of(b, own_feed(b)))
    assert _rebuilt(c) == Rebuilt(0, 0, 0, ())
    store_commits(c, *log_of(a, own_feed(a)))
    assert query_file(c.store.path, "SELECT color FROM tag") == [("red",)]


def test_tables_are_made_anew_from_the_registers(lived: Replica) -> None:
    """`show_again` fills the tables of the models that are named, with links by their ends."""
    before = dump(lived, SHARED)
    for table in ("album_entry", "album"):
        _change(lived, f"DELETE FROM {table}")  # noqa: S608
    registry = lived.store.registry
    assert within(lived, lambda c: show_again(c, registry, ["album", "album_entry"], 0)) == 2
    assert dump(lived, SHARED) == before


def test_other_tables_are_left_alone(lived: Replica) -> None:
    """What was not asked for is not made anew."""
    _change(lived, "UPDATE tag SET color = 'black'")
    within(lived, lambda c: show_again(c, lived.store.registry, ["album"], 0))
    assert query_file(lived.store.path, "SELECT color FROM tag") == [("black",)]


# --- a library of an older version -----------------------------------------------------------------


@contextlib.contextmanager
def _of_version(version: str, replica: Replica, folder: Path, *models: Any) -> Iterator[Replica]:
    """Open a replica's library as an older version would have left it."""
    path = folder / "old.db"
    as_version(version, replica.store.path, path, folder)
    assert query_file(path, "SELECT * FROM schema_version") == [(version,)]
    ids, registry = RecordIds(replica.clock), Registry([*MODELS, *models])
    store = Store(path, registry, replica.clock, ids, replica.identity.sign)
    store.load()
    try:
        yield replace(replica, store=store)
    finally:
        store.close()


def _tagged(replicas: list[Replica]) -> tuple[Replica, Replica]:
    """Let two devices edit tags as the first version could: no data, no lock, no link."""
    a, b, _ = replicas
    _edit(a, Create("tag", SEA, {"color": "blue"}), Create("tag", TRIP, {}))
    store_commits(b, *log_of(a, own_feed(a)))
    _edit(a, Update("tag", SEA, {"color": "green"}))
    b.clock.ms += 1_000
    _edit(b, Update("tag", SEA, {"color": "grey"}))
    _edit(b, Delete("tag", TRIP))
    _edit(a, Update("tag", TRIP, {"color": "pink"}))
    _exchange(a, b)
    return a, b


@pytest.mark.parametrize("version", OLDER)
def test_a_library_of_an_older_version_opens_equal_to_its_peers(
    version: str, replicas: list[Replica], tmp_path: Path
) -> None:
    """It is migrated, its journal is made anew, a snapshot of it is kept."""
    a, b = _tagged(replicas)
    for header, _ in query_file(a.store.path, "SELECT header, seq FROM commit_log"):
        assert commits.decode_header(header).data == {}
    with _of_version(version, a, tmp_path) as old:
        assert dump(old, SHARED) == dump(b, SHARED)
        assert query_file(old.store.path, "SELECT field FROM journal ORDER BY 1") == [
            ("color",),
            ("color",),
        ]
        assert within(old, lambda c: meta.get(c, meta.REBUILD)) is None
        assert _rebuilt(old).differences == ()
    assert list(tmp_path.glob("old.before-*"))


@pytest.mark.parametrize("version", OLDER)
def test_a_library_of_an_older_version_goes_on_with_its_peers(
    version: str, replicas: list[Replica], tmp_path: Path
) -> None:
    """Commits of the older form and of today's follow each other in one feed, both ways."""
    a, b = _tagged(replicas)
    with _of_version(version, a, tmp_path) as old:
        old.store.write_here(lambda tx: tx.commit("tag.set", [Restore("tag", TRIP)], {"name": "x"}))
        _edit(b, Lock("tag", SEA))
        _exchange(old, b)
        _edit(old, Create("album", ALBUM, {"name": "summer"}))
        _exchange(old, b)
        assert dump(old, SHARED) == dump(b, SHARED)
        assert query_file(b.store.path, "SELECT uuid FROM album") == [(ALBUM,)]


@pytest.mark.parametrize("version", OLDER)
def test_a_library_of_an_older_version_can_open_with_a_new_model(
    version: str, replicas: list[Replica], tmp_path: Path
) -> None:
    """What others wrote of a model that nobody knew then is shown, after the log was run again."""
    a, b = _tagged(replicas)
    known = Registry([*MODELS, *bookmark.models()])
    ids = RecordIds(b.clock)
    store = Store(b.store.path, known, b.clock, ids, b.identity.sign)
    store.load()
    writes = replace(b, store=store)
    _edit(writes, Create("bookmark", PAGE, {"url": "https://sqlite.org"}))
    store_commits(a, *log_of(writes, own_feed(writes)))
    store.close()
    with _of_version(version, a, tmp_path, *bookmark.models()) as old:
        found = query_file(old.store.path, "SELECT uuid, url, tags FROM bookmark")
        assert found == [(PAGE, "https://sqlite.org", "[]")]
        assert _rebuilt(old).differences == ()


def test_tables_are_shown_again_in_parts(lived: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many records a model has, few are in memory; whoever waits hears how far it is."""
    monkeypatch.setattr("leaderless.store.rebuild._AT_ONCE", 1)
    before = dump(lived, SHARED)
    registry, told = lived.store.registry, list[int]()
    for statement in ("DELETE FROM album_entry", "DELETE FROM album", "DELETE FROM tag"):
        _change(lived, statement)
    models = [model.sync_name for model in registry.shared()]
    count = within(lived, lambda c: show_again(c, registry, models, 0, told.append))
    assert dump(lived, SHARED) == before
    assert told == list(range(1, count + 1))
    assert count > 2

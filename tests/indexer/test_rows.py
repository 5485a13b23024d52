"""Entries as rows, read back from a real store."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeVar

import pytest

from leaderless.indexer import rows
from leaderless.indexer.differ import Known
from leaderless.indexer.scanner import Observed
from tests.indexer.ground import Ground

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

_T = TypeVar("_T")
ITEM = Observed(b"Photo.JPG", "file", 3, 4, 5, 6, 0o600)


def read(ground: Ground, fn: Callable[[Connection], _T]) -> _T:
    """Run a query."""
    with ground.store._writer.connect() as connection:
        return fn(connection)


def root(ground: Ground) -> int:
    """Return the key of the root entry."""
    found = read(ground, lambda c: rows.root_of(c, ground.held_location().key))
    assert found is not None
    return found.key


def key_of(ground: Ground, name: bytes) -> int:
    """Return the key of the only entry of a name."""
    return {held: int(key) for key, held in ground.query("SELECT id, name FROM entry")}[name]


@pytest.mark.parametrize(
    ("name", "extension"),
    [
        (b"a.TXT", "txt"),
        (b"a.tar.gz", "gz"),
        (b"a", None),
        (b".hidden", None),
        (b"a.", None),
        (b"a.\xff", None),
        (b"a.b c", None),
        (b"a.b\x1b", None),
        (b"a." + b"x" * 16, "x" * 16),
        (b"a." + b"x" * 17, None),
        ("a.Ü".encode(), "ü"),
    ],
)
def test_an_extension_is_short_lower_case_text(name: bytes, extension: str | None) -> None:
    """What follows the last dot, if it can be shown and searched."""
    assert rows.extension_of(name) == extension


def test_a_row_says_what_lstat_said() -> None:
    """A new file has no hashes, a lower-case extension, and is not hidden."""
    row = rows.entry_row(b"u", b"l", b"p", ITEM, None)
    assert row == (
        *(b"u", b"l", b"p", b"Photo.JPG", "jpg", "file", 3, 4, 5, 6, 0o600, 0),
        *(None, None),
    )


def test_a_directory_has_no_extension_and_may_be_hidden() -> None:
    """A dot in front hides; one in a directory's name means nothing."""
    row = rows.entry_row(b"u", b"l", None, ITEM._replace(name=b".x.d", kind="directory"), None)
    assert (row[4], row[11]) == (None, 1)


@pytest.mark.parametrize(("mtime_ns", "hashes"), [(4, (b"c", b"q")), (44, (None, None))])
def test_hashes_stay_with_the_same_file(mtime_ns: int, hashes: tuple[bytes | None, ...]) -> None:
    """What was read of a file holds until it changes."""
    held = Known(1, b"u", 1, b"old", "file", 3, 4, 1, 6, 0o600, b"c", b"q")
    row = rows.entry_row(b"u", b"l", b"p", ITEM._replace(mtime_ns=mtime_ns), held)
    assert row[-2:] == hashes


async def test_own_locations_come_with_their_volume(ground: Ground) -> None:
    """A location is read with what tells its drive from another."""
    await ground.start()
    held = ground.held_location()
    ((fingerprint, file_system),) = ground.query("SELECT fingerprint, file_system FROM volume")
    assert (held.fingerprint, held.file_system) == (fingerprint, file_system)
    assert (held.path, held.name) == (os.fsencode(ground.folder), "folder")


async def test_own_volumes_are_read_by_column(ground: Ground) -> None:
    """A volume's row comes as it would be written."""
    await ground.start()
    (volume,) = read(ground, lambda c: rows.volumes(c, ground.store.own_epoch))
    assert volume["uuid"] == ground.held_location().volume


async def test_locations_of_other_devices_are_not_ours(ground: Ground) -> None:
    """Only rows of this device's own incarnation are the indexer's."""
    await ground.start()
    assert read(ground, lambda c: rows.locations(c, ground.store.own_epoch + 1)) == []


async def test_a_path_is_the_names_above(ground: Ground) -> None:
    """The path of an entry is worked out from its parents; the root's is the location's."""
    await ground.start("a/b/c")
    path = os.fsencode(ground.folder)
    assert read(ground, lambda c: rows.path_of(c, key_of(ground, b"c"), path)) == path + b"/a/b/c"
    assert read(ground, lambda c: rows.path_of(c, root(ground), path)) == path


async def test_a_location_at_the_top_has_plain_paths(ground: Ground) -> None:
    """Below / no path begins with two slashes."""
    await ground.start("a")
    assert read(ground, lambda c: rows.path_of(c, key_of(ground, b"a"), b"/")) == b"/a"
    assert read(ground, lambda c: rows.path_of(c, root(ground), b"/")) == b"/"


async def test_children_are_what_is_known_in_a_directory(ground: Ground) -> None:
    """What is right below, and nothing further down."""
    await ground.start("a/x", "b")
    children = read(ground, lambda c: rows.children_of(c, root(ground)))
    assert {child.name for child in children} == {b"a", b"b"}


async def test_entries_are_found_by_any_number_of_inodes(ground: Ground) -> None:
    """A lookup is split where a statement would hold too many values."""
    await ground.start(*[f"f{at}" for at in range(900)])
    inodes = sorted(item.stat().st_ino for item in ground.folder.iterdir())
    key = ground.held_location().key
    assert len(read(ground, lambda c: rows.by_inode(c, key, inodes))) == 900


async def test_what_is_below_comes_children_first(ground: Ground) -> None:
    """An entry follows everything below it, also where parts of a tree are named twice."""
    uuids = await ground.start("a/b/c", "a/d")
    keys = [key_of(ground, name) for name in (b"a", b"b")]
    found = read(ground, lambda c: rows.below(c, keys))
    assert found[0] == uuids["a/b/c"]
    assert found[-1] == uuids["a"]
    assert set(found) == {uuids[path] for path in ("a", "a/b", "a/b/c", "a/d")}


async def test_totals_count_files_and_their_bytes(ground: Ground) -> None:
    """Directories and links are entries, but no files."""
    (ground.folder / "link").symlink_to("nowhere")
    await ground.start("d/12345", "f")
    key = ground.held_location().key
    assert read(ground, lambda c: rows.totals(c, key)) == (2, len("d/12345") + len("f"))
    assert read(ground, lambda c: rows.count_of(c, key)) == 5


async def test_what_is_deleted_does_not_count(ground: Ground) -> None:
    """An entry that is kept for what hangs on it is not known to be there."""
    await ground.start("d/f", "g")
    with ground.store._writer.begin() as connection:
        connection.exec_driver_sql("UPDATE entry SET dead = 1 WHERE name = 'd'")
    assert read(ground, lambda c: rows.count_of(c, ground.held_location().key)) == 4


async def test_the_entries_of_a_location_are_counted_in_an_index(ground: Ground) -> None:
    """How many there are is told without reading them."""
    await ground.add()
    asked: list[str] = []
    with ground.store._writer.begin() as connection:
        connection.raw().set_trace_callback(asked.append)  # type: ignore[attr-defined]
        rows.count_of(connection, 1)
        connection.raw().set_trace_callback(None)  # type: ignore[attr-defined]
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {asked[0]}").all()
    steps = [step for *_, step in plan if "entry" in step]
    assert steps == [
        "SEARCH entry USING COVERING INDEX entry_by_location (location=?)",
        "SCAN entry USING INDEX entry_dead",
    ]

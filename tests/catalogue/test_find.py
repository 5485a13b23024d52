"""Finding entries in a real catalogue."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event

from leaderless.catalogue.find import Query, Share, find_entries, find_share, first_of, shares
from leaderless.errors import UsageError
from leaderless.store.transaction import Transaction
from leaderless.words import KINDS
from tests.catalogue.shelf import File, ask, found, paths, put_files
from tests.cluster import open_cluster
from tests.replicas import ENTRY_COLUMNS, Replica
from tests.store.passing import pull


def test_a_result_says_where_the_file_is(replica: Replica) -> None:
    """Device, drive, location, whole path, kind, size and time are all there."""
    put_files(replica, [File(b"report.pdf", "file", "pdf", 7, 5)])
    (entry,) = found(replica, Query("report"))
    assert {name: entry[name] for name in entry if name != "id"} == {
        "device": "device0",
        "device_id": replica.identity.device.hex(),
        "drive": "disk",
        "location": "docs",
        "path": "/docs/report.pdf",
        "kind": "file",
        "size_bytes": "7",
        "mtime_ns": "5000000",
        "reachable": True,
        "why": None,
    }


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("REPORT", {b"Report.pdf"}),
        ("ärger", {"Ärger.txt".encode()}),
        ("ÄRGER", {"Ärger.txt".encode()}),
        ("%", {b"100%.txt"}),
        ("_", {b"a_b"}),
        ("*", {b"a*b"}),
        ("?", {b"a?b"}),
        ("[x]", {b"a[x]b"}),
        ("^", {b"a^b"}),
        ("]", {b"a[x]b"}),
        ("'", {b"it's"}),
        ("\\", {b"a\\b"}),
        ("straße", {"Straße".encode()}),
        ("日本", {"日本.txt".encode()}),
        ("line\nbreak", {b"line\nbreak"}),
        ("caf\udce9", {b"caf\xe9.txt"}),
        ("caf", {b"caf\xe9.txt"}),
        ("é", {"re\u0301sume\u0301".encode()}),
        ("re\u0301", {"re\u0301sume\u0301".encode()}),
        ("résume\u0301", {"re\u0301sume\u0301".encode()}),
        ("STRASSE", {"Straße".encode()}),
        ("line\\nbreak", {b"line\nbreak"}),
        ("caf\\xe9", {b"caf\xe9.txt"}),
        ("a\\\\b", {b"a\\b"}),
        ("nothing", set()),
        ("x" * 60_000, set()),
    ],
)
def test_text_is_found_in_names_as_it_is_written(
    replica: Replica, text: str, names: set[bytes]
) -> None:
    """Letters of any script match in any case, everything else stands for itself."""
    shelf = [
        b"Report.pdf", "Ärger.txt".encode(), b"100%.txt", b"a_b", b"a*b", b"a?b", b"a[x]b", b"a^b",
        b"it's", b"a\\b", "Straße".encode(), "日本.txt".encode(), b"line\nbreak", b"caf\xe9.txt",
        "re\u0301sume\u0301".encode(),
    ]  # fmt: skip
    put_files(replica, [File(name) for name in shelf])
    shown = [entry["path"] for entry in found(replica, Query(text))]
    expected = [b"/docs/" + name for name in names]
    assert {str(path) for path in shown} == {
        str({"b64": "L2RvY3MvY2Fm6S50eHQ="}) if b"\xe9" in name else name.decode()
        for name in expected
    }


@pytest.mark.parametrize("extension", ["pdf", "PDF", ".pdf"])
def test_an_extension_is_asked_for_with_or_without_its_dot(
    replica: Replica, extension: str
) -> None:
    """In any case, and the name alone does not count."""
    put_files(replica, [File(b"a.PDF", extension="pdf"), File(b"pdf.txt", extension="txt")])
    assert paths(replica, extension=extension) == {"/docs/a.PDF"}


@pytest.mark.parametrize("extension", ["tar.gz", ".TAR.GZ"])
def test_an_extension_of_several_parts_is_how_a_name_ends(replica: Replica, extension: str) -> None:
    """Its last part alone is not enough, nor is the end of a word or of a folder's name."""
    names = [b"a.tar.gz", b"b.gz", b"c.tar.gz.txt", b"dtar.gz"]
    put_files(replica, [File(b"x.tar.gz", "directory"), *(File(name) for name in names)])
    assert paths(replica, extension=extension) == {"/docs/a.tar.gz"}


def test_a_kind_is_asked_for(replica: Replica) -> None:
    """Only entries of that kind come."""
    put_files(replica, [File(b"a"), File(b"b", "symlink"), File(b"c", "fifo")])
    assert paths(replica, kind="symlink") == {"/docs/b"}


def test_a_kind_that_there_is_not_is_refused(replica: Replica) -> None:
    """A slip of the pen is no empty result; the error lists the kinds."""
    with pytest.raises(UsageError) as caught:
        found(replica, Query(kind="folder"))
    assert all(kind in (caught.value.hint or "") for kind in KINDS)


def test_larger_means_larger_than(replica: Replica) -> None:
    """An entry of exactly that size, and one without a size, do not come."""
    sizes = [File(b"less", size_bytes=9), File(b"equal", size_bytes=10)]
    put_files(replica, [*sizes, File(b"more", size_bytes=11), File(b"none", size_bytes=None)])
    assert paths(replica, larger_bytes=10) == {"/docs/more"}


def test_a_directory_is_never_larger(replica: Replica) -> None:
    """What a directory itself takes on its drive is nobody's question."""
    put_files(replica, [File(b"album", "directory", size_bytes=4096)])
    assert paths(replica, larger_bytes=10) == set()


def test_newer_means_changed_since(replica: Replica) -> None:
    """What changed at that moment or before does not come."""
    put_files(
        replica, [File(b"old", mtime_ms=9), File(b"at", mtime_ms=10), File(b"new", mtime_ms=11)]
    )
    assert paths(replica, newer_ms=10, kind="file") == {"/docs/new"}


@pytest.mark.parametrize(("newer_ms", "count"), [(253_402_214_400_000, 0), (-(1 << 62), 2)])
def test_times_beyond_those_of_files_are_no_error(
    replica: Replica, newer_ms: int, count: int
) -> None:
    """Newer than the year 9999 is nothing, newer than ages ago is all."""
    put_files(replica, [File(b"a", mtime_ms=1)])
    assert len(found(replica, Query(newer_ms=newer_ms))) == count


def test_no_more_than_the_limit_come_and_what_changed_last_first(replica: Replica) -> None:
    """Of many, those that changed last are shown."""
    times = [3, 9, 1, 8, 2]
    put_files(replica, [File(b"file%d" % at, mtime_ms=at) for at in times])
    shown = [entry["path"] for entry in found(replica, Query("file", limit=2))]
    assert shown == ["/docs/file9", "/docs/file8"]


def test_what_changed_at_one_moment_comes_by_name(replica: Replica) -> None:
    """Asking twice gives one order; what has no time comes last."""
    names = [b"c", b"a", b"b"]
    put_files(replica, [File(name, mtime_ms=5) for name in names])
    shown = [entry["path"] for entry in found(replica, Query(kind="file"))]
    assert shown == ["/docs/a", "/docs/b", "/docs/c"]


def test_filters_hold_together(replica: Replica) -> None:
    """Only what fits all of them comes."""
    put_files(
        replica,
        [
            File(b"a.pdf", extension="pdf", size_bytes=99, mtime_ms=99),
            File(b"b.pdf", extension="pdf", size_bytes=99, mtime_ms=99),
            File(b"a.txt", extension="txt", size_bytes=99, mtime_ms=99),
            File(b"a2.pdf", extension="pdf", size_bytes=1, mtime_ms=99),
            File(b"a3.pdf", extension="pdf", size_bytes=99, mtime_ms=1),
        ],
    )
    filters = {"text": "a", "extension": "pdf", "larger_bytes": 50, "newer_ms": 50, "kind": "file"}
    assert paths(replica, device=replica.identity.device, **filters) == {"/docs/a.pdf"}


def test_deleted_entries_are_not_found(replica: Replica) -> None:
    """What has a tombstone is gone, though something may still refer to its row."""
    shelf = put_files(replica, [File(b"stays")])
    child = replica.store.ids.new()
    row = (child, shelf.location, shelf.root, b"gone", None, "file", *[None] * 8)
    replica.store.write_here(lambda tx: tx.put("entry", ENTRY_COLUMNS, [row]))
    replica.store.write_here(lambda tx: tx.drop("entry", [child]))
    assert paths(replica, kind="file") == {"/docs/stays"}


def _put_entry(row: tuple[object, ...], tx: Transaction) -> None:
    tx.put("entry", ENTRY_COLUMNS, [row])


def test_paths_are_whole_however_deep(replica: Replica) -> None:
    """Each directory above a file is in its path, once."""
    shelf = put_files(replica, [])
    parent, expected = shelf.root, b"/docs"
    for level in range(40):
        uuid, name = replica.store.ids.new(), b"level%d" % level
        row = (uuid, shelf.location, parent, name, None, "directory", *[None] * 8)
        replica.store.write_here(partial(_put_entry, row))
        parent, expected = uuid, expected + b"/" + name
    assert paths(replica, text="level39") == {expected.decode()}


def test_the_root_of_a_machine_is_a_path(replica: Replica) -> None:
    """A location at / gives neither an empty path nor two slashes."""
    put_files(replica, [File(b"vmlinuz")], path=b"/")
    assert paths(replica) == {"/", "/vmlinuz"}


def test_an_unplugged_drive_is_the_reason(replica: Replica) -> None:
    """Its files are found, with the drive that they are on."""
    put_files(replica, [File(b"film")], mount=None, drive="backup")
    (entry,) = found(replica, Query("film"))
    assert (entry["drive"], entry["reachable"], entry["why"]) == (
        "backup",
        False,
        "its drive is not plugged in",
    )


def test_a_folder_that_is_gone_is_the_reason(replica: Replica) -> None:
    """An offline location keeps its entries, but none can be reached."""
    put_files(replica, [File(b"film")])
    ask(replica, lambda conn: conn.exec_driver_sql("UPDATE location SET is_offline = 1"))
    assert found(replica, Query("film"))[0]["why"] == "its folder is not there"


async def test_files_of_another_device_are_found_while_it_is_off(tmp_path: Path) -> None:
    """They carry its name, and can be reached only while it is connected and its drive plugged in."""
    async with open_cluster(tmp_path, 2) as cluster:
        owner, asker = (node.replica for node in cluster.nodes)
        put_files(owner, [File(b"photo")])
        put_files(owner, [File(b"film")], path=b"/usb", mount=None, fingerprint="uuid:2")
        await cluster.connect(0, 1)
        await cluster.until_in_sync((0, 1))
        device = owner.identity.device
        asked = [
            found(asker, Query(text, device), online)
            for online in ([], [device])
            for text in ("photo", "film")
        ]
    assert [(entry["device"], entry["why"]) for (entry,) in asked] == [
        ("device0", "its device is not connected"),
        ("device0", "its device is not connected"),
        ("device0", None),
        ("device0", "its drive is not plugged in"),
    ]


def test_a_device_is_asked_for(replica: Replica) -> None:
    """Another device's id leaves nothing of this one."""
    put_files(replica, [File(b"a")])
    assert paths(replica, device=bytes(16)) == set()


def test_of_a_revoked_device_it_is_said_so_for_all_entries_at_once(
    replicas: list[Replica],
) -> None:
    """That is why nothing of it can be reached; it is looked up once."""
    anna, ben, _ = replicas
    put_files(ben, [File(b"a"), File(b"b")])
    pull(ben, anna, ben)
    asked: list[str] = []

    def whys(connection: Connection) -> list[str]:
        connection.exec_driver_sql(
            "INSERT INTO revoked (device, statement) VALUES (?, x'')", (ben.identity.device,)
        )
        event.listen(connection, "before_cursor_execute", lambda *about: asked.append(about[2]))
        entries = find_entries(connection, Query(kind="file"), anna.identity.device, ())
        return [entry["why"] for entry in entries]

    assert ask(anna, whys) == ["its device was revoked"] * 2
    assert sum("FROM revoked" in query for query in asked) == 1


def searched(replica: Replica, query: Query, shares: list[Share]) -> list[dict[str, Any]]:
    """Return what a search finds in all these shares."""
    own = replica.identity.device
    found = [
        ask(replica, partial(find_share, query=query, own=own, online=(), share=share))
        for share in shares
    ]
    return first_of(found, query.limit)


def test_shares_of_a_search_are_the_search(replica: Replica) -> None:
    """However many there are, each entry is in one of them, and all stand in one order."""
    put_files(replica, [File(b"file %d" % at, "file", "txt", at, at % 5) for at in range(40)])
    query = Query("file", limit=30)
    whole = searched(replica, query, [Share()])
    assert len(whole) == query.limit
    for of in (1, 2, 3, 100):
        assert searched(replica, query, ask(replica, lambda c, of=of: shares(c, of))) == whole


def test_no_entry_is_passed_over_or_doubled_while_others_come(replica: Replica) -> None:
    """The bounds of shares stay where they were; what comes is in the last of them."""
    put_files(replica, [File(b"file %d" % at) for at in range(9)])
    first, second = ask(replica, lambda connection: shares(connection, 2))
    query, own = Query("file"), replica.identity.device
    found = [ask(replica, partial(find_share, query=query, own=own, online=(), share=first))]
    put_files(replica, [File(b"file new %d" % at) for at in range(30)], path=b"/new")
    found += [ask(replica, partial(find_share, query=query, own=own, online=(), share=second))]
    names = [entry["path"] for entry in first_of(found, 100)]
    assert len(names) == len(set(names)) == 39


def test_a_catalogue_without_entries_can_be_shared(replica: Replica) -> None:
    """Nothing is found in it."""
    assert searched(replica, Query("x"), ask(replica, lambda c: shares(c, 2))) == []


def test_entries_without_a_time_stand_last_in_all_shares(replica: Replica) -> None:
    """As nobody knows when they changed."""
    put_files(replica, [File(b"new", "file", "txt", 1, 5), File(b"old", "file", "txt", 1, 4)])
    unset = "UPDATE entry SET mtime_ns = NULL WHERE name = ?"
    replica.store.write_here(lambda tx: tx.conn.exec_driver_sql(unset, (b"new",)))
    found = searched(replica, Query(kind="file"), ask(replica, lambda c: shares(c, 2)))
    assert [entry["path"] for entry in found] == ["/docs/old", "/docs/new"]

"""Everything that is synced, as lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgpack

from entities import MODELS
from leaderless.catalogue.export import export_lines
from leaderless.catalogue.tags import create_tag, delete_tag
from registry.models import Registry
from tests.catalogue.shelf import File, ask, put_files
from tests.cluster import open_cluster
from tests.replicas import ENTRY_COLUMNS, Replica

LOCAL_ONLY = {"scan_state", "last_scan_at", "error_message"}
HOUSEKEEPING = {"id", "uuid", "epoch", "dead", "extra"}


def _text(replica: Replica, registry: Registry | None = None) -> bytes:
    known = registry or replica.store.registry
    text: bytes = ask(replica, lambda connection: b"".join(export_lines(connection, known)))
    return text


def _lines(replica: Replica) -> list[dict[str, Any]]:
    return [json.loads(line) for line in _text(replica).splitlines()]


def _entry(replica: Replica, name: object) -> dict[str, Any]:
    return next(line for line in _lines(replica) if line["fields"].get("name") == name)


def _fill(replica: Replica) -> None:
    put_files(replica, [File(b"caf\xe9"), File("Größe".encode(), size_bytes=(1 << 63) - 1)])


def test_a_row_says_what_it_is_and_whose(replica: Replica) -> None:
    """Model, id, owner, revision and fields; what a row does not have is left out."""
    (line,) = _lines(replica)
    assert line == {
        "schema": 1,
        "model": "device",
        "id": replica.identity.device.hex(),
        "owner": replica.identity.device.hex(),
        "rev": "1",
        "fields": {"name": "device0"},
    }


async def test_a_shared_record_has_no_owner(replica: Replica) -> None:
    """Anybody edits it; its fields are as they were merged, by kind."""
    uuid = await create_tag(replica.store, "trip", {"aliases": "b,a", "search_weight": "7"})
    assert _lines(replica)[-1] == {
        "schema": 1,
        "model": "tag",
        "id": uuid.hex(),
        "fields": {
            "canonical_name": "trip",
            "aliases": {"a": True, "b": True},
            "search_weight": "7",
            "created_by_device": replica.identity.device.hex(),
        },
    }


async def test_lines_are_sorted_by_model_and_id(replica: Replica) -> None:
    """Two devices that hold the same print the same order."""
    _fill(replica)
    for name in ("b", "a"):
        await create_tag(replica.store, name, {})
    keys = [(line["model"], line["id"]) for line in _lines(replica)]
    assert keys == sorted(keys)
    assert {model for model, _ in keys} == {"device", "entry", "location", "tag", "volume"}


def test_keys_of_a_line_are_sorted(replica: Replica) -> None:
    """The bytes of a line follow from what it says."""
    _fill(replica)
    for raw in _text(replica).splitlines():
        line = json.loads(raw)
        whole = json.dumps(line, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        assert raw.decode() == whole


def test_names_are_text_or_bytes_in_base_64(replica: Replica) -> None:
    """A name that is not UTF-8 is exact, one that is stays readable."""
    _fill(replica)
    assert _entry(replica, {"b64": "Y2Fm6Q=="})
    assert _entry(replica, "Größe")


def test_numbers_are_decimal_strings(replica: Replica) -> None:
    """A reader that counts in floats loses no digit of 64 bits."""
    _fill(replica)
    assert _entry(replica, "Größe")["fields"]["size_bytes"] == "9223372036854775807"


def test_references_are_ids_that_all_devices_know(replica: Replica) -> None:
    """A local key means nothing elsewhere: each reference is the id of a line."""
    _fill(replica)
    lines = _lines(replica)
    ids = {line["id"] for line in lines}
    fields = [line["fields"] for line in lines if line["model"] == "entry"]
    assert {field["location"] for field in fields} | {
        field["parent"] for field in fields if "parent" in field
    } <= ids


def test_what_only_this_device_knows_stays_out(replica: Replica) -> None:
    """States of scans and the columns that keep house are no part of a record."""
    _fill(replica)
    ask(
        replica,
        lambda connection: connection.exec_driver_sql(
            "UPDATE location SET last_scan_at = 7, error_message = 'x'"
        ),
    )
    shown = {name for line in _lines(replica) for name in line["fields"]}
    assert not shown & (LOCAL_ONLY | HOUSEKEEPING)


async def test_what_was_deleted_stays_out(replica: Replica) -> None:
    """Neither tombstones nor rows that are kept for others are printed."""
    shelf = put_files(replica, [])
    child = replica.store.ids.new()
    row = (child, shelf.location, shelf.root, b"gone", None, "file", *[None] * 8)
    replica.store.write_here(lambda tx: tx.put("entry", ENTRY_COLUMNS, [row]))
    replica.store.write_here(lambda tx: tx.drop("entry", [child]))
    uuid = await create_tag(replica.store, "gone", {})
    await delete_tag(replica.store, "gone")
    assert not {child.hex(), uuid.hex()} & {line["id"] for line in _lines(replica)}


def test_fields_that_only_newer_versions_know_are_printed(replica: Replica) -> None:
    """What is kept for others belongs to the record."""
    packed = msgpack.packb({"zoo": 1, "age": "x"})
    ask(
        replica,
        lambda connection: connection.exec_driver_sql("UPDATE device SET extra = ?", (packed,)),
    )
    assert _lines(replica)[0]["fields"] == {"name": "device0", "age": "x", "zoo": "1"}


def test_rows_of_models_that_nobody_here_knows_are_printed(replica: Replica) -> None:
    """They stand in their place among the others, with owner and revision."""
    uuid = replica.store.ids.new()
    ask(
        replica,
        lambda connection: connection.exec_driver_sql(
            "INSERT INTO opaque_row (uuid, model, epoch, rev, fields)"
            " SELECT ?, 'camera', id, 9, ? FROM incarnation",
            (uuid, msgpack.packb({"lens": b"\x01", "iso": 100})),
        ),
    )
    assert _lines(replica)[0] == {
        "schema": 1,
        "model": "camera",
        "id": uuid.hex(),
        "owner": replica.identity.device.hex(),
        "rev": "9",
        "fields": {"iso": "100", "lens": "01"},
    }


def test_a_large_catalogue_comes_in_pieces(replica: Replica) -> None:
    """No more than a few thousand lines are held at a time, and none is lost."""
    put_files(replica, [File(b"file%d" % at) for at in range(4_500)])
    chunks = ask(replica, lambda connection: list(export_lines(connection, Registry(MODELS))))
    counts = [chunk.count(b"\n") for chunk in chunks]
    assert max(counts) <= 2_000
    assert sum(counts) == 4_500 + 4


async def test_two_devices_in_sync_print_the_same_bytes(tmp_path: Path) -> None:
    """Whatever each knows besides, and however names are written."""
    async with open_cluster(tmp_path, 2) as cluster:
        one, two = (node.replica for node in cluster.nodes)
        _fill(one)
        put_files(two, [File(b"\xff\n")], path=b"/other", fingerprint="uuid:2")
        await create_tag(two.store, "trip", {"aliases": "tour"})
        await cluster.connect(0, 1)
        await cluster.until_in_sync((0, 1))
        await one.store.write(
            lambda tx: tx.conn.exec_driver_sql("UPDATE location SET scan_state = 'idle'")
        )
        texts = _text(one), _text(two)
    assert texts[0] == texts[1]
    assert texts[0].count(b"\n") == 2 + 2 + 2 + 5 + 1

"""Devices, drives and locations, as lists and by name."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from leaderless.catalogue import listing
from leaderless.catalogue.tags import create_tag
from leaderless.errors import NotFoundError, NotPermittedError, UsageError
from tests.catalogue.shelf import ask, put_files
from tests.cluster import open_cluster
from tests.replicas import DEVICE_COLUMNS, Replica, add_device_row


def _listed(
    replica: Replica,
    kind: Callable[[Connection, bytes, Collection[bytes]], list[dict[str, Any]]],
    online: Collection[bytes] = (),
) -> list[dict[str, Any]]:
    own = replica.identity.device
    shown: list[dict[str, Any]] = ask(replica, lambda connection: kind(connection, own, online))
    return shown


def _locations(replica: Replica) -> list[dict[str, Any]]:
    own = replica.identity.device
    shown: list[dict[str, Any]] = ask(replica, lambda conn: listing.list_locations(conn, own))
    return shown


def _find_location(replica: Replica, reference: str) -> bytes:
    epoch = replica.store.own_epoch
    found: bytes = ask(replica, lambda conn: listing.find_own_location(conn, reference, epoch))
    return found


def _name_addresses(replica: Replica, addresses: str | None) -> None:
    """Let a device say in its row where it can be called."""
    row = (replica.identity.device, "anna", *[None] * (len(DEVICE_COLUMNS) - 3), addresses)
    replica.store.write_here(lambda tx: tx.put("device", DEVICE_COLUMNS, [row]))


# --- devices --------------------------------------------------------------------------------------


def test_this_device_is_listed_as_itself(replica: Replica) -> None:
    """It is online while it answers; numbers that may need 64 bits are text."""
    (shown,) = _listed(replica, listing.list_devices)
    assert {name: value for name, value in shown.items() if value is not None} == {
        "id": replica.identity.device.hex(),
        "name": "device0",
        "addresses": [],
        "this_device": True,
        "online": True,
        "rows": "1",
        "verified": True,
    }


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (json.dumps(["a:1", "b:2"]), ["a:1", "b:2"]),
        (None, []),
        ("no json", []),
        ("[" * 5_000, []),
        ('{"a": 1}', []),
        ("7", []),
        ('["a:1", 7, null, ["b"]]', ["a:1"]),
    ],
)
def test_an_odd_row_does_not_break_the_list(
    replica: Replica, said: str | None, shown: list[str]
) -> None:
    """Each device writes its own addresses; what is no list of texts names none."""
    _name_addresses(replica, said)
    assert _listed(replica, listing.list_devices)[0]["addresses"] == shown


async def test_another_device_is_online_while_it_is_connected(tmp_path: Path) -> None:
    """It is listed in any case, and is not this one."""
    async with open_cluster(tmp_path, 2) as cluster:
        mine, other = (node.replica for node in cluster.nodes)
        await cluster.connect(0, 1)
        await cluster.until_in_sync((0, 1))
        shown = [
            _listed(mine, listing.list_devices, online) for online in ([], [other.identity.device])
        ]
    assert [devices[1]["online"] for devices in shown] == [False, True]
    assert [device["this_device"] for device in shown[0]] == [True, False]


def test_a_device_goes_by_its_name_and_either_end_of_its_id(replica: Replica) -> None:
    """All three find it."""
    uuid = replica.identity.device
    found = [
        ask(replica, partial(listing.find_device, reference=reference))
        for reference in ("device0", uuid.hex()[:6], uuid.hex()[-6:])
    ]
    assert found == [uuid] * 3


def test_a_device_that_nobody_knows_is_not_found(replica: Replica) -> None:
    """The hint names the list."""
    with pytest.raises(NotFoundError) as caught:
        ask(replica, lambda conn: listing.find_device(conn, "nobody"))
    assert caught.value.hint == "leaderless device list"


async def test_a_renamed_device_keeps_the_rest_of_its_row(replica: Replica) -> None:
    """Only the name changes."""
    _name_addresses(replica, '["a:1"]')
    (before,) = _listed(replica, listing.list_devices)
    await listing.rename_device(replica.store, "nas")
    assert _listed(replica, listing.list_devices) == [{**before, "name": "nas"}]


@pytest.mark.parametrize("name", ["", "x" * 65])
async def test_a_device_needs_a_name(replica: Replica, name: str) -> None:
    """Neither nothing nor an endless one is taken."""
    with pytest.raises(UsageError, match="1 to 64"):
        await listing.rename_device(replica.store, name)


async def test_two_devices_of_a_name_are_namesakes(tmp_path: Path) -> None:
    """Each can be told that the other has its name; alone there is none."""
    async with open_cluster(tmp_path, 2) as cluster:
        mine, other = (node.replica for node in cluster.nodes)
        own, theirs = mine.identity.device, other.identity.device
        assert ask(mine, lambda conn: listing.namesakes(conn, own)) == []
        add_device_row(other, "device0")
        await cluster.connect(0, 1)
        await cluster.until_in_sync((0, 1))
        assert ask(mine, lambda conn: listing.namesakes(conn, own)) == [theirs]
        with pytest.raises(UsageError, match="“device0” fits 2 devices"):
            ask(mine, lambda conn: listing.find_device(conn, "device0"))


# --- drives ---------------------------------------------------------------------------------------


async def test_a_drive_that_moved_is_one_drive(tmp_path: Path) -> None:
    """It is joined by its fingerprint, with each device that saw it and where."""
    async with open_cluster(tmp_path, 2) as cluster:
        mine, other = (node.replica for node in cluster.nodes)
        put_files(mine, [], mount=b"/mnt/\xff", drive="stick")
        put_files(other, [], mount=None, drive="stick")
        await cluster.connect(0, 1)
        await cluster.until_in_sync((0, 1))
        (drive,) = _listed(mine, listing.list_volumes)
    assert (drive["fingerprint"], drive["display_name"]) == ("uuid:1", "stick")
    assert [(seen["device"], seen["mount_point"], seen["online"]) for seen in drive["seen_on"]] == [
        ("device0", {"b64": "L21udC//"}, True),
        ("device1", None, False),
    ]


# --- locations ------------------------------------------------------------------------------------


async def test_the_state_of_a_scan_is_its_own_devices_word(tmp_path: Path) -> None:
    """Of another device's locations the place is known, and no state is claimed."""
    async with open_cluster(tmp_path, 2) as cluster:
        mine, other = (node.replica for node in cluster.nodes)
        put_files(mine, [], path=b"/a\xff")
        put_files(other, [], path=b"/b")
        await cluster.connect(0, 1)
        await cluster.until_in_sync((0, 1))
        shown = _locations(mine)
    keys = ("device", "this_device", "path", "scan_state")
    assert [tuple(location[key] for key in keys) for location in shown] == [
        ("device0", True, {"b64": "L2H/"}, "pending"),
        ("device1", False, "/b", None),
    ]


@pytest.mark.parametrize("reference", ["docs", "/docs", "/docs/"])
def test_a_location_goes_by_its_name_and_path(replica: Replica, reference: str) -> None:
    """A slash at the end of a path changes nothing."""
    shelf = put_files(replica, [])
    assert _find_location(replica, reference) == shelf.location


@pytest.mark.parametrize("part", [slice(0, 12), slice(-6, None)])
def test_a_location_goes_by_either_end_of_its_id(replica: Replica, part: slice) -> None:
    """What a list shows can be typed."""
    shelf = put_files(replica, [])
    assert _find_location(replica, shelf.location.hex()[part]) == shelf.location


def test_a_location_goes_by_a_path_that_is_not_utf8(replica: Replica) -> None:
    """Paths are bytes."""
    shelf = put_files(replica, [], path=b"/a\xff")
    assert _find_location(replica, "/a\udcff") == shelf.location


def test_a_location_that_nobody_has_is_not_found(replica: Replica) -> None:
    """The hint names the list."""
    put_files(replica, [])
    with pytest.raises(NotFoundError) as caught:
        _find_location(replica, "nothing")
    assert caught.value.hint == "leaderless location list"


async def test_a_location_of_another_device_is_said_to_be_there(tmp_path: Path) -> None:
    """By its name or id: it exists, but only its own device can scan or remove it."""
    async with open_cluster(tmp_path, 2) as cluster:
        mine, other = (node.replica for node in cluster.nodes)
        shelf = put_files(other, [], path=b"/photos")
        await cluster.connect(0, 1)
        await cluster.until_in_sync((0, 1))
        for reference in ("photos", shelf.location.hex()):
            with pytest.raises(NotPermittedError, match=r"is on device1$") as caught:
                _find_location(mine, reference)
            assert caught.value.hint == "run this on device1"


# --- completion -----------------------------------------------------------------------------------


def _completed(replica: Replica, kind: str, prefix: str) -> list[str]:
    epoch = replica.store.own_epoch
    found: list[str] = ask(
        replica, lambda conn: listing.names_for_completion(conn, kind, prefix, epoch)
    )
    return found


@pytest.mark.parametrize("given", [r"do\\xffcs", r"do\xffcs", r"/do\xffcs", "/do\udcffcs"])
def test_a_location_is_found_as_it_is_printed(replica: Replica, given: str) -> None:
    """By its name and by its path, though both hold bytes that are no text."""
    shelf = put_files(replica, [], path=b"/do\xffcs")
    epoch = replica.store.own_epoch
    assert ask(replica, lambda c: listing.find_own_location(c, given, epoch)) == shelf.location
    assert len(ask(replica, lambda c: listing.find_locations(c, given))) == 1


async def test_names_that_begin_as_typed_complete(replica: Replica) -> None:
    """Of tags, of devices and of this device's locations, each once and in order."""
    for name in ("tree", "trip", "trip", "work"):
        await create_tag(replica.store, name, {}, another=True)
    put_files(replica, [])
    assert _completed(replica, "tag", "tr") == ["tree", "trip"]
    assert _completed(replica, "device", "") == ["device0"]
    assert _completed(replica, "location", "d") == ["docs"]


async def test_a_name_that_could_steer_a_shell_is_not_offered(replica: Replica) -> None:
    """Line breaks and escapes would fall apart into other candidates."""
    for name in ("a\nb", "a\x1b[31m", "a\u202eb", "ab"):
        await create_tag(replica.store, name, {}, another=True)
    assert _completed(replica, "tag", "a") == ["ab"]


async def test_locations_of_other_devices_are_not_offered(tmp_path: Path) -> None:
    """They could be neither scanned nor removed here."""
    async with open_cluster(tmp_path, 2) as cluster:
        mine, other = (node.replica for node in cluster.nodes)
        put_files(other, [], path=b"/photos")
        await cluster.connect(0, 1)
        await cluster.until_in_sync((0, 1))
        assert _completed(mine, "location", "") == []


def test_what_has_no_names_is_refused(replica: Replica) -> None:
    """Only tags, devices and locations complete."""
    with pytest.raises(UsageError, match="nothing to complete for planet"):
        _completed(replica, "planet", "")

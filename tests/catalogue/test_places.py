"""Where entries are, as it is told."""

from __future__ import annotations

from typing import Any

from leaderless.catalogue.places import PLACE, chunks, entries_json
from tests.catalogue.files import Drive, hash_of, meet
from tests.replicas import Replica
from tests.store.passing import within


def places(replica: Replica) -> dict[str, tuple[int, int]]:
    """Return the device and drive of each location by its name."""
    query = (
        f"WITH {PLACE} SELECT l.name, p.device, p.drive FROM place p"  # noqa: S608
        " JOIN location l ON l.id = p.location"
    )
    rows = within(replica, lambda c: c.exec_driver_sql(query).all())
    return {name: (device, drive) for name, device, drive in rows}


def test_a_drive_that_can_move_is_the_same_on_every_device(replicas: list[Replica]) -> None:
    """Internal ones of one fingerprint are told apart by their device."""
    anna, ben, _ = replicas
    for at, replica in enumerate((anna, ben)):
        Drive(replica, f"stick{at}", fingerprint="uuid:stick", movable=True)
        Drive(replica, f"root{at}", fingerprint="uuid:root")
    meet(anna, ben)
    found = places(anna)
    assert found["stick0"][1] == found["stick1"][1]
    assert found["root0"][1] != found["root1"][1]
    assert found["stick0"][0] == found["root0"][0] != found["stick1"][0]


def test_a_device_is_one_over_all_its_incarnations(replica: Replica) -> None:
    """A restored backup writes its rows anew; it is no second device."""
    Drive(replica, "disk")

    def reborn(connection: Any) -> None:
        connection.exec_driver_sql(
            "INSERT INTO incarnation (device, generation, nonce, set_hash)"
            " SELECT device, 2, nonce, set_hash FROM incarnation"
        )
        connection.exec_driver_sql(
            "INSERT INTO location (uuid, epoch, rev, volume, name, path, index_mode)"
            " SELECT zeroblob(16), (SELECT max(id) FROM incarnation), 1, volume, 'new', path,"
            " index_mode FROM location"
        )

    within(replica, reborn)
    found = places(replica)
    assert found["disk"][0] == found["new"][0]


def test_entries_come_in_the_order_asked_for(replica: Replica) -> None:
    """Each with its path and how its contents are known; what is not there is left out."""
    disk = Drive(replica, "disk")
    uuids = [disk.put("a", "x"), disk.put("b", quick=b"q"), disk.put("c")]
    query = "SELECT id FROM entry WHERE uuid = ?"

    def told(connection: Any) -> list[dict[str, Any]]:
        keys = [connection.exec_driver_sql(query, (uuid,)).scalar() for uuid in uuids]
        wanted = [keys[2], 999_999, keys[0], keys[1]]
        return entries_json(connection, wanted, replica.identity.device, ())

    found = within(replica, told)
    assert [(entry["path"], entry["hashed"]) for entry in found] == [
        ("/disk/c", "none"),
        ("/disk/a", "full"),
        ("/disk/b", "quick"),
    ]
    assert found[1]["hash"] == hash_of("x").hex()
    assert (found[1]["device"], found[1]["drive"], found[1]["size_bytes"]) == (
        "device0",
        "disk",
        "100",
    )


def test_who_was_revoked_is_looked_up_once_for_all_entries(replicas: list[Replica]) -> None:
    """However many of them are on devices that are not connected."""
    anna, ben, _ = replicas
    disk = Drive(ben, "disk")
    for name in "abc":
        disk.put(name)
    meet(anna, ben)
    asked: list[str] = []

    def told(connection: Any) -> list[dict[str, Any]]:
        connection.exec_driver_sql(
            "INSERT INTO revoked (device, statement) VALUES (?, x'')", (ben.identity.device,)
        )
        keys = connection.exec_driver_sql("SELECT id FROM entry WHERE kind = 'file'").scalars()
        keys = keys.all()
        raw = connection.connection.driver_connection
        raw.set_trace_callback(asked.append)
        found = entries_json(connection, keys, anna.identity.device, ())
        raw.set_trace_callback(None)
        return found

    whys = [entry["why"] for entry in within(anna, told)]
    assert whys == ["its device was revoked"] * 3
    assert sum("FROM revoked" in query for query in asked) == 1


def test_parts_of_a_list_fit_into_a_query() -> None:
    """All of it comes, in order."""
    parts = list(chunks(list(range(1_200))))
    assert [item for part in parts for item in part] == list(range(1_200))
    assert max(len(part) for part in parts) <= 999

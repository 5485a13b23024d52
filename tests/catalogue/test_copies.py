"""Copies, what is at risk, and duplicates, over three devices of which one is off."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from entities.content import content_id
from leaderless.catalogue.copies import Chosen, at_risk, copies, duplicates
from leaderless.errors import NotFoundError, UsageError
from registry.changes import Create
from registry.derived import link_id
from tests.catalogue.files import SIZE, Drive, hash_of, meet
from tests.replicas import Replica, make_replicas
from tests.store.passing import within


class House:
    """Three devices with known overlaps, seen from the first; the third is off.

    ::

        content  anna: disk     ben: disk     carl: disk     at risk
        three    three.jpg      three.jpg     three.jpg      no
        two      two.jpg                      two.jpg        no
        away                                  away.jpg       yes, on a device that is off
        twice    twice.jpg ×2                                yes, though there are two
        -        plain.jpg                                   not hashed
        -                       quick.jpg                    only a sample
    """

    def __init__(self, replicas: list[Replica]) -> None:
        self.anna, self.ben, self.carl = replicas
        self.disks = [Drive(replica, f"disk{at}") for at, replica in enumerate(replicas)]
        anna, ben, carl = self.disks
        self.ids = {
            "three": anna.put("three.jpg", "three"),
            "two": anna.put("two.jpg", "two", size=70),
            "twice": anna.put("twice.jpg", "twice", size=40),
            "again": anna.put("again.jpg", "twice", size=40),
            "plain": anna.put("plain.jpg", size=7),
            "quick": ben.put("quick.jpg", quick=b"sample", size=9),
            "away": carl.put("away.jpg", "away", size=1000),
        }
        ben.put("three.jpg", "three")
        carl.put("three.jpg", "three")
        carl.put("two.jpg", "two", size=70)
        anna.put("folder", kind="directory")
        anna.put("link", kind="symlink")
        meet(*replicas)

    @property
    def about(self) -> tuple[bytes, set[bytes]]:
        """Return this device and those that are connected to it."""
        return self.anna.identity.device, {self.ben.identity.device}

    def copies(self, name: str, limit: int = 50) -> dict[str, Any]:
        """Return the copies of a file."""
        return within(self.anna, lambda c: copies(c, self.ids[name], *self.about, limit))

    def at_risk(self, **chosen: Any) -> dict[str, Any]:
        """Return what is at risk."""
        return within(self.anna, lambda c: at_risk(c, Chosen(**chosen), *self.about))

    def duplicates(self, larger: int = 0, **chosen: Any) -> dict[str, Any]:
        """Return what is there more than once."""
        return within(self.anna, lambda c: duplicates(c, Chosen(**chosen), larger, *self.about))


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Build the three devices once, for tests that only look."""
    made = make_replicas(tmp_path_factory.mktemp("house"), 3)
    yield House(made)
    for replica in made:
        replica.store.close()


@pytest.fixture
def changing(replicas: list[Replica]) -> House:
    """Build the three devices for one test that changes them."""
    return House(replicas)


def reasons(found: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the files at risk by the ends of their paths, and why."""
    return [(file["path"].rpartition("/")[2], file["reason"]) for file in found["files"]]


# --- copies ---------------------------------------------------------------------------------------


def test_every_copy_is_named_with_its_device_and_whether_it_can_be_reached(house: House) -> None:
    """Copies on a device that is off are there, and say that it is not connected."""
    found = house.copies("three")
    assert (found["devices"], found["drives"], found["count"]) == (3, 3, 3)
    assert found["at_risk"] is None
    assert [(copy["device"], copy["drive"], copy["why"]) for copy in found["copies"]] == [
        ("device0", "disk0", None),
        ("device1", "disk1", None),
        ("device2", "disk2", "its device is not connected"),
    ]


def test_a_file_that_only_a_device_which_is_off_has_is_known(house: House) -> None:
    """It can be asked about here, and is at risk."""
    found = house.copies("away")
    assert (found["count"], found["at_risk"]) == (1, "one_device")
    assert not found["copies"][0]["reachable"]


@pytest.mark.parametrize(("name", "why"), [("plain", "not_hashed"), ("quick", "quick_hashed")])
def test_nothing_is_said_of_copies_of_what_was_not_hashed_whole(
    house: House, name: str, why: str
) -> None:
    """Such a file has itself alone, and the reason says why."""
    found = house.copies(name)
    assert (found["hash"], found["count"], found["at_risk"]) == (None, 1, why)


def test_more_copies_than_asked_for_are_counted(house: House) -> None:
    """The file that was asked about comes first; `more` says that others are left out."""
    found = house.copies("three", limit=1)
    assert [copy["id"] for copy in found["copies"]] == [house.ids["three"].hex()]
    assert (found["count"], found["more"]) == (3, True)


def test_what_is_no_file_has_no_copies(house: House) -> None:
    """The error names what lists a folder's files at risk."""
    with pytest.raises(UsageError, match="directory"):
        within(house.anna, lambda c: copies(c, house.disks[0].root, *house.about, 1))


def test_a_file_that_is_gone_has_no_copies(house: House) -> None:
    """Nothing in the catalogue has that id."""
    with pytest.raises(NotFoundError):
        within(house.anna, lambda c: copies(c, bytes(16), *house.about, 1))


# --- at risk --------------------------------------------------------------------------------------


def test_what_is_on_one_device_only_or_not_hashed_is_at_risk(house: House) -> None:
    """The largest first; two copies on one device are still one device; folders are left out."""
    assert reasons(house.at_risk()) == [
        ("away.jpg", "one_device"),
        ("twice.jpg", "one_device"),
        ("again.jpg", "one_device"),
        ("quick.jpg", "quick_hashed"),
        ("plain.jpg", "not_hashed"),
    ]


def test_totals_count_each_content_once(house: House) -> None:
    """Two copies on one device are two files, and the bytes of one."""
    totals = house.at_risk()["totals"]
    assert totals["one_device"] == {"files": 3, "bytes": "1040"}
    assert totals["quick_hashed"] == {"files": 1, "bytes": "9"}
    assert totals["not_hashed"] == {"files": 1, "bytes": "7"}
    assert totals["one_drive"] == {"files": 0, "bytes": "0"}
    assert totals["all"] == {"files": 5, "bytes": "1056"}


def test_a_limit_leaves_totals_as_they_are(house: House) -> None:
    """The largest are listed, `more` says that there are others, and the totals are of all."""
    found = house.at_risk(limit=2)
    assert [name for name, _ in reasons(found)] == ["away.jpg", "twice.jpg"]
    assert (found["more"], found["totals"]["all"]["files"]) == (True, 5)
    assert house.at_risk(limit=5)["more"] is False


def test_files_of_one_device_can_be_asked_about(house: House) -> None:
    """Its own are listed; copies count wherever they are."""
    found = house.at_risk(device=house.carl.identity.device)
    assert reasons(found) == [("away.jpg", "one_device")]
    assert found["totals"]["all"] == {"files": 1, "bytes": "1000"}


def test_files_of_a_location_can_be_asked_about(house: House) -> None:
    """Only those in it are listed."""
    query = "SELECT id FROM location WHERE name = 'disk1'"
    key = within(house.anna, lambda c: c.exec_driver_sql(query).scalar())
    assert reasons(house.at_risk(locations=[key])) == [("quick.jpg", "quick_hashed")]


def _tag(replica: Replica, tag: bytes, *items: tuple[str, bytes]) -> None:
    links = [
        Create(
            "user_metadata_tag",
            link_id("user_metadata_tag", item, tag),
            {"item": item, "scope": scope, "tag": tag},
        )
        for scope, item in items
    ]
    hashed = [hash_of(text) for text in ("away", "two")]
    contents = [Create("content", content_id(full), {"hash": full}) for full in hashed]
    made = Create("tag", tag, {"canonical_name": "trip"})
    replica.store.write_here(lambda tx: tx.commit("tag.add", [made, *contents, *links]))


def test_files_that_carry_a_tag_can_be_asked_about(changing: House) -> None:
    """By their content or by themselves; a child's files carry the parent."""
    child, parent = changing.anna.store.ids.new(), changing.anna.store.ids.new()
    _tag(
        changing.anna,
        child,
        ("content", content_id(hash_of("away"))),
        ("content", content_id(hash_of("two"))),
        ("entry", changing.ids["plain"]),
    )
    above = [
        Create("tag", parent, {"canonical_name": "family"}),
        Create(
            "tag_relation",
            link_id("tag_relation", child, parent),
            {"child": child, "parent": parent, "relation": "parent_child"},
        ),
    ]
    changing.anna.store.write_here(lambda tx: tx.commit("tag.parent", above))
    assert reasons(changing.at_risk(tag=parent)) == [
        ("away.jpg", "one_device"),
        ("plain.jpg", "not_hashed"),
    ]


def test_a_copy_that_goes_puts_the_other_at_risk(changing: House) -> None:
    """What another device deletes is at risk here as soon as its word has come."""
    (gone,) = [copy for copy in changing.copies("two")["copies"] if copy["device"] == "device2"]
    changing.disks[2].drop(bytes.fromhex(gone["id"]))
    meet(changing.anna, changing.carl)
    assert changing.copies("two")["at_risk"] == "one_device"
    assert ("two.jpg", "one_device") in reasons(changing.at_risk())


def test_a_drive_that_moved_between_devices_is_one_drive(replicas: list[Replica]) -> None:
    """Indexed on two devices it is no second copy; on an internal disk as well, it is."""
    anna, ben, _ = replicas
    ids = [
        Drive(replica, "stick", fingerprint="uuid:stick", movable=True).put("a", "moved", inode=5)
        for replica in (anna, ben)
    ]
    meet(anna, ben)
    about = anna.identity.device, set[bytes]()
    found = within(anna, lambda c: copies(c, ids[0], *about, 50))
    assert (found["devices"], found["drives"], found["at_risk"]) == (2, 1, "one_drive")
    risky = within(anna, lambda c: at_risk(c, Chosen(), *about))
    assert [file["reason"] for file in risky["files"]] == ["one_drive", "one_drive"]
    assert risky["totals"]["all"] == {"files": 2, "bytes": str(SIZE)}
    assert within(anna, lambda c: duplicates(c, Chosen(), 0, *about))["duplicates"] == []
    Drive(ben, "internal").put("a", "moved")
    meet(anna, ben)
    assert within(anna, lambda c: copies(c, ids[0], *about, 50))["at_risk"] is None
    assert within(anna, lambda c: at_risk(c, Chosen(), *about))["files"] == []


def test_internal_disks_of_one_fingerprint_are_two(replicas: list[Replica]) -> None:
    """Cloned systems carry the same one; each is a disk of its own."""
    anna, ben, _ = replicas
    ids = [Drive(replica, "root", fingerprint="uuid:1").put("a", "x") for replica in (anna, ben)]
    meet(anna, ben)
    found = within(anna, lambda c: copies(c, ids[0], anna.identity.device, (), 50))
    assert (found["drives"], found["at_risk"]) == (2, None)


def test_a_folder_that_is_not_there_is_said_to_be_away(changing: House) -> None:
    """Its files stay known, and say why they cannot be reached."""
    query = "UPDATE location SET is_offline = 1 WHERE name = 'disk0'"
    within(changing.anna, lambda c: c.exec_driver_sql(query))
    assert changing.copies("two")["copies"][0]["why"] == "its folder is not there"


def test_a_drive_that_is_unplugged_is_said_to_be(changing: House) -> None:
    """It makes no difference whose copy is asked for."""
    query = "UPDATE volume SET mount_point = NULL WHERE display_name = 'disk0'"
    within(changing.anna, lambda c: c.exec_driver_sql(query))
    assert changing.copies("two")["copies"][0]["why"] == "its drive is not plugged in"


# --- duplicates -----------------------------------------------------------------------------------


def test_what_is_there_more_than_once_is_listed_by_wasted_bytes(house: House) -> None:
    """One copy on each device wastes nothing; every other does."""
    found = house.duplicates()
    told = [(item["files"], item["devices"], item["wasted_bytes"]) for item in found["duplicates"]]
    assert told == [(2, 1, "40"), (3, 3, "0"), (2, 2, "0")]
    assert found["totals"] == {"contents": 3, "files": 7, "wasted_bytes": "40"}
    assert len(found["duplicates"][1]["copies"]) == 3


def test_duplicates_of_one_device_are_on_that_device(house: House) -> None:
    """A copy elsewhere is no reason to delete anything."""
    found = house.duplicates(device=house.anna.identity.device)
    (twice,) = found["duplicates"]
    assert (twice["hash"], twice["files"]) == (hash_of("twice").hex(), 2)


def test_duplicates_can_be_kept_to_large_ones(house: House) -> None:
    """Those that are larger are listed, as many as asked for."""
    assert len(house.duplicates(larger=69)["duplicates"]) == 2
    found = house.duplicates(limit=1)
    assert (len(found["duplicates"]), found["more"]) == (1, True)
    assert found["totals"]["contents"] == 3


def test_two_names_of_one_file_waste_nothing(replica: Replica) -> None:
    """Hard links share their bytes; empty files have none."""
    disk = Drive(replica, "disk")
    disk.put("a", "linked", inode=3)
    disk.put("b", "linked", inode=3)
    for name in ("c", "d"):
        disk.put(name, "", size=0)
    about = replica.identity.device, set[bytes]()
    found = within(replica, lambda c: duplicates(c, Chosen(), 0, *about))
    assert found["duplicates"] == []
    disk.put("e", "linked", inode=4)
    (one,) = within(replica, lambda c: duplicates(c, Chosen(), 0, *about))["duplicates"]
    assert (one["files"], one["wasted_bytes"]) == (2, str(SIZE))


# --- how it is asked ------------------------------------------------------------------------------


def test_contents_are_grouped_by_their_index_alone(house: House) -> None:
    """A million files are neither sorted nor looked up one by one."""
    asked: list[str] = []

    def plans(connection: Any) -> list[str]:
        raw = connection.connection.driver_connection
        raw.set_trace_callback(asked.append)
        at_risk(connection, Chosen(), *house.about)
        duplicates(connection, Chosen(), 0, *house.about)
        raw.set_trace_callback(None)
        grouped = [query for query in asked if "GROUP BY e.content" in query]
        return [row[3] for query in grouped for row in raw.execute(f"EXPLAIN QUERY PLAN {query}")]

    steps = within(house.anna, plans)
    over_entries = {step for step in steps if " e " in f"{step} " and "p USING" not in step}
    assert over_entries == {
        "SEARCH e USING COVERING INDEX entry_by_content (content>?)",
        "SEARCH e USING COVERING INDEX entry_by_content (content=?)",
    }


# --- revoked devices ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Build the three devices once more, of which the third was revoked."""
    made = make_replicas(tmp_path_factory.mktemp("left"), 3)
    house = House(made)
    house.ids["loose"] = house.disks[2].put("loose.jpg", size=5)
    for name in ("left.jpg", "left again.jpg"):
        house.disks[2].put(name, "left", size=30)
    meet(*made)
    gone = made[2].identity.device
    insert = "INSERT INTO revoked (device, statement) VALUES (?, x'')"
    within(made[0], lambda c: c.exec_driver_sql(insert, (gone,)))
    yield house
    for replica in made:
        replica.store.close()


@pytest.mark.parametrize(
    ("name", "devices", "reason"),
    [
        *[("three", 2, None), ("two", 1, "one_device"), ("away", 0, "no_device")],
        *[("loose", 0, "no_device"), ("plain", 1, "not_hashed")],
    ],
)
def test_a_copy_on_a_revoked_device_is_none(
    left: House, name: str, devices: int, reason: str | None
) -> None:
    """It is shown as what it is, and nobody relies on it."""
    found = left.copies(name)
    assert (found["devices"], found["at_risk"]) == (devices, reason)
    whys = {item["why"] for item in found["copies"]}
    assert ("its device was revoked" in whys) == (name != "plain")


def test_what_only_a_revoked_device_shares_is_at_risk(left: House) -> None:
    """What has its other copy there is on one device; what is only there is on none."""
    found = left.at_risk()
    about = [(item["path"], item["device_id"], item["reason"]) for item in found["files"]]
    listed = {path.rpartition("/")[2]: what for path, *what in about}
    anna, carl = left.anna.identity.device.hex(), left.carl.identity.device.hex()
    assert listed["two.jpg"] == [anna, "one_device"]
    assert listed["away.jpg"] == listed["loose.jpg"] == [carl, "no_device"]
    assert "three.jpg" not in listed
    assert found["totals"]["no_device"] == {"files": 4, "bytes": "1035"}


def test_what_a_revoked_device_has_twice_wastes_nothing(left: House) -> None:
    """Nobody can free it."""
    names = [item["copies"][0]["path"] for item in left.duplicates()["duplicates"]]
    assert not any("left" in name for name in names)

"""Taking a device's membership away, and what is shown of it then."""

from __future__ import annotations

from pathlib import Path

import pytest

from leaderless.protocol.membership import Former, Membership
from tests.daemon.rooms import Rooms, open_rooms
from tests.replicas import Replica
from tests.store.passing import pull


async def _shown(rooms: Rooms) -> tuple[list[str], list[str], list[str]]:
    view = await rooms.overview.view()
    return (
        [peer.name for peer in view.peers],
        [gone.name for gone in view.revoked],
        [alert.code for alert in view.warnings],
    )


async def test_a_device_is_revoked_by_its_name(tmp_path: Path, pair: list[Replica]) -> None:
    """From then on it is listed as one that was a member: by whom, and since when."""
    mine, other = pair
    pull(other, mine, other)
    async with open_rooms(tmp_path, mine) as rooms:
        answer = await rooms.data("POST", "/v1/devices/revoke", device="device1")
        assert answer["device_id"] == other.identity.device.hex()
        assert await _shown(rooms) == ([], ["device1"], [])
        (view,) = (await rooms.overview.view()).revoked
        assert (view.by, view.at_ms, view.shelved) == ("device0", str(mine.clock.ms), 0)
        devices = (await rooms.data("GET", "/v1/devices"))["devices"]
        revoked = {item["name"]: item["revoked"] for item in devices}
        assert revoked == {"device0": None, "device1": {"by": "device0", "at_ms": view.at_ms}}
        assert ("member_revoked", {"device": other.identity.device}) in rooms.told


async def test_one_that_was_never_seen_is_found_by_its_admission(
    tmp_path: Path, pair: list[Replica]
) -> None:
    """By the name that it was admitted with, or its id."""
    mine, _ = pair
    async with open_rooms(tmp_path, mine) as rooms:
        await rooms.data("POST", "/v1/devices/revoke", device="device1")
        assert (await _shown(rooms))[1] == ["device1"]


@pytest.mark.parametrize(("device", "status"), [("nobody", 404), ("device0", 403)])
async def test_who_cannot_be_revoked_stays(
    tmp_path: Path, replica: Replica, device: str, status: int
) -> None:
    """Who is no member, and the last that may do it."""
    async with open_rooms(tmp_path, replica) as rooms:
        answer = await rooms.ask("POST", "/v1/devices/revoke", device=device)
        assert answer.status == status


async def test_who_is_revoked_revokes_nobody_and_says_what_it_is(
    tmp_path: Path, pair: list[Replica]
) -> None:
    """Its status names who did it; it is none of those that it lists."""
    mine, _ = pair
    async with open_rooms(tmp_path, mine) as rooms:
        await rooms.data("POST", "/v1/devices/revoke", device="device0")
        assert await _shown(rooms) == (["device1"], [], ["REVOKED"])
        assert not (await rooms.overview.view()).is_member
        answer = await rooms.ask("POST", "/v1/devices/revoke", device="device1")
        assert answer.status == 403
        again = await rooms.ask("POST", "/v1/devices/revoke", device="device0")
        assert again.status == 404


async def test_who_is_revoked_edits_nothing_and_shows_no_code(
    tmp_path: Path, pair: list[Replica]
) -> None:
    """Nobody would ever take its edits, nor whom it admits."""
    mine, _ = pair
    async with open_rooms(tmp_path, mine) as rooms:
        await rooms.data("POST", "/v1/devices/revoke", device="device0")
        for path in ("/v1/tags/create", "/v1/pair"):
            answer = await rooms.ask("POST", path, name="trip")
            assert (answer.status, answer.data["error"]["code"]) == (403, "revoked")


async def test_who_is_no_admin_shows_no_code(tmp_path: Path, replica: Replica) -> None:
    """It is said before anybody types it."""
    async with open_rooms(tmp_path, replica) as rooms:
        rooms.driver.applier.members = Membership(replica.store.library, "home", {})
        answer = await rooms.ask("POST", "/v1/pair")
        assert (answer.status, answer.data["error"]["code"]) == (403, "not_permitted")


async def test_whom_a_revoke_is_about_can_be_asked(tmp_path: Path, pair: list[Replica]) -> None:
    """Nothing is done by it."""
    mine, other = pair
    async with open_rooms(tmp_path, mine) as rooms:
        asked = [
            await rooms.data("GET", "/v1/devices/revoke", device=f"device{at}") for at in range(2)
        ]
        assert [item["this_device"] for item in asked] == [True, False]
        assert asked[1]["device_id"] == other.identity.device.hex()
        assert (await _shown(rooms))[:2] == (["device1"], [])


async def test_a_time_that_cannot_be_shown_is_cut(tmp_path: Path, replica: Replica) -> None:
    """Somebody may sign any number."""
    async with open_rooms(tmp_path, replica) as rooms:
        key = replica.identity.public_key
        former = Former(key, b"", "me", key, 1 << 62, b"")
        members = Membership(replica.store.library, "home", {}, former={key: former})
        rooms.driver.applier.members = members
        (alert, *_) = (await rooms.overview.view()).warnings
        assert "9999-12-31" in alert.text


async def test_an_undo_passes_over_a_revoke(tmp_path: Path, pair: list[Replica]) -> None:
    """What is known of a revoked device is nothing that is taken back; its admin's own edits are."""
    mine, other = pair
    pull(other, mine, other)
    async with open_rooms(tmp_path, mine) as rooms:
        await rooms.data("POST", "/v1/tags/create", name="trip")
        await rooms.data("POST", "/v1/devices/revoke", device="device1")
        listed = (await rooms.data("GET", "/v1/history"))["actions"]
        assert [item["command"] for item in listed] == ["device.revoke", "tag.create"]
        answer = await rooms.ask("POST", "/v1/undo", id=listed[0]["id"])
        assert (answer.status, answer.data["error"]["message"]) == (
            400,
            "a revoke is not taken back",
        )
        done = await rooms.data("POST", "/v1/undo")
        assert done["undone"]["command"] == "tag.create"

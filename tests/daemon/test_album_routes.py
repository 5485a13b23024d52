"""What can be asked about albums."""

from __future__ import annotations

from pathlib import Path

from tests.catalogue.files import Drive
from tests.daemon.rooms import open_rooms
from tests.replicas import Replica


async def test_an_album_lives_from_create_to_restore(tmp_path: Path, replica: Replica) -> None:
    """Files are put in, moved and taken out; the album is renamed, deleted and brought back."""
    drive = Drive(replica, "docs")
    for name in "abc":
        drive.put(name, name)
    async with open_rooms(tmp_path, replica) as rooms:
        made = await rooms.data("POST", "/v1/albums/create", name="best", fields={})
        uuid = made["album"]["id"]
        added = await rooms.data(
            "POST", "/v1/albums/add", album="best", targets=["/docs/a"], where={"kind": "file"}
        )
        assert (added["files"], added["new"], added["captioned"]) == ("3", "3", "0")
        moved = await rooms.data("POST", "/v1/albums/move", album="best", target="/docs/c", to=1)
        assert moved["moved"] is True
        taken = await rooms.data("POST", "/v1/albums/remove", album="best", targets=["/docs/a"])
        assert taken["count"] == "1"
        await rooms.data("POST", "/v1/albums/set", album="best", fields={"description": "sea"})
        await rooms.data("POST", "/v1/albums/rename", album="best", name="top")
        assert (await rooms.data("POST", "/v1/albums/delete", album="top"))["id"] == uuid
        assert (await rooms.data("GET", "/v1/albums"))["albums"] == []
        await rooms.data("POST", "/v1/albums/restore", album="top")
        shown = (await rooms.data("GET", "/v1/albums/show", album="top", limit="10"))["album"]
        paths = [entry["copies"][0]["path"] for entry in shown["entries"]]
        assert (paths, shown["description"]) == (["/docs/c", "/docs/b"], "sea")
        names = await rooms.data("GET", "/v1/complete", kind="album", prefix="t")
        assert names["names"] == ["top"]


async def test_what_cannot_be_meant_is_refused(tmp_path: Path, replica: Replica) -> None:
    """No album is a 404, anything malformed a usage error."""
    Drive(replica, "docs").put("a")
    async with open_rooms(tmp_path, replica) as rooms:
        await rooms.data("POST", "/v1/albums/create", name="best")
        answer = await rooms.ask("GET", "/v1/albums/show", album="nobody")
        assert answer.status == 404
        for path, body in (
            ("add", {}),
            ("remove", {}),
            ("move", {"target": "/docs/a"}),
            ("set", {"fields": {}}),
            ("create", {"name": ""}),
        ):
            answer = await rooms.ask("POST", f"/v1/albums/{path}", **{"album": "best", **body})
            assert (path, answer.status) == (path, 400)

"""What can be asked about tags on files and tags to each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.catalogue.files import Drive
from tests.daemon.rooms import open_rooms
from tests.replicas import Replica


async def test_files_are_tagged_by_name_and_by_search(tmp_path: Path, replica: Replica) -> None:
    """The answer counts them; find finds them by a tag above."""
    drive = Drive(replica, "docs")
    for name in ("a.txt", "b.txt", "c.md"):
        drive.put(name, name)
    async with open_rooms(tmp_path, replica) as rooms:
        for name in ("trip", "travel"):
            await rooms.data("POST", "/v1/tags/create", name=name)
        where = {"text": ".txt", "kind": "file", "location": "docs"}
        done = await rooms.data(
            "POST", "/v1/tags/add", tag="trip", targets=["/docs/c.md"], where=where
        )
        assert (done["files"], done["count"]) == ("3", "3")
        assert (await rooms.data("POST", "/v1/tags/parent", child="trip", parent="travel"))["new"]
        found = (await rooms.data("GET", "/v1/find", tag="travel", ext=None))["entries"]
        assert len(found) == 3
        done = await rooms.data("POST", "/v1/tags/remove", tag="trip", where={"tag": "travel"})
        assert done["count"] == "3"
        assert (await rooms.data("GET", "/v1/find", tag="travel"))["entries"] == []
        assert (await rooms.data("POST", "/v1/tags/unparent", child="trip", parent="travel"))[
            "gone"
        ]


async def test_tags_are_merged_and_related(tmp_path: Path, replica: Replica) -> None:
    """The list shows what was merged as one; a relation can be taken back."""
    async with open_rooms(tmp_path, replica) as rooms:
        for name in ("one", "two", "three"):
            await rooms.data("POST", "/v1/tags/create", name=name)
        done = await rooms.data("POST", "/v1/tags/merge", tag="one", other="two")
        assert (done["new"], done["tag"]["merged"][0]["name"]) == (True, "two")
        assert len((await rooms.data("GET", "/v1/tags"))["tags"]) == 2
        ends = {"tag": "two", "other": "three"}
        await rooms.data("POST", "/v1/tags/relate", **ends, kind="synonym", strength=1)
        shown = (await rooms.data("GET", "/v1/tags/show", tag="one"))["tag"]
        assert [item["kind"] for item in shown["relations"]] == ["synonym"]
        assert (await rooms.data("POST", "/v1/tags/unrelate", **ends))["gone"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("add", {"tag": "one"}),
        ("add", {"tag": "one", "targets": "a"}),
        ("add", {"tag": "one", "targets": [7]}),
        ("add", {"tag": "one", "where": "a"}),
        ("add", {"tag": "one", "where": {}}),
        ("add", {"tag": "one", "where": {"larger": "much"}}),
        ("add", {"tag": "one", "targets": ["/docs/a"], "scope": "dog"}),
        ("relate", {"tag": "one", "other": "two", "strength": 2}),
        ("relate", {"tag": "one", "other": "two", "strength": "x"}),
        ("relate", {"tag": "one", "other": "two", "kind": "parent_child"}),
        ("parent", {"child": "one", "parent": "one"}),
    ],
)
async def test_what_cannot_be_meant_is_refused(
    tmp_path: Path, replica: Replica, path: str, body: dict[str, Any]
) -> None:
    """Malformed requests are usage errors, whatever part of them is wrong."""
    Drive(replica, "docs").put("a")
    async with open_rooms(tmp_path, replica) as rooms:
        for name in ("one", "two"):
            await rooms.data("POST", "/v1/tags/create", name=name)
        answer = await rooms.ask("POST", f"/v1/tags/{path}", **body)
        assert (answer.status, answer.data["error"]["code"]) == (400, "usage")


async def test_a_name_that_is_no_text_comes_back_in_the_error(
    tmp_path: Path, replica: Replica
) -> None:
    """Bytes that are not UTF-8 are named as they were given; the answer is JSON."""
    async with open_rooms(tmp_path, replica) as rooms:
        await rooms.data("POST", "/v1/tags/create", name="one")
        answer = await rooms.ask("POST", "/v1/tags/add", tag="one", targets=["/caf\udce9"])
        assert answer.status == 404
        assert b"/caf\\udce9 is not" in answer.body()

"""What is told while a restored device takes its own rows back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from leaderless.daemon.held_up import explained, held_up_json, not_held_up
from leaderless.errors import NotFoundError
from leaderless.status.http import Answer, Request
from leaderless.store import meta, restoring
from leaderless.store.restoring import RestoringError
from tests.catalogue.files import Drive
from tests.daemon.rooms import open_rooms
from tests.replicas import Replica

ASKED = Request("GET", "/v1/show")
WHY = "this device was restored from a backup and takes its own rows back from its peers"


async def _waits() -> str | None:
    return "it waits for ben"


async def test_what_is_not_here_may_be_among_what_comes_back() -> None:
    """It is not said to be missing: what is waited for is, and that it may be tried again."""

    async def missing(_: Request) -> Answer:
        raise NotFoundError("/a is not in the catalogue", hint="leaderless find")

    with pytest.raises(RestoringError) as caught:
        await explained(missing, _waits)(ASKED)
    assert caught.value.message == (
        f"/a is not in the catalogue, as far as is known now: {WHY}: it waits for ben"
    )
    assert "leaderless device claim" in str(caught.value.hint)
    with pytest.raises(NotFoundError, match=r"^/a is not in the catalogue$"):
        await explained(missing, not_held_up)(ASKED)


@pytest.mark.parametrize("waits", [_waits, not_held_up])
async def test_what_cannot_be_done_says_for_whom_it_waits(waits: Any) -> None:
    """As long as that is known: the wait may have ended since."""

    async def writing(_: Request) -> Answer:
        raise RestoringError

    with pytest.raises(RestoringError) as caught:
        await explained(writing, waits)(ASKED)
    assert caught.value.message == (f"{WHY}: it waits for ben" if waits is _waits else WHY)


async def test_what_is_answered_stays_as_it_is() -> None:
    """Nothing is asked for it."""

    async def answering(_: Request) -> Answer:
        return Answer({"x": 1})

    assert (await explained(answering, _waits)(ASKED)).data == {"x": 1}


async def test_a_list_that_may_lack_something_says_why() -> None:
    """With the way out; one that lacks nothing says nothing."""
    assert await held_up_json(not_held_up) is None
    told = await held_up_json(_waits)
    assert told is not None
    assert told["message"] == f"{WHY}: it waits for ben"
    assert "device claim" in told["hint"]


async def test_a_restored_device_says_so_of_files_that_it_does_not_know(
    tmp_path: Path, pair: list[Replica]
) -> None:
    """Whoever finds, annotates or shows one is told whom it waits for, until it has gone on."""
    replica, _ = pair
    Drive(replica, "docs").put("known")
    async with open_rooms(tmp_path, replica) as rooms:

        async def asked() -> list[tuple[int, str]]:
            note: dict[str, Any] = {"targets": ["/docs/new"], "fields": {"note": "x"}}
            answers = (
                await rooms.ask("POST", "/v1/metadata", **note),
                await rooms.ask("GET", "/v1/show", target="/docs/new"),
                await rooms.ask("GET", "/v1/history", target="/docs/new"),
                await rooms.ask("GET", "/v1/find", location="new"),
            )
            return [(item.status, item.data["error"]["message"]) for item in answers]

        await replica.store.write(lambda tx: meta.put(tx.conn, restoring.RESTORING, 1))
        why = f"{WHY}: it waits for device1, who may know more of it"
        assert all(status == 504 and why in text for status, text in await asked())
        found = await rooms.data("GET", "/v1/find", text="known")
        assert (len(found["entries"]), why in found["held_up"]["message"]) == (1, True)
        await replica.store.write(lambda tx: restoring.go_on_as_restored(tx, b"nonce--8"))
        assert await rooms.overview.waits() is None
        assert {status for status, _ in await asked()} == {404}
        assert (await rooms.data("GET", "/v1/find", text="new"))["held_up"] is None

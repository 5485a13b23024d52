"""A device in a process of its own that takes calls: `python -m tests.transport.receiver FOLDER`.

Its first line is the port; each further one is the code of an error that ended a connection. It
ends with its standard input.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from entities import MODELS
from leaderless.identity import certificate_key, load_or_create
from leaderless.ids import RecordIds
from leaderless.store.store import open_store
from leaderless.sync.driver import open_sync
from leaderless.transport.tls import Trust
from leaderless.transport.websocket import open_listener
from registry.models import Registry
from tests.replicas import SteppedClock

if TYPE_CHECKING:
    from collections.abc import Mapping


def _tell(kind: str, data: Mapping[str, object]) -> None:
    if kind in ("peer_error", "link_closed"):
        sys.stdout.write(f"{data['code']}\n")
        sys.stdout.flush()


def _pins(folder: Path) -> dict[bytes, bytes]:
    people = [load_or_create(path) for path in folder.glob("key*")]
    return {person.fingerprint: person.certificate_der for person in people}


async def _serve(folder: Path) -> None:
    identity, clock = load_or_create(folder / "key0"), SteppedClock()
    opened = open_store(
        folder / "library0.db", Registry(MODELS), clock, RecordIds(clock), identity.sign
    )
    async with opened as store:
        members = await store.membership(certificate_key)
        pins = _pins(folder)
        async with (
            open_sync(store, members, "test", _tell) as driver,
            open_listener(Trust(identity, lambda: pins), "127.0.0.1", 0, driver.run_link) as here,
        ):
            sys.stdout.write(f"{here.port}\n")
            sys.stdout.flush()
            await trio.to_thread.run_sync(sys.stdin.read)


if __name__ == "__main__":
    trio.run(_serve, Path(sys.argv[1]))

"""What happened lately: a bounded ring that many can follow, each at its own pace.

Ids are "BOOT-N": resumable within one run of the daemon. Where events are gone (an older id, or
another run) the stream says so with an event of kind `gap`.
"""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING, Any, Final

import trio

from leaderless.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

KEPT: Final = 10_000
_MAX_DIGITS: Final = 20


_ID: Final = re.compile(r"[^-\s]{1,64}-[0-9]{1,20}")


def check_id(text: str) -> str:
    """Return an event's id; raises UsageError for what no stream has printed."""
    if _ID.fullmatch(text) is None:
        raise UsageError(
            f"“{text}” is no id of an event", hint="leaderless events prints one with each event"
        )
    return text


class Events:
    """The ring; `boot` tells this run of the daemon from others."""

    def __init__(self, boot: str) -> None:
        self._boot = boot
        self._ring: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._count = 0
        self._more = trio.Event()

    def add(self, kind: str, at_ms: int, data: Mapping[str, object]) -> None:
        """Add an event; bytes in its data become hex."""
        self._count += 1
        shown = {
            name: value.hex() if isinstance(value, bytes) else value for name, value in data.items()
        }
        self._ring.append(
            {
                "schema": 1,
                "id": f"{self._boot}-{self._count}",
                "at_ms": str(at_ms),
                "kind": kind,
                "data": shown,
            }
        )
        self._more.set()
        self._more = trio.Event()

    @trio.as_safe_channel
    async def follow(self, since: str | None) -> AsyncGenerator[dict[str, Any], None]:
        """Open a channel of the events after the one with id `since` (None: from now on)."""
        at = self._count if since is None else self._number(since)
        if at is None:
            yield self._gap(since)
            at = self._count - len(self._ring)
        while True:
            more = self._more
            oldest = self._count - len(self._ring)
            if at < oldest:
                yield self._gap(f"{self._boot}-{at}")
                at = oldest
            for event in list(self._ring)[at - oldest :]:
                at += 1
                yield event
            if at >= self._count:
                await more.wait()

    def _number(self, since: str) -> int | None:
        boot, _, number = since.rpartition("-")
        if boot != self._boot or not number.isdecimal() or len(number) > _MAX_DIGITS:
            return None
        return int(number) if int(number) <= self._count else None

    def _gap(self, after: str | None) -> dict[str, Any]:
        return {"schema": 1, "id": after, "at_ms": None, "kind": "gap", "data": {}}

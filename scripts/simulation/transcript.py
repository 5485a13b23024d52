"""What happened, in order: always as a running hash, and as a readable conversation if asked for.

The hash covers every byte that was delivered and every event that a device told, with its time, so
two runs with one hash were the same run.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import trio

from leaderless.protocol import codec
from leaderless.protocol.messages import (
    Bye,
    Credit,
    LogBatch,
    Positions,
    PullLog,
    PullState,
    StateBatch,
    Statements,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMES = (
    "anna",
    "ben",
    "cleo",
    "dora",
    "emil",
    "frida",
    "gus",
    "hedy",
    "ivo",
    "jana",
    "karl",
    "lea",
)


class Transcript:
    """Hears of everything."""

    def __init__(self, names: Mapping[bytes, str], *, readable: bool) -> None:
        self._names = names
        self._hash = hashlib.blake2b(digest_size=16)
        self._readable = readable
        self.lines: list[str] = []
        self.messages = 0

    def digest(self) -> str:
        """Return the hash of all that happened until now."""
        return self._hash.hexdigest()

    def say(self, text: str) -> None:
        """Note what the simulator did or found."""
        now = trio.current_time()
        self._hash.update(f"{now:.6f} {text}\n".encode())
        if self._readable:
            self.lines.append(f"{now:11.3f}  {text}")

    def delivered(self, sender: str, receiver: str, frame: bytes) -> None:
        """Note a frame that arrived."""
        self.messages += 1
        now = trio.current_time()
        self._hash.update(f"{now:.6f} {sender} {receiver} {len(frame)}\n".encode() + frame)
        if self._readable:
            self.lines.append(f"{now:11.3f}  {sender} → {receiver}: {self._described(frame)}")

    def told(self, name: str, kind: str, data: Mapping[str, object]) -> None:
        """Note an event that a device told."""
        shown = ", ".join(f"{key} {self._shown(value)}" for key, value in data.items())
        self.say(f"{name}: {kind} {shown}".rstrip())

    def _shown(self, value: object) -> str:
        if isinstance(value, bytes):
            return self._names.get(value[:16], value.hex()[:12])
        return str(value)

    def _described(self, frame: bytes) -> str:
        message: Any = codec.decode(frame)
        kind = type(message).__name__.lower()
        match message:
            case StateBatch():
                rows = sum(len(change.rows) for change in message.changes)
                gone = sum(len(change.removed) for change in message.changes)
                about = (
                    f"of {self._shown(message.owner)} {message.lo}..{message.hi} of {message.head}"
                )
                extra = ", introduction" if message.introduction else ""
                return f"state {about}: {rows} rows, {gone} tombstones{extra}"
            case LogBatch():
                last = message.after + len(message.commits)
                return (
                    f"log of {self._shown(message.feed)} {message.after}..{last} of {message.head}"
                )
            case PullState():
                return f"pull state of {self._shown(message.owner)} from {message.lo}"
            case PullLog():
                return f"pull log of {self._shown(message.feed)} from {message.after}"
            case Positions():
                owned = [
                    f"{self._shown(owner)} {held.watermark}"
                    for owner, held in sorted(message.vectors.owned.items())
                ]
                feeds = [
                    f"{self._shown(feed)} {held.received}/{held.applied}"
                    for feed, held in sorted(message.vectors.feeds.items())
                ]
                return f"positions: owned {', '.join(owned)}; feeds {', '.join(feeds)}"
            case Credit(amount):
                return f"credit {amount}"
            case Bye():
                return f"bye {message.code}: {message.text}"
            case Statements():
                return f"{len(message.statements)} statements"
        return kind

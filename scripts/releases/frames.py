"""A recorded session: every frame as it was sent, and the same as a conversation to read.

The conversation is made from the bytes alone, not through any version's decoder.

::

    file  = frame frame …
    frame = part (1 byte), sender (1 byte), length (4 bytes, big-endian), bytes
"""

from __future__ import annotations

import json
from io import BytesIO
from typing import TYPE_CHECKING, Final, NamedTuple

import msgpack
import zstandard

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

KINDS: Final = {
    1: "hello",
    2: "statements",
    3: "positions",
    4: "pull state",
    5: "state",
    6: "pull log",
    7: "log",
    8: "credit",
    9: "proof",
    10: "ping",
    11: "pong",
    12: "bye",
    13: "compare",
    14: "compared",
}
_SHORT: Final = 48


class Frame(NamedTuple):
    """One message as it went over the wire: in which part of the session, from whom."""

    part: int
    sender: int
    data: bytes


def packed(frames: Iterable[Frame]) -> bytes:
    """Return the file of these frames."""
    return b"".join(
        bytes([frame.part, frame.sender]) + len(frame.data).to_bytes(4, "big") + frame.data
        for frame in frames
    )


def unpacked(data: bytes) -> list[Frame]:
    """Return the frames in a file."""
    frames, file = [], BytesIO(data)
    while head := file.read(6):
        frames.append(Frame(head[0], head[1], file.read(int.from_bytes(head[2:], "big"))))
    return frames


def payload(data: bytes) -> bytes:
    """Return the payload of a frame."""
    return (
        data[1:]
        if data[0] == 0
        else zstandard.ZstdDecompressor().decompressobj().decompress(data[1:])
    )


def parts(data: bytes) -> tuple[int, list[bytes]]:
    """Return the kind of a frame's message and its parts."""
    inside, found, at = payload(data), [], 1
    while at < len(inside):
        size = int.from_bytes(inside[at : at + 4], "big")
        found.append(inside[at + 4 : at + 4 + size])
        at += 4 + size
    return inside[0], found


def conversation(frames: Iterable[Frame], names: dict[int, str]) -> str:
    """Return frames as text: who said what, a line each; long texts and parts are cut short."""
    return "".join(_lines(frames, names))


def _lines(frames: Iterable[Frame], names: dict[int, str]) -> Iterator[str]:
    part = -1
    for frame in frames:
        if frame.part != part:
            part = frame.part
            yield f"--- part {part}\n"
        kind, (head, *rest) = parts(frame.data)
        said = json.dumps(_plain(msgpack.unpackb(head)), sort_keys=True)
        more = f" + {', '.join(str(len(item)) for item in rest)} bytes" if rest else ""
        yield f"{names[frame.sender]}: {KINDS.get(kind, kind)} {said}{more}\n"


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return value.hex() if len(value) <= _SHORT else f"{value[:16].hex()}… ({len(value)})"
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return value

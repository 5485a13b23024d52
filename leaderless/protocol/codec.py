"""Messages as frames.

::

    frame   = flag, payload            flag 0: as it is, 1: zstd
    payload = kind, part, part, …      part: 4 bytes of length (big-endian), then as many bytes
    part 0  = the head, MessagePack; further parts are as the kind says

Unknown keys of a head are ignored, and so are messages of an unknown kind (a minor version may add
some); an unknown flag is not. Limits are checked on lengths, before anything is decoded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from leaderless.protocol import limits
from leaderless.protocol.batches import InColumns
from leaderless.protocol.errors import FrameTooLargeError, MalformedError
from leaderless.protocol.messages import StateBatch, Unknown
from leaderless.protocol.packing import compress, decompress
from leaderless.protocol.shapes import CODECS

if TYPE_CHECKING:
    from leaderless.protocol.fields import Parts
    from leaderless.protocol.messages import Message

_PLAIN, _ZSTD = 0, 1
_WORTH_COMPRESSING = 512
_BY_TYPE = {kind: (number, write, read) for number, kind, write, read in CODECS}
_IN_COLUMNS = _BY_TYPE[InColumns][0]
_BY_KIND = {number: read for number, _, _, read in CODECS}


def encode(message: Message | InColumns) -> bytes:
    """Return the frame of a message."""
    return encode_sized(message)[0]


def encode_sized(message: Message | InColumns) -> tuple[bytes, int]:
    """Return the frame of a message and the bytes of its payload, which credits count.

    Rows as columns count for about what they take as they are: it is these that are sent again.
    """
    kind, write, _ = _BY_TYPE[type(message)]
    payload = bytearray([kind])
    for part in write(message):
        payload += len(part).to_bytes(4, "big")
        payload += part
    if len(payload) > limits.MAX_FRAME_BYTES:
        raise FrameTooLargeError(f"a message of {len(payload)} bytes cannot be sent")
    size = len(payload) + (_saved(message.batch) if isinstance(message, InColumns) else 0)
    if len(payload) < _WORTH_COMPRESSING:
        return bytes([_PLAIN]) + payload, size
    return bytes([_ZSTD]) + compress(bytes(payload)), size


def is_in_columns(frame: bytes) -> bool:
    """Return whether a frame that can be decoded holds rows as columns."""
    payload = frame[1:]
    if frame[0] == _ZSTD:
        payload = decompress(payload, limits.MAX_FRAME_BYTES)
    return payload[0] == _IN_COLUMNS


def decode(frame: bytes) -> Message:
    """Return the message in a frame; raises a ProtocolError that names what is wrong."""
    return decode_sized(frame)[0]


def decode_sized(frame: bytes) -> tuple[Message, int]:
    """Return the message in a frame and the bytes of its payload; raises a ProtocolError."""
    if len(frame) > limits.MAX_FRAME_BYTES:
        raise FrameTooLargeError(f"a frame of {len(frame)} bytes is over the limit")
    if len(frame) < 2:
        raise MalformedError("a frame is cut off")
    if frame[0] not in (_PLAIN, _ZSTD):
        raise MalformedError(f"a frame has the unknown flag {frame[0]}")
    payload = frame[1:]
    if frame[0] == _ZSTD:
        payload = decompress(payload, limits.MAX_FRAME_BYTES)
    if not payload:
        raise MalformedError("a frame is cut off")
    if payload[0] not in _BY_KIND:
        return Unknown(payload[0]), len(payload)
    parts = _split(payload)
    try:
        message = _BY_KIND[payload[0]](parts)
    except (TypeError, ValueError, KeyError, IndexError, AttributeError) as error:
        raise MalformedError(f"a message has another shape: {type(error).__name__}") from error
    if payload[0] == _IN_COLUMNS and isinstance(message, StateBatch):
        return message, len(payload) + _saved(message)
    return message, len(payload)


def _saved(batch: StateBatch) -> int:
    """Return about how many bytes columns spare."""
    return limits.COLUMNS_SPARE_BYTES * sum(len(change.rows) for change in batch.changes)


def _split(payload: bytes) -> Parts:
    parts: Parts = []
    at = 1
    while at < len(payload):
        size = int.from_bytes(payload[at : at + 4], "big")
        if at + 4 + size > len(payload) or len(parts) >= limits.MAX_PARTS:
            raise MalformedError("a frame is cut off")
        parts.append(payload[at + 4 : at + 4 + size])
        at += 4 + size
    if not parts:
        raise MalformedError("a frame has no head")
    return parts

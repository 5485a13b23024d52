"""MessagePack with explicit limits, the same everywhere; and zstd that cannot be made to explode.

Signed things are never re-encoded: their bytes are kept. `pack` is only canonical for the shapes
that PROTOCOL.md lists, which hold no maps with more than one order of keys. The one extension is
number 0 without bytes: a field's value that is UNSET.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgpack
import zstandard

from leaderless.protocol import limits
from leaderless.protocol.errors import FrameTooLargeError, MalformedError
from registry.changes import UNSET

if TYPE_CHECKING:
    from collections.abc import Iterator

_LEVEL = 3
_PIECE_BYTES = 128 << 10
_UNSET = msgpack.ExtType(0, b"")
_NESTED = (list, dict)


def pack(value: object) -> bytes:
    """Return the MessagePack of `value`; raises MalformedError for what has none."""
    try:
        packed: bytes = msgpack.packb(value, use_bin_type=True, default=_as_extension)
    except (TypeError, ValueError, OverflowError) as error:
        raise MalformedError(f"a value cannot be packed: {error}") from error
    return packed


def _as_extension(value: object) -> object:
    if value is UNSET:
        return _UNSET
    raise TypeError(f"no value has the type {type(value).__name__}")


def from_extension(code: int, data: bytes) -> object:
    """Return what an extension stands for; raises ValueError for all but UNSET."""
    if code == 0 and not data:
        return UNSET
    raise ValueError("an unknown extension")


def _no_extension(code: int, data: bytes) -> object:
    raise ValueError(f"extension {code} of {len(data)} bytes")


def unpack(
    data: bytes,
    limit: int = limits.MAX_HEAD_BYTES,
    *,
    unset: bool = False,
    any_depth: bool = False,
) -> Any:  # noqa: ANN401 - any shape
    """Return the one value in `data`, at most `limit` bytes; raises MalformedError otherwise.

    Only with `unset` may it hold UNSET; with `any_depth` its depth is the caller's to check.
    """
    if len(data) > limit:
        raise FrameTooLargeError(f"a piece of {len(data)} bytes is over the limit of {limit}")
    try:
        value = msgpack.unpackb(data, **_bounds(len(data), unset=unset))
    except Exception as error:
        raise MalformedError(f"bytes are not MessagePack: {type(error).__name__}") from error
    if not any_depth:
        check_depth(value)
    return value


def unpack_each(data: bytes, most: int, piece_bytes: int, *, unset: bool = False) -> Iterator[Any]:
    """Yield the values that stand one after another in `data`.

    No more than `piece_bytes` are decoded at a time, and at most `most` values are yielded; a value
    that is larger, and a rest that is none, raise MalformedError. Only with `unset` may they hold
    UNSET.
    """
    unpacker = msgpack.Unpacker(max_buffer_size=piece_bytes, **_bounds(piece_bytes, unset=unset))
    count = fed = whole = 0
    view = memoryview(data)
    while whole < len(data):
        # Lists and maps are built as they stream in, and the unpacker bounds what is not built yet:
        # so it never gets more of one value than a piece.
        upto = min(whole + piece_bytes, len(data))
        if upto == fed:
            what = "is cut off" if fed == len(data) else f"needs more than {piece_bytes} bytes"
            raise MalformedError(f"a value {what}")
        unpacker.feed(view[fed:upto])
        fed = upto
        while whole < fed:
            try:
                value = unpacker.unpack()
            except msgpack.OutOfData:
                break
            except Exception as error:
                raise MalformedError(
                    f"bytes are not MessagePack: {type(error).__name__}"
                ) from error
            whole = unpacker.tell()
            count += 1
            if count > most:
                raise MalformedError(f"more than {most} values in a row")
            yield value


def _bounds(size: int, *, unset: bool) -> dict[str, Any]:
    # A header may claim any length; lists are allocated by what it claims.
    return {
        "raw": False,
        "strict_map_key": True,
        "max_str_len": size,
        "max_bin_len": size,
        "max_array_len": min(size, 16_384),
        "max_map_len": min(size, 4_096),
        "max_ext_len": 0,
        "ext_hook": from_extension if unset else _no_extension,
    }


def check_depth(value: object, limit: int = limits.MAX_DEPTH) -> None:
    """Raise MalformedError if `value` is nested deeper than `limit`."""
    level = [value] if isinstance(value, _NESTED) else []
    for _ in range(limit):
        level = [
            item
            for outer in level
            for item in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(item, _NESTED)
        ]
        if not level:
            return
    raise MalformedError(f"a value is nested deeper than {limit}")


def items_within(value: object) -> int:
    """Return how many items lists and maps hold within `value`; of a map, keys and values."""
    count = 0
    level = [value]
    while level:
        inner: list[object] = []
        for outer in level:
            if isinstance(outer, list):
                count += len(outer)
                inner += [item for item in outer if isinstance(item, list | dict)]
            elif isinstance(outer, dict):
                count += 2 * len(outer)
                inner += [item for item in outer.values() if isinstance(item, list | dict)]
        level = inner
    return count


def compress(data: bytes) -> bytes:
    """Return a zstd frame of `data`."""
    return zstandard.ZstdCompressor(level=_LEVEL).compress(data)


def decompress(data: bytes, limit: int) -> bytes:
    """Return what a zstd frame holds, at most `limit` bytes, whatever size it declares."""
    decompressor = zstandard.ZstdDecompressor(max_window_size=limits.MAX_ZSTD_WINDOW)
    pieces: list[bytes] = []
    size = 0
    try:
        with decompressor.stream_reader(data, read_across_frames=False) as reader:
            # Each read takes as much memory as it may return: most frames are far below the limit.
            while piece := reader.read(min(_PIECE_BYTES, limit + 1 - size)):
                pieces.append(piece)
                size += len(piece)
                if size > limit:
                    break
    except zstandard.ZstdError as error:
        raise MalformedError(f"bytes are not zstd: {error}") from error
    if size > limit:
        raise FrameTooLargeError(f"a frame decompresses to more than {limit} bytes")
    return b"".join(pieces)

"""Commits as bytes: what is signed, what is hashed, and what makes a commit invalid for everyone.

::

    header = [1, kind, library, feed, seq, stamp, previous, membership, command, command id,
              part, parts, body hash, body bytes, [[feed, seq, hash], …], data?]
    body   = [feed, …] change change …
    change = [form, model, record, [[feed#, seq], …], [write, …], [ref, …], guard?]
    guard  = [level, stamp or nil, feed# or nil]
    write  = [field, subkey, value, [ref, …]]
    ref    = [stamp, feed#, seq, place]

`feed#` counts in the list at the body's start; `data` (a map) and `guard` are left out where there
is none. A value that is not within another may be extension 0 without bytes: unset. The signature
covers the domain `leaderless/commit/1` and the header's bytes; the hash of a commit is the BLAKE3
of its header.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from leaderless.protocol import limits
from leaderless.protocol.errors import InvalidCommitError, ProtocolError
from leaderless.protocol.hashing import digest
from leaderless.protocol.packing import check_depth, items_within, pack, unpack, unpack_each
from registry.changes import (
    MAX_GUARD,
    UNGUARDED,
    UNSET,
    CommitHeader,
    CommitKind,
    Dependency,
    Dot,
    FeedId,
    FieldWrite,
    Form,
    Guard,
    Position,
    RecordId,
    SharedChange,
    WriteRef,
)
from registry.errors import InvalidStampError
from registry.hlc import Stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

DOMAIN = b"leaderless/commit/1\0"
FEED_BYTES = 44
NO_HASH = bytes(32)
_KINDS = {CommitKind.NORMAL: 0, CommitKind.CLOSING: 1}
_LATER = range(2, 256)
"""Kinds that later versions may bring: their headers have the same shape, their bodies any."""
_NUMBERED = {number: kind for kind, number in _KINDS.items()} | dict.fromkeys(
    _LATER, CommitKind.LATER
)
_HEADER_SIZES = (16, FEED_BYTES, 32, 32, 16, 32)
"""Of library, feed, previous, membership, command id and body hash."""
_MAX_NAME = 256
_MAX_NUMBER = 1 << 62
_NESTED = (list, dict)


def encode_header(header: CommitHeader) -> bytes:
    """Return the bytes that an author signs."""
    return pack(
        [
            1,
            _KINDS[header.kind],
            header.library,
            header.feed,
            header.seq,
            header.stamp.pack(),
            header.previous,
            header.membership,
            header.command,
            header.command_id,
            header.part,
            header.parts,
            header.body_hash,
            header.body_bytes,
            [list(dependency) for dependency in header.dependencies],
            *([dict(header.data)] if header.data else []),
        ]
    )


def decode_header(data: bytes) -> CommitHeader:
    """Return the header in `data`; raises InvalidCommitError for bytes no author may sign."""
    try:
        fields = unpack(data, limits.MAX_HEAD_BYTES * 2)
        return _header(fields)
    except InvalidCommitError:
        raise
    except (ProtocolError, InvalidStampError, ValueError, TypeError) as error:
        raise InvalidCommitError(f"a commit's header is invalid: {error}") from error


def _header(fields: Any) -> CommitHeader:  # noqa: ANN401 - bytes from outside, checked here
    if not isinstance(fields, list) or len(fields) not in (15, 16) or fields[0] != 1:
        raise InvalidCommitError("a commit's header is of an unknown version")
    data = fields.pop() if len(fields) == 16 else {}
    if not isinstance(data, dict) or not all(isinstance(name, str) for name in data):
        raise InvalidCommitError("a commit's data is no map of names")
    (_, kind, library, feed, seq, stamp, previous, membership, command) = fields[:9]
    (command_id, part, parts, body_hash, body_bytes, dependencies) = fields[9:]
    sized = (library, feed, previous, membership, command_id, body_hash)
    if type(kind) is not int or kind not in _NUMBERED or not _are_bytes(sized, _HEADER_SIZES):
        raise InvalidCommitError("a commit's header has a field of another shape")
    for number in (seq, part, parts, body_bytes):
        if type(number) is not int or not 0 <= number < _MAX_NUMBER:
            raise InvalidCommitError("a commit's header has a number out of range")
    if seq < 1 or not 1 <= part <= parts or body_bytes > limits.MAX_BODY_BYTES:
        raise InvalidCommitError("a commit's header has a number out of range")
    if not isinstance(command, str) or not 1 <= len(command) <= _MAX_NAME:
        raise InvalidCommitError("a commit names no command")
    if not isinstance(dependencies, list) or len(dependencies) > limits.MAX_DEPENDENCIES:
        raise InvalidCommitError("a commit has too many dependencies")
    return CommitHeader(
        library=library,
        feed=FeedId(feed),
        seq=seq,
        stamp=Stamp.parse(stamp),
        previous=previous,
        membership=membership,
        command=command,
        command_id=command_id,
        body_hash=body_hash,
        body_bytes=body_bytes,
        data=data,
        dependencies=tuple(_dependency(item, feed) for item in dependencies),
        part=part,
        parts=parts,
        kind=_NUMBERED[kind],
    )


def _dependency(item: Any, own: bytes) -> Dependency:  # noqa: ANN401 - checked here
    if not isinstance(item, list) or len(item) != 3:
        raise InvalidCommitError("a commit's dependency has another shape")
    feed, seq, known = item
    if not _is_bytes(feed, FEED_BYTES) or not _is_bytes(known, 32):
        raise InvalidCommitError("a commit's dependency has another shape")
    if feed == own:
        raise InvalidCommitError("a commit depends on itself")
    return Dependency(feed, _positive(seq), known)


def _are_bytes(values: tuple[Any, ...], sizes: tuple[int, ...]) -> bool:
    # What is read from MessagePack is of no subclass: its types are compared, which costs less.
    return {*map(type, values)} == {bytes} and tuple(map(len, values)) == sizes


def _is_bytes(value: object, size: int) -> bool:
    return isinstance(value, bytes) and len(value) == size


def encode_body(changes: Iterable[SharedChange]) -> bytes:
    """Return the body of a commit with these changes."""
    feeds: dict[bytes, int] = {}

    def number(feed: bytes) -> int:
        return feeds.setdefault(feed, len(feeds))

    def refs(items: Iterable[WriteRef]) -> list[list[object]]:
        return [[ref.stamp.pack(), number(ref.feed), ref.seq, ref.place] for ref in items]

    packed = [
        pack(
            [
                int(change.form),
                change.model,
                change.record,
                [[number(dot.feed), dot.seq] for dot in change.dots],
                [
                    [write.field, write.subkey, write.value, refs(write.over)]
                    for write in change.writes
                ],
                refs(change.seen),
                *_packed_guard(change.guard, number),
            ]
        )
        for change in changes
    ]
    return pack(list(feeds)) + b"".join(packed)


def _packed_guard(guard: Guard, number: Callable[[bytes], int]) -> list[list[object]]:
    if guard.level == 0:
        return []
    if guard.stamp is None:
        return [[guard.level, None, None]]
    return [[guard.level, guard.stamp.pack(), number(guard.feed)]]


def decode_body(header: CommitHeader, body: bytes) -> tuple[SharedChange, ...]:
    """Return the changes in a body; none of a kind that only later versions know.

    Raises InvalidCommitError if it is not the one that was signed for, or breaks a rule.
    """
    if len(body) != header.body_bytes or digest(body) != header.body_hash:
        raise InvalidCommitError("a commit's body is not the one that was signed")
    if header.kind is CommitKind.LATER:
        return ()
    try:
        pieces = unpack_each(body, limits.MAX_CHANGES + 1, limits.MAX_HEAD_BYTES, unset=True)
        feeds = _feeds(next(pieces, None))
        changes = tuple(_within_bounds(_change(item, feeds) for item in pieces))
    except InvalidCommitError:
        raise
    except (ProtocolError, InvalidStampError, ValueError, TypeError, IndexError) as error:
        raise InvalidCommitError(f"a commit's body is invalid: {error}") from error
    if any(at.feed == header.feed and at.seq >= header.seq for at in positions(changes)):
        raise InvalidCommitError("a commit names what its author had not written yet")
    born = [change.record for change in changes if change.form in (Form.CREATE, Form.RESTORE)]
    if len(set(born)) != len(born):
        raise InvalidCommitError("a commit makes one record twice")
    return changes


def names_others(header: CommitHeader, body: bytes) -> bool:
    """Return whether a body that was found valid names positions in feeds of others."""
    feeds = next(unpack_each(body, limits.MAX_CHANGES + 1, limits.MAX_HEAD_BYTES, unset=True))
    return any(feed != header.feed for feed in feeds)


def positions(changes: Iterable[SharedChange]) -> Iterator[Position]:
    """Yield the positions that changes name: dots, and the writes and changes that were seen."""
    for change in changes:
        yield from change.dots
        for ref in (*change.seen, *(over for write in change.writes for over in write.over)):
            yield Position(ref.feed, ref.seq)


def _within_bounds(changes: Iterable[SharedChange]) -> Iterator[SharedChange]:
    """Yield changes; raises InvalidCommitError once they hold more items than a commit may."""
    items = 0
    for change in changes:
        items += len(change.dots) + len(change.writes) + len(change.seen)
        for write in change.writes:
            items += len(write.over)
            if isinstance(write.value, _NESTED):
                items += items_within(write.value)
        if items > limits.MAX_ITEMS:
            raise InvalidCommitError(f"a commit holds more than {limits.MAX_ITEMS} items")
        yield change


def _feeds(item: object) -> list[bytes]:
    if not isinstance(item, list) or any(not _is_bytes(feed, FEED_BYTES) for feed in item):
        raise InvalidCommitError("a commit's body names no feeds")
    return item


def _change(item: Any, feeds: Sequence[bytes]) -> SharedChange:  # noqa: ANN401 - checked here
    check_depth(item)
    form, model, record, dots, writes, seen, *guards = item
    if not _is_bytes(record, 16) or not isinstance(model, str) or not 1 <= len(model) <= _MAX_NAME:
        raise InvalidCommitError("a change names no record")
    change = SharedChange(
        Form(form),
        model,
        RecordId(record),
        tuple([Dot(feeds[_index(feed)], _positive(seq)) for feed, seq in dots]),
        tuple([_write(write, feeds) for write in writes]),
        tuple([_ref(ref, feeds) for ref in seen]),
        _guard(guards, feeds) if guards else UNGUARDED,
    )
    keys = {(write.field, write.subkey) for write in change.writes}
    if len(keys) != len(change.writes):
        raise InvalidCommitError("a change writes one register twice")
    _check_form(change)
    return change


def _check_form(change: SharedChange) -> None:
    """Raise InvalidCommitError where a change names what its form has no use for, or lacks it."""
    writes = change.writes
    fits = bool(change.dots) == (change.form is Form.UPDATE)
    if change.form is Form.DELETE:
        fits = bool(change.dots or change.seen) and not writes
    if change.form is Form.DISMISS:
        fits &= bool(writes or change.seen) and change.guard is UNGUARDED
        fits &= all(write.value is None and write.over for write in writes)
    if not fits:
        raise InvalidCommitError("a change does not fit its form")


def _guard(items: Sequence[Any], feeds: Sequence[bytes]) -> Guard:
    match items:
        case [[int(level), None, None]]:
            return Guard(_level(level))
        case [[int(level), bytes(stamp), int(feed)]]:
            return Guard(_level(level), Stamp.parse(stamp), feeds[_index(feed)])
    raise InvalidCommitError("a change's guard has another shape")


def _level(value: object) -> int:
    level = _positive(value)
    if level > MAX_GUARD:
        raise InvalidCommitError("a change's guard is out of range")
    return level


def _write(item: Any, feeds: Sequence[bytes]) -> FieldWrite:  # noqa: ANN401 - checked here
    name, subkey, value, over = item
    if type(name) is not str or not (subkey is None or type(subkey) is str):
        raise InvalidCommitError("a write names no register")
    if not name or subkey == "":
        raise InvalidCommitError("a write names a register without a name")
    if isinstance(value, _NESTED) and _holds_unset(value):
        raise InvalidCommitError("a value is unset in parts")
    # Most writes replace nothing.
    return FieldWrite(
        name, subkey, value, tuple([_ref(ref, feeds) for ref in over]) if over else ()
    )


def _holds_unset(value: object) -> bool:
    if isinstance(value, dict):
        return any(map(_holds_unset, value.values()))
    return value is UNSET or (isinstance(value, list) and any(map(_holds_unset, value)))


def _ref(item: Any, feeds: Sequence[bytes]) -> WriteRef:  # noqa: ANN401 - checked here
    stamp, feed, seq, place = item
    return WriteRef(Stamp.parse(stamp), feeds[_index(feed)], _positive(seq), _index(place))


def _index(value: object) -> int:
    if type(value) is not int or value < 0:
        raise InvalidCommitError("a number is out of range")
    return value


def _positive(value: object) -> int:
    if type(value) is not int or not 1 <= value < _MAX_NUMBER:
        raise InvalidCommitError("a position is out of range")
    return value


def signed_part(header: bytes) -> bytes:
    """Return the bytes that the signature of a header covers."""
    return DOMAIN + header

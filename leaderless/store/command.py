"""One user action as signed commits: edits become changes, changes parts that apply together.

A part takes effect on the registers as soon as it is full, and what it touched is forgotten then, so
an action over a million files needs the memory of one part and of the bodies. Headers are signed at
the end, when the number of parts is known. The caller's transaction makes all of it one.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from leaderless.errors import NotPermittedError, UsageError
from leaderless.protocol import commits, hashing, limits
from leaderless.protocol.errors import InvalidCommitError
from leaderless.protocol.messages import SignedCommit
from leaderless.protocol.packing import items_within, pack
from leaderless.store import log, meta
from leaderless.store.called import called
from leaderless.store.registers import Records
from registry.authoring import change_for
from registry.changes import UNSET, CommitHeader, CommitKind, Dependency, Dismiss, FeedId, Lose
from registry.errors import InvalidChangeError, InvalidStampError, LockedError
from registry.hlc import MAX_COUNTER, MAX_TAG, Stamp, stamp_above
from registry.merge import highest_seen
from registry.models import FieldKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from sqlalchemy import Connection

    from leaderless.store.called import Called
    from leaderless.store.progress import Progress
    from registry.changes import DeviceId, Edit, SharedChange, Value
    from registry.models import Registry

_PART_BYTES: Final = limits.MAX_BODY_BYTES // 4 * 3
"""Of a part, as it is reckoned; that is more than it is."""
_AT_ONCE: Final = 1_000
"""Edits whose records are read together."""
_CHANGE_BYTES, _WRITE_BYTES, _REF_BYTES, _DOT_BYTES = 64, 32, 96, 64
"""What the pieces of a change need at most beside names and values, each with a feed of its own."""
_ITEM_BYTES: Final = _PART_BYTES // limits.MAX_ITEMS
"""Of an item within a list or map, at least: so a part that seems to fit has not too many of them."""
_NUMBER_BYTES: Final = 9
_ID_BYTES: Final = 16


class LockedRecordError(NotPermittedError):
    """Another device holds a record locked; `by` is its id."""

    code = "locked"

    def __init__(self, error: LockedError, record: Called, holder: str) -> None:
        super().__init__(
            f"{record.words} is locked by {holder}", hint=f"leaderless unlock {record.reference}"
        )
        self.by = error.by


class About(NamedTuple):
    """What all parts of one command say of it."""

    command: str
    command_id: bytes
    data: Mapping[str, Value]


class _Part(NamedTuple):
    """A part that has taken effect on the registers and is not signed yet."""

    stamp: Stamp
    body: bytes
    is_sure: bool
    """Whether its body holds nothing but what every device takes, by how it was made."""
    kind: CommitKind = CommitKind.NORMAL
    heads: tuple[Dependency, ...] = ()
    """What it refers to beside what was applied since the last commit."""


class Command:
    """One action while it is written; `write` does all of it."""

    def __init__(
        self,
        connection: Connection,
        registry: Registry,
        now_ms: int,
        author: DeviceId,
        feed: FeedId,
        progress: Progress,
    ) -> None:
        self._connection = connection
        self._registry = registry
        self._now_ms = now_ms
        self._author = author
        self._feed = log.feed_of(connection, feed)
        if self._feed.forked is not None:
            raise UsageError("the own feed is closed; this device needs a new incarnation")
        self._progress = progress
        self._records = Records(connection, registry, now_ms)
        self._seen: set[tuple[str, bytes, Stamp | None]] = set()
        self._parts: list[_Part] = []
        self._changes: list[SharedChange] = []
        self._as_of: Stamp | None = None
        self._bytes = 0
        self._is_sure = True
        self._is_stale = False

    def write(self, about: About, edits: Iterable[Edit], sign: Callable[[bytes], bytes]) -> None:
        """Write the action; raises UsageError, LockedRecordError: the transaction has to fail."""
        source = iter(edits)
        while chunk := list(islice(source, _AT_ONCE)):
            if self._is_stale:
                self._is_stale = False
                self._records = Records(self._connection, self._registry, self._now_ms)
            self._records.load((edit.model, edit.record) for edit in chunk)
            for edit in chunk:
                self._take(edit)
        if not self._changes:
            raise UsageError("a command without an edit")
        self._close()
        for number, part in enumerate(self._parts, start=1):
            self._sign(about, number, part, sign)

    def close_feeds(
        self, about: About, heads: Iterable[Dependency], sign: Callable[[bytes], bytes]
    ) -> None:
        """Write a commit without changes that refers to what has taken effect of closed feeds."""
        stamp = self._stamp(())
        body = commits.encode_body(())
        self._parts = [_Part(stamp, body, True, CommitKind.CLOSING, tuple(heads))]
        self._sign(about, 1, self._parts[0], sign)

    def _take(self, edit: Edit) -> None:
        """Add the change that does an edit to the current part, or to the next if that is full."""
        key = (edit.model, bytes(edit.record))
        as_of = getattr(edit, "as_of", None)
        if not isinstance(edit, Lose | Dismiss):
            if (*key, as_of) in self._seen:
                raise UsageError("one command edits a record twice")
            self._seen.add((*key, as_of))
        self._check(edit)
        if self._changes and as_of != self._as_of:
            self._close()
        records = self._records
        try:
            change = change_for(edit, records.state(*key), self._author)
        except InvalidChangeError as error:
            raise UsageError(str(error)) from error
        except LockedError as error:
            raise self._locked(error) from error
        cost = reckoned_bytes(change)
        if cost > limits.MAX_HEAD_BYTES:
            _check_size(change, called(self._connection, self._author, *key).words)
        is_full = len(self._changes) >= limits.MAX_CHANGES or self._bytes + cost > _PART_BYTES
        if self._changes and is_full:
            self._close()
        self._as_of = as_of
        self._changes.append(change)
        self._bytes += cost
        self._is_sure = self._is_sure and cost <= limits.MAX_HEAD_BYTES and _is_plain(change)

    def _locked(self, error: LockedError) -> LockedRecordError:
        """Return the refusal in names that people know."""
        record = called(self._connection, self._author, error.model, bytes(error.record))
        holder = self._connection.exec_driver_sql(
            "SELECT name FROM device WHERE uuid = ? AND dead = 0", (error.by,)
        ).scalar()
        return LockedRecordError(error, record, str(holder or bytes(error.by).hex()[:8]))

    def _check(self, edit: Edit) -> None:
        """Raise UsageError where an edit names a model or field that is not there."""
        model = self._registry.get(edit.model)
        if model is None or model.apply_shared_change is None:
            raise UsageError(f"there is no shared model {edit.model}")
        if len(edit.record) != _ID_BYTES:
            raise UsageError(f"the id of a record has {_ID_BYTES} bytes")
        for key, value in getattr(edit, "fields", {}).items():
            name, subkey = (key, None) if isinstance(key, str) else key
            item = model.field(name)
            if item is None or (item.kind is FieldKind.PLAIN) != (subkey is None):
                raise UsageError(f"{edit.model} has no field {name}")
            if subkey == "":
                raise UsageError(f"{edit.model}.{name} needs a key or element that is not empty")
            if value is not UNSET and not item.accepts(value):
                raise UsageError(f"{edit.model}.{name} cannot be {value!r}")

    def _close(self) -> None:
        """Let the current part take effect on the registers, and begin the next."""
        changes, self._changes, self._bytes = self._changes, [], 0
        stamp = self._stamp(changes)
        seq = self._feed.received + len(self._parts) + 1
        log.merge(self._records, self._feed.feed, seq, stamp, changes)
        self._records.save()
        self._parts.append(_Part(stamp, commits.encode_body(changes), self._is_sure))
        self._is_sure = self._is_stale = True
        self._progress.add(len(changes))

    def _stamp(self, changes: Iterable[SharedChange]) -> Stamp:
        """Return the next stamp, above those of all that changes replace.

        Of what is said once more it is the first behind what it was said with, if that has passed.
        """
        tag = int.from_bytes(self._author[-6:], "big")
        clock, tick = meta.clock(self._connection).tick(self._now_ms, tag)
        try:
            if self._as_of is not None:
                tick = min(tick, self._as_of.successor(tag))
            stamp = self._unused(stamp_above(tick, highest_seen(changes)))
        except InvalidStampError as error:
            raise UsageError(
                "a value of it is stamped with the end of time: nothing can be written over it",
                hint="delete nothing; make it anew",
            ) from error
        meta.put_clock(self._connection, clock.observe(stamp, self._now_ms))
        return stamp

    def _unused(self, stamp: Stamp) -> Stamp:
        """Return a stamp, or a higher one if a commit of ours has it: a lock is known by its stamp.

        Two values of one stamp, by a clock far ahead, are replaced by commits that would share one.
        Raises InvalidStampError at the ceiling.
        """
        parts = {part.stamp for part in self._parts}
        while stamp in parts or self._highest(stamp, stamp) is not None:
            end = Stamp(stamp.ms, MAX_COUNTER, MAX_TAG)
            held = {part for part in parts if stamp <= part <= end}
            stamp = max(held | {self._highest(stamp, end) or stamp}).successor(stamp.tag)
        return stamp

    def _highest(self, least: Stamp, most: Stamp) -> Stamp | None:
        """Return the highest stamp in the log that is within bounds, or None."""
        packed = self._connection.exec_driver_sql(
            "SELECT max(stamp) FROM commit_log WHERE stamp BETWEEN ? AND ?",
            (least.pack(), most.pack()),
        ).scalar()
        return None if packed is None else Stamp.parse(packed)

    def _sign(self, about: About, number: int, part: _Part, sign: Callable[[bytes], bytes]) -> None:
        """Put a part into the log; what it builds on is what was applied here before."""
        feed = self._feed
        header = CommitHeader(
            library=meta.get(self._connection, meta.LIBRARY),
            feed=FeedId(feed.feed),
            seq=feed.received + 1,
            stamp=part.stamp,
            previous=feed.received_hash,
            membership=meta.get(self._connection, meta.MEMBERSHIP),
            command=about.command,
            command_id=about.command_id,
            body_hash=hashing.digest(part.body),
            body_bytes=len(part.body),
            data=about.data,
            dependencies=_dependencies(self._connection, feed, part.heads),
            part=number,
            parts=len(self._parts),
            kind=part.kind,
        )
        packed = commits.encode_header(header)
        try:
            decoded = commits.decode_header(packed)
            if not part.is_sure or len(part.body) > limits.MAX_BODY_BYTES:
                commits.decode_body(decoded, part.body)
        except InvalidCommitError as error:
            raise UsageError(f"no other device would take this: {error}") from error
        signed = SignedCommit(packed, sign(commits.signed_part(packed)), part.body)
        digest = hashing.digest(packed)
        if not log.receive(
            self._connection, log.Received(header, (), signed, digest), self._now_ms
        ):
            raise UsageError("the own feed is closed; this device needs a new incarnation")
        feed = log.feed_of(self._connection, feed.feed)
        self._feed = log.take_effect(self._connection, feed, header, digest, self._now_ms)


def _check_size(change: SharedChange, words: str) -> None:
    """Raise UsageError for a change that needs more than a device decodes at once."""
    size, most = len(commits.encode_body([change])), limits.MAX_HEAD_BYTES
    if size > most:
        raise UsageError(
            f"no other device would take this: {words} needs {size:,} bytes in one"
            f" change, and {most:,} is the most",
            hint=f"leaderless record show {change.model} {change.record.hex()} lists what it holds",
        )


def reckoned_bytes(change: SharedChange) -> int:
    """Return how many bytes a change needs in a body, at most."""
    size = _CHANGE_BYTES + len(change.model.encode())
    size += _DOT_BYTES * len(change.dots) + _REF_BYTES * (len(change.seen) + 1)
    for write in change.writes:
        size += _WRITE_BYTES + _text_bytes(write.field) + _text_bytes(write.subkey or "")
        size += _value_bytes(write.value) + _REF_BYTES * len(write.over)
    return size


def _text_bytes(text: str) -> int:
    return len(text) if text.isascii() else 4 * len(text)


def _value_bytes(value: Value) -> int:
    match value:
        case None | bool() | int() | float():
            return _NUMBER_BYTES
        case str():
            return _text_bytes(value)
        case bytes():
            return len(value)
    return max(len(pack(value)), _ITEM_BYTES * items_within(value))


def _is_plain(change: SharedChange) -> bool:
    """Return whether its values are no lists and maps, which might be too deep or too long."""
    return not any(isinstance(write.value, list | dict) for write in change.writes)


def _dependencies(
    connection: Connection, own: log.Feed, heads: Iterable[Dependency]
) -> tuple[Dependency, ...]:
    """Return `heads` and those applied here that changed since our last commit; mark these told."""
    needed = {head.feed: head for head in heads}
    for feed in log.feeds(connection):
        if feed.feed != own.feed and feed.applied > feed.told:
            log.put_feed(connection, feed._replace(told=feed.applied))
            needed[feed.feed] = Dependency(feed.feed, feed.applied, feed.applied_hash)
    return tuple(needed[feed] for feed in sorted(needed))

"""The state of a shared record as it travels from one replica to another.

::

    record = [model, uuid, [feed, …], [[feed#, seq], …]] item item …     the dots that live
    item   = [0, field, subkey, value, ref, [[feed#, seq], …], guard, settled]   a write on dots
             [1, …]                         the same: a write that hung on dots of its deaths
             [2, ref, [[feed#, seq], …]]    a delete that nobody has named, and its dots
             [3, field, subkey, value, ref] a write that was lost, which nobody has named
    ref    = [stamp, feed#, seq, place]
    guard  = [level, stamp, feed#] or nil

`feed#` counts in the list of the first piece. Pieces are decoded one by one, as a record may be as
large as a commit. What comes from outside is checked here for its shape and for positions beyond
what its source had applied; that the stamps are those of the log is the store's business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from leaderless.protocol import limits
from leaderless.protocol.errors import MalformedError, ProtocolError
from leaderless.protocol.packing import check_depth, items_within, pack, unpack_each
from registry.changes import MAX_GUARD, UNGUARDED, UNSET, Dot, FieldKey, Guard, Value, WriteRef
from registry.errors import InvalidStampError
from registry.hlc import Stamp
from registry.joining import Memory, unseen
from registry.state import Death, RecordState, Write

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from registry.joining import Unseen

_WRITE, _REMAINS, _DEATH, _LOSS = range(4)
_FEED_BYTES = 44
_MAX_NAME = 256

Key = tuple[str, bytes]
"""A record: (model, uuid)."""


def cursor(key: Key) -> bytes:
    """Return the place of a record among all, as messages name it."""
    model, uuid = key
    return uuid + model.encode()


def place(after: bytes) -> Key:
    """Return the record at a place; the empty place is before all. Raises MalformedError."""
    try:
        return after[16:].decode(), after[:16]
    except UnicodeDecodeError as error:
        raise MalformedError("a place among the records has another shape") from error


def encode_record(key: Key, state: RecordState, losses: Unseen) -> bytes:
    """Return the bytes of a record and of the writes that were lost of it."""
    feeds: dict[bytes, int] = {}
    items = list(_items(state, losses, lambda feed: feeds.setdefault(feed, len(feeds))))
    dots = [[feeds.setdefault(dot.feed, len(feeds)), dot.seq] for dot in sorted(state.dots)]
    return pack([*key, list(feeds), dots]) + b"".join(map(pack, items))


def _items(state: RecordState, losses: Unseen, number: Any) -> Iterator[list[object]]:  # noqa: ANN401
    def ref(item: WriteRef) -> list[object]:
        return [item.stamp.pack(), number(item.feed), item.seq, item.place]

    def listed(dots: Iterable[Dot]) -> list[list[int]]:
        return [[number(dot.feed), dot.seq] for dot in sorted(dots)]

    def guard(item: Guard) -> list[object] | None:
        if item.stamp is None:
            return None
        return [item.level, item.stamp.pack(), number(item.feed)]

    for kind, writes in ((_WRITE, state.writes), (_REMAINS, state.remains)):
        for write in writes:
            rest = [listed(write.dots), guard(write.guard), int(write.settled)]
            yield [kind, write.field, write.subkey, write.value, ref(write.ref), *rest]
    for death in sorted(state.deaths, key=lambda death: death.ref):
        yield [_DEATH, ref(death.ref), listed(death.dots)]
    for ((field, subkey), lost), value in losses.items():
        yield [_LOSS, field, subkey, value, ref(lost)]


def decode_record(data: bytes, as_of: Mapping[bytes, int]) -> tuple[Key, Memory]:
    """Return a record and what a source remembers of it that had applied `as_of`.

    Raises MalformedError for what no honest source says.
    """
    try:
        return _Reading(as_of).read(data)
    except ProtocolError:
        raise
    except (InvalidStampError, ValueError, TypeError, IndexError) as error:
        raise MalformedError(f"a record has another shape: {type(error).__name__}") from error


class _Reading:
    """One record that is read piece by piece."""

    def __init__(self, as_of: Mapping[bytes, int]) -> None:
        self._as_of = as_of
        self._feeds: Sequence[bytes] = ()
        self._writes: dict[int, list[Write]] = {_WRITE: [], _REMAINS: []}
        self._deaths: list[Death] = []
        self._losses: dict[tuple[FieldKey, WriteRef], Value] = {}
        self._held = 0

    def read(self, data: bytes) -> tuple[Key, Memory]:
        pieces = unpack_each(data, limits.MAX_ITEMS, limits.MAX_HEAD_BYTES, unset=True)
        model, uuid, feeds, listed = next(pieces, [])
        named = isinstance(model, str) and 1 <= len(model) <= _MAX_NAME
        if not named or not isinstance(uuid, bytes) or len(uuid) != 16:
            raise MalformedError("a state names no record")
        if any(not isinstance(feed, bytes) or len(feed) != _FEED_BYTES for feed in feeds):
            raise MalformedError("a state names no feeds")
        self._feeds = feeds
        dots = self._dots(listed)
        for piece in pieces:
            self._take(piece)
        state = RecordState(
            dots,
            tuple(self._writes[_WRITE]),
            frozenset(self._deaths),
            tuple(self._writes[_REMAINS]),
        )
        self._check_dots(state)
        return (model, uuid), Memory(state, unseen(state, self._losses), self._as_of)

    def _check_dots(self, state: RecordState) -> None:
        """Raise MalformedError where writes hang on what is not there."""
        recalled = state.remembered.dots
        on = ((state.dots, state.writes), (recalled, state.remains))
        if any(not write.dots or not write.dots <= dots for dots, writes in on for write in writes):
            raise MalformedError("a write hangs on what is not there")
        if state.dots & recalled or len(state.died_of) != len(self._deaths):
            raise MalformedError("a record died and lives")

    def _take(self, piece: Any) -> None:  # noqa: ANN401 - checked here
        check_depth(piece)
        self._held += 1 + items_within(piece)
        if self._held > 4 * limits.MAX_ITEMS:
            raise MalformedError("a record holds more than one can")
        match piece:
            case [0 | 1 as kind, field, subkey, value, ref, dots, guard, 0 | 1 as settled]:
                key = _register(field, subkey, value)
                made = Write(*key, value, self._ref(ref), self._dots(dots), self._guard(guard))
                self._writes[kind].append(made._replace(settled=bool(settled)))
            case [2, ref, dots]:
                self._deaths.append(Death(self._ref(ref), self._dots(dots)))
            case [3, field, subkey, value, ref]:
                self._losses[_register(field, subkey, value), self._ref(ref)] = value
            case _:
                raise MalformedError("a state holds something unknown")

    def _dots(self, items: Iterable[Any]) -> frozenset[Dot]:
        return frozenset(Dot(*self._at(feed, seq)) for feed, seq in items)

    def _ref(self, item: Any) -> WriteRef:  # noqa: ANN401 - checked here
        stamp, feed, seq, at = item
        return WriteRef(Stamp.parse(stamp), *self._at(feed, seq), _index(at))

    def _at(self, feed: object, seq: object) -> tuple[bytes, int]:
        """Return a position that the source had applied; raises MalformedError for any other."""
        of, number = self._feeds[_index(feed)], _index(seq)
        if not 1 <= number <= self._as_of.get(of, 0):
            raise MalformedError("a state is of more than its source has applied")
        return of, number

    def _guard(self, item: Any) -> Guard:  # noqa: ANN401 - checked here
        if item is None:
            return UNGUARDED
        level, stamp, feed = item
        if not 1 <= _index(level) <= MAX_GUARD:
            raise MalformedError("a guard is out of range")
        return Guard(level, Stamp.parse(stamp), self._feeds[_index(feed)])


def _register(field: object, subkey: object, value: object) -> FieldKey:
    if not isinstance(field, str) or not field or not isinstance(subkey, str | None):
        raise MalformedError("a write names no register")
    if subkey == "" or (isinstance(value, list | dict) and _holds_unset(value)):
        raise MalformedError("a write names a register without a name, or a value unset in parts")
    return field, subkey


def _holds_unset(value: object) -> bool:
    if isinstance(value, dict):
        return any(map(_holds_unset, value.values()))
    return value is UNSET or (isinstance(value, list) and any(map(_holds_unset, value)))


def _index(value: object) -> int:
    if type(value) is not int or value < 0:
        raise MalformedError("a number is out of range")
    return value

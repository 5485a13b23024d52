"""What travels, as values: owned rows, commits, and the edits a person asks for.

Ids are bytes: a device id and a record id have 16, a feed id 44, a hash 32. How these values
become bytes on a wire is the protocol's business.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import TYPE_CHECKING, Final, NamedTuple, NewType

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from registry.hlc import Stamp

DeviceId = NewType("DeviceId", bytes)
RecordId = NewType("RecordId", bytes)
FeedId = NewType("FeedId", bytes)

Value = object
"""A field's value: None, bool, int, float, str, bytes, or lists and maps of these; or UNSET."""


class Unset(Enum):
    """The type of UNSET."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET
"""What a register is written with to be as if it had never been written; None says that it is empty."""

FieldKey = tuple[str, str | None]
"""A register within a record: (field, subkey); the subkey names a map's entry or a set's element,
and is None for a plain field."""

WHOLE_LIBRARY = bytes(16)
"""The audience of everything that all members may see."""
LIFE_BYTES: Final = 28
"""Of a feed's id: device and incarnation, the same in all branches of a feed."""


class Incarnation(NamedTuple):
    """One lifetime of an owner's counters, ordered as a pair."""

    generation: int
    nonce: bytes

    def pack(self) -> bytes:
        """Return 12 bytes that compare as the pair does."""
        return self.generation.to_bytes(4, "big") + self.nonce

    @classmethod
    def parse(cls, data: bytes) -> Incarnation:
        """Return the incarnation in 12 bytes made by `pack`."""
        return cls(int.from_bytes(data[:4], "big"), bytes(data[4:12]))


def feed_id(device: bytes, incarnation: Incarnation, audience: bytes = WHOLE_LIBRARY) -> FeedId:
    """Return the id of a device's feed in one incarnation for one audience (44 bytes).

    Its byte order is the tie-break between writes of equal stamp.
    """
    return FeedId(device + incarnation.pack() + audience)


def is_branch(feed: bytes) -> bool:
    """Return whether a feed is what follows a fork: its audience is taken from its first commit."""
    return not feed.endswith(WHOLE_LIBRARY)


def feed_device(feed: bytes) -> DeviceId:
    """Return the device that writes a feed."""
    return DeviceId(bytes(feed[:16]))


def feed_incarnation(feed: bytes) -> Incarnation:
    """Return the incarnation that a feed belongs to."""
    return Incarnation.parse(feed[16:28])


class Position(NamedTuple):
    """A place in the log: the seq-th commit of a feed, from 1, without gaps."""

    feed: bytes
    seq: int


Dot = Position
"""The position of the create or restore that made a record alive."""


# --- device-owned state ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StateChange:
    """Rows of one model by one owner, in columns, as one idempotent upsert.

    `columns` names the values of each row after its first two: a row is (uuid, rev, value, …).
    References are uuids. `dead` marks rows that are deleted at their owner and only sent because
    something here still refers to them. `removed` are tombstones: (uuid, rev).
    """

    model: str
    owner: DeviceId
    incarnation: Incarnation
    columns: tuple[str, ...]
    rows: Sequence[tuple[object, ...]] = ()
    removed: Sequence[tuple[bytes, int]] = ()
    dead: frozenset[bytes] = frozenset()


# --- shared records -------------------------------------------------------------------------------


class Form(IntEnum):
    """What a change does to a record."""

    CREATE = 0
    UPDATE = 1
    DELETE = 2
    RESTORE = 3
    DISMISS = 4


class WriteRef(NamedTuple):
    """Names one write in the log: (feed, seq, place of the change in its commit) and its stamp."""

    stamp: Stamp
    feed: bytes
    seq: int
    place: int


class Guard(NamedTuple):
    """How often a record had been locked or unlocked when something was written, and by what last.

    Writes are ordered by their guards first, so what was written without having seen a lock loses
    to it, whatever the clocks say. Of locks that had not seen each other the earlier is the
    greater. `stamp` is None in a change that locks or unlocks: the guard is its own.
    """

    level: int = 0
    stamp: Stamp | None = None
    feed: bytes = b""

    @property
    def order(self) -> tuple[int, int, bytes]:
        """Return what guards are compared by."""
        since = 0 if self.stamp is None else int.from_bytes(self.stamp.pack(), "big")
        return self.level, -since, self.feed


UNGUARDED = Guard()
MAX_GUARD: Final = 1 << 20
"""The highest level of a guard: more often a record is not locked. A rule of validity."""

LOCK_FIELD = "@lock"
"""The register of a record's lock: True while locked, the packed guard of the lock afterwards."""


class FieldWrite(NamedTuple):
    """One register set to a value, replacing the writes in `over` that its author saw."""

    field: str
    subkey: str | None
    value: Value
    over: tuple[WriteRef, ...] = ()


@dataclass(frozen=True, slots=True)
class SharedChange:
    """One change of one shared record inside a commit.

    `dots` are those the author saw (update, delete). `writes` set registers (create, update,
    restore); those of a dismissal set nothing, they only name losers in `over`. `seen` names whole
    changes that its author had before its eyes: those whose writes a delete takes away, or the
    deletes that a restore takes back or a dismissal lets rest (a delete without dots does so, too);
    of a create or an update also changes of other records, which it repeats.
    `guard` is the lock that it was written under.
    """

    form: Form
    model: str
    record: RecordId
    dots: tuple[Dot, ...] = ()
    writes: tuple[FieldWrite, ...] = ()
    seen: tuple[WriteRef, ...] = ()
    guard: Guard = UNGUARDED


class CommitKind(Enum):
    """Why a commit was written."""

    NORMAL = "normal"
    CLOSING = "closing"
    LATER = "later"
    """For a reason that only later versions know; it waits for one of them."""


class Dependency(NamedTuple):
    """A feed head that was applied at the author when it wrote."""

    feed: bytes
    seq: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class CommitHeader:
    """What an author signs; the body is bound through its hash."""

    library: bytes
    feed: FeedId
    seq: int
    stamp: Stamp
    previous: bytes
    membership: bytes
    command: str
    command_id: bytes
    body_hash: bytes
    body_bytes: int
    dependencies: tuple[Dependency, ...] = ()
    part: int = 1
    parts: int = 1
    kind: CommitKind = CommitKind.NORMAL
    data: Mapping[str, Value] = field(default_factory=dict)
    """What the command was about, in a few words, for the history."""

    @property
    def position(self) -> Position:
        """Where this commit stands."""
        return Position(self.feed, self.seq)


@dataclass(frozen=True, slots=True)
class SharedRow:
    """What is to be visible of one record after a merge: its fields, or None if it is not alive.

    This is what a model's apply function gets. Map fields are dicts, set fields sorted lists;
    fields that were never written are absent. Registers whose field the model does not know come
    along too, so that nothing is lost. `order` is the least write in effect: where records compete
    (edges of a tree), the one of least order was there first.
    """

    record: RecordId
    fields: Mapping[str, Value] | None
    order: WriteRef | None = None


# --- what a person asks for -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Create:
    """Make a record with these fields; keys are a field or (field, subkey).

    `repeats` names changes of other records that say the same of what is one with this.
    """

    model: str
    record: bytes
    fields: Mapping[str | tuple[str, str], Value] = field(default_factory=dict)
    repeats: tuple[WriteRef, ...] = ()


@dataclass(frozen=True, slots=True)
class Update:
    """Write these fields of a living record; None as the value of a (field, subkey) removes it.

    UNSET makes a field as if it had never been written.
    `settles` names the losers of a conflict over these fields that these values decide.
    `unseen` are writes in effect that are replaced as by somebody who had not seen them: whoever
    takes back how a conflict was decided wants the other value to be listed as its loser again.
    Without their stamps to go by, the author has to know that its own will be above them.
    `as_of` is the stamp of a value that is said once more: this comes right behind that one, and not
    after all that was said since. `repeats` is as with a create.
    """

    model: str
    record: bytes
    fields: Mapping[str | tuple[str, str], Value]
    settles: tuple[WriteRef, ...] = ()
    unseen: tuple[WriteRef, ...] = ()
    as_of: Stamp | None = None
    repeats: tuple[WriteRef, ...] = ()


@dataclass(frozen=True, slots=True)
class Delete:
    """Take a living record away.

    What only the changes in `unseen` have written is listed as lost, as with an update.
    """

    model: str
    record: bytes
    unseen: tuple[WriteRef, ...] = ()


@dataclass(frozen=True, slots=True)
class Restore:
    """Bring a deleted record back with the values it had, but for `fields`.

    `settles` names the losers of a conflict that `fields` decide. The deletes in `unseen` are listed
    as lost, as with an update.
    """

    model: str
    record: bytes
    fields: Mapping[str | tuple[str, str], Value] = field(default_factory=dict)
    settles: tuple[WriteRef, ...] = ()
    unseen: tuple[WriteRef, ...] = ()


@dataclass(frozen=True, slots=True)
class Lock:
    """Freeze a living record as it is: others' edits that had not seen this lose to it."""

    model: str
    record: bytes


@dataclass(frozen=True, slots=True)
class Unlock:
    """Let everybody edit a locked record again."""

    model: str
    record: bytes


@dataclass(frozen=True, slots=True)
class Dismiss:
    """Let these losers of conflicts rest: writes by their register, and deletes."""

    model: str
    record: bytes
    losers: tuple[tuple[FieldKey, WriteRef], ...] = ()
    deletes: tuple[WriteRef, ...] = ()


@dataclass(frozen=True, slots=True)
class Lose:
    """List values of a living record as lost against what it shows; nothing else comes of it.

    They were said of another record that is the same thing, whose `dots` are all that was seen then.
    `as_of` and `repeats` are as with an update.
    """

    model: str
    record: bytes
    fields: Mapping[str | tuple[str, str], Value]
    dots: tuple[Dot, ...]
    as_of: Stamp | None = None
    repeats: tuple[WriteRef, ...] = ()


Edit = Create | Update | Delete | Restore | Lock | Unlock | Dismiss | Lose

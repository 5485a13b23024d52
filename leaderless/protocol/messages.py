"""The messages of a session, as values. What they mean and when they may come is in PROTOCOL.md."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from leaderless.protocol.membership import Signed
    from leaderless.protocol.reconcile import Answer, Range
    from registry.changes import Incarnation, StateChange

PROTOCOL_VERSION = (1, 1)
"""Major and minor; another major cannot be talked with."""
SENDS_RECORDS = (1, 1)
"""From this version on a peer knows `PullRecords` and `Records`, and commits without their bodies."""
READS_COLUMNS = (1, 1)
"""From this version on a peer can read rows as columns."""


class OwnedPosition(NamedTuple):
    """How much of an owner's state somebody holds: one incarnation of it, up to `watermark`."""

    incarnation: Incarnation
    watermark: int

    def behind(self, other: OwnedPosition) -> bool:
        """Return whether `other` holds more than this."""
        return self < other


class FeedPosition(NamedTuple):
    """How much of a feed somebody has stored, and how much of that has taken effect."""

    received: int
    applied: int


@dataclass(frozen=True, slots=True)
class Vectors:
    """All positions of a replica, or those that changed."""

    owned: Mapping[bytes, OwnedPosition] = field(default_factory=dict)
    feeds: Mapping[bytes, FeedPosition] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Hello:
    """The first message of each side."""

    version: tuple[int, int]
    library: bytes
    incarnation: Incarnation
    models: Mapping[str, int]
    membership: bytes
    vectors: bytes
    wall_ms: int
    software: str
    yours: OwnedPosition | None = None
    """The newest of the receiver's own positions that the sender holds."""


@dataclass(frozen=True, slots=True)
class Statements:
    """Membership statements; the receiver keeps those it lacks."""

    statements: tuple[Signed, ...]


@dataclass(frozen=True, slots=True)
class Positions:
    """Durable positions: acknowledges what the receiver sent, announces what came from others."""

    vectors: Vectors
    whole: bool = False
    """Whether these are all positions, so that what is not named is not held."""


@dataclass(frozen=True, slots=True)
class PullState:
    """Asks for an owner's rows above `lo`, up to what the source holds.

    `known` names a word of the owner (`protocol.checkpoint.name_of`) that needs not be said again where
    nothing else is to be said.
    """

    owner: bytes
    incarnation: Incarnation
    lo: int
    known: bytes = b""


@dataclass(frozen=True, slots=True)
class StateBatch:
    """Rows and tombstones of one owner with lo < rev <= hi, and the ancestors they need.

    `head` is the source's own watermark in the snapshot that filled the batch, `as_of` the highest
    head it has seen itself (its copy is exact where they are equal), `checkpoint` the
    newest signed word of the owner that the source has. An introduction carries the sender's
    own device row and moves no watermark. `floor` is the owner's newest word on the tombstones that it
    has dropped, if there is one.
    """

    owner: bytes
    incarnation: Incarnation
    lo: int
    hi: int
    head: int
    as_of: int
    changes: tuple[StateChange, ...]
    checkpoint: bytes = b""
    introduction: bool = False
    floor: bytes = b""


@dataclass(frozen=True, slots=True)
class PullLog:
    """Asks for the commits of a feed after `after`."""

    feed: bytes
    after: int


@dataclass(frozen=True, slots=True)
class SignedCommit:
    """A commit as it travels and is stored: the bytes that were signed.

    The body is empty where it was forgotten; no body that was signed is.
    """

    header: bytes
    signature: bytes
    body: bytes


@dataclass(frozen=True, slots=True)
class LogBatch:
    """Commits of one feed in order, the first at `after` + 1; `head` is what the source has."""

    feed: bytes
    after: int
    head: int
    commits: tuple[SignedCommit, ...]


@dataclass(frozen=True, slots=True)
class PullRecords:
    """Asks for the state of the shared records that come after `after`, empty for the first ones."""

    after: bytes


@dataclass(frozen=True, slots=True)
class Records:
    """The state of some shared records in the order of (model, uuid), the first after `after`.

    They were read when the source had applied `as_of`, of each feed so many commits. Each is as
    `protocol.transfer` packs it; `done` says that there are no more. `heads` are the hashes of the
    commits at `as_of`: behind a fork equal numbers are of different commits.
    """

    after: bytes
    as_of: Mapping[bytes, int]
    records: tuple[bytes, ...]
    done: bool
    heads: Mapping[bytes, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Credit:
    """`amount` bytes of data are durable here (or were dropped); as many more may come."""

    amount: int


@dataclass(frozen=True, slots=True)
class Proof:
    """What a replica holds, in two digests: its positions, and the set hashes at these."""

    vectors: bytes
    state: bytes


@dataclass(frozen=True, slots=True)
class Compare:
    """Asks what is in these ranges of uuids; the whole of them begins a comparison."""

    ranges: tuple[Range, ...]


@dataclass(frozen=True, slots=True)
class Compared:
    """Answers a Compare, range by range; nothing at all where the sender has no time for it."""

    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class Ping:
    """Asks for a Pong; silence ends a connection."""


@dataclass(frozen=True, slots=True)
class Pong:
    """Answers a Ping."""


@dataclass(frozen=True, slots=True)
class Bye:
    """The last message: why the sender leaves, as a stable code and in words."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """A message of a kind that a later minor version brings; what it says is not looked at."""

    kind: int


Message = (
    Hello
    | Statements
    | Positions
    | PullState
    | StateBatch
    | PullLog
    | LogBatch
    | PullRecords
    | Records
    | Credit
    | Proof
    | Compare
    | Compared
    | Ping
    | Pong
    | Bye
    | Unknown
)

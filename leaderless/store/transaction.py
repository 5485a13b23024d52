"""The transaction manager: a local edit is one transaction.

Rows, registers, commit, clock, cursor, set hash and checkpoint change together or not at all; what
leaves the machine is read from the database afterwards, so nothing leaves before it is durable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from leaderless.errors import NotFoundError, UsageError
from leaderless.protocol import hashing
from leaderless.protocol.checkpoint import DOMAIN as CHECKPOINT_DOMAIN
from leaderless.protocol.checkpoint import Checkpoint
from leaderless.protocol.floor import DOMAIN as FLOOR_DOMAIN
from leaderless.protocol.floor import Floor
from leaderless.store import meta, own_words, state
from leaderless.store.command import About, Command
from leaderless.store.own_rows import with_revs
from leaderless.store.restoring import check_may_write
from leaderless.store.revocations import check_may_share
from registry.changes import DeviceId, StateChange, feed_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sqlalchemy import Connection

    from leaderless.store.progress import Progress
    from leaderless.store.state import Copy
    from registry.changes import Dependency, Edit, Value
    from registry.models import Registry


class Transaction:
    """One write, valid inside the function that got it; its thread is the writer's."""

    def __init__(
        self,
        connection: Connection,
        registry: Registry,
        sign: Callable[[bytes], bytes],
        now_ms: int,
        command_id: Callable[[], bytes],
        progress: Progress,
    ) -> None:
        self.conn = connection
        self.registry = registry
        self.now_ms = now_ms
        self._sign = sign
        self._command_id = command_id
        self.progress = progress
        self._own: Copy | None = None
        self._own_device: DeviceId | None = None
        self._may_write = False
        self.facts_changed = False

    @property
    def own_device(self) -> DeviceId:
        """Return this device's id."""
        if self._own_device is None:
            self._own_device = DeviceId(meta.get(self.conn, meta.OWN_DEVICE))
        return self._own_device

    # --- owned rows -------------------------------------------------------------------------------

    def put(self, model: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
        """Upsert own rows: `columns` begin with "uuid"; parents before children.

        References are uuids; 0/1 stand for booleans. Revs are given in the order of the rows.
        """
        if not columns or columns[0] != "uuid":
            raise UsageError("the first column of owned rows is uuid")
        own = self._writable_copy()
        revved = with_revs(model, rows, own.watermark + 1)
        self._apply_own(
            StateChange(model, DeviceId(own.owner), own.incarnation, tuple(columns[1:]), revved),
            len(rows),
        )

    def drop(self, model: str, uuids: Sequence[bytes]) -> None:
        """Delete own rows, children first: one tombstone each, nothing cascades."""
        own = self._writable_copy()
        removed = [(uuid, own.watermark + at) for at, uuid in enumerate(uuids, start=1)]
        self._apply_own(
            StateChange(model, DeviceId(own.owner), own.incarnation, (), (), removed), len(uuids)
        )

    def _writable_copy(self) -> Copy:
        """Return our own copy; raises RestoringError, ClonedError where nothing may be added to it."""
        if not self._may_write:
            check_may_write(self.conn)
            self._may_write = True
        return self._own_copy()

    def _own_copy(self) -> Copy:
        if self._own is None:
            self._own = state.copy_of(self.conn, self.own_device)
        if self._own is None:
            raise NotFoundError("this file has no library yet", hint="leaderless init")
        return self._own

    def _apply_own(self, change: StateChange, revs: int) -> None:
        if self.registry.get(change.model) is None:
            raise UsageError(f"there is no model {change.model}")
        own = self._own_copy()
        count, total = state.apply_changes(self.conn, self.registry, own, [change])
        rev = own.watermark + revs
        self._own = own._replace(
            watermark=rev,
            as_of=rev,
            row_count=own.row_count + count,
            set_hash=hashing.add(own.set_hash, total),
        )

    def sign_anew(self) -> None:
        """Have `finish` sign a checkpoint though no row changed: the incarnation or library did."""
        self._own = None
        self._own_copy()

    def finish(self) -> None:
        """Sign the checkpoint of what changed; the store calls this before it commits."""
        own = self._own
        if own is None or own.verified == own.watermark:
            return
        word = Checkpoint(
            meta.get(self.conn, meta.LIBRARY),
            own.owner,
            own.incarnation,
            own.watermark,
            own.row_count,
            own.set_hash,
        )
        own_words.add(self.conn, word)
        said = word.encode()
        record = self._sign(CHECKPOINT_DOMAIN + said) + said
        self._own = own._replace(
            verified=own.watermark, checkpoint=record, checkpoint_rev=own.watermark
        )
        state.put_copy(self.conn, self._own)

    def raise_floor(self, rev: int) -> None:
        """Say, signed, that of what we deleted up to `rev` nothing is told any more."""
        own = self._own_copy()
        said = Floor(meta.get(self.conn, meta.LIBRARY), own.owner, own.incarnation, rev).encode()
        word = self._sign(FLOOR_DOMAIN + said) + said
        self._own = own._replace(floor=rev, floor_word=word, base=rev)
        state.put_copy(self.conn, self._own)

    # --- shared records ---------------------------------------------------------------------------

    def commit(
        self, command: str, edits: Iterable[Edit], data: Mapping[str, Value] | None = None
    ) -> bytes:
        """Write one user action as one signed commit (or parts that apply together).

        `data` says in a few words what the command was about; `edits` are taken one by one, of a
        record at most one of today and one `as_of` each stamp, beside what is to be listed as lost and
        what is not to be.
        Returns its command id. Raises UsageError if an edit cannot be meant, LockedRecordError,
        RevokedError; the transaction has to fail as a whole then.
        """
        check_may_share(self.conn)
        own = self._writable_copy()
        command_id = self._command_id()
        feed = feed_id(self.own_device, own.incarnation)
        writing = Command(
            self.conn, self.registry, self.now_ms, self.own_device, feed, self.progress
        )
        writing.write(About(command, command_id, data or {}), edits, self._sign)
        return command_id

    def close_feeds(
        self, command: str, data: Mapping[str, Value], heads: Sequence[Dependency]
    ) -> None:
        """Write a closing commit: it changes nothing, and refers to `heads` in any case."""
        own = self._own_copy()
        feed = feed_id(self.own_device, own.incarnation)
        writing = Command(
            self.conn, self.registry, self.now_ms, self.own_device, feed, self.progress
        )
        writing.close_feeds(About(command, self._command_id(), data), heads, self._sign)

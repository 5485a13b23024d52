"""The transaction manager: a local edit is one transaction.

Rows, registers, commit, clock, cursor, set hash and checkpoint change together or not at all; what
leaves the machine is read from the database afterwards, so nothing leaves before it is durable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from leaderless.errors import NotFoundError, NotPermittedError, UsageError
from leaderless.protocol import commits, hashing, limits
from leaderless.protocol.checkpoint import DOMAIN as CHECKPOINT_DOMAIN
from leaderless.protocol.checkpoint import Checkpoint
from leaderless.protocol.errors import InvalidCommitError
from leaderless.protocol.messages import SignedCommit
from leaderless.protocol.packing import pack
from leaderless.store import log, meta, state
from leaderless.store.registers import Records
from registry.authoring import change_for
from registry.changes import (
    UNSET,
    CommitHeader,
    Dependency,
    DeviceId,
    Edit,
    SharedChange,
    StateChange,
    feed_id,
)
from registry.errors import InvalidChangeError, LockedError
from registry.hlc import stamp_above
from registry.merge import highest_seen
from registry.models import FieldKind
from registry.state import visible_fields

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy import Connection

    from leaderless.store.state import Copy
    from registry.changes import Value
    from registry.models import Registry
    from registry.state import RecordState

# Half of what a body may have: the split is by packed changes, feeds come on top.
_PART_BYTES = limits.MAX_BODY_BYTES // 2


class LockedRecordError(NotPermittedError):
    """Another device holds a record locked; `by` is its id."""

    code = "locked"

    def __init__(self, error: LockedError, name: str, holder: str) -> None:
        super().__init__(
            f"{error.model} {name} is locked by {holder}",
            hint=f"leaderless unlock {error.record.hex()}",
        )
        self.by = error.by


class _About(NamedTuple):
    """What all parts of one command say of it."""

    command: str
    command_id: bytes
    data: Mapping[str, Value]
    parts: int


class Transaction:
    """One write, valid inside the function that got it; its thread is the writer's."""

    def __init__(
        self,
        connection: Connection,
        registry: Registry,
        sign: Callable[[bytes], bytes],
        now_ms: int,
        command_id: Callable[[], bytes],
    ) -> None:
        self.conn = connection
        self.registry = registry
        self.now_ms = now_ms
        self._sign = sign
        self._command_id = command_id
        self._own: Copy | None = None
        self._own_device: DeviceId | None = None
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
        own = self._own_copy()
        revved = [
            (row[0], own.watermark + at, *(int(v) if isinstance(v, bool) else v for v in row[1:]))
            for at, row in enumerate(rows, start=1)
        ]
        if any(len(pack(row)) > limits.MAX_ROW_BYTES for row in revved):
            raise UsageError(f"a row of {model} is larger than what other devices take")
        self._apply_own(
            StateChange(model, DeviceId(own.owner), own.incarnation, tuple(columns[1:]), revved),
            len(rows),
        )

    def drop(self, model: str, uuids: Sequence[bytes]) -> None:
        """Delete own rows, children first: one tombstone each, nothing cascades."""
        own = self._own_copy()
        removed = [(uuid, own.watermark + at) for at, uuid in enumerate(uuids, start=1)]
        self._apply_own(
            StateChange(model, DeviceId(own.owner), own.incarnation, (), (), removed), len(uuids)
        )

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
        said = Checkpoint(
            meta.get(self.conn, meta.LIBRARY),
            own.owner,
            own.incarnation,
            own.watermark,
            own.row_count,
            own.set_hash,
        ).encode()
        record = self._sign(CHECKPOINT_DOMAIN + said) + said
        self._own = own._replace(
            verified=own.watermark, checkpoint=record, checkpoint_rev=own.watermark
        )
        state.put_copy(self.conn, self._own)

    # --- shared records ---------------------------------------------------------------------------

    def commit(
        self, command: str, edits: Sequence[Edit], data: Mapping[str, Value] | None = None
    ) -> bytes:
        """Write one user action as one signed commit (or parts that apply together).

        `data` says in a few words what the command was about. Returns its command id. Raises
        UsageError if an edit cannot be meant; nothing is changed then, as the transaction fails as
        a whole.
        """
        records = Records(self.conn, self.registry, self.now_ms)
        command_id = self._command_id()
        parts = self._parts(records, edits)
        feed = log.feed_of(self.conn, feed_id(self.own_device, self._own_copy().incarnation))
        about = _About(command, command_id, data or {}, len(parts))
        for part, changes in enumerate(parts, start=1):
            feed = self._append(records, feed, about, part, changes)
        records.save()
        return command_id

    def _parts(self, records: Records, edits: Sequence[Edit]) -> list[list[SharedChange]]:
        """Return the changes that do `edits`, cut where a commit would break its bounds."""
        parts: list[list[SharedChange]] = [[]]
        size = 0
        seen: set[tuple[str, bytes]] = set()
        records.load((edit.model, edit.record) for edit in edits)
        for edit in edits:
            key = (edit.model, bytes(edit.record))
            if key in seen:
                raise UsageError("one command edits a record twice")
            seen.add(key)
            self._check(edit)
            try:
                change = change_for(edit, records.state(*key), self.own_device)
            except InvalidChangeError as error:
                raise UsageError(str(error)) from error
            except LockedError as error:
                raise self._locked(error, records.state(*key)) from error
            cost = len(commits.encode_body([change]))
            if parts[-1] and (len(parts[-1]) >= limits.MAX_CHANGES or size + cost > _PART_BYTES):
                parts.append([])
                size = 0
            parts[-1].append(change)
            size += cost
        if not parts[-1]:
            raise UsageError("a command without an edit")
        return parts

    def _locked(self, error: LockedError, state: RecordState) -> LockedRecordError:
        """Return the refusal in names that people know."""
        fields = visible_fields(state)
        named = (fields.get(name) for name in ("canonical_name", "name", "title"))
        name = next((f"“{text}”" for text in named if isinstance(text, str)), error.record.hex())
        holder = self.conn.exec_driver_sql(
            "SELECT name FROM device WHERE uuid = ? AND dead = 0", (error.by,)
        ).scalar()
        return LockedRecordError(error, name, str(holder or bytes(error.by).hex()[:8]))

    def _check(self, edit: Edit) -> None:
        """Raise UsageError where an edit names a model or field that is not there."""
        model = self.registry.get(edit.model)
        if model is None or model.apply_shared_change is None:
            raise UsageError(f"there is no shared model {edit.model}")
        for key, value in getattr(edit, "fields", {}).items():
            name, subkey = (key, None) if isinstance(key, str) else key
            item = model.field(name)
            if item is None or (item.kind is FieldKind.PLAIN) != (subkey is None):
                raise UsageError(f"{edit.model} has no field {name}")
            if subkey == "":
                raise UsageError(f"{edit.model}.{name} needs a key or element that is not empty")
            if value is not UNSET and not item.accepts(value):
                raise UsageError(f"{edit.model}.{name} cannot be {value!r}")

    def _append(
        self,
        records: Records,
        feed: log.Feed,
        about: _About,
        part: int,
        changes: Sequence[SharedChange],
    ) -> log.Feed:
        tag = int.from_bytes(self.own_device[-6:], "big")
        clock, tick = meta.clock(self.conn).tick(self.now_ms, tag)
        body = commits.encode_body(changes)
        header = CommitHeader(
            library=meta.get(self.conn, meta.LIBRARY),
            feed=feed_id(self.own_device, self._own_copy().incarnation),
            seq=feed.received + 1,
            stamp=stamp_above(tick, highest_seen(changes)),
            previous=feed.received_hash,
            membership=meta.get(self.conn, meta.MEMBERSHIP),
            command=about.command,
            command_id=about.command_id,
            body_hash=hashing.digest(body),
            body_bytes=len(body),
            data=about.data,
            dependencies=self._dependencies(feed),
            part=part,
            parts=about.parts,
        )
        packed = commits.encode_header(header)
        try:
            commits.decode_body(commits.decode_header(packed), body)
        except InvalidCommitError as error:
            raise UsageError(f"no other device would take this: {error}") from error
        signed = SignedCommit(packed, self._sign(commits.signed_part(packed)), body)
        received = log.Received(header, tuple(changes), signed, hashing.digest(packed))
        if not log.receive(self.conn, received, self.now_ms):
            raise UsageError("the own feed is closed; this device needs a new incarnation")
        meta.put_clock(self.conn, clock)
        feed = log.feed_of(self.conn, feed.feed)
        return log.take(self.conn, records, feed, received, self.now_ms)

    def _dependencies(self, own: log.Feed) -> tuple[Dependency, ...]:
        """Return the heads applied here that changed since our last commit, and mark them told."""
        needed = [
            feed
            for feed in log.feeds(self.conn)
            if feed.feed != own.feed and feed.applied > feed.told
        ]
        for feed in needed:
            log.put_feed(self.conn, feed._replace(told=feed.applied))
        return tuple(Dependency(feed.feed, feed.applied, feed.applied_hash) for feed in needed)

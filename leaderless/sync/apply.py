"""What peers send, made durable: signatures first, then one transaction.

A connection proves which device relays; signatures prove who owns. Nothing is kept of a message
that breaks a rule.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from leaderless.errors import NotPermittedError
from leaderless.identity import certificate_key, device_id, verify
from leaderless.protocol import checkpoint as checkpoints
from leaderless.protocol import commits, limits, membership
from leaderless.protocol.errors import InvalidCommitError, ProtocolError
from leaderless.protocol.hashing import digest
from leaderless.protocol.messages import LogBatch, StateBatch, Statements
from leaderless.store import log, meta, state
from leaderless.store.statements import keep_statements, statements
from registry.errors import RegistryError
from registry.hlc import is_from_future
from registry.merge import highest_seen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from leaderless.protocol.checkpoint import Checkpoint
    from leaderless.protocol.membership import Membership
    from leaderless.protocol.messages import SignedCommit
    from leaderless.store.store import Store
    from leaderless.store.transaction import Transaction


class NotAMemberError(NotPermittedError):
    """Data of a device that no statement makes a member."""

    code = "not_a_member"


class UnverifiedError(ProtocolError):
    """Data that its owner's signature does not cover."""

    code = "unverified"


class RefusedError(ProtocolError):
    """A change that cannot be applied; the cause is chained."""

    code = "refused"


class Outcome(NamedTuple):
    """What became of a message."""

    used: bool
    notes: tuple[tuple[str, Mapping[str, object]], ...] = ()
    distrusted: bytes | None = None
    """The device whose relayed rows were not what their owner had signed."""


def _reaches(batch: StateBatch) -> int:
    """Return the highest rev that a batch speaks of."""
    rows = [int(str(row[1])) for change in batch.changes for row in change.rows]
    gone = [rev for change in batch.changes for _, rev in change.removed]
    return max(batch.hi, batch.head, batch.as_of, *rows, *gone)


class Applier:
    """Applies what peers send to the store, by what the members' keys have signed."""

    def __init__(self, store: Store, members: Membership) -> None:
        self._store = store
        self.members = members

    def keys(self) -> dict[bytes, bytes]:
        """Return the public key of every member by device id."""
        return {device_id(key): key for key in self.members.members}

    async def apply(self, message: StateBatch | LogBatch | Statements, sender: bytes) -> Outcome:
        """Apply what the device `sender` sent; raises ProtocolError or NotAMemberError."""
        try:
            if isinstance(message, Statements):
                return await self._statements(message)
            if isinstance(message, StateBatch):
                return await self._state(message, sender)
            return await self._log(message)
        except RegistryError as error:
            raise RefusedError(str(error)) from error

    async def _statements(self, message: Statements) -> Outcome:
        for signed in message.statements:
            said = membership.decode(signed.body)
            certificate_key(said.certificate)
            covered = membership.signed_part(signed.body)
            if not verify(said.author_key, signed.signature, covered):
                raise UnverifiedError("a membership statement is not signed by its author")

        def write(transaction: Transaction) -> Membership:
            held = statements(transaction.conn)
            everything = {signed.hash: signed for signed in (*held, *message.statements)}
            # A peer sends all that it holds, so what does not count with it never will: it is noise.
            counted = membership.counted(
                self._store.library, tuple(everything.values()), certificate_key
            )
            if len(counted) > limits.MAX_STATEMENTS:
                raise UnverifiedError(
                    "there are more membership statements than a library may have"
                )
            fresh = [signed for signed in message.statements if signed.hash in counted]
            keep_statements(transaction.conn, fresh, transaction.now_ms)
            kept = statements(transaction.conn)
            members = membership.membership_of(self._store.library, kept, certificate_key)
            meta.put(transaction.conn, meta.MEMBERSHIP, members.digest)
            return members

        self.members = await self._store.write(write)
        return Outcome(used=True)

    async def _state(self, batch: StateBatch, sender: bytes) -> Outcome:
        said = self._checkpoint(batch, sender)

        relayed = sender != batch.owner

        def write(transaction: Transaction) -> tuple[state.Merged, bytes | None]:
            connection, registry = transaction.conn, self._store.registry
            merged = state.apply_batch(connection, registry, batch, said)
            if relayed and merged.used:
                meta.put(connection, meta.relayed(batch.owner), sender)
            relay = meta.get(connection, meta.relayed(batch.owner))
            if merged.copy.verified == merged.copy.watermark or relay is None:
                meta.drop(connection, meta.relayed(batch.owner))
            elif merged.copy.fault is not None:
                # Somebody else's rows are among these, whoever sent the last of them.
                state.forget(connection, registry, merged.copy)
                meta.drop(connection, meta.relayed(batch.owner))
            return merged, relay

        merged, relay = await self._store.write(write)
        if merged.copy.fault is None:
            return Outcome(merged.used)
        about = {"owner": batch.owner, "from": relay or sender, "why": merged.copy.fault}
        return Outcome(merged.used, (("state_differs", about),), relay)

    def _checkpoint(self, batch: StateBatch, sender: bytes) -> Checkpoint | None:
        """Return the owner's verified word that comes with a batch."""
        key = self.keys().get(batch.owner)
        if key is None:
            raise NotAMemberError("rows of a device that is no member were offered")
        if batch.owner == self._store.own_device:
            raise UnverifiedError("rows of this device were offered to it by another")
        if batch.introduction and sender != batch.owner:
            raise UnverifiedError("a device is introduced by itself only")
        if not batch.checkpoint:
            if sender != batch.owner:
                raise UnverifiedError("relayed rows came without a checkpoint of their owner")
            return None
        said = checkpoints.decode(batch.checkpoint)
        signature, covered = checkpoints.signed_part(batch.checkpoint)
        if not verify(key, signature, covered):
            raise UnverifiedError("a checkpoint is not signed by its owner")
        about = (said.library, said.owner, said.incarnation)
        if about != (self._store.library, batch.owner, batch.incarnation):
            raise UnverifiedError("a checkpoint speaks of another state")
        if sender != batch.owner and _reaches(batch) > said.rev:
            raise UnverifiedError("relayed rows go beyond the checkpoint of their owner")
        return said

    async def _log(self, batch: LogBatch) -> Outcome:
        key = self.keys().get(batch.feed[:16])
        if key is None:
            raise NotAMemberError("commits of a device that is no member were offered")
        wall_ms = self._store.now_ms()

        def write(transaction: Transaction) -> tuple[bool, list[bytes]]:
            feed = log.feed_of_or_none(transaction.conn, batch.feed)
            if batch.after > (0 if feed is None else feed.received):
                return False, []
            ahead: list[bytes] = []
            for signed in batch.commits:
                commit = self._commit(key, batch.feed, signed)
                new = log.receive(transaction.conn, commit, transaction.now_ms)
                overwritten = highest_seen(commit.changes)
                if new and is_from_future(commit.header.stamp, overwritten, wall_ms):
                    ahead.append(batch.feed[:16])
            log.apply_ready(transaction.conn, self._store.registry, transaction.now_ms)
            return True, ahead

        used, ahead = await self._store.write(write)
        return Outcome(used, tuple(("future_stamp", {"device": author}) for author in set(ahead)))

    def _commit(self, key: bytes, feed: bytes, signed: SignedCommit) -> log.Received:
        header = commits.decode_header(signed.header)
        if header.feed != feed or header.library != self._store.library:
            raise InvalidCommitError("a commit belongs to another feed or library")
        if not verify(key, signed.signature, commits.signed_part(signed.header)):
            raise InvalidCommitError("a commit is not signed by the device whose feed it is in")
        changes = commits.decode_body(header, signed.body)
        return log.Received(header, changes, signed, digest(signed.header))

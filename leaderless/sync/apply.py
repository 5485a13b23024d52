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
from leaderless.store import closing, log, meta, restoring, state
from leaderless.store.incarnations import begin_incarnation
from leaderless.store.statements import statements, take_statements
from registry.changes import feed_id, feed_incarnation
from registry.errors import RegistryError
from registry.hlc import is_from_future
from registry.merge import highest_seen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy import Connection

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


Notes = tuple[tuple[str, "Mapping[str, object]"], ...]


class Outcome(NamedTuple):
    """What became of a message."""

    used: bool
    notes: Notes = ()
    distrusted: bytes | None = None
    """The device whose relayed rows were not what their owner had signed."""


def _comings_and_goings(was: Membership, now: Membership) -> Notes:
    """Return who is a member and was none, and the other way round."""
    came = [key for key in now.members if key not in was.members]
    went = [key for key in was.members if key not in now.members]
    return (
        *(("member_added", {"device": device_id(key)}) for key in came),
        *(("member_revoked", {"device": device_id(key)}) for key in went),
    )


def _reaches(batch: StateBatch) -> int:
    """Return the highest rev that a batch speaks of."""
    rows = [int(str(row[1])) for change in batch.changes for row in change.rows]
    gone = [rev for change in batch.changes for _, rev in change.removed]
    return max(batch.hi, batch.head, batch.as_of, *rows, *gone)


class Applier:
    """Applies what peers send to the store, by what the members' keys have signed."""

    def __init__(self, store: Store, members: Membership, nonce: Callable[[], bytes]) -> None:
        """Apply to `store`; `nonce` names a new incarnation where this device needs one."""
        self._store = store
        self.members = members
        self._nonce = nonce

    def keys(self) -> dict[bytes, bytes]:
        """Return the public key of everybody who is or was a member, by device id."""
        everybody = (*self.members.members, *self.members.former)
        return {device_id(key): key for key in everybody}

    def is_member(self, device: bytes) -> bool:
        """Return whether a device is a member now."""
        return any(device_id(key) == device for key in self.members.members)

    async def apply(self, message: StateBatch | LogBatch | Statements, sender: bytes) -> Outcome:
        """Apply what the device `sender` sent; raises ProtocolError or NotAMemberError."""
        try:
            if isinstance(message, Statements):
                return await self._statements(message)
            if isinstance(message, StateBatch) and message.owner == self._store.own_device:
                return await self._own_state(message, sender)
            if isinstance(message, StateBatch):
                return await self._state(message, sender)
            return await self._log(message)
        except RegistryError as error:
            raise RefusedError(str(error)) from error

    async def _statements(self, message: Statements) -> Outcome:
        if len(message.statements) > limits.MAX_STATEMENTS:
            raise UnverifiedError("there are more membership statements than a library may have")
        readable: list[membership.Signed] = []
        for signed in message.statements:
            try:
                said = membership.decode(signed.body)
            except membership.UnknownStatementError:
                continue  # a later version knows what it says
            certificate_key(said.certificate)
            covered = membership.signed_part(signed.body)
            if not verify(said.author_key, signed.signature, covered):
                raise UnverifiedError("a membership statement is not signed by its author")
            readable.append(signed)

        def write(transaction: Transaction) -> Membership:
            held = statements(transaction.conn)
            everything = {signed.hash: signed for signed in (*held, *readable)}
            # A peer sends all that it holds, so what does not stand with it never will: it is noise.
            counted = membership.counted(
                self._store.library, tuple(everything.values()), certificate_key
            )
            if len(counted) > limits.MAX_STATEMENTS:
                raise UnverifiedError(
                    "there are more membership statements than a library may have"
                )
            fresh = [signed for signed in readable if signed.hash in counted]
            return take_statements(transaction, fresh)

        was = self.members
        self.members = await self._store.write(write)
        return Outcome(True, _comings_and_goings(was, self.members))

    async def _state(self, batch: StateBatch, sender: bytes) -> Outcome:
        said = self._checkpoint(batch, sender)

        relayed = sender != batch.owner

        def write(transaction: Transaction) -> tuple[state.Merged, bytes | None] | None:
            connection, registry = transaction.conn, self._store.registry
            known = closing.revoked(connection).get(batch.owner)
            if known is not None and not known.takes(said):
                return None
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

        done = await self._store.write(write)
        if done is None:
            return Outcome(used=False)
        merged, relay = done
        if merged.copy.fault is None:
            return Outcome(merged.used)
        about = {"owner": batch.owner, "from": relay or sender, "why": merged.copy.fault}
        return Outcome(merged.used, (("state_differs", about),), relay)

    async def _own_state(self, batch: StateBatch, sender: bytes) -> Outcome:
        """Take our own rows back, if they are newer than we remember: we were restored.

        What we have not signed is refused, what we know better is passed over.
        """
        said = self._checkpoint(batch, sender)

        def write(transaction: Transaction) -> Outcome:
            connection, registry = transaction.conn, self._store.registry
            held = state.copy_of(connection, batch.owner)
            life = restoring.life(connection)
            if said is None or held is None or life == restoring.CLONED:
                return Outcome(used=False)
            if not life:
                ours, theirs = (held.incarnation, held.watermark), (batch.incarnation, said.rev)
                if batch.lo or theirs <= ours:
                    return Outcome(used=False)
                if not restoring.begin(transaction, held):
                    return Outcome(False, (("cloned", {"from": sender}),))
            merged = state.apply_batch(connection, registry, batch, said)
            if merged.copy.fault is not None:
                state.forget(connection, registry, merged.copy)
                about = {"owner": batch.owner, "from": sender, "why": merged.copy.fault}
                return Outcome(merged.used, (("state_differs", about),), sender)
            notes: Notes = () if life else (("restoring", {"from": sender}),)
            begun = restoring.finish(transaction, self._nonce())
            if begun is not None:
                notes += (("restored", {"from": sender, "generation": begun.generation}),)
            return Outcome(merged.used, notes)

        return await self._store.write(write)

    def _checkpoint(self, batch: StateBatch, sender: bytes) -> Checkpoint | None:
        """Return the owner's verified word that comes with a batch."""
        key = self.keys().get(batch.owner)
        if key is None:
            raise NotAMemberError("rows of a device that is no member were offered")
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

        def write(transaction: Transaction) -> Outcome:
            connection = transaction.conn
            feed = log.feed_of_or_none(connection, batch.feed)
            if batch.after > (0 if feed is None else feed.received):
                return Outcome(used=False)
            before, own = log.forked(connection), self._own_feed(connection)
            ahead: set[bytes] = set()
            for signed in batch.commits:
                commit = self._commit(key, batch.feed, signed)
                new = log.receive(connection, commit, transaction.now_ms)
                overwritten = highest_seen(commit.changes)
                if new and is_from_future(commit.header.stamp, overwritten, wall_ms):
                    ahead.add(batch.feed[:16])
            log.apply_ready(connection, self._store.registry, transaction.now_ms)
            notes = tuple(("future_stamp", {"device": author}) for author in ahead)
            forks = {feed.key for feed in log.forked(connection)} - {feed.key for feed in before}
            if forks:
                notes = (*notes, ("forked", {"device": batch.feed[:16]}))
            return Outcome(True, (*notes, *self._own_log(transaction, own)))

        return await self._store.write(write)

    def _own_feed(self, connection: Connection) -> log.Feed | None:
        own = state.copy_of(connection, self._store.own_device)
        if own is None:
            return None
        return log.feed_of_or_none(connection, feed_id(own.owner, own.incarnation))

    def _own_log(self, transaction: Transaction, was: log.Feed | None) -> Notes:
        """Go on in a new incarnation where our feed has commits that we did not remember.

        Their numbers are not for a second use; where one was used twice, both are in branches.
        """
        now = self._own_feed(transaction.conn)
        if now is None or restoring.life(transaction.conn):
            return ()
        held = (0, None) if was is None else (was.received, was.forked)
        if (now.received, now.forked) == held:
            return ()
        begun = begin_incarnation(transaction, self._nonce())
        about = {"from": transaction.own_device, "generation": begun.generation}
        return (("restored", about),)

    def _commit(self, key: bytes, feed: bytes, signed: SignedCommit) -> log.Received:
        header = commits.decode_header(signed.header)
        # A branch is named by its first commit, which signs the feed that it is a branch of.
        of = feed_id(feed[:16], feed_incarnation(feed))
        if header.feed != of or header.library != self._store.library:
            raise InvalidCommitError("a commit belongs to another feed or library")
        if not verify(key, signed.signature, commits.signed_part(signed.header)):
            raise InvalidCommitError("a commit is not signed by the device whose feed it is in")
        changes = commits.decode_body(header, signed.body)
        return log.Received(header, changes, signed, digest(signed.header))

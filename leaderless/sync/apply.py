"""What peers send, made durable: signatures first, then one transaction.

A connection proves which device relays; signatures prove who owns. Nothing is kept of a message
that breaks a rule.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from leaderless.errors import LeaderlessError
from leaderless.identity import certificate_key, device_id, verify
from leaderless.protocol import commits, limits, membership
from leaderless.protocol.errors import InvalidCommitError, ProtocolError
from leaderless.protocol.hashing import digest
from leaderless.protocol.messages import LogBatch, Records, StateBatch, Statements
from leaderless.store import (
    came_back,
    discarding,
    fetched,
    given_back,
    log,
    relayed,
    restoring,
    revocations,
    staging,
    state,
)
from leaderless.store.engine import ConstraintError, StoreError
from leaderless.store.staged import DisagreesError
from leaderless.store.statements import statements, take_statements
from leaderless.sync.outcome import Notes, Outcome, comings_and_goings, displacements, judged
from leaderless.sync.signed import NotAMemberError, UnverifiedError, checkpoint_of, floor_of
from registry.changes import feed_id, feed_incarnation
from registry.errors import NotOwnerError, RegistryError
from registry.hlc import is_from_future
from registry.merge import highest_seen

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection

    from leaderless.protocol.checkpoint import Checkpoint
    from leaderless.protocol.membership import Membership
    from leaderless.protocol.messages import SignedCommit
    from leaderless.store.store import Store
    from leaderless.store.transaction import Transaction


class RefusedError(ProtocolError):
    """A change that cannot be applied; the cause is chained."""

    code = "refused"


class Applier:
    """Applies what peers send to the store, by what the members' keys have signed."""

    def __init__(self, store: Store, members: Membership) -> None:
        """Apply to `store`, as long as `members` are."""
        self._store = store
        self.members = members
        self._keys: tuple[Membership, dict[bytes, bytes]] | None = None

    def keys(self) -> dict[bytes, bytes]:
        """Return the public key of everybody who is or was a member, by device id."""
        if self._keys is None or self._keys[0] is not self.members:
            everybody = (*self.members.members, *self.members.former)
            self._keys = self.members, {device_id(key): key for key in everybody}
        return self._keys[1]

    def others(self) -> set[bytes]:
        """Return the devices of the other members."""
        return {device_id(key) for key in self.members.members} - {self._store.own_device}

    def is_member(self, device: bytes) -> bool:
        """Return whether a device is a member now."""
        return any(device_id(key) == device for key in self.members.members)

    async def apply(
        self, message: StateBatch | LogBatch | Records | Statements, sender: bytes
    ) -> Outcome:
        """Apply what the device `sender` sent; raises ProtocolError or NotAMemberError."""
        try:
            if isinstance(message, Statements):
                return await self._statements(message)
            if isinstance(message, StateBatch) and message.owner == self._store.own_device:
                return await self._own_state(message, sender)
            if isinstance(message, StateBatch):
                return await self._state(message, sender)
            if isinstance(message, Records):
                return await self._records(message, sender)
            return await self._log(message)
        except RegistryError as error:
            raise RefusedError(str(error)) from error

    async def hear(self, message: Statements, sender: bytes) -> Outcome:
        """Take statements of a device that is no member, or to which we are none.

        Of one that is no member only those are taken by which we are none. Raises ProtocolError.
        """
        return await self._statements(message, of_member=self.is_member(sender))

    async def _statements(self, message: Statements, *, of_member: bool = True) -> Outcome:
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

        def write(transaction: Transaction) -> tuple[Membership, Notes]:
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
            if not of_member and self._keeps_us(everything.values()):
                return self.members, ()
            before = restoring.life(transaction.conn)
            members = take_statements(transaction, fresh)
            now = restoring.life(transaction.conn)
            return members, () if now == before else ((now, {"from": transaction.own_device}),)

        was = self.members
        self.members, notes = await self._store.write(write)
        return Outcome(True, (*comings_and_goings(was, self.members), *notes))

    def _keeps_us(self, said: Iterable[membership.Signed]) -> bool:
        """Return whether this device is a member by these statements."""
        library, own = self._store.library, self._store.own_device
        members = membership.membership_of(library, tuple(said), certificate_key).members
        return any(device_id(key) == own for key in members)

    async def _state(self, batch: StateBatch, sender: bytes) -> Outcome:
        brought = relayed.Brought(batch, sender, *self._signed(batch, sender))
        return judged(batch.owner, await self._merge(brought))

    async def _merge(self, brought: relayed.Brought) -> relayed.Verdict:
        """Merge a batch; what does not fit into what others brought is the fault of one of them."""
        registry, owner, sender = self._store.registry, brought.batch.owner, brought.sender

        def write(transaction: Transaction, *, makes_way: bool) -> relayed.Verdict:
            connection = transaction.conn
            known = revocations.revoked(connection).get(owner)
            if known is not None and not known.takes(brought.said):
                return relayed.Verdict(used=False)
            return relayed.merge(connection, registry, brought, makes_way=makes_way)

        try:
            # Ids of another device are rare, and to be ready for them makes each batch dearer.
            with suppress(NotOwnerError):
                return await self._store.write(partial(write, makes_way=False))
            return await self._store.write(partial(write, makes_way=True))
        except (RegistryError, ConstraintError) as error:
            why = str(error)
            verdict = await self._store.write(
                lambda tx: relayed.dispute(tx.conn, registry, owner, sender, why)
            )
            if verdict is None:
                raise RefusedError(why) from error
            return verdict

    async def _own_state(self, batch: StateBatch, sender: bytes) -> Outcome:
        """Hear our own word from a peer, and take our rows back if it is not remembered here.

        What we have not signed is refused, what we know is passed over.
        """
        said, _ = self._signed(batch, sender)

        def hear(transaction: Transaction) -> tuple[bool, Notes]:
            if said is None:
                return False, ()
            before = restoring.life(transaction.conn)
            wanted = restoring.hear(transaction, said, batch.checkpoint, batch.head)
            now = restoring.life(transaction.conn)
            return wanted, () if now == before else ((now, {"from": sender}),)

        def refuse(transaction: Transaction) -> Notes:
            given_back.discard(transaction.conn)
            return hear(transaction)[1]

        def write(transaction: Transaction) -> Outcome:
            wanted, notes = hear(transaction)
            if not wanted or batch.introduction or said is None:
                return Outcome(False, notes)
            used, taken = restoring.take_back(transaction, batch, sender)
            if taken is None:
                return Outcome(used, notes)
            came_back.took(transaction, sender, taken.copy.row_count)
            notes = (*notes, ("took_back", {"from": sender, "rev": said.rev}))
            gone = taken.displaced
            return Outcome(used, (*notes, *displacements(gone)), suspects=gone)

        try:
            return await self._store.write(write)
        except (RegistryError, ConstraintError, given_back.NotSignedError) as error:
            why = str(error)
            notes = await self._store.write(refuse)
            differs = ("state_differs", {"owner": batch.owner, "from": sender, "why": why})
            return Outcome(False, (*notes, differs), distrusted=((batch.owner, sender),))

    def _signed(self, batch: StateBatch, sender: bytes) -> tuple[Checkpoint | None, int]:
        """Return the owner's verified words that come with a batch: on its state, and its floor."""
        key, library = self.keys().get(batch.owner), self._store.library
        if key is None:
            raise NotAMemberError("rows of a device that is no member were offered")
        return checkpoint_of(batch, sender, key, library), floor_of(batch, key, library)

    async def _log(self, batch: LogBatch) -> Outcome:
        key = self.keys().get(batch.feed[:16])
        if key is None:
            raise NotAMemberError("commits of a device that is no member were offered")
        wall_ms = self._store.now_ms()

        def write(transaction: Transaction) -> Outcome:
            connection = transaction.conn
            feed = log.feed_of_or_none(connection, batch.feed)
            if batch.after > (
                log.longest(connection, batch.feed) if feed is None else feed.received
            ):
                return Outcome(used=False)
            forked, own = log.forked(connection), self._own_feed(connection)
            commits = self._commits(key, batch)
            upto = max(0, batch.head - batch.after)
            new = log.receive_all(connection, commits[:upto], transaction.now_ms)
            if 0 < upto <= len(commits):
                log.settle(connection, batch.feed, commits[upto - 1])
            new += log.receive_all(connection, commits[upto:], transaction.now_ms)
            # Of a forgotten one nobody can tell what it had before it.
            fresh = [
                commit
                for commit, is_new in zip(commits, new, strict=True)
                if is_new and commit.signed.body
            ]
            ahead = {
                batch.feed[:16]
                for commit in fresh
                if is_from_future(commit.header.stamp, highest_seen(commit.changes), wall_ms)
            }
            log.apply_ready(connection, self._store.registry, transaction.now_ms, fresh=fresh)
            notes = tuple(("future_stamp", {"device": author}) for author in ahead)
            forks = {feed.key for feed in log.forked(connection)} - {feed.key for feed in forked}
            if forks:
                notes = (*notes, ("forked", {"device": batch.feed[:16]}))
            return Outcome(True, (*notes, *self._own_log(transaction, own)))

        return await self._store.write(write)

    async def _records(self, batch: Records, sender: bytes) -> Outcome:
        def write(transaction: Transaction) -> Outcome:
            begins = fetched.read_staging(transaction.conn) is None
            used = staging.stage(transaction.conn, batch, sender)
            about = {"from": sender}
            return Outcome(used, (("fetching_records", about),) if used and begins else ())

        try:
            return await self._store.write(write)
        except ProtocolError as error:
            return await self._refuse_records(sender, error.message)

    async def _refuse_records(self, source: bytes, why: str) -> Outcome:
        """Keep nothing of the state that is staged; `source` said what cannot be."""
        await self._store.write(lambda transaction: discarding.discard(transaction.conn))
        notes = (("records_differ", {"from": source, "why": why}),)
        return Outcome(False, notes, disagrees=source)

    async def take_staged(self) -> Outcome:
        """Let the fetched state of the shared records take effect, once all of it is here.

        If it does not fit the log, or anything else is wrong with it, it is discarded, and its source
        is named as one that disagrees. Raises StoreError if the database takes nothing.
        """
        if not await self._store.read(staging.is_whole):
            return Outcome(used=False)

        def write(transaction: Transaction) -> Outcome:
            connection, registry = transaction.conn, self._store.registry
            if not staging.is_whole(connection):
                return Outcome(used=False)  # what came meanwhile is of a fork
            tell = transaction.progress.tell
            taken = staging.take(connection, registry, transaction.now_ms, tell)
            log.apply_ready(connection, registry, transaction.now_ms)
            # What was of a fork that is not known here yet is discarded.
            about = {"records": taken.records, "commits": taken.commits}
            notes = (("took_records", about),) if any(taken) else ()
            return Outcome(any(taken), notes, altered=taken.altered)

        try:
            return await self._store.write(write)
        except DisagreesError as error:
            return await self._refuse_records(error.source, error.message)
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 - what a peer sent must not end the daemon
            source = await self._store.read(staging.first_source)
            named = isinstance(error, RegistryError | LeaderlessError)
            why = str(error) if named else f"{type(error).__name__}: {error}"
            return await self._refuse_records(source, why)

    def _own_feed(self, connection: Connection) -> log.Feed | None:
        own = state.copy_of(connection, self._store.own_device)
        if own is None:
            return None
        return log.feed_of_or_none(connection, feed_id(own.owner, own.incarnation))

    def _own_log(self, transaction: Transaction, was: log.Feed | None) -> Notes:
        """Write nothing more where our feed has commits that we did not remember.

        Their numbers are not for a second use; where one was used twice, both are in branches.
        """
        now = self._own_feed(transaction.conn)
        if now is None or restoring.life(transaction.conn):
            return ()
        held = (0, None) if was is None else (was.received, was.forked)
        if (now.received, now.forked) == held:
            return ()
        return ((restoring.begin(transaction), {"from": transaction.own_device}),)

    def _commits(self, key: bytes, batch: LogBatch) -> list[log.Received]:
        """Return the commits of a batch, once all of them were found valid."""
        received = [self._commit(key, batch.feed, signed) for signed in batch.commits]
        for seq, commit in enumerate(received, start=batch.after + 1):
            if commit.header.seq != seq:
                raise InvalidCommitError("commits of a batch are not one after the other")
        return received

    def _commit(self, key: bytes, feed: bytes, signed: SignedCommit) -> log.Received:
        header = commits.decode_header(signed.header)
        # A branch is named by its first commit, which signs the feed that it is a branch of.
        of = feed_id(feed[:16], feed_incarnation(feed))
        if header.feed != of or header.library != self._store.library:
            raise InvalidCommitError("a commit belongs to another feed or library")
        if not verify(key, signed.signature, commits.signed_part(signed.header)):
            raise InvalidCommitError("a commit is not signed by the device whose feed it is in")
        forgotten = not signed.body and header.body_bytes
        changes = () if forgotten else commits.decode_body(header, signed.body)
        return log.Received(header, changes, signed, digest(signed.header))

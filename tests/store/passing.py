"""State and commits passed from store to store by hand, as sessions do it over a wire."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from sqlalchemy import Connection

from leaderless.identity import Identity
from leaderless.protocol import checkpoint as checkpoints
from leaderless.protocol import commits, limits
from leaderless.protocol.checkpoint import Checkpoint
from leaderless.protocol.hashing import digest
from leaderless.protocol.messages import LogBatch, SignedCommit, StateBatch
from leaderless.store import log, state, state_source
from leaderless.store.state import Copy, Merged
from leaderless.store.transaction import Transaction
from registry.changes import SharedChange
from registry.models import Registry
from tests.replicas import ENTRY_COLUMNS, Replica, add_tree, query_file

_T = TypeVar("_T")

SYNCED = (
    "SELECT uuid, epoch, rev, dead, name, parent FROM entry ORDER BY uuid",
    "SELECT uuid, epoch, rev, dead, name FROM location ORDER BY uuid",
    "SELECT uuid, epoch, rev, dead, display_name FROM volume ORDER BY uuid",
    "SELECT uuid, epoch, rev, dead, name FROM device ORDER BY uuid",
    "SELECT * FROM tombstone ORDER BY uuid",
    "SELECT * FROM opaque_row ORDER BY uuid",
    "SELECT * FROM incarnation ORDER BY id",
)


def within(replica: Replica, work: Callable[[Connection], _T]) -> _T:
    """Return what `work` returns in a transaction of a replica."""
    return replica.store.write_here(lambda tx: work(tx.conn))


def dump(replica: Replica, queries: Sequence[str] = SYNCED) -> list[list[tuple[Any, ...]]]:
    """Return all that queries find at a replica."""
    return [query_file(replica.store.path, query) for query in queries]


# --- owned state ----------------------------------------------------------------------------------


def held(replica: Replica, owner: Replica) -> Copy:
    """Return what a replica holds of an owner."""
    copy = within(replica, lambda conn: state.copy_of(conn, owner.identity.device))
    assert copy is not None
    return copy


def batches(
    source: Replica,
    owner: Replica,
    lo: int = 0,
    *,
    registry: Registry | None = None,
    limit: int = limits.BATCH_ROWS,
    limit_bytes: int = limits.BATCH_BYTES,
) -> Iterator[StateBatch]:
    """Yield what a source says of an owner above `lo`, in one session."""
    sent: set[bytes] = set()
    models = registry or source.store.registry
    while True:
        batch = within(
            source,
            lambda conn, lo=lo: state_source.read_batch(  # type: ignore[misc]
                conn, models, owner.identity.device, lo, sent, limit, limit_bytes
            ),
        )
        if batch is None:
            return
        yield batch
        lo = batch.hi


def said(batch: StateBatch) -> Checkpoint | None:
    """Return the owner's word in a batch."""
    return checkpoints.decode(batch.checkpoint) if batch.checkpoint else None


def take(target: Replica, batch: StateBatch, registry: Registry | None = None) -> Merged:
    """Apply a batch at a replica."""
    models = registry or target.store.registry
    return within(target, lambda conn: state.apply_batch(conn, models, batch, said(batch)))


def pull(source: Replica, target: Replica, owner: Replica) -> list[StateBatch]:
    """Bring a replica up to what a source holds of an owner; return the batches."""
    return take_all(target, batches(source, owner))


def take_all(target: Replica, stream: Iterable[StateBatch]) -> list[StateBatch]:
    """Apply batches at a replica, each before the next one is read; return them."""
    taken = []
    for batch in stream:
        assert take(target, batch).used
        taken.append(batch)
    return taken


def next_life(replica: Replica) -> None:
    """Give a replica's rows a new incarnation, as a restore does."""

    def write(tx: Transaction) -> None:
        tx.conn.exec_driver_sql(
            "UPDATE incarnation SET generation = generation + 1, verified = -1"
            " WHERE id = (SELECT value FROM meta WHERE name = 'own_epoch')"
        )
        tx.sign_anew()

    replica.store.write_here(write)


def entry(
    uuid: bytes, location: bytes, parent: bytes | None, name: bytes, kind: str = "file"
) -> tuple[Any, ...]:
    """Return the row of an entry."""
    return (uuid, location, parent, name, None, kind, *[None] * 8)


def put_entries(replica: Replica, *rows: tuple[Any, ...]) -> None:
    """Write entries, in one transaction."""
    replica.store.write_here(lambda tx: tx.put("entry", ENTRY_COLUMNS, rows))


class Tree:
    """A location of a replica whose entries a test makes by name."""

    def __init__(self, replica: Replica) -> None:
        self.replica = replica
        self.location, self.root = add_tree(replica, 0)
        self.ids: dict[str, bytes] = {"": self.root}

    def put(self, name: str, parent: str = "") -> None:
        """Write an entry under another: as a new one, or again with a later rev."""
        uuid = self.ids.setdefault(name, self.replica.store.ids.new())
        put_entries(
            self.replica, entry(uuid, self.location, self.ids[parent], name.encode(), "directory")
        )

    def drop(self, *names: str) -> None:
        """Delete entries, children first."""
        uuids = [self.ids[name] for name in names]
        self.replica.store.write_here(lambda tx: tx.drop("entry", uuids))

    def names(self, uuids: Sequence[bytes]) -> list[str]:
        """Return what entries are called here."""
        known = {uuid: name for name, uuid in self.ids.items()}
        return [known[uuid] for uuid in uuids]


# --- the log --------------------------------------------------------------------------------------


def received(signed: SignedCommit) -> log.Received:
    """Return a commit as the store takes it, its signature being verified."""
    header = commits.decode_header(signed.header)
    changes = commits.decode_body(header, signed.body)
    return log.Received(header, changes, signed, digest(signed.header))


def log_of(replica: Replica, feed: bytes, after: int = 0) -> list[log.Received]:
    """Return the commits of a feed that a replica hands on."""
    batch = within(replica, lambda conn: log.read_log(conn, feed, after))
    return [] if batch is None else [received(signed) for signed in batch.commits]


def own_feed(replica: Replica) -> bytes:
    """Return the feed that a replica wrote."""
    prefix = replica.identity.device
    (feed,) = within(
        replica,
        lambda conn: [item.feed for item in log.feeds(conn) if item.feed.startswith(prefix)],
    )
    return feed


def store_commits(replica: Replica, *items: log.Received) -> list[bool]:
    """Receive commits and apply what is ready; return which of them were new."""

    def write(conn: Connection) -> list[bool]:
        new = [log.receive(conn, item, replica.clock.ms) for item in items]
        log.apply_ready(conn, replica.store.registry, replica.clock.ms)
        return new

    return within(replica, write)


def signed_anew(
    identity: Identity,
    item: log.Received,
    changes: Sequence[SharedChange] | None = None,
    **header: Any,
) -> log.Received:
    """Return a commit with another header or other changes, signed by its author."""
    body = item.signed.body if changes is None else commits.encode_body(changes)
    made = replace(item.header, body_hash=digest(body), body_bytes=len(body), **header)
    packed = commits.encode_header(made)
    return received(SignedCommit(packed, identity.sign(commits.signed_part(packed)), body))


def chained(identity: Identity, first: log.Received, *others: log.Received) -> list[log.Received]:
    """Return commits of one feed signed anew, so that each follows the one before it."""
    chain = [first]
    for item in others:
        before = chain[-1]
        chain.append(signed_anew(identity, item, previous=before.hash, seq=before.header.seq + 1))
    return chain


def log_batch(replica: Replica, feed: bytes, after: int = 0) -> LogBatch | None:
    """Return the next message of a feed."""
    return within(replica, lambda conn: log.read_log(conn, feed, after))

"""Commits and batches as a member's key can sign them, but no honest device would send them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leaderless.protocol import commits
from leaderless.protocol.hashing import digest
from leaderless.protocol.messages import LogBatch, SignedCommit
from registry.changes import (
    CommitHeader,
    FeedId,
    FieldWrite,
    Form,
    Incarnation,
    RecordId,
    SharedChange,
    feed_id,
)
from registry.hlc import Stamp
from tests.replicas import START_MS

if TYPE_CHECKING:
    from tests.replicas import Replica

TAG = RecordId(b"tag" + bytes(13))


def own_feed(replica: Replica) -> bytes:
    """Return the feed of a replica made by `make_replicas`."""
    at = int(replica.store.path.stem.removeprefix("library"))
    return feed_id(replica.identity.device, Incarnation(1, bytes([at + 1]) * 8))


def signed_commit(
    author: Replica,
    *,
    library: bytes | None = None,
    feed: bytes | None = None,
    stamp: Stamp | None = None,
    signature: bytes | None = None,
    change: SharedChange | None = None,
    seq: int = 1,
    previous: bytes = commits.NO_HASH,
) -> SignedCommit:
    """Return a commit of a feed (the first one), signed by `author`, with what is given in place."""
    made = SharedChange(Form.CREATE, "tag", TAG, (), (FieldWrite("color", None, "red"),))
    body = commits.encode_body([change or made])
    header = commits.encode_header(
        CommitHeader(
            library=library or author.store.library,
            feed=FeedId(feed or own_feed(author)),
            seq=seq,
            stamp=stamp or Stamp(START_MS, 0, 0),
            previous=previous,
            membership=bytes(32),
            command="tag.create",
            command_id=bytes(16),
            body_hash=digest(body),
            body_bytes=len(body),
        )
    )
    return SignedCommit(
        header, signature or author.identity.sign(commits.signed_part(header)), body
    )


def log_batch(feed: bytes, *signed: SignedCommit) -> LogBatch:
    """Return the first commits of a feed as they travel."""
    return LogBatch(feed, 0, len(signed), signed)

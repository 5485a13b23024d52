"""What a batch of rows says in its owner's name."""

from __future__ import annotations

from dataclasses import replace

import pytest

from leaderless.protocol.messages import StateBatch
from leaderless.sync.signed import UnverifiedError, checkpoint_of, floor_of
from tests.replicas import Replica, add_tree
from tests.store.passing import batches, held, pull


def _relayed(replicas: list[Replica]) -> StateBatch:
    """Return what the second device holds of the first."""
    owner, relay = replicas[:2]
    add_tree(owner, 3)
    pull(owner, relay, owner)
    (batch,) = batches(relay, owner)
    return batch


def test_a_relayed_batch_is_covered_by_its_owners_word(replicas: list[Replica]) -> None:
    """It says how many rows there are."""
    owner, relay = replicas[:2]
    batch, key = _relayed(replicas), owner.identity.public_key
    said = checkpoint_of(batch, relay.identity.device, key, owner.store.library)
    assert said is not None
    assert (said.rev, said.row_count) == (batch.head, held(owner, owner).row_count)
    assert floor_of(batch, key, owner.store.library) == 0


def test_only_the_owner_may_say_nothing(replicas: list[Replica]) -> None:
    """Its own connection proves who it is."""
    owner, relay = replicas[:2]
    batch, key = replace(_relayed(replicas), checkpoint=b""), owner.identity.public_key
    assert checkpoint_of(batch, batch.owner, key, owner.store.library) is None
    with pytest.raises(UnverifiedError, match="without a checkpoint"):
        checkpoint_of(batch, relay.identity.device, key, owner.store.library)


def test_a_word_counts_in_its_library_and_by_its_owners_key(replicas: list[Replica]) -> None:
    """Another's key, or another library, is refused."""
    owner, relay = replicas[:2]
    batch, key = _relayed(replicas), owner.identity.public_key
    with pytest.raises(UnverifiedError, match="not signed"):
        checkpoint_of(batch, batch.owner, relay.identity.public_key, owner.store.library)
    with pytest.raises(UnverifiedError, match="another state"):
        checkpoint_of(batch, batch.owner, key, b"l" * len(owner.store.library))

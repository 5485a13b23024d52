"""A copy that was begun with a life of its owner that is lost."""

from __future__ import annotations

from dataclasses import replace

from leaderless.protocol import checkpoint as checkpoints
from leaderless.store import relayed
from leaderless.store.parts import Parts
from leaderless.store.relayed import Brought, Verdict
from tests.replicas import Replica
from tests.store.test_relayed import (
    C,
    D,
    altered,
    batch_of,
    files,
    half,
    merged,
    parts,
    replicas,
)

__all__ = ["replicas"]


def test_a_copy_of_a_life_that_is_lost_makes_way_for_what_was_signed_instead(
    replicas: list[Replica],
) -> None:
    """Nobody is to blame; while it may be of this life, as more of it may come, it stays."""
    owner, receiver, _ = replicas
    whole = batch_of(owner)
    merged(receiver, half(altered(whole), 5), C)
    nothing = replace(whole, changes=(), lo=5, hi=5, head=5, as_of=5)
    assert merged(receiver, nothing, D) == Verdict(used=True)
    word = replace(checkpoints.decode(whole.checkpoint), rev=5, row_count=5)
    verdict = receiver.store.write_here(
        lambda tx: relayed.merge(tx.conn, receiver.store.registry, Brought(nothing, D, word))
    )
    assert verdict == Verdict(used=False)
    assert files(receiver) == 0
    assert parts(receiver, owner) == Parts((), 0, suspected=False)

"""What a relay brings on top of a copy that was proved: all of it takes effect, or nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from leaderless.protocol.messages import StateBatch
from leaderless.store import relayed
from leaderless.store.relayed import Verdict
from tests.replicas import Replica, add_tree, make_replicas
from tests.store.passing import batches, held
from tests.store.test_relayed import C, D, batch_of, files, merged, parts


@pytest.fixture
def replicas(tmp_path: Path) -> Iterator[list[Replica]]:
    """Make an owner with a tree, a receiver, and another owner."""
    made = make_replicas(tmp_path, 3)
    add_tree(made[0], 4)
    yield made
    for replica in made:
        replica.store.close()


@pytest.fixture
def several(replicas: list[Replica]) -> list[StateBatch]:
    """Return the batches in which an owner's news come on top of a copy that is proved."""
    owner, receiver, _ = replicas
    merged(receiver, batch_of(owner), owner.identity.device)
    proved = held(receiver, owner).watermark
    add_tree(owner, 4, "more")
    made = list(batches(owner, owner, proved, limit=2))
    assert len(made) > 2
    return made


def test_what_a_relay_brings_on_top_of_a_proved_copy_takes_effect_as_a_whole(
    replicas: list[Replica], several: list[StateBatch]
) -> None:
    """Until its owner's word covers it nothing changes: what was proved stays, and stays proved."""
    owner, receiver, _ = replicas
    before = held(receiver, owner)
    for batch in several[:-1]:
        assert merged(receiver, batch, C) == Verdict(True)
        assert held(receiver, owner) == before
    assert merged(receiver, several[-1], C) == Verdict(True)
    after = held(receiver, owner)
    assert after.watermark == after.verified == several[-1].head
    assert files(receiver) == files(owner)


def test_what_does_not_lead_to_what_its_owner_signed_is_taken_back_as_a_whole(
    replicas: list[Replica], several: list[StateBatch]
) -> None:
    """Its sender is named; the next time all is asked for, and the proved copy stays."""
    owner, receiver, _ = replicas
    before = held(receiver, owner)
    wrong = [replace(several[0], changes=several[0].changes[:1]), *several[1:]]
    for certain in (True, False):
        for batch in wrong[:-1]:
            merged(receiver, batch, C)
        verdict = merged(receiver, wrong[-1], C)
        assert (verdict.used, verdict.named, verdict.is_taken_back) == (False, (C,), certain)
        assert held(receiver, owner) == before
    assert parts(receiver, owner).stays


def test_what_another_relay_brings_on_top_begins_where_the_proved_copy_ends(
    replicas: list[Replica], several: list[StateBatch]
) -> None:
    """What the first one brought goes: each is believed by itself alone."""
    owner, receiver, _ = replicas
    assert merged(receiver, several[0], C) == Verdict(True)
    assert merged(receiver, several[1], D) == Verdict(False)
    for batch in several:
        assert merged(receiver, batch, D) == Verdict(True)
    assert files(receiver) == files(owner)


def test_more_than_is_kept_aside_takes_effect_batch_by_batch(
    replicas: list[Replica], several: list[StateBatch], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is cut off in the middle of that does not have to begin anew."""
    owner, receiver, _ = replicas
    monkeypatch.setattr(relayed, "MOST_AHEAD", 1)
    merged(receiver, several[0], C)
    assert held(receiver, owner).watermark == several[0].hi

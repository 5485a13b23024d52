"""Whose fault it is that a copy is not what its owner signed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from leaderless.protocol import checkpoint as checkpoints
from leaderless.protocol.checkpoint import NAME_BYTES, SIGNATURE_BYTES, name_of
from leaderless.protocol.messages import StateBatch
from leaderless.store import relayed
from leaderless.store.displacing import apply_making_way
from leaderless.store.holdings import read_holdings
from leaderless.store.parts import Parts
from leaderless.store.parts import parts as parts_of
from leaderless.store.relayed import Brought, Verdict
from leaderless.store.state import copy_of
from leaderless.store.state_source import nothing_more, read_batch
from leaderless.store.transaction import Transaction
from registry.changes import Incarnation
from registry.errors import NotOwnerError
from tests.liar import up_to, with_changes
from tests.replicas import Replica, add_tree, make_replicas, query_file
from tests.store.passing import within

C, D = b"c" * 16, b"d" * 16


@pytest.fixture
def replicas(tmp_path: Path) -> Iterator[list[Replica]]:
    """Make an owner with a tree, a receiver, and another owner."""
    made = make_replicas(tmp_path, 3)
    add_tree(made[0], 4)
    yield made
    for replica in made:
        replica.store.close()


def batch_of(source: Replica, lo: int = 0, owner: Replica | None = None) -> StateBatch:
    """Return what a replica would send of an owner, itself if none is given."""
    device, registry = (owner or source).identity.device, source.store.registry
    with source.store._writer.begin() as connection:
        batch = read_batch(connection, registry, device, lo, set())
    assert batch is not None
    return batch


def merged(receiver: Replica, batch: StateBatch, sender: bytes) -> Verdict:
    """Have a replica merge a batch, and return whose fault it was."""
    said = checkpoints.decode(batch.checkpoint)
    return receiver.store.write_here(
        lambda tx: relayed.merge(tx.conn, receiver.store.registry, Brought(batch, sender, said))
    )


def parts(receiver: Replica, owner: Replica) -> Parts:
    """Return who had a part."""
    device = owner.identity.device
    return receiver.store.write_here(lambda tx: parts_of(tx.conn, device))


def files(receiver: Replica) -> int:
    """Return how many entries a replica shows."""
    query = "SELECT count(*) FROM entry WHERE dead = 0"
    return int(query_file(receiver.store.path, query)[0][0])


def altered(batch: StateBatch) -> StateBatch:
    """Return a batch with other sizes in it."""

    def change(item):  # noqa: ANN001, ANN202
        at = 2 + item.columns.index("size_bytes") if item.rows else 0
        return replace(item, rows=[(*row[:at], 666, *row[at + 1 :]) for row in item.rows])

    return with_changes(batch, change)


def half(batch: StateBatch, at: int) -> StateBatch:
    """Return the first part of a batch."""
    return replace(up_to(batch, at), head=batch.head, as_of=batch.as_of)


def test_one_relay_that_brought_all_of_it_is_to_blame(replicas: list[Replica]) -> None:
    """Whatever it brought is dropped, and nobody else is suspected."""
    owner, receiver, _ = replicas
    verdict = merged(receiver, altered(batch_of(owner)), C)
    assert (verdict.used, verdict.named, verdict.is_certain) == (False, (C,), True)
    assert files(receiver) == 0
    assert parts(receiver, owner) == Parts((), 0, suspected=False)


def test_of_several_each_is_a_suspect_and_has_to_bring_all_by_itself(
    replicas: list[Replica],
) -> None:
    """A copy that one of them brings alone clears everybody."""
    owner, receiver, _ = replicas
    whole = batch_of(owner)
    merged(receiver, half(altered(whole), 5), C)
    assert parts(receiver, owner).devices == (C,)
    verdict = merged(receiver, batch_of(owner, 5), D)
    assert (verdict.named, verdict.is_certain) == ((C, D), False)
    assert parts(receiver, owner) == Parts((), 0, suspected=True)
    merged(receiver, half(altered(whole), 5), C)
    nothing = replace(whole, changes=(), lo=5, hi=5, head=5, as_of=5)
    assert merged(receiver, nothing, D) == Verdict(used=True)
    assert not merged(receiver, batch_of(owner, 5), D).used
    assert parts(receiver, owner) == Parts((), 0, suspected=True)
    assert merged(receiver, whole, D) == Verdict(used=True)
    assert parts(receiver, owner) == Parts((), 0, suspected=False)


def test_a_proved_copy_outlives_a_lie_and_is_given_up_for_a_whole_one_only(
    replicas: list[Replica],
) -> None:
    """What did not fit is taken back; the second time the relay is asked for all that it holds."""
    owner, receiver, _ = replicas
    merged(receiver, batch_of(owner), owner.identity.device)
    held = files(receiver)
    add_tree(owner, 1, "later")
    wrong = altered(batch_of(owner, 7))
    first = merged(receiver, wrong, C)
    assert (first.used, first.named, first.is_taken_back) == (False, (C,), True)
    assert files(receiver) == held
    second = merged(receiver, wrong, C)
    assert (second.named, second.is_certain, second.is_taken_back) == ((C,), False, False)
    assert files(receiver) == held
    assert parts(receiver, owner) == Parts((), 0, suspected=True, stays=True)
    assert merged(receiver, batch_of(owner), C).used
    assert files(receiver) == files(owner)
    assert parts(receiver, owner) == Parts((), 0, suspected=False)


def doubted(owner: Replica, receiver: Replica) -> StateBatch:
    """Have a receiver ask for all again that it held proved; return what the owner has by then."""
    merged(receiver, batch_of(owner), owner.identity.device)
    add_tree(owner, 1, "later")
    for _ in range(2):
        merged(receiver, altered(batch_of(owner, 7)), C)
    assert parts(receiver, owner).stays
    return batch_of(owner)


def test_a_whole_copy_that_is_altered_changes_nothing_either(replicas: list[Replica]) -> None:
    """Who brought it did so alone, and is named; what is right comes from anybody else."""
    owner, receiver, _ = replicas
    whole = doubted(owner, receiver)
    held = files(receiver)
    assert merged(receiver, half(altered(whole), 5), C) == Verdict(used=True)
    verdict = merged(receiver, batch_of(owner, 5), C)
    assert (verdict.used, verdict.named, verdict.is_certain) == (False, (C,), True)
    assert files(receiver) == held
    assert merged(receiver, half(whole, 5), D) == Verdict(used=True)
    assert not merged(receiver, batch_of(owner, 5), C).used
    assert files(receiver) == held
    assert merged(receiver, batch_of(owner, 5), D) == Verdict(used=True)
    assert files(receiver) == files(owner)
    assert query_file(receiver.store.path, "SELECT * FROM given_back") == []


def test_a_whole_copy_without_a_word_on_it_waits_for_one(replicas: list[Replica]) -> None:
    """Nobody is blamed for it; what is added to it may come with one."""
    owner, receiver, _ = replicas
    whole = doubted(owner, receiver)
    held = files(receiver)
    add_tree(owner, 1, "latest")
    rest = batch_of(owner, whole.hi)
    assert merged(receiver, replace(whole, checkpoint=rest.checkpoint), C) == Verdict(used=True)
    assert files(receiver) == held
    assert merged(receiver, rest, C) == Verdict(used=True)
    assert files(receiver) == files(owner)


def test_a_copy_of_less_than_is_here_is_no_better_one(replicas: list[Replica]) -> None:
    """Nor is one of an earlier life; nor what does not begin at the start."""
    owner, receiver, _ = replicas
    whole = doubted(owner, receiver)
    earlier = Incarnation(0, bytes(8))
    for batch in (up_to(whole, 5), replace(whole, incarnation=earlier), batch_of(owner, 7)):
        assert merged(receiver, batch, D) == Verdict(used=False)
    assert query_file(receiver.store.path, "SELECT * FROM given_back") == []


def test_a_copy_that_stays_is_proved_as_before(replicas: list[Replica]) -> None:
    """Whoever holds the same is in sync with it: nothing of it is gone."""
    owner, receiver, _ = replicas
    whole = doubted(owner, receiver)
    merged(receiver, half(whole, 5), C)
    held = within(receiver, read_holdings)
    device = owner.identity.device
    assert device not in held.unproved
    assert (device in held.suspected, device in held.beside) == (True, True)


def test_rows_of_two_owners_are_kept_aside_at_once(replicas: list[Replica]) -> None:
    """Neither is mixed into the other."""
    owner, receiver, other = replicas
    add_tree(other, 3, "other")
    first, second = doubted(owner, receiver), doubted(other, receiver)
    for whole in (first, second):
        assert merged(receiver, half(whole, 5), C) == Verdict(used=True)
    assert merged(receiver, batch_of(owner, 5), C) == Verdict(used=True)
    assert merged(receiver, batch_of(other, 5), C) == Verdict(used=True)
    assert files(receiver) == files(owner) + files(other)


def test_two_words_of_an_owner_at_one_rev_are_its_own_fault(replicas: list[Replica]) -> None:
    """Whoever brings the second one brings no row, and is not named."""
    owner, receiver, _ = replicas
    whole = batch_of(owner)
    merged(receiver, whole, owner.identity.device)
    said = checkpoints.decode(whole.checkpoint)
    other = replace(said, row_count=1).encode()
    empty = replace(whole, changes=(), lo=whole.hi, checkpoint=bytes(64) + other)
    verdict = merged(receiver, empty, C)
    assert verdict.fault is not None
    assert verdict.named == ()
    assert files(receiver) == files(owner)


def test_an_invented_deletion_falls_on_the_owner_no_more_than_once(
    replicas: list[Replica],
) -> None:
    """Nothing covers deletions: what its own rows do not fit is asked of it anew, as a whole."""
    owner, receiver, _ = replicas
    device = owner.identity.device
    older = batch_of(owner)
    add_tree(owner, 1, "later")
    ((uuid,),) = query_file(owner.store.path, "SELECT uuid FROM entry WHERE rev = 12")
    plant = with_changes(older, lambda item: replace(item, removed=[(uuid, 5)]))
    assert merged(receiver, plant, C) == Verdict(used=True)
    verdict = merged(receiver, batch_of(owner, older.hi), device)
    assert (verdict.used, verdict.named) == (False, ())
    assert merged(receiver, batch_of(owner), device) == Verdict(used=True)
    assert files(receiver) == files(owner)


def test_an_owner_that_contradicts_itself_keeps_its_rows(replicas: list[Replica]) -> None:
    """No relay ever had a part: it is said, and not fetched for ever."""
    owner, receiver, _ = replicas
    verdict = merged(receiver, altered(batch_of(owner)), owner.identity.device)
    assert (verdict.used, verdict.named) == (True, ())
    assert verdict.fault is not None
    assert files(receiver) == files(owner)


def test_a_copy_that_its_owner_s_own_rows_do_not_fit_is_read_anew_once(
    replicas: list[Replica],
) -> None:
    """It may lack deletions that nobody is told of any more; a whole copy shows whose fault it is."""
    owner, receiver, _ = replicas
    device, first = owner.identity.device, batch_of(owner)
    assert merged(receiver, first, device) == Verdict(used=True)
    held = files(receiver)
    add_tree(owner, 1, "more")
    verdict = merged(receiver, altered(batch_of(owner, first.hi)), device)
    assert (verdict.used, verdict.named, files(receiver)) == (False, (), held)
    whole = batch_of(owner)
    merged(receiver, half(whole, first.hi), device)
    verdict = merged(receiver, altered(batch_of(owner, first.hi)), device)
    assert (verdict.used, files(receiver)) == (True, files(owner))


def test_a_copy_that_an_earlier_version_left_wrong_is_dropped_once(
    replicas: list[Replica],
) -> None:
    """Where it comes the same again, it is its owner's fault, and stays."""
    owner, receiver, _ = replicas
    device, registry = owner.identity.device, receiver.store.registry
    left = []
    for _ in range(2):
        merged(receiver, altered(batch_of(owner)), device)
        receiver.store.write_here(
            lambda tx: relayed.doubt(tx.conn, registry, receiver.identity.device)
        )
        left.append(files(receiver))
    assert left == [0, files(owner)]


def test_ids_of_another_device_in_an_unproved_copy_give_way(replicas: list[Replica]) -> None:
    """In a proved one they do not: then it is who comes later that is wrong."""
    owner, receiver, other = replicas
    add_tree(other, 1, "other")
    ((uuid,),) = query_file(other.store.path, "SELECT uuid FROM entry WHERE parent IS NULL")

    def stolen(item):  # noqa: ANN001, ANN202
        return replace(item, rows=[*item.rows[:-1], (uuid, *item.rows[-1][1:])])

    wrong = with_changes(half(batch_of(owner), 5), stolen)
    merged(receiver, wrong, C)
    assert merged(receiver, batch_of(other), D) == Verdict(
        used=True, displaced=((owner.identity.device, C),)
    )
    assert files(receiver) == files(other)
    with pytest.raises(NotOwnerError):
        merged(receiver, wrong, C)


def test_what_cannot_be_applied_is_the_fault_of_who_brought_what_it_builds_on(
    replicas: list[Replica],
) -> None:
    """Of its sender alone only where nobody else ever had a part."""
    owner, receiver, _ = replicas
    device, registry = owner.identity.device, receiver.store.registry

    def disputed(sender: bytes) -> Verdict | None:
        return receiver.store.write_here(
            lambda tx: relayed.dispute(tx.conn, registry, device, sender, "why")
        )

    assert disputed(C) is None
    merged(receiver, half(batch_of(owner), 3), device)
    assert disputed(C) is None
    merged(receiver, half(batch_of(owner), 5), C)
    assert disputed(D) == Verdict(False, "why", (C, D))
    merged(receiver, batch_of(owner), C)
    assert disputed(D) == Verdict(False, "why", (D,), is_taken_back=True)
    assert disputed(D) == Verdict(False, "why", (D,))
    held = files(receiver)
    assert disputed(C) == Verdict(False, "why", (C,), is_certain=True)
    assert files(receiver) == held
    assert disputed(device) == Verdict(False, "why")
    assert files(receiver) == 0
    merged(receiver, half(batch_of(owner), 5), C)
    assert disputed(device) == Verdict(False, "why", (C,), is_certain=True)


def test_a_proved_copy_may_be_of_another_life_than_what_a_relay_has(
    replicas: list[Replica],
) -> None:
    """Though the owner alone brought it: who has other rows is asked for all of them, not refused."""
    owner, receiver, _ = replicas
    device, registry = owner.identity.device, receiver.store.registry

    def disputed(sender: bytes) -> Verdict | None:
        return receiver.store.write_here(
            lambda tx: relayed.dispute(tx.conn, registry, device, sender, "why")
        )

    merged(receiver, batch_of(owner), device)
    assert disputed(device) is None
    assert disputed(C) == Verdict(False, "why", (C,), is_taken_back=True)
    assert disputed(C) == Verdict(False, "why", (C,))
    assert parts(receiver, owner).stays


def test_who_has_nothing_more_says_so_with_the_word_it_has(replicas: list[Replica]) -> None:
    """It proves a copy that is all there and had no word; it makes nobody a part of it."""
    owner, receiver, _ = replicas
    device = owner.identity.device
    older = batch_of(owner)
    add_tree(owner, 1, "later")
    merged(receiver, replace(older, checkpoint=batch_of(owner).checkpoint), C)
    with receiver.store._writer.begin() as connection:
        copy = copy_of(connection, device)
        assert nothing_more(connection, D, 0) is None
        assert copy is not None
    assert (copy.exact, copy.verified) == (True, 0)
    empty = replace(older, changes=(), lo=older.hi)
    assert merged(receiver, empty, D) == Verdict(used=True)
    with receiver.store._writer.begin() as connection:
        copy = copy_of(connection, device)
        assert copy is not None
        said = nothing_more(connection, device, copy.watermark)
        assert copy.checkpoint is not None
        known = nothing_more(connection, device, 0, name_of(copy.checkpoint[SIGNATURE_BYTES:]))
        other = nothing_more(connection, device, 0, bytes(NAME_BYTES))
    assert known is not None
    assert other is not None
    assert (known.checkpoint, other.checkpoint) == (b"", copy.checkpoint)
    assert copy.verified == copy.watermark
    assert said is not None
    assert (said.lo, said.hi, said.head, said.as_of, said.changes) == (*[older.hi] * 4, ())


def test_a_batch_leaves_no_savepoint_open(replicas: list[Replica]) -> None:
    """Thousands may be applied in one transaction, and each would keep pages as they were."""
    anna, ben, _ = replicas
    batch = batch_of(anna)
    said = checkpoints.decode(batch.checkpoint)

    def apply(tx: Transaction) -> None:
        apply_making_way(tx.conn, ben.store.registry, batch, said, 0)
        with pytest.raises(OperationalError):
            tx.conn.exec_driver_sql("RELEASE applying")

    ben.store.write_here(apply)
    assert files(ben) == 5

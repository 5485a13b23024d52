"""What peers send is believed as far as it is signed, and nothing of the rest is kept."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from leaderless.identity import BadCertificateError, load_or_create
from leaderless.protocol.membership import Signed
from leaderless.protocol.messages import StateBatch, Statements
from leaderless.store.state_source import introduction, read_batch
from leaderless.store.statements import statements as kept_statements
from leaderless.sync.signed import UnverifiedError
from registry.changes import Incarnation, StateChange
from tests.forgery import TAG
from tests.replicas import (
    DEVICE_COLUMNS,
    Replica,
    add_tree,
    key_of,
    query_file,
    statement,
)
from tests.sync.applying import applier, held, refused

if TYPE_CHECKING:
    from pathlib import Path


async def batch_of(source: Replica, owner: Replica, lo: int = 0) -> StateBatch:
    """Return what a replica would send of an owner."""
    registry, device = source.store.registry, owner.identity.device
    batch = await source.store.read(lambda c: read_batch(c, registry, device, lo, set()))
    assert batch is not None
    return batch


def entries(replica: Replica) -> list[tuple[object, ...]]:
    """Return the entries of a replica."""
    return query_file(replica.store.path, "SELECT uuid, rev, size_bytes FROM entry ORDER BY uuid")


# --- owned rows -----------------------------------------------------------------------------------


async def test_an_owners_own_rows_need_no_checkpoint(replicas: list[Replica]) -> None:
    """Rows that come on their owner's own connection are its word."""
    owner, _, receiver = replicas
    batch = replace(await batch_of(owner, owner), checkpoint=b"")
    outcome = await (await applier(receiver)).apply(batch, owner.identity.device)
    assert outcome.used
    assert entries(receiver) == entries(owner)


async def test_relayed_rows_count_with_the_owners_checkpoint(replicas: list[Replica]) -> None:
    """Rows from somebody else are taken where the owner's signature covers them."""
    owner, relay, receiver = replicas
    batch = await batch_of(owner, owner)
    outcome = await (await applier(receiver)).apply(batch, relay.identity.device)
    assert (outcome.used, outcome.notes) == (True, ())
    assert entries(receiver) == entries(owner)


async def test_the_same_batch_twice_is_as_once(replicas: list[Replica]) -> None:
    """A batch that comes again changes nothing."""
    owner, relay, receiver = replicas
    batch, apply = await batch_of(owner, owner), await applier(receiver)
    await apply.apply(batch, owner.identity.device)
    before = held(receiver), entries(receiver)
    await apply.apply(batch, relay.identity.device)
    assert (held(receiver), entries(receiver)) == before


async def test_rows_of_who_is_no_member_are_refused(
    replicas: list[Replica], tmp_path: Path
) -> None:
    """A device that no statement names has no rows here, whoever brings them."""
    owner, relay, receiver = replicas
    stranger = load_or_create(tmp_path / "stranger")
    batch = replace(await batch_of(owner, owner), owner=stranger.device)
    assert await refused(receiver, batch, relay.identity.device) == "not_a_member"


async def test_relayed_rows_without_a_checkpoint_are_refused(replicas: list[Replica]) -> None:
    """A relay's word alone is nobody's."""
    owner, relay, receiver = replicas
    batch = replace(await batch_of(owner, owner), checkpoint=b"")
    assert await refused(receiver, batch, relay.identity.device) == "unverified"


async def test_a_checkpoint_signed_by_the_relay_is_refused(replicas: list[Replica]) -> None:
    """The checkpoint has to carry the owner's own signature."""
    owner, relay, receiver = replicas
    batch = await batch_of(owner, owner)
    said = batch.checkpoint[64:]
    forged = relay.identity.sign(b"leaderless/checkpoint/1\0" + said) + said
    batch = replace(batch, checkpoint=forged)
    assert await refused(receiver, batch, relay.identity.device) == "unverified"


async def test_a_checkpoint_of_another_owner_is_refused(replicas: list[Replica]) -> None:
    """What a relay signed of its own state says nothing of another's."""
    owner, relay, receiver = replicas
    own = await batch_of(relay, relay)
    batch = replace(await batch_of(owner, owner), owner=relay.identity.device)
    batch = replace(batch, checkpoint=own.checkpoint, incarnation=Incarnation(9, bytes(8)))
    assert await refused(receiver, batch, owner.identity.device) == "unverified"


async def test_rows_beyond_an_older_checkpoint_are_refused(replicas: list[Replica]) -> None:
    """What came after the owner's last known word is not covered by it."""
    owner, relay, receiver = replicas
    older = (await batch_of(owner, owner)).checkpoint
    add_tree(owner, 1, "later")
    batch = replace(await batch_of(owner, owner), checkpoint=older)
    assert await refused(receiver, batch, relay.identity.device) == "unverified"


@pytest.mark.parametrize("promise", ["head", "as_of"])
async def test_a_relay_cannot_promise_what_the_owner_never_signed(
    replicas: list[Replica], promise: str
) -> None:
    """A copy that could never be complete could never be found to be forged."""
    owner, relay, receiver = replicas
    batch = replace(await batch_of(owner, owner), **{promise: 1 << 60})
    assert await refused(receiver, batch, relay.identity.device) == "unverified"


def sized(batch: StateBatch, size: int) -> StateBatch:
    """Return a batch with another size of all entries."""
    (change,) = [item for item in batch.changes if item.model == "entry"]
    at = 2 + change.columns.index("size_bytes")
    rows = [(*row[:at], size, *row[at + 1 :]) for row in change.rows]
    others = [item for item in batch.changes if item.model != "entry"]
    return replace(batch, changes=(*others, replace(change, rows=rows)))


@pytest.mark.parametrize("number", [1 << 63, (1 << 64) - 1])
async def test_a_number_that_no_database_holds_is_refused(
    replicas: list[Replica], number: int
) -> None:
    """Nothing of the batch is kept, whoever brings it; the rows as they are come afterwards."""
    owner, relay, receiver = replicas
    batch = await batch_of(owner, owner)
    for sender in (owner, relay):
        wrong = sized(batch, number)
        assert await refused(receiver, wrong, sender.identity.device) == "refused"
    assert (await (await applier(receiver)).apply(batch, relay.identity.device)).used
    assert entries(receiver) == entries(owner)


def forged(batch: StateBatch) -> StateBatch:
    """Return a batch with other sizes in it, one rev short of the owner's word."""
    return replace(sized(batch, 666), hi=batch.hi - 1)


async def test_forged_rows_are_dropped_when_the_owner_completes_them(
    replicas: list[Replica],
) -> None:
    """Whoever sent the last rows: where a relay had a part, the copy is dropped and the relay named."""
    owner, relay, receiver = replicas
    batch = await batch_of(owner, owner)
    apply = await applier(receiver)
    assert (await apply.apply(forged(batch), relay.identity.device)).used
    rest = await batch_of(owner, owner, batch.hi - 1)
    outcome = await apply.apply(rest, owner.identity.device)
    assert outcome.distrusted == ((owner.identity.device, relay.identity.device),)
    assert [kind for kind, _ in outcome.notes] == ["state_differs"]
    assert entries(receiver) == []
    await apply.apply(batch, owner.identity.device)
    assert entries(receiver) == entries(owner)


async def test_an_owner_that_contradicts_itself_is_named_and_not_fetched_for_ever(
    replicas: list[Replica],
) -> None:
    """Where no relay had a part, the fault is the owner's: read once more, it is said and stays."""
    owner, _, receiver = replicas
    batch = await batch_of(owner, owner)
    apply = await applier(receiver)
    for kept in (False, True):
        await apply.apply(forged(batch), owner.identity.device)
        rest = await batch_of(owner, owner, batch.hi - 1)
        outcome = await apply.apply(rest, owner.identity.device)
        assert (outcome.distrusted, outcome.suspects) == ((), ())
        ((kind, about),) = outcome.notes
        assert (kind, about["from"]) == ("state_differs", owner.identity.device)
        assert (entries(receiver) != []) is kept


async def test_a_proved_copy_clears_who_relayed_it(replicas: list[Replica]) -> None:
    """Once the owner's word covers all rows, a later fault is not laid on an earlier relay."""
    owner, relay, receiver = replicas
    apply = await applier(receiver)
    await apply.apply(await batch_of(owner, owner), relay.identity.device)
    facts = query_file(receiver.store.path, "SELECT name FROM meta WHERE name LIKE 'relayed/%'")
    assert facts == []


async def test_bytes_that_are_no_checkpoint_are_refused(replicas: list[Replica]) -> None:
    """A checkpoint of another shape is named as such."""
    owner, relay, receiver = replicas
    batch = replace(await batch_of(owner, owner), checkpoint=b"x" * 100)
    assert await refused(receiver, batch, relay.identity.device) == "malformed"


async def test_nobody_speaks_for_this_device_itself(replicas: list[Replica]) -> None:
    """Rows of our own that another sends cannot replace or remove what we hold."""
    owner, relay, _ = replicas
    batch = await batch_of(owner, owner)
    row = (TAG, 1 << 40, "evil", *[None] * (len(DEVICE_COLUMNS) - 2))
    change = StateChange(
        "device", batch.changes[0].owner, batch.incarnation, tuple(DEVICE_COLUMNS[1:]), [row]
    )
    batch = replace(batch, changes=(change,))
    assert await refused(owner, batch, relay.identity.device) == "unverified"


async def test_a_device_is_introduced_by_itself_alone(replicas: list[Replica]) -> None:
    """A device row ahead of all else is taken from the device itself, and from nobody else."""
    owner, relay, receiver = replicas
    registry, device = owner.store.registry, owner.identity.device
    batch = await owner.store.read(lambda c: introduction(c, registry, device))
    assert batch is not None
    assert await refused(receiver, batch, relay.identity.device) == "unverified"
    assert (await (await applier(receiver)).apply(batch, device)).used
    names = query_file(receiver.store.path, "SELECT name FROM device ORDER BY name")
    assert names == [("device0",), ("device2",)]


async def test_rows_that_break_a_rule_are_refused(replicas: list[Replica]) -> None:
    """A value of another kind than its field has is the sender's fault, and is named."""
    owner, _, receiver = replicas
    batch = await batch_of(owner, owner)
    row = (TAG, 1, 5, *[None] * (len(DEVICE_COLUMNS) - 2))
    change = StateChange(
        "device", batch.changes[0].owner, batch.incarnation, tuple(DEVICE_COLUMNS[1:]), [row]
    )
    batch = replace(batch, changes=(change,))
    assert await refused(receiver, batch, owner.identity.device) == "refused"


async def test_altered_relayed_rows_are_named_and_dropped(replicas: list[Replica]) -> None:
    """Rows that do not hash to the owner's word are named with who brought them, and go."""
    owner, relay, receiver = replicas
    batch = await batch_of(owner, owner)
    changes = tuple(change for change in batch.changes if change.model != "entry")
    batch = replace(batch, changes=changes)
    outcome = await (await applier(receiver)).apply(batch, relay.identity.device)
    ((kind, about),) = outcome.notes
    assert (kind, about["owner"], about["from"]) == (
        "state_differs",
        owner.identity.device,
        relay.identity.device,
    )
    left = query_file(receiver.store.path, "SELECT count(*) FROM location")
    assert left == [(0,)]


async def test_an_owner_that_contradicts_itself_is_named_and_kept(
    replicas: list[Replica],
) -> None:
    """Rows that their own owner's checkpoint does not fit stay: it is the owner's fault alone."""
    owner, _, receiver = replicas
    batch = await batch_of(owner, owner)
    changes = tuple(change for change in batch.changes if change.model != "entry")
    batch = replace(batch, changes=changes)
    outcome = await (await applier(receiver)).apply(batch, owner.identity.device)
    assert [kind for kind, _ in outcome.notes] == ["state_differs"]
    assert query_file(receiver.store.path, "SELECT count(*) FROM location") == [(1,)]


async def test_a_batch_that_leaves_a_gap_is_not_used(replicas: list[Replica]) -> None:
    """Rows above what we hold and the next are left: the cursor promises that nothing is missing."""
    owner, _, receiver = replicas
    apply = await applier(receiver)
    batch = replace(await batch_of(owner, owner, 4), checkpoint=b"")
    outcome = await apply.apply(batch, owner.identity.device)
    assert not outcome.used
    assert entries(receiver) == []


# --- statements -----------------------------------------------------------------------------------


async def test_a_statement_of_a_member_makes_a_member(
    replicas: list[Replica], tmp_path: Path
) -> None:
    """Who an admin adds is a member for this device from then on."""
    admin, relay, receiver = replicas
    newcomer = load_or_create(tmp_path / "newcomer")
    said = statement(admin.identity, newcomer, admin.store.library, "newcomer")
    apply = await applier(receiver)
    await apply.apply(Statements((said,)), relay.identity.device)
    assert apply.keys()[newcomer.device] == newcomer.public_key
    assert newcomer.public_key in (await receiver.store.membership(key_of)).members


async def test_a_statement_by_a_stranger_makes_nobody_a_member(
    replicas: list[Replica], tmp_path: Path
) -> None:
    """Who signs its own admission is admitted nowhere."""
    _, relay, receiver = replicas
    stranger = load_or_create(tmp_path / "stranger")
    said = statement(stranger, stranger, receiver.store.library, "stranger")
    apply = await applier(receiver)
    await apply.apply(Statements((said,)), relay.identity.device)
    known = apply.keys()
    assert stranger.device not in known


async def test_a_statement_that_its_author_did_not_sign_is_refused(
    replicas: list[Replica], tmp_path: Path
) -> None:
    """An admin's name under an admission needs the admin's signature; nothing else is kept."""
    admin, relay, receiver = replicas
    newcomer = load_or_create(tmp_path / "newcomer")
    said = statement(admin.identity, newcomer, admin.store.library, "newcomer")
    forged = Signed(said.body, newcomer.sign(said.body))
    before = held(receiver)
    with pytest.raises(UnverifiedError):
        await (await applier(receiver)).apply(Statements((forged,)), relay.identity.device)
    assert held(receiver) == before


async def test_a_statement_with_a_certificate_no_device_makes_is_refused(
    replicas: list[Replica], tmp_path: Path
) -> None:
    """A certificate that could sign others, or is none, never becomes a trust anchor."""
    admin, relay, receiver = replicas
    newcomer = replace(load_or_create(tmp_path / "newcomer"), certificate_der=b"none")
    said = statement(admin.identity, newcomer, admin.store.library, "newcomer")
    before = held(receiver)
    with pytest.raises(BadCertificateError):
        await (await applier(receiver)).apply(Statements((said,)), relay.identity.device)
    assert held(receiver) == before


async def test_statements_that_never_count_are_not_kept(
    replicas: list[Replica], tmp_path: Path
) -> None:
    """A stranger's word on itself, and a word on another library, leave nothing behind."""
    _, relay, receiver = replicas
    stranger = load_or_create(tmp_path / "stranger")
    own = statement(stranger, stranger, receiver.store.library, "x")
    other = statement(relay.identity, stranger, bytes(16), "x")
    before = held(receiver)
    apply = await applier(receiver)
    await apply.apply(Statements((own, other)), relay.identity.device)
    assert held(receiver) == before
    assert set(apply.keys()) == {replica.identity.device for replica in replicas}


async def test_a_statement_of_a_later_version_is_passed_over(replicas: list[Replica]) -> None:
    """Nothing of it is kept; the others in the same message count."""
    admin, relay, receiver = replicas
    library = admin.store.library
    said = statement(admin.identity, relay.identity, library, "again")
    later = Signed(said.body.replace(b"\xa3add", b"\xa3adx"), b"s" * 64)
    apply = await applier(receiver)
    outcome = await apply.apply(Statements((later, said)), relay.identity.device)
    assert outcome.used
    kept = receiver.store.write_here(lambda tx: kept_statements(tx.conn))
    assert said in kept
    assert later not in kept


async def test_more_statements_than_a_library_may_have_are_not_even_read(
    replicas: list[Replica],
) -> None:
    """Judging them is work that grows faster than their number."""
    admin, relay, receiver = replicas
    said = statement(admin.identity, relay.identity, admin.store.library, "again")
    apply = await applier(receiver)
    with pytest.raises(UnverifiedError):
        await apply.apply(Statements((said,) * 1_001), relay.identity.device)

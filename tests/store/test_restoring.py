"""What a restored or cloned device may do, and how it goes on."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from leaderless.protocol.checkpoint import Checkpoint
from leaderless.protocol.messages import OwnedPosition, StateBatch
from leaderless.store import given_back, meta, repair, restoring
from leaderless.store.repair import Replaced
from leaderless.store.restoring import CLONE_MS, ClonedError, RestoringError
from leaderless.sync.confirmations import write_down
from registry.changes import Create, Incarnation
from tests.replicas import Replica, add_tree
from tests.store.passing import batches, held, pull, said, within

NONCE = b"nonce--8"


def life(replica: Replica) -> str:
    """Return why a replica writes nothing, if it does not."""
    return within(replica, restoring.life)


def begin(replica: Replica) -> str:
    """Let a replica write nothing more."""
    return replica.store.write_here(restoring.begin)


def word(replica: Replica, *, later: int = 0, generations: int = 0) -> Checkpoint:
    """Return what a replica has signed last; or what it never did, as of a later rev or life."""
    copy = held(replica, replica)
    incarnation = copy.incarnation._replace(generation=copy.incarnation.generation + generations)
    about = (replica.store.library, copy.owner, incarnation, copy.watermark + later)
    return Checkpoint(*about, copy.row_count, copy.set_hash)


def hear(replica: Replica, heard: Checkpoint, lacking: int = 0) -> bool:
    """Let a replica hear a word of its own, of who lacks so many of its revs; return if it wants it."""
    record, held = bytes(64) + heard.encode(), heard.rev - lacking
    return replica.store.write_here(lambda tx: restoring.hear(tx, heard, record, held))


def test_a_device_that_takes_its_rows_back_writes_nothing(replicas: list[Replica]) -> None:
    """Neither rows nor commits, and says why; what it has stays meanwhile."""
    device = replicas[0]
    add_tree(device, 3)
    assert begin(device) == restoring.RESTORING == begin(device)
    assert (life(device), held(device, device).row_count) == (restoring.RESTORING, 7)
    with pytest.raises(RestoringError):
        add_tree(device, 1)
    with pytest.raises(RestoringError):
        device.store.write_here(lambda tx: tx.drop("entry", [bytes(16)]))
    with pytest.raises(RestoringError):
        device.store.write_here(lambda tx: tx.commit("t", [Create("tag", bytes(16), {})]))


def test_it_goes_on_in_a_new_incarnation_with_what_it_has(replicas: list[Replica]) -> None:
    """Once; and it may write again."""
    device = replicas[0]
    begin(device)
    begun = device.store.write_here(lambda tx: restoring.go_on_as_restored(tx, NONCE))
    assert begun is not None
    assert begun.incarnation == Incarnation(2, NONCE) == held(device, device).incarnation
    assert device.store.write_here(lambda tx: restoring.go_on_as_restored(tx, NONCE)) is None
    assert life(device) == ""
    add_tree(device, 1)


def test_what_a_device_remembers_is_no_news(replicas: list[Replica]) -> None:
    """Its last word, the one before it, and that of a life that it has left."""
    device = replicas[0]
    before = word(device)
    add_tree(device, 3)
    now = word(device)
    assert not hear(device, before)
    assert not hear(device, now)
    device.store.write_here(lambda tx: restoring.claim(tx, NONCE))
    assert not hear(device, now)
    assert life(device) == ""


@pytest.mark.parametrize(("later", "generations"), [(1, 0), (0, 1), (-1, 1)])
def test_a_word_beyond_what_a_device_remembers_shows_that_it_was_restored(
    replicas: list[Replica], later: int, generations: int
) -> None:
    """A later rev, or a later incarnation; what it goes on in is above that."""
    device = replicas[0]
    add_tree(device, 3)
    heard = word(device, later=later, generations=generations)
    assert hear(device, heard)
    assert life(device) == restoring.RESTORING
    assert within(device, restoring.disputed) is None
    begun = device.store.write_here(lambda tx: restoring.go_on_as_restored(tx, NONCE))
    assert begun is not None
    assert begun.incarnation == Incarnation(2 + generations, NONCE)


def test_a_word_on_other_rows_at_a_rev_that_was_used_again_shows_it_as_well(
    replicas: list[Replica],
) -> None:
    """These rows are wanted though there are more here; others of that rev are not."""
    device = replicas[0]
    add_tree(device, 3)
    other = replace(word(device), row_count=99)
    add_tree(device, 3, "more")
    assert hear(device, other)
    assert within(device, restoring.disputed) == other
    assert hear(device, other)
    assert not hear(device, replace(other, row_count=98))
    device.store.write_here(lambda tx: restoring.go_on_as_restored(tx, NONCE))
    assert within(device, restoring.disputed) is None


def test_it_is_shown_to_a_device_that_knows_already_that_it_was_restored(
    replicas: list[Replica],
) -> None:
    """By a commit of its own, say; of two such words the first is followed until it is taken."""
    device = replicas[0]
    add_tree(device, 3)
    other = replace(word(device), row_count=99)
    add_tree(device, 3, "more")
    later = replace(word(device), row_count=99)
    begin(device)
    assert hear(device, other)
    assert not hear(device, later)
    assert within(device, restoring.disputed) == other


def test_who_has_heard_a_word_alone_is_not_asked_for_its_rows(replicas: list[Replica]) -> None:
    """It shows that there was another life; who holds the rows of it says so itself."""
    device = replicas[0]
    add_tree(device, 3)
    other = replace(word(device), row_count=99)
    add_tree(device, 3, "more")
    assert not hear(device, other, lacking=1)
    assert within(device, restoring.disputed) is None
    assert life(device) == restoring.RESTORING
    assert hear(device, other)


def test_what_is_behind_what_was_taken_back_is_no_news(replicas: list[Replica]) -> None:
    """Whoever knows of more gives that afterwards, though as much had been written here."""
    device, peer = replicas[:2]
    add_tree(device, 3)
    pull(device, peer, device)
    given = list(batches(peer, device))
    other, later = (replace(word(device, later=at), row_count=99) for at in (-1, 1))
    add_tree(device, 9, "since")
    begin(device)
    for batch in given:
        within(device, lambda c, batch=batch: given_back.keep(c, batch, peer.identity.device))
    device.store.write_here(given_back.take)
    assert not hear(device, other)
    assert not hear(device, word(device))
    assert hear(device, later)


def test_what_another_member_has_taken_since_is_not_given_up_for_less(
    replicas: list[Replica],
) -> None:
    """Two lives were told of: the longer one goes on, in a new incarnation all the same."""
    device, peer = replicas[:2]
    add_tree(device, 3)
    other = replace(word(device), row_count=99)
    add_tree(device, 3, "more")
    now = OwnedPosition(held(device, device).incarnation, word(device).rev)
    known = {peer.identity.device: now}
    device.store.write_here(lambda tx: write_down(tx, {}, known))
    assert not hear(device, other)
    assert within(device, restoring.disputed) is None
    assert life(device) == restoring.RESTORING


def test_who_holds_more_than_was_written_is_not_told_of_this_life(
    replicas: list[Replica],
) -> None:
    """Whatever a peer says of itself, the rows that another one shows are wanted."""
    device, peer = replicas[:2]
    add_tree(device, 3)
    other = replace(word(device), row_count=99)
    add_tree(device, 3, "more")
    beyond = OwnedPosition(held(device, device).incarnation, word(device).rev + 1)
    device.store.write_here(lambda tx: write_down(tx, {}, {peer.identity.device: beyond}))
    assert hear(device, other)
    assert within(device, restoring.disputed) == other


def went_on(replica: Replica) -> None:
    """Let a replica be restored, and go on."""
    begin(replica)
    replica.store.write_here(lambda tx: restoring.go_on_as_restored(tx, NONCE))


def test_who_has_gone_on_and_is_superseded_was_cloned(replicas: list[Replica]) -> None:
    """A lost life knows nothing of this one. It writes and hears nothing, and keeps its rows."""
    device = replicas[0]
    add_tree(device, 3)
    went_on(device)
    device.clock.ms += CLONE_MS - 1
    assert not hear(device, word(device, generations=1))
    assert (life(device), held(device, device).row_count) == (restoring.CLONED, 7)
    assert not hear(device, word(device, generations=2))
    with pytest.raises(ClonedError):
        add_tree(device, 1)
    within(device, lambda c: meta.drop(c, meta.CLONED))
    device.clock.ms += 1
    assert begin(device) == restoring.RESTORING


def test_a_backup_of_a_device_that_had_gone_on_can_be_put_back_at_once(
    replicas: list[Replica],
) -> None:
    """Its own life of later on shows that it was restored: no other machine has begun anything."""
    device = replicas[0]
    went_on(device)
    device.store.write_here(restoring.begin_run)
    for _ in range(3):
        assert hear(device, word(device, later=1))
        assert life(device) == restoring.RESTORING
        device.store.write_here(lambda tx: restoring.go_on_as_restored(tx, NONCE))


def test_a_backup_that_was_put_back_before_can_be_put_back_once_more(
    replicas: list[Replica],
) -> None:
    """The life that went on from it the last time has ended: this run has begun nothing yet."""
    device = replicas[0]
    went_on(device)
    device.store.write_here(restoring.begin_run)
    device.store.write_here(restoring.begin_run)
    assert hear(device, word(device, generations=1))
    assert life(device) == restoring.RESTORING


def test_an_incarnation_that_knew_nothing_of_ours_is_no_other_machine(
    replicas: list[Replica],
) -> None:
    """It is of the same generation: of a life that somebody knew who was not there."""
    device = replicas[0]
    went_on(device)
    own = held(device, device).incarnation
    other = replace(word(device), incarnation=own._replace(nonce=b"\xff" * 8))
    assert hear(device, other)
    assert life(device) == restoring.RESTORING


def test_machines_that_take_turns_are_found_out(replicas: list[Replica]) -> None:
    """Who is superseded twice within a day was cloned, however often it is started; a day later not."""
    device = replicas[0]
    assert hear(device, word(device, generations=1))
    device.store.write_here(lambda tx: restoring.go_on_as_restored(tx, NONCE))
    device.store.write_here(restoring.begin_run)
    device.clock.ms += CLONE_MS
    assert hear(device, word(device, generations=1))
    device.store.write_here(lambda tx: restoring.go_on_as_restored(tx, NONCE))
    device.store.write_here(restoring.begin_run)
    device.clock.ms += CLONE_MS - 1
    assert not hear(device, word(device, generations=1))
    assert life(device) == restoring.CLONED


def test_a_person_lets_a_device_go_on_as_it_is(replicas: list[Replica]) -> None:
    """Above every incarnation of it that is known, with the rows that it has."""
    device = replicas[0]
    add_tree(device, 3)
    begin(device)
    begun = device.store.write_here(lambda tx: restoring.claim(tx, NONCE))
    assert begun is not None
    assert (begun.incarnation.generation, life(device)) == (3, "")
    copy = held(device, device)
    assert (copy.incarnation, copy.row_count) == (begun.incarnation, 7)
    add_tree(device, 1)


def test_a_clone_that_is_claimed_takes_back_what_the_other_told(replicas: list[Replica]) -> None:
    """And goes on above whatever the other may have begun; a second claim ends the wait."""
    device = replicas[0]
    within(device, lambda c: meta.put(c, meta.CLONED, 1))
    assert device.store.write_here(lambda tx: restoring.claim(tx, NONCE)) is None
    assert life(device) == restoring.RESTORING
    assert hear(device, word(device, generations=1))
    begun = device.store.write_here(lambda tx: restoring.claim(tx, NONCE))
    assert begun is not None
    assert (begun.incarnation.generation, life(device)) == (4, "")


def test_rows_that_are_given_back_are_taken_once_all_are_here(replicas: list[Replica]) -> None:
    """They are what is disputed no more."""
    device, peer = replicas[0], replicas[1]
    add_tree(device, 3)
    pull(device, peer, device)
    given = list(batches(peer, device, limit=3))
    add_tree(device, 2, "more")
    within(device, lambda c: meta.put(c, meta.DISPUTED, given[0].checkpoint))

    def take(at: int) -> tuple[bool, bool]:
        source = peer.identity.device
        used, taken = device.store.write_here(lambda tx: restoring.take_back(tx, given[at], source))
        return used, taken is not None

    assert take(1) == (False, False)
    kept = [(True, False)] * (len(given) - 1)
    assert [take(at) for at in range(len(given))] == [*kept, (True, True)]
    assert held(device, device).row_count == 7
    assert within(device, restoring.disputed) is None
    assert said(given[0]) == word(device)


def test_who_knows_our_word_alone_gives_nothing(replicas: list[Replica]) -> None:
    """What somebody else has given so far stays, and goes on."""
    device, peer, other = replicas
    add_tree(device, 3)
    pull(device, peer, device)
    given = list(batches(peer, device, limit=3))
    word_alone = replace(given[0], hi=0, head=0, as_of=0, changes=())

    def take(batch: StateBatch, source: Replica) -> bool:
        sender = source.identity.device
        return device.store.write_here(lambda tx: restoring.take_back(tx, batch, sender))[0]

    assert take(given[0], peer)
    assert not take(word_alone, other)
    assert take(given[1], peer)


# --- a database that was replaced -----------------------------------------------------------------


def _replaced(device: Replica, above: int = 5) -> None:
    """Let a device's database be one that has replaced another."""
    told = Replaced(1_000, "library.db.corrupt", 500, "bad", above, NONCE.hex())
    within(device, lambda c: meta.put(c, meta.REPLACED, json.dumps(told)))
    device.store.write_here(restoring.after_replacement)


def test_a_replaced_device_waits_for_others_and_writes_nothing(replicas: list[Replica]) -> None:
    """It keeps its rows and its incarnation meanwhile, over a restart, too."""
    device = replicas[0]
    add_tree(device, 3)
    _replaced(device)
    device.store.write_here(restoring.after_replacement)
    assert (life(device), held(device, device).row_count) == (restoring.RESTORING, 7)
    with pytest.raises(RestoringError):
        add_tree(device, 1)


def test_a_replaced_device_that_is_alone_goes_on_at_once(replica: Replica) -> None:
    """Nobody could know more of it."""
    _replaced(replica)
    assert life(replica) == ""
    assert held(replica, replica).incarnation == Incarnation(6, NONCE)
    assert within(replica, repair.to_leave) is None


def test_a_replaced_device_goes_on_above_what_the_damaged_file_had_used(
    replicas: list[Replica],
) -> None:
    """In the incarnation that was named then; it was not restored, so it cannot look cloned."""
    device = replicas[0]
    _replaced(device)
    begun = device.store.write_here(lambda tx: restoring.go_on_as_restored(tx, b"another!"))
    assert begun is not None
    assert begun.incarnation == Incarnation(6, NONCE)
    assert within(device, repair.to_leave) is None
    assert begin(device) == restoring.RESTORING


def test_a_person_may_decide_that_a_replaced_device_goes_on(replicas: list[Replica]) -> None:
    """What somebody has begun to give it back is forgotten."""
    device, peer = replicas[0], replicas[1]
    add_tree(device, 3)
    pull(device, peer, device)
    first = next(batches(peer, device, limit=3))
    _replaced(device)
    device.store.write_here(lambda tx: restoring.take_back(tx, first, peer.identity.device))
    begun = device.store.write_here(lambda tx: restoring.claim(tx, NONCE))
    assert begun is not None
    assert (begun.incarnation.generation, life(device)) == (6, "")
    assert within(device, given_back.given) is None

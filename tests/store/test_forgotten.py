"""What stays possible where the content of commits has been forgotten, and what is refused."""

from __future__ import annotations

import pytest

from leaderless.protocol.hashing import EMPTY_SET
from leaderless.store import meta
from leaderless.store.forgotten import ForgottenError, is_whole, replaced_value
from leaderless.store.rebuild import rebuild
from leaderless.store.registers import read_state
from leaderless.store.verification import mend, verify
from registry.changes import Create, Delete, Update
from tests.replicas import Replica, open_replica, query_file
from tests.store.passing import dump, within

TAG = b"t" * 16
SHARED = ("SELECT * FROM record", "SELECT * FROM tag", "SELECT * FROM journal")
REPLACED = "SELECT field, subkey FROM replaced ORDER BY field, subkey"


def _edit(replica: Replica, *edits: object) -> None:
    replica.clock.ms += 1_000
    replica.store.write_here(lambda tx: tx.commit("test", edits))


def _forget_all(replica: Replica) -> None:
    within(replica, lambda c: c.exec_driver_sql("UPDATE commit_log SET body = NULL"))


def test_a_log_is_whole_until_something_of_it_is_forgotten(replica: Replica) -> None:
    """One body that is missing is enough."""
    _edit(replica, Create("tag", TAG, {"color": "red"}))
    assert within(replica, is_whole)
    _forget_all(replica)
    assert not within(replica, is_whole)


def test_a_log_that_is_not_whole_is_not_run_again(replica: Replica) -> None:
    """Records that it could not make again stay as they are."""
    _edit(replica, Create("tag", TAG, {"color": "red"}))
    _forget_all(replica)
    before = dump(replica, SHARED)
    with pytest.raises(ForgottenError, match="cannot be run again"):
        within(replica, lambda c: rebuild(c, replica.store.registry, replica.clock.ms))
    assert dump(replica, SHARED) == before


def test_damage_that_the_log_cannot_mend_asks_for_a_peers_state(replica: Replica) -> None:
    """It is named, nothing is thrown away, and what is wanted is noted."""
    _edit(replica, Create("tag", TAG, {"color": "red"}))
    _forget_all(replica)
    within(replica, lambda c: meta.put(c, meta.SHARED_HASH, EMPTY_SET))
    before = dump(replica, SHARED)
    (wrong,) = replica.store.write_here(lambda tx: mend(tx, b"nonce--8"))
    assert "a peer has to send them" in str(wrong.fault)
    assert dump(replica, SHARED) == before
    assert within(replica, lambda c: meta.get(c, meta.STATE_WANTED)) == 1


def test_what_is_held_counts_without_the_log(replica: Replica) -> None:
    """Equality is proved from the records: nothing of it hangs on what is forgotten."""
    _edit(replica, Create("tag", TAG, {"color": "red"}))
    _forget_all(replica)
    counted = within(replica, lambda c: verify(c, replica.store.registry))
    assert [count.fault for count in counted] == [None, None]


def test_an_upgrade_that_wants_the_log_run_again_keeps_the_records(
    replica: Replica, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """What is shown is made anew from what is remembered."""
    _edit(replica, Create("tag", TAG, {"color": "red"}))
    _forget_all(replica)
    within(replica, lambda c: meta.put(c, meta.REBUILD, 1))
    before = dump(replica, SHARED)
    again = open_replica(replica.store.path.parent, 0)
    assert dump(again, SHARED) == before
    assert within(again, lambda c: meta.get(c, meta.REBUILD)) is None
    again.store.close()


def test_a_value_that_outlived_its_commit_is_kept_when_it_is_replaced(replica: Replica) -> None:
    """By its register, also one with a subkey; what is replaced in a whole log costs nothing."""
    _edit(replica, Create("tag", TAG, {"color": "red", ("attributes", "k"): "v"}))
    held = {write.key: write.ref for write in _state(replica).writes}
    _forget_all(replica)
    _edit(replica, Update("tag", TAG, {"color": "blue", ("attributes", "k"): None}))
    _edit(replica, Update("tag", TAG, {"color": "green"}))
    assert query_file(replica.store.path, REPLACED) == [("attributes", "k"), ("color", "")]
    key = ("attributes", "k")
    value = within(replica, lambda c: replaced_value(c, "tag", TAG, key, held[key]))
    assert value == "v"


def test_a_value_that_nobody_kept_is_refused(replica: Replica) -> None:
    """It is not taken for empty."""
    _edit(replica, Create("tag", TAG, {"color": "red"}))
    (write,) = _state(replica).writes
    with pytest.raises(ForgottenError, match="has been forgotten"):
        within(replica, lambda c: replaced_value(c, "tag", TAG, ("color", None), write.ref))


def test_values_of_a_deleted_record_are_kept_too(replica: Replica) -> None:
    """A delete takes them out of effect like any other change."""
    _edit(replica, Create("tag", TAG, {"color": "red"}))
    _forget_all(replica)
    _edit(replica, Delete("tag", TAG))
    assert query_file(replica.store.path, REPLACED) == [("color", "")]


def _state(replica: Replica):  # noqa: ANN202
    return within(replica, lambda c: read_state(c, "tag", TAG))

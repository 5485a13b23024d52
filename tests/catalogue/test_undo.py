"""Taking actions back, and refusing where something later stands on them."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Connection, event

from leaderless.catalogue import tags
from leaderless.catalogue.conflicts import conflicts, dismiss_conflicts
from leaderless.catalogue.history import Filter, actions
from leaderless.catalogue.reversal import StandsOnError
from leaderless.catalogue.undo import undo
from leaderless.catalogue.undone import undone_actions
from leaderless.errors import NotFoundError, UsageError
from leaderless.store.registers import read_state
from registry.changes import Create, Delete, Edit, Lock, Restore, Unlock, Update
from registry.derived import link_id
from registry.state import set_registers
from tests.replicas import Replica, query_file
from tests.store.passing import log_of, own_feed, store_commits, within

TAG, ITEM = b"t" * 16, b"i" * 16


async def do(replica: Replica, command: str, *edits: Edit) -> None:
    """Do one action."""
    replica.clock.ms += 1_000
    await replica.store.write(lambda tx: tx.commit(command, edits))


def shown(replica: Replica, columns: str = "canonical_name, color") -> list[tuple[Any, ...]]:
    """Return the visible tags."""
    return query_file(replica.store.path, f"SELECT {columns} FROM tag")  # noqa: S608


async def test_an_undone_update_shows_the_value_before(replica: Replica) -> None:
    """The value that was replaced is written again, one that was not there is gone."""
    await do(replica, "tag.create", Create("tag", TAG, {"canonical_name": "trip"}))
    await do(replica, "tag.set", Update("tag", TAG, {"canonical_name": "tour", "color": "red"}))
    await undo(replica.store, None)
    assert shown(replica) == [("trip", None)]


async def test_an_undone_first_value_is_unset_and_hides_nothing(replica: Replica) -> None:
    """A field that nobody had written is as before: not empty, but not there."""
    await do(replica, "tag.create", Create("tag", TAG, {"canonical_name": "trip"}))
    await do(replica, "tag.set", Update("tag", TAG, {"color": "red", ("attributes", "k"): 1}))
    await undo(replica.store, None)
    state = within(replica, lambda c: read_state(c, "tag", TAG))
    assert set_registers(state) == {"canonical_name": "trip"}


async def test_an_undone_create_is_gone_and_an_undone_delete_is_back(replica: Replica) -> None:
    """Records go and come back with their values."""
    await do(replica, "tag.create", Create("tag", TAG, {"canonical_name": "trip"}))
    await do(replica, "tag.delete", Delete("tag", TAG))
    await undo(replica.store, None)
    assert shown(replica) == [("trip", None)]
    await undo(replica.store, None)
    assert shown(replica) == []


async def test_each_undo_takes_back_the_action_before(replica: Replica) -> None:
    """Undo again goes on backwards, not to and fro."""
    await do(replica, "tag.create", Create("tag", TAG, {"color": "blue"}))
    await do(replica, "tag.set", Update("tag", TAG, {"color": "red"}))
    await do(replica, "tag.set", Update("tag", TAG, {"color": "green"}))
    await undo(replica.store, None)
    await undo(replica.store, None)
    assert shown(replica, "color") == [("blue",)]


async def test_an_undo_can_be_undone_by_its_id(replica: Replica) -> None:
    """Taking an undo back does the action again, and it counts as done."""
    await do(replica, "tag.create", Create("tag", TAG, {"color": "blue"}))
    await do(replica, "tag.set", Update("tag", TAG, {"color": "red"}))
    action, _ = await undo(replica.store, None)
    newest = await replica.store.read(lambda c: next(actions(c, Filter())))
    await undo(replica.store, newest.command_id.hex())
    assert shown(replica, "color") == [("red",)]
    assert action.key not in await replica.store.read(undone_actions)


async def test_a_bulk_action_is_undone_as_one(replica: Replica) -> None:
    """However many records an action made, one undo takes all of them."""
    links = [bytes([at]) * 16 for at in range(40)]
    await do(replica, "tag.create", Create("tag", TAG, {"canonical_name": "trip"}))
    edits = [
        Create(
            "user_metadata_tag",
            link_id("user_metadata_tag", item, TAG),
            {"item": item, "scope": "entry", "tag": TAG},
        )
        for item in links
    ]
    await do(replica, "tag.add", *edits)
    await undo(replica.store, None)
    assert query_file(replica.store.path, "SELECT count(*) FROM user_metadata_tag") == [(0,)]
    assert len(shown(replica)) == 1


async def test_a_later_edit_stands_in_the_way(replicas: list[Replica]) -> None:
    """What somebody else wrote since is named, and nothing is changed."""
    a, b, _ = replicas
    await do(a, "tag.create", Create("tag", TAG, {"color": "blue"}))
    await do(a, "tag.set", Update("tag", TAG, {"color": "red"}))
    store_commits(b, *log_of(a, own_feed(a)))
    b.clock.ms += 60_000
    await do(b, "tag.set", Update("tag", TAG, {"color": "green"}))
    store_commits(a, *log_of(b, own_feed(b)))
    with pytest.raises(StandsOnError, match="color was changed since"):
        await undo(a.store, None)
    assert shown(a, "color") == [("green",)]


async def test_a_tag_that_is_in_use_is_not_unmade(replica: Replica) -> None:
    """A create is not undone while something else was linked to it since."""
    await do(replica, "tag.create", Create("tag", TAG, {"canonical_name": "trip"}))
    created = await replica.store.read(lambda c: next(actions(c, Filter())))
    link = link_id("user_metadata_tag", ITEM, TAG)
    fields = {"item": ITEM, "scope": "entry", "tag": TAG}
    await do(replica, "tag.add", Create("user_metadata_tag", link, fields))
    with pytest.raises(StandsOnError, match="linked"):
        await undo(replica.store, created.command_id.hex())


async def test_a_lock_is_undone_as_an_unlock(replica: Replica) -> None:
    """After the undo of a lock the record is free, and after that of the undo locked again."""
    await do(replica, "tag.create", Create("tag", TAG, {"color": "blue"}))
    await do(replica, "tag.lock", Lock("tag", TAG))
    await undo(replica.store, None)
    assert query_file(replica.store.path, "SELECT locked_by FROM record") == [(None,)]


async def test_what_was_undone_is_not_undone_twice(replica: Replica) -> None:
    """An id that was taken back already is refused, and so is one that nobody knows."""
    await do(replica, "tag.create", Create("tag", TAG, {"color": "blue"}))
    action, _ = await undo(replica.store, None)
    with pytest.raises(UsageError, match="already"):
        await undo(replica.store, action.command_id.hex())
    with pytest.raises(NotFoundError):
        await undo(replica.store, "ffffffffffff")
    with pytest.raises(NotFoundError):
        await undo(replica.store, None)


async def test_an_undo_arrives_at_the_peer_like_any_action(replicas: list[Replica]) -> None:
    """The peer shows what was before, and nothing is lost there."""
    a, b, _ = replicas
    uuid = await tags.create_tag(a.store, "trip", {"color": "blue"})
    await tags.set_tag(a.store, uuid.hex(), {"color": "red"})
    await undo(a.store, None)
    store_commits(b, *log_of(a, own_feed(a)))
    assert shown(b, "color") == [("blue",)]
    assert await b.store.read(lambda c: conflicts(c, b.store.registry)) == []


async def test_a_restore_is_undone_though_links_came_back_with_it(replica: Replica) -> None:
    """What was linked before stands on the record, not on its restore."""
    link = link_id("user_metadata_tag", ITEM, TAG)
    fields = {"item": ITEM, "scope": "entry", "tag": TAG}
    await do(replica, "tag.create", Create("tag", TAG, {"canonical_name": "trip"}))
    await do(replica, "tag.add", Create("user_metadata_tag", link, fields))
    await do(replica, "tag.delete", Delete("tag", TAG))
    await do(replica, "tag.restore", Restore("tag", TAG))
    await undo(replica.store, None)
    assert shown(replica) == []


async def test_an_undo_without_an_id_passes_over_dismissals(replicas: list[Replica]) -> None:
    """That somebody has seen a conflict is not taken back; the action before it is."""
    a, b, _ = replicas
    await do(a, "tag.create", Create("tag", TAG, {"canonical_name": "trip"}))
    store_commits(b, *log_of(a, own_feed(a)))
    await do(a, "tag.set", Update("tag", TAG, {"color": "red"}))
    b.clock.ms += 60_000
    await do(b, "tag.set", Update("tag", TAG, {"color": "green"}))
    store_commits(a, *log_of(b, own_feed(b)))
    await do(a, "tag.set", Update("tag", TAG, {"icon": "palm"}))
    assert await dismiss_conflicts(a.store, None) == 1
    await undo(a.store, None)
    assert shown(a, "color, icon") == [("green", None)]


async def test_what_another_device_made_too_is_not_taken_from_it(replicas: list[Replica]) -> None:
    """A file that two devices tagged alike stays tagged: the other's tagging stands on it."""
    a, b, _ = replicas
    await do(a, "tag.create", Create("tag", TAG, {"canonical_name": "trip"}))
    store_commits(b, *log_of(a, own_feed(a)))
    link = link_id("user_metadata_tag", ITEM, TAG)
    fields = {"item": ITEM, "scope": "entry", "tag": TAG}
    await do(b, "tag.add", Create("user_metadata_tag", link, fields))
    a.clock.ms += 60_000
    await do(a, "tag.add", Create("user_metadata_tag", link, fields))
    store_commits(a, *log_of(b, own_feed(b)))
    with pytest.raises(StandsOnError, match="made it, too"):
        await undo(a.store, None)
    assert query_file(a.store.path, "SELECT count(*) FROM user_metadata_tag") == [(1,)]


async def test_an_old_delete_is_not_undone_over_a_later_one(replicas: list[Replica]) -> None:
    """Who restored it and deleted it again has had the last word."""
    a, b, _ = replicas
    await do(a, "tag.create", Create("tag", TAG, {"canonical_name": "trip"}))
    await do(a, "tag.delete", Delete("tag", TAG))
    store_commits(b, *log_of(a, own_feed(a)))
    await do(b, "tag.restore", Restore("tag", TAG))
    await do(b, "tag.delete", Delete("tag", TAG))
    store_commits(a, *log_of(b, own_feed(b)))
    with pytest.raises(StandsOnError, match="deleted again"):
        await undo(a.store, None)


@pytest.mark.parametrize("later_ms", [-60_000, 60_000])
async def test_who_made_the_same_is_named_whoever_was_first(
    replicas: list[Replica], later_ms: int
) -> None:
    """Not a field that nobody has changed."""
    a, b, _ = replicas
    b.clock.ms += later_ms
    fields = {"item": ITEM, "scope": "entry", "tag": TAG}
    made = Create("user_metadata_tag", link_id("user_metadata_tag", ITEM, TAG), fields)
    await do(a, "tag.add", made)
    await do(b, "tag.add", made)
    store_commits(a, *log_of(b, own_feed(b)))
    with pytest.raises(StandsOnError, match="made it, too"):
        await undo(a.store, None)


async def test_what_was_deleted_and_made_again_by_another_stays(replicas: list[Replica]) -> None:
    """It is another's by now."""
    a, b, _ = replicas
    made = Create("tag", TAG, {"canonical_name": "trip"})
    await do(a, "tag.create", made)
    store_commits(b, *log_of(a, own_feed(a)))
    await do(b, "tag.delete", Delete("tag", TAG))
    await do(b, "tag.create", made)
    store_commits(a, *log_of(b, own_feed(b)))
    with pytest.raises(StandsOnError, match="made it again since"):
        await undo(a.store, None)


async def test_undos_go_back_over_a_lock_and_what_was_written_after_it(replica: Replica) -> None:
    """A lock writes all values anew, whether it was set or taken back: they are no edits."""
    await do(replica, "tag.create", Create("tag", TAG, {"color": "blue"}))
    await do(replica, "tag.lock", Lock("tag", TAG))
    await do(replica, "tag.unlock", Unlock("tag", TAG))
    await do(replica, "tag.set", Update("tag", TAG, {"color": None}))
    for _ in range(3):
        await undo(replica.store, None)
    assert shown(replica, "color") == [("blue",)]
    await undo(replica.store, None)
    assert shown(replica) == []


async def test_undos_go_back_over_a_delete_to_an_unlock(replica: Replica) -> None:
    """What came back is as free as it was before it was deleted; a lock that it had then is gone."""
    await do(replica, "tag.create", Create("tag", TAG, {"color": "blue"}))
    await do(replica, "tag.lock", Lock("tag", TAG))
    await do(replica, "tag.unlock", Unlock("tag", TAG))
    await do(replica, "tag.delete", Delete("tag", TAG))
    for _ in range(2):
        await undo(replica.store, None)
    locked = "SELECT locked_by FROM record WHERE locked_by IS NOT NULL"
    assert query_file(replica.store.path, locked) == [(replica.identity.device,)]
    for _ in range(2):
        await undo(replica.store, None)
    assert shown(replica) == []


def test_what_was_undone_is_known_without_passing_over_bodies(replica: Replica) -> None:
    """An index says which commits are undos; of those the headers are read, which stand first."""
    asked: list[tuple[str, Any]] = []

    def note(_: object, __: object, statement: str, values: Any, *___: object) -> None:
        asked.append((statement, values))

    def planned(connection: Connection) -> list[str]:
        event.listen(connection, "before_cursor_execute", note)
        undone_actions(connection)
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {asked[0][0]}", asked[0][1])
        return [step[3] for step in plan]

    steps = within(replica, planned)
    assert any("SEARCH c USING COVERING INDEX commit_by_name (command=?)" in step for step in steps)
    assert any(
        step.startswith("SEARCH h USING INDEX") and "(feed=? AND seq=?)" in step for step in steps
    )


@pytest.mark.parametrize("between", ["made again", "restored", "undone and done again"])
async def test_a_delete_is_undone_when_all_that_came_later_was(
    replica: Replica, between: str
) -> None:
    """With the values that it took; then what came before it can be undone, too."""
    await do(replica, "tag.create", Create("tag", TAG, {"canonical_name": "trip"}))
    await do(replica, "tag.set", Update("tag", TAG, {"color": "red"}))
    await do(replica, "tag.delete", Delete("tag", TAG))
    if between == "made again":
        await do(replica, "tag.create", Create("tag", TAG, {"color": "blue", "icon": "palm"}))
    elif between == "restored":
        await do(replica, "tag.restore", Restore("tag", TAG, {"color": "green"}))
    else:
        await undo(replica.store, None)
    newest = await replica.store.read(lambda c: next(actions(c, Filter())))
    await undo(replica.store, newest.command_id.hex())
    assert shown(replica) == []
    await undo(replica.store, None)
    assert shown(replica, "canonical_name, color, icon") == [("trip", "red", None)]
    await undo(replica.store, None)
    assert shown(replica) == [("trip", None)]
    await undo(replica.store, None)
    assert shown(replica) == []


async def test_a_delete_goes_to_and_fro(replica: Replica) -> None:
    """Undone, done again and undone again, as often as one likes."""
    await do(replica, "tag.create", Create("tag", TAG, {"canonical_name": "trip"}))
    await do(replica, "tag.delete", Delete("tag", TAG))
    for _ in range(3):
        await undo(replica.store, None)
        assert shown(replica) == [("trip", None)]
        newest = await replica.store.read(lambda c: next(actions(c, Filter())))
        await undo(replica.store, newest.command_id.hex())
        assert shown(replica) == []


async def test_a_lock_that_an_undo_sets_anew_is_said_to_be_of_another_now(
    replicas: list[Replica],
) -> None:
    """Whoever undoes the unlocking of another's lock holds it; of an own lock nothing is said."""
    a, b, _ = replicas
    await do(a, "tag.create", Create("tag", TAG, {"canonical_name": "trip"}))
    await do(a, "tag.lock", Lock("tag", TAG))
    await do(a, "tag.unlock", Unlock("tag", TAG))
    assert (await undo(a.store, None)).notes == ()
    store_commits(b, *log_of(a, own_feed(a)))
    b.clock.ms += 60_000
    await do(b, "tag.unlock", Unlock("tag", TAG))
    (note,) = (await undo(b.store, None)).notes
    assert note.startswith("the lock of tag trip is this device's now")
    assert query_file(b.store.path, "SELECT locked_by FROM record") == [(b.identity.device,)]

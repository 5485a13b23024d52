"""Commits on their way into the log, many at a time."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, event

from leaderless.store import log
from registry.changes import Update
from tests.replicas import Replica, query_file
from tests.store.passing import chained, log_of, own_feed, signed_anew, store_commits, within
from tests.store.test_log import LOG, make_tag, some_commits


def _statements(replica: Replica, made: list[log.Received], *, fresh: bool = False) -> list[str]:
    """Let a device take commits; return the statements that it needed for it."""
    executed: list[str] = []

    def note(_: object, __: object, statement: str, *___: Any) -> None:
        executed.append(statement)

    def take(connection: Connection) -> None:
        event.listen(connection, "before_cursor_execute", note)
        new = log.receive_all(connection, made, replica.clock.ms)
        known = [item for item, is_new in zip(made, new, strict=True) if is_new and fresh]
        log.apply_ready(connection, replica.store.registry, replica.clock.ms, fresh=known)

    within(replica, take)
    return executed


def _storing(executed: list[str]) -> int:
    return sum("INTO commit_log" in statement for statement in executed)


def test_what_simply_comes_next_is_stored_in_one_statement(replicas: list[Replica]) -> None:
    """However many commits a batch has, once their feed is known."""
    a, b, _ = replicas
    made = some_commits(a, 12)
    assert _storing(_statements(b, made)) == 2


def test_many_at_a_time_leave_what_one_by_one_do(replicas: list[Replica]) -> None:
    """The log, the records and the clock are the same."""
    a, b, c = replicas
    made = some_commits(a, 6)
    store_commits(b, *made)
    _statements(c, made, fresh=True)
    queries = [query for query in LOG if "FROM meta" not in query]
    clock = "SELECT name, value FROM meta WHERE name LIKE 'clock%' OR name = 'shared_hash'"
    found = [[query_file(of.store.path, query) for query in (*queries, clock)] for of in (b, c)]
    assert found[0] == found[1]


def test_a_second_commit_at_a_position_begins_a_branch_in_a_batch_too(
    replicas: list[Replica],
) -> None:
    """What follows it is stored behind the fork."""
    a, b, _ = replicas
    made = some_commits(a, 4)
    twin = chained(a.identity, *made[:2], signed_anew(a.identity, made[2], command="other"))
    _statements(b, made)
    new = within(b, lambda conn: log.receive_all(conn, twin, b.clock.ms))
    assert new == [False, False, True]
    (forked,) = within(b, log.forked)
    assert (forked.feed, forked.forked) == (own_feed(a), 3)


def test_a_gap_ends_what_is_stored(replicas: list[Replica]) -> None:
    """What does not come next is not new: it will be asked for again."""
    a, b, _ = replicas
    made = some_commits(a, 5)
    new = within(b, lambda conn: log.receive_all(conn, [*made[:3], made[4]], b.clock.ms))
    assert new == [True, True, True, False]


def test_what_was_stored_just_now_is_not_read_back(replicas: list[Replica]) -> None:
    """Neither the content of a commit nor whether it is here."""
    a, b, _ = replicas
    executed = _statements(b, some_commits(a, 5), fresh=True)
    assert not [statement for statement in executed if "SELECT body" in statement]


def test_what_has_taken_effect_is_taken_note_of_together(replicas: list[Replica]) -> None:
    """A feed and the clock are written once for all commits that follow one another."""
    a, b, _ = replicas
    executed = _statements(b, some_commits(a, 12), fresh=True)
    noted = [statement for statement in executed if statement.startswith("UPDATE commit_log")]
    assert len(noted) == 1


def test_records_of_what_was_stored_just_now_are_read_together(replicas: list[Replica]) -> None:
    """However many commits they are in."""
    a, b, _ = replicas
    executed = _statements(b, some_commits(a, 12), fresh=True)
    assert sum("deaths, remains FROM record" in statement for statement in executed) == 1


def test_what_goes_out_of_effect_is_looked_up_together(replicas: list[Replica]) -> None:
    """Whether its commits have lost their content is asked once, however many there are."""
    a, b, _ = replicas
    tag = make_tag(a, "it")
    for at in range(6):
        edit = Update("tag", tag, {"color": str(at)})
        a.store.write_here(lambda tx, edit=edit: tx.commit("tag.set", [edit]))  # type: ignore[misc]
    executed = _statements(b, log_of(a, own_feed(a)), fresh=True)
    assert sum("c.body IS NULL" in statement for statement in executed) == 1


def test_which_feeds_have_forked_does_not_cost_more_for_more_commits(
    replicas: list[Replica],
) -> None:
    """It is asked for a batch, not for each commit of it."""
    a, b, _ = replicas
    made = some_commits(a, 12)
    asked = [
        sum("forked IS NOT NULL" in statement for statement in _statements(b, part, fresh=True))
        for part in (made[:2], made[2:])
    ]
    assert asked[0] == asked[1]

"""Forgetting bodies, piece by piece: who holds what, what is left in records, what is dropped."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from leaderless.protocol.retention import Terms
from leaderless.store import forgetting, meta
from leaderless.store.forgetting import At
from leaderless.store.inventory import shared_items
from leaderless.store.log import Received, receive
from leaderless.store.rebuild import rebuild
from registry.changes import Create, Delete, Dependency, Edit, FeedId, Update
from tests.replicas import START_MS, Replica, make_replicas, open_replica, query_file
from tests.store.passing import chained, log_of, own_feed, signed_anew, store_commits, within

TAG, TRIP = b"t" * 16, b"u" * 16
DAY_MS = 86_400_000
TERMS = Terms(30 * DAY_MS, 2, 180 * DAY_MS, 365 * DAY_MS)
BODIES = "SELECT seq FROM commit_log WHERE body IS NOT NULL ORDER BY feed, seq"
COLORS = ("red", "blue", "green", "grey", "pink")


def _edit(replica: Replica, *edits: Edit) -> None:
    replica.clock.ms += 1_000
    replica.store.write_here(lambda tx: tx.commit("test", edits))


def _repaint(replica: Replica) -> None:
    """Make a tag and give it five colours, one after the other: six commits."""
    _edit(replica, Create("tag", TAG, {"icon": "sun"}))
    for color in COLORS:
        _edit(replica, Update("tag", TAG, {"color": color}))


def _bodies(replica: Replica) -> list[int]:
    return [seq for (seq,) in query_file(replica.store.path, BODIES)]


def _others(replica: Replica, replicas: list[Replica]) -> set[bytes]:
    return {other.identity.device for other in replicas} - {replica.identity.device}


def _forget(replica: Replica, others: set[bytes], terms: Terms = TERMS) -> int:
    """Make one pass as the daemon does; return how many bodies went."""
    now_ms = replica.clock.ms

    def run(connection):  # noqa: ANN001, ANN202
        while forgetting.note_evidence(connection):
            pass
        away = forgetting.away_since(connection, others, (), now_ms, terms.lease_ms)
        known = forgetting.survey(connection, others - set(away), terms, now_ms)
        record: forgetting.Key | None = ("", b"")
        while record is not None:
            record = forgetting.mark_records(connection, known.retention.in_effect, record)
        at: At | None = At()
        while at is not None:
            at = forgetting.mark_replaced(connection, known, at)
        at, gone = At(), 0
        while at is not None:
            dropped, at = forgetting.drop_bodies(connection, known, at)
            gone += dropped
        return gone

    return within(replica, run)


def _tell(
    replica: Replica, member: Replica, feed: bytes, received: int, applied: int | None = None
) -> None:
    """Let a member say how much of a feed it holds, and has applied: all of it by default."""
    within(
        replica,
        lambda c: c.exec_driver_sql(
            "INSERT OR REPLACE INTO confirmation VALUES (?, ?, ?, ?)",
            (member.identity.device, feed, received, received if applied is None else applied),
        ),
    )


def test_what_is_superseded_goes_though_most_lack_it(replicas: list[Replica]) -> None:
    """But for the newest, and for the values that taking these back would show."""
    a, b, _ = replicas
    _repaint(a)
    _tell(a, b, own_feed(a), 6)
    assert _forget(a, _others(a, replicas)) == 2
    # 1 made the record, 4 is what the oldest of the newest two has replaced.
    assert _bodies(a) == [1, 4, 5, 6]


def test_what_we_wrote_stays_until_somebody_else_has_applied_it(replicas: list[Replica]) -> None:
    """To hold it is not enough: were we put back to a backup, nobody could give the state."""
    a, b, c = replicas
    _repaint(a)
    _tell(a, c, own_feed(a), 6, 0)
    assert _forget(a, _others(a, replicas)) == 0
    _tell(a, b, own_feed(a), 2, 2)
    assert _forget(a, _others(a, replicas)) == 1
    assert _bodies(a) == [1, 3, 4, 5, 6]


def test_a_device_alone_forgets_what_is_superseded(replicas: list[Replica]) -> None:
    """There is nobody to wait for."""
    a = replicas[0]
    _repaint(a)
    assert _forget(a, set()) == 2


def test_a_member_that_never_said_anything_keeps_what_is_in_effect(
    replicas: list[Replica],
) -> None:
    """However old it is: only its silence for a whole lease lets it go; to hold it is enough."""
    a, b, c = replicas
    _edit(a, Create("tag", TAG), Create("tag", TRIP))
    for at in range(3):
        _edit(a, Create("album", bytes([at]) * 16))
    a.clock.ms += 100 * DAY_MS
    _tell(a, b, own_feed(a), 4)
    assert _forget(a, _others(a, replicas)) == 0
    _tell(a, c, own_feed(a), 4, 0)
    assert _forget(a, _others(a, replicas)) == 2


def test_what_is_left_in_the_last_of_many_records_is_found(replicas: list[Replica]) -> None:
    """They are looked through in more than one piece."""
    a, b, _ = replicas
    _edit(a, Create("tag", TAG))
    _edit(a, *(Create("album", at.to_bytes(16, "big")) for at in range(forgetting.RECORDS)))
    for color in COLORS[:2]:
        _edit(a, Update("tag", TAG, {"color": color}))
    _tell(a, b, own_feed(a), 4)
    assert _forget(a, _others(a, replicas)) == 0
    assert _bodies(a) == [1, 2, 3, 4]


def test_a_lapsed_member_holds_nothing_back(replicas: list[Replica]) -> None:
    """Once it was not seen for the length of a lease, counted from its admission or last sign."""
    a = replicas[0]
    for at in range(4):
        _edit(a, Create("album", bytes([at]) * 16))
    a.clock.ms = START_MS + 179 * DAY_MS
    assert _forget(a, _others(a, replicas)) == 0
    a.clock.ms += 2 * DAY_MS
    assert _forget(a, _others(a, replicas)) == 2


def test_a_commit_proves_what_its_author_had(replicas: list[Replica]) -> None:
    """Its header names what was applied there: nobody has to tell it."""
    a, b, _ = replicas
    for at in range(3):
        _edit(a, Create("album", bytes([at]) * 16))
    store_commits(b, *log_of(a, own_feed(a)))
    _edit(b, Create("tag", TAG))
    store_commits(a, *log_of(b, own_feed(b)))
    a.clock.ms += 40 * DAY_MS
    assert _forget(a, {b.identity.device}) == 2
    assert within(a, lambda c: meta.get(c, meta.EVIDENCE)) == 4


def test_what_a_header_proves_never_goes_back(replicas: list[Replica]) -> None:
    """Whatever order the commits come in, at once or one by one."""
    a, b, c = replicas
    feed = FeedId(a.identity.device + bytes(28))
    _edit(b, Create("tag", TAG))
    made = log_of(b, own_feed(b))
    for seq in (2, 5, 3, 4):
        needed = (Dependency(feed, seq, b"h" * 32),)
        told = signed_anew(b.identity, made[0], dependencies=needed)
        made += chained(b.identity, made[-1], told)[1:]

    def heard(*items: Received) -> list[Any]:
        def take(connection: Connection) -> list[Any]:
            for item in items:
                receive(connection, item, c.clock.ms)
            assert not forgetting.note_evidence(connection)
            return connection.exec_driver_sql("SELECT * FROM confirmation").all()

        return within(c, take)

    assert heard(*made[:2]) == [(b.identity.device, feed, 2, 2)]
    assert heard(*made[2:4]) == [(b.identity.device, feed, 5, 5)]
    assert heard(made[4]) == [(b.identity.device, feed, 5, 5)]


def test_our_own_headers_prove_nothing(replicas: list[Replica]) -> None:
    """What we hold is in the log itself."""
    a, b, _ = replicas
    _edit(a, Create("tag", TAG))
    store_commits(b, *log_of(a, own_feed(a)))
    _edit(b, Create("tag", TRIP))
    within(b, forgetting.note_evidence)
    assert query_file(b.store.path, "SELECT count(*) FROM confirmation") == [(0,)]


def test_a_commit_is_seen_when_it_comes_not_when_a_clock_says(replicas: list[Replica]) -> None:
    """A stamp of the future does not hold a lease for ever, one of the past is as old as it says."""
    a, b, c = replicas
    b.clock.ms = START_MS + 900 * DAY_MS
    _edit(b, Create("tag", TAG))
    _edit(c, Create("tag", TRIP))
    a.clock.ms = START_MS + 10 * DAY_MS
    for other in (b, c):
        store_commits(a, *log_of(other, own_feed(other)))
    now_ms = a.clock.ms + 100 * DAY_MS
    seen = within(a, lambda conn: forgetting.seen_ms(conn, _others(a, replicas), (), now_ms))
    assert seen[b.identity.device] == a.clock.ms
    assert seen[c.identity.device] == c.clock.ms


def test_who_says_once_more_what_is_old_is_seen_as_of_today(replicas: list[Replica]) -> None:
    """The stamp of what a restored device says again is that of then, though it was there now."""
    a, b, _ = replicas
    _edit(b, Create("tag", TAG, {"canonical_name": "old"}))
    (first,) = log_of(b, own_feed(b))
    then = first.header.stamp
    b.clock.ms = START_MS + 100 * DAY_MS
    a.clock.ms = b.clock.ms + 1_000
    _edit(b, Create("tag", TRIP), Update("tag", TAG, {"color": "red"}, as_of=then))
    commits = log_of(b, own_feed(b))
    assert commits[-1].header.stamp.ms == then.ms
    store_commits(a, *commits)
    seen = within(a, lambda conn: forgetting.seen_ms(conn, _others(a, replicas), (), a.clock.ms))
    assert seen[b.identity.device] == commits[1].header.stamp.ms == a.clock.ms


def test_who_was_connected_is_seen_as_of_then(replicas: list[Replica]) -> None:
    """Though it has written nothing since; who was only heard of is not."""
    a, b, c = replicas
    met_ms = START_MS + 200 * DAY_MS
    within(
        a,
        lambda conn: conn.exec_driver_sql(
            "INSERT INTO presence (device, last_seen_at) VALUES (?, ?), (?, NULL)",
            (b.identity.device, met_ms, c.identity.device),
        ),
    )
    seen = within(
        a, lambda conn: forgetting.seen_ms(conn, _others(a, replicas), (), met_ms + DAY_MS)
    )
    assert seen == {b.identity.device: met_ms, c.identity.device: START_MS}


def test_who_is_connected_is_seen_now(replicas: list[Replica]) -> None:
    """A link that has stood for a year is a sign of life."""
    a, b, c = replicas
    now_ms = START_MS + 400 * DAY_MS
    others = _others(a, replicas)
    near = [b.identity.device]
    away = within(a, lambda conn: forgetting.away_since(conn, others, near, now_ms, DAY_MS))
    assert away == {c.identity.device: START_MS}


def test_deleted_records_keep_what_a_restore_brings_back(replica: Replica) -> None:
    """The delete and the writes that died of it are still spoken of."""
    _edit(replica, Create("tag", TAG, {"color": "red"}))
    _edit(replica, Update("tag", TAG, {"color": "blue"}))
    _edit(replica, Delete("tag", TAG))
    none = TERMS._replace(history_commits=0)
    assert _forget(replica, {b"x" * 16}, none) == 0
    _edit(replica, Create("tag", TAG, {"color": "grey"}))
    _forget(replica, {b"x" * 16}, none)
    assert _bodies(replica) == [3, 4]  # what made it anew is young, and has seen the delete


def test_forgetting_changes_nothing_that_is_held(replicas: list[Replica]) -> None:
    """Records are the same bytes, before and after."""
    a = replicas[0]
    _repaint(a)
    before = within(a, lambda c: list(shared_items(c)))
    a.clock.ms += 1
    _forget(a, set(), TERMS._replace(history_commits=0, history_ms=0))
    assert _bodies(a) == []
    assert within(a, lambda c: list(shared_items(c))) == before
    _edit(a, Update("tag", TAG, {"color": "white"}))
    assert query_file(a.store.path, "SELECT color, icon FROM tag") == [("white", "sun")]


def test_bodies_are_looked_into_a_few_at_a_time_and_all_of_them(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the last of them has replaced is kept as what the first has."""
    monkeypatch.setattr(forgetting, "BODIES_BYTES", 1)
    _repaint(replica)
    assert _forget(replica, set()) == 2
    assert _bodies(replica) == [1, 4, 5, 6]


def test_a_pass_that_was_cut_off_is_made_again(tmp_path: Path) -> None:
    """Each piece is whole by itself: a copy of the files in the middle goes on from there."""
    (a,) = make_replicas(tmp_path, 1)
    _repaint(a)
    few = forgetting.COMMITS
    forgetting.COMMITS = 1  # type: ignore[misc]
    try:
        known = within(a, lambda c: forgetting.survey(c, (), TERMS, a.clock.ms))
        within(a, lambda c: forgetting.mark_records(c, known.retention.in_effect, ("", b"")))
        at: At | None = At()
        while at is not None:
            at = within(a, lambda c, at=at: forgetting.mark_replaced(c, known, at))  # type: ignore[misc]
        gone, at = within(a, lambda c: forgetting.drop_bodies(c, known, At(1, 1)))
        assert (gone, at) == (1, At(1, 2))
    finally:
        forgetting.COMMITS = few  # type: ignore[misc]
    for name in ("library0.db", "library0.db-wal"):
        shutil.copy(tmp_path / name, tmp_path / name.replace("0", "9", 1))
    again = open_replica(tmp_path, 0, a.clock.ms, "library9.db")
    assert (_forget(again, set()), _bodies(again)) == (1, [1, 4, 5, 6])
    for replica in (a, again):
        replica.store.close()


def test_what_was_replaced_is_kept_as_long_as_its_undo(replica: Replica) -> None:
    """Longer than the days where few commits came since."""
    _edit(replica, Create("tag", TAG, {"color": "red"}))
    within(replica, lambda c: c.exec_driver_sql("UPDATE commit_log SET body = NULL"))
    _edit(replica, Update("tag", TAG, {"color": "blue"}))

    def drop(newest: int) -> int:
        before = replica.clock.ms + DAY_MS
        return within(replica, lambda c: forgetting.drop_replaced(c, before, newest))

    assert (drop(2), drop(3)) == (0, 1)


def test_what_was_replaced_behind_a_fork_is_kept_for_its_undo(replica: Replica) -> None:
    """Commits of a branch name it by the feed that they were signed in."""
    _repaint(replica)
    made = log_of(replica, own_feed(replica))
    store_commits(replica, signed_anew(replica.identity, made[1], (), command="other"))
    query = "SELECT seq FROM commit_log WHERE body IS NOT NULL AND command = 'test' ORDER BY seq"
    _forget(replica, set(), TERMS._replace(history_commits=0))
    # The last colour is in effect, the fifth commit is what stood there before, the first made it.
    assert query_file(replica.store.path, query) == [(1,), (5,), (6,)]


def test_old_losses_are_dropped_by_their_age(replica: Replica) -> None:
    """A conflict that nobody decided for longer than the terms say is not listed any more."""
    insert = (
        "INSERT INTO journal (model, record, field, subkey, value, loser, noted_at)"
        " VALUES ('tag', ?, 'color', '', x'c0', ?, ?)"
    )
    rows = [(TAG, bytes([at]), START_MS + at) for at in range(10)]
    within(replica, lambda c: c.exec_driver_sql(insert, rows))
    drop = forgetting.drop_journal
    gone = [within(replica, lambda c: drop(c, START_MS + 8, 5)) for _ in range(3)]
    assert gone == [5, 3, 0]


def test_a_loss_that_was_dropped_is_not_found_again_by_running_the_log(
    replicas: list[Replica],
) -> None:
    """What people were told of for long enough stays away; what is younger stays listed."""
    a, b, _ = replicas
    for replica in (a, b):
        _edit(replica, Create("tag", TAG, {"color": replica.identity.device.hex()}))
    store_commits(a, *log_of(b, own_feed(b)))
    a.clock.ms += 10 * DAY_MS
    b.clock.ms = a.clock.ms
    for replica in (a, b):
        _edit(replica, Create("tag", TRIP, {"color": replica.identity.device.hex()}))
    store_commits(a, *log_of(b, own_feed(b), 1))
    journal = "SELECT record FROM journal ORDER BY record"
    assert query_file(a.store.path, journal) == [(TAG,), (TRIP,)]
    assert within(a, lambda c: forgetting.drop_journal(c, a.clock.ms - DAY_MS)) == 1
    done = within(a, lambda c: rebuild(c, a.store.registry, a.clock.ms))
    assert (done.differences, query_file(a.store.path, journal)) == ((), [(TRIP,)])


def test_only_bodies_beyond_the_newest_are_counted(replica: Replica) -> None:
    """How much there is to look at is known without looking at it."""
    _repaint(replica)
    newest = within(replica, lambda c: forgetting.newest_rowid(c, 2))
    assert within(replica, lambda c: forgetting.remembered(c, newest)) == 4
    assert within(replica, lambda c: forgetting.newest_rowid(c, 50)) == 0


def test_what_is_left_of_commits_stands_close_together(replica: Replica) -> None:
    """Pages from which bodies have gone are joined: not one is kept for each commit."""
    for at in range(120):
        _edit(
            replica, *(Create("tag", bytes([at, no] * 8), {"icon": "x" * 99}) for no in range(12))
        )
    pages = "SELECT count(*) FROM dbstat WHERE name = 'commit_log'"
    before = query_file(replica.store.path, "SELECT rowid, seq, header, hash FROM commit_log")
    replica.clock.ms += 31 * DAY_MS
    assert _forget(replica, set()) == 118
    ((count,),) = query_file(replica.store.path, pages)
    assert count * 4_096 < 120 * 1_300
    after = query_file(replica.store.path, "SELECT rowid, seq, header, hash FROM commit_log")
    assert after == before

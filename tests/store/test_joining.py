"""Joining another library: what comes along and what stays behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from leaderless.errors import NotPermittedError
from leaderless.protocol.membership import Signed, membership_of
from leaderless.store import joining, meta
from leaderless.store.adoption import TABLES
from leaderless.store.holdings import read_holdings
from leaderless.store.joining import (
    EditsLeftError,
    check_leaves_nothing,
    check_may_join,
    join_library,
    unheard,
)
from leaderless.store.record_source import read_records
from leaderless.store.staging import stage
from leaderless.store.statements import keep_statements, statements
from registry.changes import Create, Delete, Edit, Update, feed_incarnation
from tests.replicas import Replica, add_tree, key_of, make_replicas, query_file, statement
from tests.store.passing import (
    batches,
    held,
    log_of,
    own_feed,
    pull,
    said,
    store_commits,
    within,
)

NONCE = b"new life"
_TAGS = "SELECT uuid, canonical_name, color, aliases, attributes FROM tag ORDER BY uuid"


class Meeting:
    """A host with a library, and a joiner that has been alone in its own."""

    def __init__(self, folder: Path) -> None:
        (folder / "host").mkdir()
        (folder / "joiner").mkdir()
        (self.host,) = make_replicas(folder / "host", 1)
        (self.joiner,) = make_replicas(folder / "joiner", 1)

    @property
    def library(self) -> bytes:
        """Return the library that is joined."""
        return self.host.store.library

    def tag(self, replica: Replica, *edits: Edit) -> None:
        """Edit tags at one of the two."""
        replica.store.write_here(lambda tx: tx.commit("tag.test", edits))

    def join(self) -> int:
        """Let the joiner join; return how many records it brought."""
        host, joiner = self.host.identity, self.joiner.identity
        added = statement(host, joiner, self.library, "joiner")
        within(self.host, lambda conn: keep_statements(conn, [added], self.host.clock.ms))
        all_said: tuple[Signed, ...] = within(self.host, statements)
        digest = membership_of(self.library, all_said, key_of).digest
        within(self.host, lambda conn: meta.put(conn, meta.MEMBERSHIP, digest))
        return self.joiner.store.write_here(
            lambda tx: join_library(tx, self.library, all_said, NONCE)
        )


@pytest.fixture
def meeting(tmp_path: Path) -> Iterator[Meeting]:
    """Open the two, not joined yet."""
    made = Meeting(tmp_path)
    yield made
    for replica in (made.host, made.joiner):
        assert query_file(replica.store.path, "PRAGMA foreign_key_check") == []
        replica.store.close()


# --- who may --------------------------------------------------------------------------------------


def test_the_only_member_of_a_library_may_join_another(meeting: Meeting) -> None:
    """Who shares with nobody leaves nobody behind."""
    within(meeting.joiner, lambda conn: check_may_join(conn, 1))


def test_a_member_of_a_shared_library_may_not(meeting: Meeting) -> None:
    """A second member is enough to refuse."""
    with pytest.raises(NotPermittedError):
        within(meeting.joiner, lambda conn: check_may_join(conn, 2))


def test_who_was_revoked_may_join_any(meeting: Meeting) -> None:
    """Its library is over for it, however many are left in that."""
    joiner = meeting.joiner
    within(joiner, lambda conn: meta.put(conn, meta.REVOKED, 1))
    within(joiner, lambda conn: check_may_join(conn, 9))


def test_actions_that_nobody_has_said_to_hold_are_unheard(meeting: Meeting) -> None:
    """Each counts once, however many commits it is, until somebody else says that it has it."""
    joiner, host = meeting.joiner, meeting.host.identity.device
    tag, own = joiner.store.ids.new(), joiner.identity.device
    meeting.tag(joiner, Create("tag", tag, {}))
    meeting.tag(joiner, Update("tag", tag, {"color": "red"}))
    before = within(joiner, lambda conn: unheard(conn, own))
    say = "INSERT INTO confirmation (device, feed, received, applied) VALUES (?, ?, ?, ?)"
    for device, upto in ((own, 2), (host, 1)):
        told = (device, own_feed(joiner), upto, upto)
        within(joiner, lambda conn: conn.exec_driver_sql(say, told))  # noqa: B023
    assert (before, within(joiner, lambda conn: unheard(conn, own))) == (2, 1)


def test_who_was_revoked_is_told_what_would_be_gone(meeting: Meeting) -> None:
    """The number of its actions that nobody has heard of, and how to join all the same."""
    joiner = meeting.joiner
    meeting.tag(joiner, Create("tag", joiner.store.ids.new(), {}))
    within(joiner, lambda conn: meta.put(conn, meta.REVOKED, 1))
    with pytest.raises(EditsLeftError, match="1 action of it") as refused:
        within(joiner, lambda conn: check_leaves_nothing(conn, joiner.identity.device))
    assert "--leave-edits" in str(refused.value.hint)
    # It was told of some; others may have more, and have had no time to say so.
    assert "as far as it knows" in refused.value.message


def test_who_was_revoked_is_told_that_another_library_takes_all(meeting: Meeting) -> None:
    """And why it is asked for the flag all the same: which one it is shows only with the joining."""
    joiner = meeting.joiner
    meeting.tag(joiner, Create("tag", joiner.store.ids.new(), {}))
    within(joiner, lambda conn: meta.put(conn, meta.REVOKED, 1))
    with pytest.raises(EditsLeftError) as refused:
        within(joiner, lambda conn: check_leaves_nothing(conn, joiner.identity.device))
    assert "If it is of another, nothing is" in refused.value.message
    assert "shows only with the joining" in refused.value.message
    assert "joins either" in str(refused.value.hint)


@pytest.mark.parametrize("is_revoked", [True, False])
def test_who_leaves_no_edits_behind_is_asked_nothing(meeting: Meeting, is_revoked: bool) -> None:
    """A revoked device all of whose edits were heard of, and one that was never revoked."""
    joiner = meeting.joiner
    if is_revoked:
        within(joiner, lambda conn: meta.put(conn, meta.REVOKED, 1))
    else:
        meeting.tag(joiner, Create("tag", joiner.store.ids.new(), {}))
    within(joiner, lambda conn: check_leaves_nothing(conn, joiner.identity.device))


def test_rows_of_others_are_left_behind(tmp_path: Path, meeting: Meeting) -> None:
    """They are of members of the library that is left; its own, and the tags, come along."""
    (tmp_path / "old").mkdir()
    a, b, *_ = old = make_replicas(tmp_path / "old", 2)
    add_tree(a, 3, "theirs")
    add_tree(b, 2, "mine")
    pull(a, b, a)
    meeting.tag(b, Create("tag", b.store.ids.new(), {"canonical_name": "trip"}))
    meeting.joiner.store.close()
    meeting.joiner = b
    assert meeting.join() == 1
    assert query_file(b.store.path, "SELECT name FROM location") == [("mine",)]
    assert query_file(b.store.path, "SELECT count(*) FROM incarnation") == [(1,)]
    pull(b, meeting.host, b)
    assert held(meeting.host, b).verified == held(b, b).watermark
    for replica in old:
        if replica is not b:
            replica.store.close()


def test_whose_rows_were_doubted_is_left_behind_with_them(tmp_path: Path, meeting: Meeting) -> None:
    """A device that is a member of the joined library, too, is met there for the first time."""
    a, b = make_replicas(tmp_path, 2)
    add_tree(a, 3, "theirs")
    pull(a, b, a)
    owner = a.identity.device
    facts = [meta.relayed, meta.relayed_above, meta.touched, meta.taken_back, meta.suspected]
    for fact in (*facts, meta.aside):
        within(b, lambda conn: meta.put(conn, fact(owner), b"relay" * 4))  # noqa: B023
    meeting.joiner.store.close()
    meeting.joiner = b
    meeting.join()
    left = "SELECT name FROM meta WHERE name LIKE '%/%'"
    assert query_file(b.store.path, left) == []
    a.store.close()


# --- what stays -----------------------------------------------------------------------------------


def test_owned_rows_stay_as_they_are(meeting: Meeting) -> None:
    """Ids, revs and local keys of all entries are those of before."""
    add_tree(meeting.joiner, 10)
    query = "SELECT id, uuid, rev, name FROM entry ORDER BY id"
    before = query_file(meeting.joiner.store.path, query)
    meeting.join()
    assert query_file(meeting.joiner.store.path, query) == before


def test_owned_rows_are_signed_for_the_new_library(meeting: Meeting) -> None:
    """The checkpoint speaks of the joined library and the new incarnation, at the same rev."""
    add_tree(meeting.joiner, 3)
    meeting.join()
    word = said(next(batches(meeting.joiner, meeting.joiner)))
    assert word is not None
    assert (word.library, word.incarnation, word.rev) == (meeting.library, (2, NONCE), 7)


def test_the_joined_library_takes_the_rows(meeting: Meeting) -> None:
    """The host reads the joiner's rows and proves them."""
    add_tree(meeting.joiner, 3)
    meeting.join()
    pull(meeting.joiner, meeting.host, meeting.joiner)
    assert held(meeting.host, meeting.joiner).verified == 7


def test_tags_stay_with_all_their_fields(meeting: Meeting) -> None:
    """Plain fields, sets and maps are the same after the join."""
    tag = meeting.joiner.store.ids.new()
    fields: dict[str | tuple[str, str], object] = {
        "canonical_name": "trip",
        "color": "red",
        ("aliases", "journey"): True,
        ("attributes", "year"): 1999,
    }
    meeting.tag(meeting.joiner, Create("tag", tag, fields))
    before = query_file(meeting.joiner.store.path, _TAGS)
    assert meeting.join() == 1
    assert query_file(meeting.joiner.store.path, _TAGS) == before


def test_tags_reach_the_joined_library(meeting: Meeting) -> None:
    """They are made again by commits of a new feed, which the host takes."""
    tag = meeting.joiner.store.ids.new()
    meeting.tag(meeting.joiner, Create("tag", tag, {"canonical_name": "trip"}))
    meeting.tag(meeting.joiner, Update("tag", tag, {"canonical_name": "journey"}))
    meeting.join()
    feed = own_feed(meeting.joiner)
    commits = log_of(meeting.joiner, feed)
    assert [item.header.command for item in commits] == ["library.import"]
    assert (commits[0].header.library, feed_incarnation(feed)) == (meeting.library, (2, NONCE))
    store_commits(meeting.host, *commits)
    assert query_file(meeting.host.store.path, _TAGS) == [(tag, "journey", None, "[]", "{}")]


def test_both_agree_after_the_join(meeting: Meeting) -> None:
    """Once rows and commits were exchanged, hashes and memberships are equal."""
    add_tree(meeting.joiner, 3)
    meeting.tag(meeting.joiner, Create("tag", meeting.joiner.store.ids.new(), {}))
    meeting.tag(meeting.host, Create("tag", meeting.host.store.ids.new(), {}))
    meeting.join()
    pull(meeting.joiner, meeting.host, meeting.joiner)
    pull(meeting.host, meeting.joiner, meeting.host)
    store_commits(meeting.host, *log_of(meeting.joiner, own_feed(meeting.joiner)))
    store_commits(meeting.joiner, *log_of(meeting.host, own_feed(meeting.host)))
    mine, theirs = within(meeting.joiner, read_holdings), within(meeting.host, read_holdings)
    assert mine.state_digest() is not None
    assert mine.state_digest() == theirs.state_digest()


def test_stamps_rise_over_the_join(meeting: Meeting) -> None:
    """Tags that come along are younger than all that was written before."""
    tag = meeting.joiner.store.ids.new()
    meeting.tag(meeting.joiner, Create("tag", tag, {}))
    query = "SELECT max(stamp) FROM commit_log"
    ((before,),) = query_file(meeting.joiner.store.path, query)
    meeting.join()
    ((after,),) = query_file(meeting.joiner.store.path, query)
    assert after > before


def test_a_joiner_without_tags_writes_no_commit(meeting: Meeting) -> None:
    """There is nothing to import, and the feed is not begun."""
    assert meeting.join() == 0
    assert query_file(meeting.joiner.store.path, "SELECT * FROM feed") == []


# --- what goes ------------------------------------------------------------------------------------


def test_deleted_tags_do_not_come_along(meeting: Meeting) -> None:
    """What was deleted before is not in the joined library."""
    tag = meeting.joiner.store.ids.new()
    meeting.tag(meeting.joiner, Create("tag", tag, {}))
    meeting.tag(meeting.joiner, Delete("tag", tag))
    assert meeting.join() == 0
    assert query_file(meeting.joiner.store.path, "SELECT * FROM record") == []


def test_records_of_unknown_models_stay_behind(meeting: Meeting) -> None:
    """What this version cannot sign for anew is not carried over as its own."""
    within(
        meeting.joiner,
        lambda conn: conn.exec_driver_sql(
            "INSERT INTO record (model, uuid, state) VALUES ('bookmark', ?, x'939090')",
            (b"1" * 16,),
        ),
    )
    assert meeting.join() == 0
    assert query_file(meeting.joiner.store.path, "SELECT * FROM record") == []


def test_nothing_is_left_of_what_was_known_of_the_log(meeting: Meeting) -> None:
    """Half of a state that was fetched, or what others held, says nothing of the joined library."""
    joiner = meeting.joiner
    meeting.tag(joiner, Create("tag", joiner.store.ids.new(), {}))
    within(joiner, lambda c: stage(c, read_records(c, b""), joiner.identity.device))
    facts = (
        *(meta.EVIDENCE, meta.JOURNAL_DROPPED, meta.RENAMED, meta.STATE_WANTED),
        *(meta.DISPUTED, meta.GIVERS, meta.RESTORING, meta.SUPERSEDED, meta.WENT_ON),
    )
    for fact in facts:
        within(joiner, lambda c: meta.put(c, fact, 1))  # noqa: B023
    joiner.store.write_here(lambda tx: join_library(tx, meeting.library, (), NONCE))
    holdings = within(joiner, read_holdings)
    assert (holdings.staging, holdings.damaged) == (None, False)
    assert query_file(joiner.store.path, "SELECT * FROM staged_record") == []
    assert query_file(joiner.store.path, "SELECT * FROM staged_position") == []
    assert [within(joiner, lambda c: meta.get(c, fact)) for fact in facts] == [None] * 9  # noqa: B023


def test_every_table_beside_the_models_is_of_the_library_or_of_the_device(
    meeting: Meeting,
) -> None:
    """A new table has to be thought of here: what a join empties, and what it leaves."""
    kept = {"incarnation", "meta", "opaque_row", "presence", "schema_version", "tombstone"}
    assert TABLES - kept == set(joining.OF_THE_OLD_LIBRARY)


def test_the_statements_are_those_of_the_joined_library(meeting: Meeting) -> None:
    """The own genesis is gone; both list the same."""
    meeting.join()
    assert within(meeting.joiner, statements) == within(meeting.host, statements)


def test_the_store_is_of_the_joined_library_from_then_on(meeting: Meeting) -> None:
    """The open store says so without being opened anew."""
    meeting.join()
    assert meeting.joiner.store.library == meeting.library

"""What the history tells of a revoke, whoever closed the feeds of the revoked device."""

from __future__ import annotations

from typing import Any

from leaderless.catalogue.history import Filter, action_json, actions
from leaderless.daemon.members import admission, revocation
from leaderless.store import closing
from leaderless.store.statements import take_statements
from registry.changes import Create
from tests.replicas import Replica
from tests.store.passing import log_of, own_feed, pull, store_commits, within


def _revoked(by: Replica, subject: Replica, *others: Replica) -> None:
    """Let a device revoke another that all know of, and pass on what each writes about it."""
    for replica in (by, *others):
        pull(subject, replica, subject)
    members = by.store.write_here(lambda tx: take_statements(tx, []))
    said = revocation(by.identity, members, subject.identity.device, by.clock.ms, b"n" * 16)
    for replica in (by, *others):
        replica.store.write_here(lambda tx: take_statements(tx, [said]))
        replica.clock.ms += 1_000


def _history(replica: Replica, **wanted: Any) -> list[tuple[str, dict[str, Any]]]:
    def read(connection: Any) -> list[tuple[str, dict[str, Any]]]:
        found = [action_json(connection, item) for item in actions(connection, Filter(**wanted))]
        return [(item["author_id"], item["data"]) for item in found]

    return within(replica, read)


def test_one_line_tells_of_a_revoke_and_of_whom(replicas: list[Replica]) -> None:
    """That of the device that did it, wherever it is asked for and whoever closed its feeds later."""
    a, b, c = replicas
    _revoked(a, c, b)
    store_commits(b, *log_of(a, own_feed(a)))
    store_commits(a, *log_of(b, own_feed(b)))
    ids = a.identity.device.hex(), c.identity.device.hex()
    for replica in (a, b):
        ((author, data),) = _history(replica)
        assert (author, data["by_id"], data["device_id"]) == (ids[0], *ids)
        assert (data["by"] in ("device0", ids[0][:8]), data["device"]) == (True, "device2")
    assert _history(b, author=b.identity.device) == []


def test_of_who_was_admitted_anew_it_is_said(replicas: list[Replica]) -> None:
    """By now: no line of its own tells of that."""
    a, _, c = replicas
    _revoked(a, c)
    ((_, data),) = _history(a)
    assert data["member_again"] is False
    members = a.store.write_here(lambda tx: take_statements(tx, []))
    said = admission(a.identity, members, c.identity.certificate_der, "c", a.clock.ms, b"n" * 16, 2)
    a.store.write_here(lambda tx: take_statements(tx, [said]))
    ((_, data),) = _history(a)
    assert data["member_again"] is True


def test_where_that_device_wrote_no_line_another_tells(replicas: list[Replica]) -> None:
    """It knew nothing of the other that could be closed."""
    a, b, c = replicas
    pull(c, b, c)
    members = a.store.write_here(lambda tx: take_statements(tx, []))
    said = revocation(a.identity, members, c.identity.device, a.clock.ms, b"n" * 16)
    for replica in (a, b):
        replica.store.write_here(lambda tx: take_statements(tx, [said]))
    ((author, data),) = _history(b)
    assert (author, data["by_id"]) == (b.identity.device.hex(), a.identity.device.hex())


def test_lines_of_before_that_name_nobody_are_told_once(replicas: list[Replica]) -> None:
    """Who says only whose feeds it closes says as much as the first that does."""
    a, _, c = replicas
    store_commits(a, *_noted(c))
    heads = within(a, lambda conn: closing._applied_of(conn, c.identity.device))
    about = {"closes": c.identity.device}
    for _ in range(2):
        a.store.write_here(lambda tx: tx.close_feeds(closing.COMMAND, about, heads))
    a.store.write_here(lambda tx: tx.close_feeds(closing.COMMAND, {"closes": 1}, heads))
    told = [data for _, data in _history(a, author=a.identity.device)]
    assert [data.get("device_id") for data in told] == [None, c.identity.device.hex()]


def _noted(replica: Replica) -> list[Any]:
    tag = replica.store.ids.new()
    replica.store.write_here(lambda tx: tx.commit("t", [Create("tag", tag, {})]))
    return log_of(replica, own_feed(replica))

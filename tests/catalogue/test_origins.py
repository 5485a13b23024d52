"""Where values came from: chains of undos, however long, and those that no honest device writes."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection, event

from leaderless.catalogue.origins import Origins
from leaderless.catalogue.undo import undo
from leaderless.store import log
from leaderless.store.registers import read_state
from registry.changes import (
    Create,
    Edit,
    Update,
    WriteRef,
)
from tests.replicas import Replica, query_file
from tests.store.passing import (
    chained,
    log_of,
    own_feed,
    signed_anew,
    store_commits,
    within,
)

TAG = b"t" * 16
COLOR = ("color", None)
MANY = 300


def _do(replica: Replica, *edits: Edit, command: str = "test") -> bytes:
    replica.clock.ms += 1_000
    return replica.store.write_here(lambda tx: tx.commit(command, edits))


def _set(replica: Replica, color: str) -> bytes:
    return _do(replica, Update("tag", TAG, {"color": color}))


def _origin(replica: Replica, record: bytes = TAG) -> WriteRef | None:
    def read(connection: Connection) -> WriteRef | None:
        held = read_state(connection, "tag", record).shown()[COLOR]
        return Origins(connection).of(held)

    return within(replica, read)


async def test_the_origin_of_what_an_undo_wrote_is_the_write_before(replica: Replica) -> None:
    """However often something was done and taken back in between."""
    _do(replica, Create("tag", TAG, {"color": "blue"}))
    first = _origin(replica)
    for color in ("red", "green", "black"):
        _set(replica, color)
        await undo(replica.store, None)
    assert _origin(replica) == first


async def test_a_second_undo_reads_each_commit_once(replica: Replica) -> None:
    """Not once for every record: what was undone in between may concern as many."""
    records = [at.to_bytes(16, "big") for at in range(MANY)]
    _do(replica, *(Create("tag", record, {"color": "blue"}) for record in records))
    for color in ("red", "green", "black", "white", "grey"):
        _do(replica, *(Update("tag", record, {"color": color}) for record in records))
        if color != "red":
            await undo(replica.store, None)
    read: list[str] = []

    def note(_: object, __: object, statement: str, *___: object) -> None:
        if "c.body FROM commit_log" in statement:
            read.append(statement)

    replica.store.write_here(lambda tx: event.listen(tx.conn.engine, "before_cursor_execute", note))
    await undo(replica.store, None)
    assert query_file(replica.store.path, "SELECT DISTINCT color FROM tag") == [("blue",)]
    assert 0 < len(read) < 40


def _lying(author: Replica, *names: int) -> list[log.Received]:
    """Return a device's commits; those after the first say that they undo the one named."""
    honest = log_of(author, own_feed(author))
    ids = [item.header.command_id for item in honest]
    lies = [
        signed_anew(author.identity, item, command="undo", data={"command_id": ids[named]})
        for item, named in zip(honest[1:], names, strict=True)
    ]
    return chained(author.identity, honest[0], *lies)


@pytest.mark.parametrize("names", [(1, 2), (2, 1), (2, 2)])
async def test_undos_that_name_themselves_or_each_other_end(
    replicas: list[Replica], names: tuple[int, int]
) -> None:
    """Whoever meets them goes on; an edit made on top of them is undone as any."""
    a, b, _ = replicas
    _do(b, Create("tag", TAG, {"color": "blue"}))
    _set(b, "red")
    _set(b, "green")
    store_commits(a, *_lying(b, *names))
    a.clock.ms = b.clock.ms + 1_000
    _do(a, Update("tag", TAG, {"icon": "palm"}))
    await undo(a.store, None)
    assert query_file(a.store.path, "SELECT color, icon FROM tag") == [("green", None)]
    assert _origin(a) is not None


async def test_junk_in_the_place_of_a_loser_is_no_loser(replicas: list[Replica]) -> None:
    """The action is undone as if nothing stood there; in another command it says nothing."""
    a, b, _ = replicas
    _do(b, Create("tag", TAG, {"color": "blue"}))
    _set(b, "red")
    first, second = log_of(b, own_feed(b))
    lie = signed_anew(
        b.identity, second, command="conflict.restore", data={"loser": b"\x94\xc0\x01\x02"}
    )
    store_commits(a, first, lie)
    a.clock.ms = b.clock.ms + 1_000
    await undo(a.store, second.header.command_id.hex())
    assert query_file(a.store.path, "SELECT color FROM tag") == [("blue",)]

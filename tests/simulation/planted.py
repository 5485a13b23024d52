"""Wrong rules, each in the place of a right one, and the seed that shows that it is noticed.

A planted bug is put in from outside, for the time of one run; the product has no hooks for it. What
is planted is what systems of this kind got wrong, or what the design rejects as too simple.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest
from sqlalchemy import Connection

from entities import _upsert
from leaderless.protocol import commits, exchange, fetching, hashing
from leaderless.protocol.messages import PullLog
from leaderless.store import (
    command,
    engine,
    hoisting,
    log,
    registers,
    shelf,
    staged,
    staging,
    state,
    state_source,
)
from leaderless.sync import link
from leaderless.sync.apply import Applier
from leaderless.sync.backoff import Backoff
from registry.changes import Dot, Form, Guard, StateChange, WriteRef
from registry.hlc import MAX_DRIFT_MS, Clock, Stamp
from registry.joining import Memory


@dataclass(frozen=True)
class Bug:
    """A wrong rule and a run that notices it."""

    plant: Callable[[pytest.MonkeyPatch], None]
    seed: int
    steps: int
    devices: tuple[int, int] = (3, 4)
    says: str = "not in sync"
    """Part of what the violation says."""


# --- owned state ----------------------------------------------------------------------------------


def dropped_tombstone(patch: pytest.MonkeyPatch) -> None:
    """The first delete of a batch is not handed on."""
    right = state_source._tombstones_after
    patch.setattr(state_source, "_tombstones_after", lambda *args: right(*args)[1:])


def no_ancestors(patch: pytest.MonkeyPatch) -> None:
    """A batch in rev order goes out without the rows that its rows refer to."""
    patch.setattr(state_source, "_ancestors", lambda *_: [])


def near_ancestors(patch: pytest.MonkeyPatch) -> None:
    """Of the ancestors of a row only the nearest goes ahead."""
    right = state_source._ancestors

    def wrong(
        conn: Any, registry: Any, epoch: int, lo: int, late: set[tuple[str, int]], sent: set[bytes]
    ) -> Any:
        near = {
            uuid
            for model, key in late
            for (uuid,) in conn.exec_driver_sql(
                f"SELECT uuid FROM {model} WHERE id = ?",  # noqa: S608 - of a model
                (key,),
            )
        }
        return [
            item for item in right(conn, registry, epoch, lo, late, sent) if item.row[0] in near
        ]

    patch.setattr(state_source, "_ancestors", wrong)


def cascading_receiver(patch: pytest.MonkeyPatch) -> None:
    """Whoever hears of a deleted directory deletes what it believes to be in it."""
    right = _upsert.OwnedRows._remove

    def wrong(self: Any, connection: Connection, epochs: Any, change: Any, before: Any) -> None:
        right(self, connection, epochs, change, before)
        if self.name != "entry":
            return
        for uuid, rev in change.removed:
            inside = connection.exec_driver_sql(
                "SELECT e.uuid FROM entry e JOIN entry p ON p.id = e.parent"
                " WHERE p.uuid = ? AND e.dead = 0",
                (uuid,),
            ).all()
            removed = [(child, rev) for (child,) in inside]
            if removed:
                deeper = StateChange("entry", change.owner, change.incarnation, (), (), removed)
                self._remove(connection, epochs, deeper, before)

    patch.setattr(_upsert.OwnedRows, "_remove", wrong)


def hash_without_a_column(patch: pytest.MonkeyPatch) -> None:
    """The size of a file is in no hash."""
    right, right_of_columns = hashing.row_bytes, hashing.columns_bytes

    def wrong(model: str, row: Any) -> bytes:
        fields = {name: value for name, value in row.fields.items() if name != "size_bytes"}
        return right(model, row._replace(fields=fields))

    def wrong_of_columns(model: str, columns: Any, rows: Any) -> Any:
        kept = [at for at, name in enumerate(columns, start=2) if name != "size_bytes"]
        left = [tuple(row[at] for at in (0, 1, *kept)) for row in rows]
        return right_of_columns(model, [columns[at - 2] for at in kept], left)

    patch.setattr(hashing, "row_bytes", wrong)
    patch.setattr(hashing, "columns_bytes", wrong_of_columns)


# --- shared records -------------------------------------------------------------------------------


def one_watermark_per_peer(patch: pytest.MonkeyPatch) -> None:
    """Every feed is asked for from the highest position that is held of any."""

    def wrong(feed: bytes, ours: Any) -> PullLog:
        return PullLog(feed, max((held.received for held in ours.feeds.values()), default=0))

    patch.setattr(fetching, "log_pull", wrong)


def nameless_dependencies(patch: pytest.MonkeyPatch) -> None:
    """A commit does not say what it builds on."""
    patch.setattr(command, "_dependencies", lambda *_: ())


def lost_lock(patch: pytest.MonkeyPatch) -> None:
    """Locks do not count when writes are compared."""
    patch.setattr(Guard, "order", property(lambda _: (0, 0, b"")))


def held_future(patch: pytest.MonkeyPatch) -> None:
    """A commit from the future waits until its time has come."""
    apply_ready, waits_for = log.apply_ready, shelf._waits_for
    now = [0]

    def noticed(connection: Connection, registry: Any, now_ms: int, *rest: Any, **more: Any) -> int:
        now[0] = now_ms
        return apply_ready(connection, registry, now_ms, *rest, **more)

    def wrong(connection: Connection, group: Any) -> str | None:
        early = any(header.stamp.ms > now[0] + MAX_DRIFT_MS for header, _ in group)
        return "its time" if early else waits_for(connection, group)

    patch.setattr(log, "apply_ready", noticed)
    patch.setattr(shelf, "_waits_for", wrong)


def gated_by_owned_state(patch: pytest.MonkeyPatch) -> None:
    """A note on a file waits until the file is known."""
    right = shelf._waits_for

    def wrong(connection: Connection, group: Any) -> str | None:
        for header, commit_hash in group:
            body = connection.exec_driver_sql(
                "SELECT body FROM commit_log WHERE hash = ?", (commit_hash,)
            ).scalar_one()
            for change in commits.decode_body(header, body):
                fields: Mapping[str, Any] = {write.field: write.value for write in change.writes}
                if fields.get("scope") == "entry":
                    known = connection.exec_driver_sql(
                        "SELECT 1 FROM entry WHERE uuid = ? AND dead = 0", (fields["target"],)
                    ).first()
                    if known is None:
                        return "the file it is about"
        return right(connection, group)

    patch.setattr(shelf, "_waits_for", wrong)


def merged_live(patch: pytest.MonkeyPatch) -> None:
    """The state of records counts as of when the last of them was read, not as of the start."""
    right = staging.stage

    def wrong(connection: Connection, batch: Any, source: bytes) -> bool:
        used = right(connection, batch, source)
        if used and batch.done:
            connection.exec_driver_sql("UPDATE staged_position SET start = as_of")
        return used

    patch.setattr(staging, "stage", wrong)
    # Whoever merges so does not ask whether the start is one of this log either.
    patch.setattr(staging, "_log_hash", lambda *_: b"")
    patch.setattr(
        staging, "as_of", lambda memory, vector: Memory(memory.state, memory.unseen, vector)
    )


def state_that_only_adds(patch: pytest.MonkeyPatch) -> None:
    """What one side lacks of a record is never taken for deleted there."""
    patch.setattr(Memory, "covers", lambda *_: False)


def writes_compared_by_the_log(patch: pytest.MonkeyPatch) -> None:
    """A write is compared with those whose commits still have a body: the memory is the log's."""
    right = registers.Records.apply

    def wrong(self: Any, change: Any, *rest: Any) -> None:
        key = (change.model, bytes(change.record))
        before = self.state(*key)
        touched = {(write.field, write.subkey) for write in change.writes}
        kept = tuple(
            write
            for write in before.writes
            if write.key not in touched or _has_body(self._connection, write.ref)
        )
        self._states[key] = replace(before, writes=kept)
        right(self, change, *rest)

    patch.setattr(registers.Records, "apply", wrong)


def deletes_dropped_with_the_log(patch: pytest.MonkeyPatch) -> None:
    """Once everyone has a delete nobody remembers it: what it took is what was never heard of."""
    right = staged.Joining.__init__
    remembered: set[Dot] = set()

    class Forgetful(Memory):
        def covers(self, at: Dot | WriteRef) -> bool:
            return super().covers(at) and (isinstance(at, WriteRef) or at in remembered)

    def wrong(self: Any, connection: Connection, *rest: Any) -> None:
        remembered.clear()
        rows = connection.exec_driver_sql(
            "SELECT header, body FROM commit_log WHERE body IS NOT NULL"
        )
        for header, body in rows:
            for change in commits.decode_body(commits.decode_header(header), body):
                remembered.update(change.dots if change.form is Form.DELETE else ())
        right(self, connection, *rest)

    patch.setattr(staged.Joining, "__init__", wrong)
    patch.setattr(staged, "Memory", Forgetful)


def _has_body(connection: Connection, at: WriteRef) -> bool:
    query = "SELECT 1 FROM commit_log c JOIN feed f ON f.id = c.feed WHERE f.feed = ? AND c.seq = ?"
    found = connection.exec_driver_sql(f"{query} AND c.body IS NOT NULL", (at.feed, at.seq))
    return found.first() is not None


# --- time, durability, sessions -------------------------------------------------------------------


def clock_that_steps_back(patch: pytest.MonkeyPatch) -> None:
    """A tick is what the wall clock says, whatever came before."""

    def wrong(_: Clock, wall_ms: int, tag: int) -> tuple[Clock, Stamp]:
        return Clock(wall_ms, 0), Stamp(wall_ms, 0, tag)

    patch.setattr(Clock, "tick", wrong)


def ack_before_durability(patch: pytest.MonkeyPatch) -> None:
    """A write is acknowledged before it would survive a loss of power."""

    def wrong(path: Any, *_: Any) -> Any:
        pragmas = ("journal_mode = WAL", "synchronous = NORMAL")
        return engine._engine(path, engine._WRITER_CACHE_KIB, pragmas)

    patch.setattr(engine, "writer_engine", wrong)


def status_from_counts(patch: pytest.MonkeyPatch) -> None:
    """Who holds as many rows and commits is called in sync."""

    def total(vectors: Any) -> int:
        return sum(held.watermark for held in vectors.owned.values()) + sum(
            held.applied for held in vectors.feeds.values()
        )

    def wrong(self: exchange.Exchange, peer: Any) -> bool:
        return bool(peer.known) and total(peer.vectors()) == total(self.ours.vectors)

    patch.setattr(exchange.Exchange, "is_proved", wrong)


def stall_after_heal(patch: pytest.MonkeyPatch) -> None:
    """Who did not answer three times is not called again."""
    right = Backoff.wait_s

    def wrong(self: Backoff, failures: int, chance: float) -> float:
        return right(self, failures, chance) if failures < 3 else 1e9

    patch.setattr(Backoff, "wait_s", wrong)


def rows_that_stay_unknown(patch: pytest.MonkeyPatch) -> None:
    """What had come of a model before it was known is not shown once it is."""
    patch.setattr(hoisting, "out_of_opaque", lambda *_: None)


def fields_that_stay_unknown(patch: pytest.MonkeyPatch) -> None:
    """The same of a field."""
    patch.setattr(hoisting, "hoist", lambda *_: True)


def news_for_an_older_version(patch: pytest.MonkeyPatch) -> None:
    """A device of 1.0 is told of a revoke as everybody is."""
    patch.setattr(link, "readable", lambda said, _: tuple(said))


# --- members that lie -----------------------------------------------------------------------------


def rows_without_a_word(patch: pytest.MonkeyPatch) -> None:
    """What a relay brings is kept without being held against a checkpoint of its owner."""

    def wrong(copy: state.Copy, _: Any) -> state.Copy:
        return copy._replace(verified=copy.watermark) if copy.exact else copy

    patch.setattr(state, "_proved", wrong)


def unsigned_commits(patch: pytest.MonkeyPatch) -> None:
    """The signature of a commit is kept and handed on, and never looked at."""

    def wrong(_: Applier, __: bytes, ___: bytes, signed: Any) -> log.Received:
        header = commits.decode_header(signed.header)
        changes = commits.decode_body(header, signed.body)
        return log.Received(header, changes, signed, hashing.digest(signed.header))

    patch.setattr(Applier, "_commit", wrong)


PLANTED = {
    "a dropped tombstone": Bug(dropped_tombstone, 115, 60),
    "a missing ancestor closure": Bug(no_ancestors, 20, 40),
    "a batch without all ancestors": Bug(near_ancestors, 35, 40),
    "a hash that ignores a column": Bug(hash_without_a_column, 1, 40, says="set hash"),
    "one watermark per peer": Bug(one_watermark_per_peer, 7, 40),
    "a commit that does not name its past": Bug(nameless_dependencies, 1, 40, says="builds on"),
    "a lost lock": Bug(lost_lock, 29, 40, says="replay"),
    "held future commits": Bug(held_future, 1, 40),
    "owned state that gates commits": Bug(gated_by_owned_state, 2, 40),
    "a clock that steps back": Bug(clock_that_steps_back, 1, 40, says="ran back"),
    "a state transfer that only adds": Bug(state_that_only_adds, 35, 120),
    "last-writer-wins on the prunable log": Bug(writes_compared_by_the_log, 35, 60),
    'tombstones of shared records dropped at "everyone has it"': Bug(
        deletes_dropped_with_the_log, 35, 60
    ),
    "an ack before durability": Bug(ack_before_durability, 67, 40, says="acknowledged"),
    "a status from counts": Bug(status_from_counts, 7, 40, says="claims"),
    "a stall after heal": Bug(stall_after_heal, 10, 40),
    "rows of a model that stay unknown": Bug(
        rows_that_stay_unknown, 702, 60, says="shows something else"
    ),
    "a field that stays unknown": Bug(fields_that_stay_unknown, 7, 60, says="does not show"),
    "a revoke told to a device of 1.0": Bug(
        news_for_an_older_version, 150, 80, (4, 4), says="cannot read"
    ),
    "relayed rows without a checkpoint": Bug(
        rows_without_a_word, 8, 120, says="has written before"
    ),
    "a receiver that cascades owned deletes": Bug(
        cascading_receiver, 100, 60, says="has written before"
    ),
    "a state transfer that is merged live": Bug(merged_live, 530, 120),
    "a commit's signature that is not checked": Bug(unsigned_commits, 21, 120, says="signed"),
}
"""Of 3 to 4 devices where nothing else is said."""

"""Owned state for others: batches in rev order with the ancestors they need.

"Rows with rev > w in rev order" is backfill, catch-up and live in one query, and any replica can
serve it for any owner, up to its own watermark.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

import msgpack

from leaderless.protocol import limits
from leaderless.protocol.checkpoint import SIGNATURE_BYTES, name_of
from leaderless.protocol.messages import StateBatch
from leaderless.store import meta, restoring
from leaderless.store.state import Copy, copy_of
from registry.changes import DeviceId, StateChange
from registry.models import needed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Connection

    from registry.changes import Incarnation
    from registry.models import Model, Registry
    from registry.rows import StateQuery


class _Page(NamedTuple):
    """What is held with lo < rev <= hi; rows that `late` names have to go out ahead of it."""

    hi: int
    found: dict[str, StateQuery]
    removed: list[tuple[bytes, int, str]]
    opaque: list[tuple[Any, ...]]
    late: set[tuple[str, int]]


class _Ancestor(NamedTuple):
    """A row that goes out ahead of its rev; `buried` is the rev of its tombstone, if it has one."""

    model: str
    columns: tuple[str, ...]
    row: tuple[Any, ...]
    buried: int | None


def read_batch(
    connection: Connection,
    registry: Registry,
    owner: bytes,
    lo: int,
    sent: set[bytes],
    limit: int = limits.BATCH_ROWS,
    limit_bytes: int = limits.BATCH_BYTES,
) -> StateBatch | None:
    """Return the next batch of an owner's state above `lo`, or None if nothing is held above it.

    `sent` are ancestors that went out ahead in this session already; new ones are added to it. A
    batch has at most `limit` rows and tombstones (ancestors come on top), and at most `limit_bytes`
    of them all, or one. Where the ancestors of one row are larger than that, they go out in batches
    of their own, with hi = lo.
    """
    copy = copy_of(connection, owner)
    if _holds_back(connection, owner):
        return None
    # What no word of its owner covers is not handed on: it could not be told from our invention.
    if copy is None or copy.as_of > copy.checkpoint_rev:
        return None
    reach = min(copy.watermark, copy.checkpoint_rev)
    if lo >= reach:
        return None
    while True:
        page = _read_page(connection, registry, copy.epoch, lo, reach, limit)
        ahead = _ancestors(connection, registry, copy.epoch, lo, page.late, sent)
        hi, changes = page.hi, [*_ahead(copy, ahead), *_changes(registry, copy, page)]
        fits = _packed_bytes(changes) <= limit_bytes
        if fits or limit == 1:
            break
        limit = max(1, limit // 4)
    if not fits and ahead:
        ahead = _topmost(ahead, limit_bytes)
        hi, changes = lo, list(_ahead(copy, ahead))
    sent.update(item.row[0] for item in ahead)
    return StateBatch(
        owner,
        copy.incarnation,
        *(lo, hi, reach, max(copy.as_of, reach)),
        tuple(changes),
        copy.checkpoint or b"",
        floor=copy.floor_word or b"",
    )


def _holds_back(connection: Connection, owner: bytes) -> bool:
    """Return whether these are our own rows, and peers know others that we have to take back.

    What we have would take the place of what they can give.
    """
    return owner == meta.get(connection, meta.OWN_DEVICE) and restoring.life(connection) != ""


def nothing_more(
    connection: Connection, owner: bytes, lo: int, known: bytes = b""
) -> StateBatch | None:
    """Return an empty batch for who asks for an owner's state above `lo`, with its newest word.

    Without it where that is `known` by its name. None where no word of the owner is held that reaches
    `lo`, or anything: a relay says nothing without.
    """
    copy = copy_of(connection, owner)
    if copy is None or copy.checkpoint is None:
        return None
    at = min(lo, copy.watermark, copy.checkpoint_rev)
    is_known = name_of(copy.checkpoint[SIGNATURE_BYTES:]) == known
    word = b"" if is_known else copy.checkpoint
    return StateBatch(owner, copy.incarnation, at, at, at, at, (), word)


def _read_page(
    connection: Connection, registry: Registry, epoch: int, lo: int, reach: int, limit: int
) -> _Page:
    """Return the next rows and tombstones of all models, at most `limit`."""
    found = {
        model.sync_name: needed(model.query_state)(connection, epoch, lo, reach, limit)
        for model in registry.owned()
    }
    removed = _tombstones_after(connection, epoch, lo, reach, limit)
    opaque = _opaque_after(connection, epoch, lo, reach, limit)
    # Each query stops after `limit` rows; the batch reaches only as far as all of them do.
    everything = [*(query.rows for query in found.values()), removed, opaque]
    hi = min((items[-1][1] for items in everything if len(items) == limit), default=reach)
    revs = sorted(row[1] for rows in everything for row in rows if row[1] <= hi)
    if len(revs) > limit:
        hi = revs[limit - 1]
    within = {
        name: query._replace(rows=[row for row in query.rows if row[1] <= hi])
        for name, query in found.items()
    }
    return _Page(
        hi,
        within,
        [item for item in removed if item[1] <= hi],
        [item for item in opaque if item[1] <= hi],
        {item for query in within.values() if query.rows for item in query.late},
    )


def _changes(registry: Registry, copy: Copy, page: _Page) -> Iterator[StateChange]:
    """Yield what is in a page, models parents first."""
    owner = DeviceId(copy.owner)
    gone: dict[str, list[tuple[bytes, int]]] = {}
    for uuid, rev, of in page.removed:
        gone.setdefault(of, []).append((uuid, rev))
    for model in registry.owned():
        name = model.sync_name
        query = page.found[name]
        if query.rows or name in gone:
            removed = gone.pop(name, ())
            yield StateChange(name, owner, copy.incarnation, query.columns, query.rows, removed)
    yield from _opaque_changes(owner, copy.incarnation, page.opaque, gone)


def _packed_bytes(changes: Sequence[StateChange]) -> int:
    """Return about what rows and tombstones take on the wire."""
    return sum(
        len(msgpack.packb(items)) for change in changes for items in (change.rows, change.removed)
    )


# --- ancestors ------------------------------------------------------------------------------------


def _ancestors(
    connection: Connection,
    registry: Registry,
    epoch: int,
    lo: int,
    late: set[tuple[str, int]],
    sent: set[bytes],
) -> list[_Ancestor]:
    """Return rows that others refer to and that would come too late, each behind its own."""
    models = {model.sync_name: model for model in registry.owned()}
    found: dict[str, dict[bytes, _Ancestor]] = {name: {} for name in models}
    seen: set[tuple[str, int]] = set()
    while late:
        seen |= late
        above: set[tuple[str, int]] = set()
        for name, model in models.items():
            keys = sorted(key for of, key in late if of == name)
            if not keys:
                continue
            query = needed(model.query_rows)(connection, epoch, lo, keys)
            above |= query.late
            for row in query.rows:
                if row[0] not in sent:
                    buried = query.dead.get(row[0])
                    found[name][row[0]] = _Ancestor(name, query.columns, row, buried)
        late = above - seen
    return [item for name, model in models.items() for item in _parents_first(model, found[name])]


def _parents_first(model: Model, rows: dict[bytes, _Ancestor]) -> Iterator[_Ancestor]:
    """Yield rows of one model so that each comes after those it refers to."""
    within = [field.name for field in model.fields if field.reference == model.sync_name]
    waiting = list(rows)
    entered: set[bytes] = set()
    done: set[bytes] = set()
    while waiting:
        uuid = waiting[-1]
        item = rows[uuid]
        if uuid not in entered:
            entered.add(uuid)
            above = [item.row[2 + item.columns.index(name)] for name in within]
            waiting.extend(other for other in above if other in rows and other not in entered)
            continue
        waiting.pop()
        if uuid not in done:
            done.add(uuid)
            yield item


def _topmost(ahead: Sequence[_Ancestor], limit_bytes: int) -> list[_Ancestor]:
    """Return the first ancestors that take at most `limit_bytes`, at least one."""
    kept: list[_Ancestor] = []
    size = 0
    for item in ahead:
        size += len(msgpack.packb(item.row))
        if kept and size > limit_bytes:
            break
        kept.append(item)
    return kept


def _ahead(copy: Copy, ancestors: Sequence[_Ancestor]) -> Iterator[StateChange]:
    """Yield ancestors as changes; those that are deleted at their owner with their tombstone."""
    owner = DeviceId(copy.owner)
    for (model, columns), group in groupby(ancestors, key=lambda item: item[:2]):
        items = list(group)
        removed = [(item.row[0], item.buried) for item in items if item.buried is not None]
        dead = frozenset(uuid for uuid, _ in removed)
        rows = [item.row for item in items]
        yield StateChange(model, owner, copy.incarnation, columns, rows, removed, dead)


# --- the rest -------------------------------------------------------------------------------------


def introduction(connection: Connection, registry: Registry, owner: bytes) -> StateBatch | None:
    """Return an owner's own device row as a batch that moves no cursor, with its word on it."""
    copy = copy_of(connection, owner)
    model = registry.get("device")
    if copy is None or model is None or _holds_back(connection, owner):
        return None
    query = needed(model.query_state)(connection, copy.epoch, 0, copy.watermark, 1)
    change = StateChange("device", DeviceId(owner), copy.incarnation, query.columns, query.rows)
    rev = max((row[1] for row in query.rows), default=0)
    changes = (change,) if query.rows else ()
    word = copy.checkpoint or b""
    return StateBatch(owner, copy.incarnation, 0, 0, rev, rev, changes, word, introduction=True)


def _tombstones_after(
    connection: Connection, epoch: int, lo: int, hi: int, limit: int
) -> list[tuple[bytes, int, str]]:
    found = connection.exec_driver_sql(
        "SELECT uuid, rev, model FROM tombstone"
        " WHERE epoch = ? AND rev > ? AND rev <= ? ORDER BY rev LIMIT ?",
        (epoch, lo, hi, limit),
    )
    return [(uuid, rev, model) for uuid, rev, model in found]


def _opaque_after(
    connection: Connection, epoch: int, lo: int, hi: int, limit: int
) -> list[tuple[Any, ...]]:
    found = connection.exec_driver_sql(
        "SELECT uuid, rev, model, fields FROM opaque_row"
        " WHERE epoch = ? AND rev > ? AND rev <= ? ORDER BY rev LIMIT ?",
        (epoch, lo, hi, limit),
    )
    return [tuple(row) for row in found]


def _opaque_changes(
    owner: DeviceId,
    incarnation: Incarnation,
    opaque: list[tuple[Any, ...]],
    gone: dict[str, list[tuple[bytes, int]]],
) -> list[StateChange]:
    """Return the rows and tombstones of models that nobody here knows, by model."""
    by_model: dict[str, list[tuple[bytes, int, dict[str, Any]]]] = {name: [] for name in gone}
    for uuid, rev, model, fields in opaque:
        by_model.setdefault(model, []).append((uuid, rev, msgpack.unpackb(fields)))
    changes = []
    for model, items in by_model.items():
        columns = tuple(sorted({name for _, _, fields in items for name in fields}))
        rows = [(uuid, rev, *(fields.get(name) for name in columns)) for uuid, rev, fields in items]
        removed = gone.get(model, ())
        changes.append(StateChange(model, owner, incarnation, columns, rows, removed))
    return changes

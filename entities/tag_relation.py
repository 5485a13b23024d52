"""A relation between two tags: parent_child, synonym or related.

Shared link; its id is derived from both ends, so two tags are related once. parent_child makes a
hierarchy: edges are taken in the order in which they were written, one that would close a cycle is
skipped, the same on every device, and reported. Hidden while one of its tags is not there.
Local-only columns: written, skipped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from entities._schema import number, raw, real, shared_table, text
from entities._shared import SharedRows
from registry.models import Field, Link, Model, Ownership, WhenGone

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from registry.changes import SharedRow, WriteRef

PARENT_CHILD = "parent_child"
KINDS = (PARENT_CHILD, "synonym", "related")

TAG_RELATION = shared_table(
    "tag_relation",
    raw("child"),
    raw("parent"),
    text("relation"),
    real("strength"),
    raw("written"),
    number("skipped"),
)

FIELDS = (
    Field(
        "child",
        (bytes,),
        nullable=False,
        reference="tag",
        when_gone=WhenGone.CASCADE,
        bookkeeping=True,
    ),
    Field(
        "parent",
        (bytes,),
        nullable=False,
        reference="tag",
        when_gone=WhenGone.CASCADE,
        bookkeeping=True,
    ),
    Field("relation"),
    Field("strength", (float, int), least=0, most=1),
)

ROWS = SharedRows("tag_relation", FIELDS)


def apply_shared_change(connection: Connection, rows: Sequence[SharedRow]) -> None:
    """Make the visible relations agree with merged records, and find the edges of cycles."""
    ROWS.apply_shared_change(connection, rows)
    written = [(_packed(row.order), bytes(row.record)) for row in rows if row.order is not None]
    if written:
        connection.exec_driver_sql("UPDATE tag_relation SET written = ? WHERE uuid = ?", written)
    _skip_cycles(connection)


def _packed(order: WriteRef) -> bytes:
    """Return bytes that compare as the order of writes does."""
    number_bytes = order.seq.to_bytes(8, "big") + order.place.to_bytes(4, "big")
    return order.stamp.pack() + order.feed + number_bytes


def _skip_cycles(connection: Connection) -> None:
    """Take the edges of the hierarchy in order; mark those that would close a cycle."""
    edges = connection.exec_driver_sql(
        "SELECT uuid, child, parent, skipped FROM tag_relation WHERE relation = ?"
        " ORDER BY written, uuid",
        (PARENT_CHILD,),
    ).all()
    parents: dict[bytes, set[bytes]] = {}
    changed = []
    for uuid, child, parent, skipped in edges:
        closes = child == parent or child in _above(parents, parent)
        if not closes:
            parents.setdefault(child, set()).add(parent)
        if closes != bool(skipped):
            changed.append((int(closes), uuid))
    if changed:
        connection.exec_driver_sql("UPDATE tag_relation SET skipped = ? WHERE uuid = ?", changed)
    connection.exec_driver_sql(
        "UPDATE tag_relation SET skipped = 0 WHERE skipped = 1 AND relation IS NOT ?",
        (PARENT_CHILD,),
    )


def _above(parents: dict[bytes, set[bytes]], tag: bytes) -> set[bytes]:
    """Return all tags above one."""
    found: set[bytes] = set()
    waiting = [tag]
    while waiting:
        for parent in parents.get(waiting.pop(), ()):
            if parent not in found:
                found.add(parent)
                waiting.append(parent)
    return found


MODEL = Model(
    sync_name="tag_relation",
    version=1,
    ownership=Ownership.SHARED,
    fields=FIELDS,
    local_only=("written", "skipped"),
    depends_on=("tag",),
    link=Link("child", "parent"),
    apply_shared_change=apply_shared_change,
)

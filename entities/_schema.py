"""Column types and the columns that every owned table carries.

The tables here are for building queries. How they are created stands in the migrations alone, and a
test holds the two against each other.
"""

from __future__ import annotations

from sqlalchemy import BLOB, Column, Float, Integer, MetaData, Table, Text

METADATA = MetaData()

BOOKKEEPING = ("id", "uuid", "epoch", "rev", "dead", "extra")
"""What an owned row carries besides its fields: the local key, the record id, the owner's
incarnation (local key) and rev, whether it is deleted at its owner, and the fields (MessagePack)
that only newer versions know."""


def owned_table(name: str, *columns: Column[object]) -> Table:
    """Return the table of a device-owned model."""
    return Table(
        name,
        METADATA,
        Column("id", Integer, primary_key=True),
        Column("uuid", BLOB, nullable=False, unique=True),
        Column("epoch", Integer, nullable=False),
        Column("rev", Integer, nullable=False),
        Column("dead", Integer, nullable=False, default=0),
        Column("extra", BLOB),
        *columns,
    )


def shared_table(name: str, *columns: Column[object]) -> Table:
    """Return the table that shows a shared model."""
    return Table(
        name,
        METADATA,
        Column("uuid", BLOB, primary_key=True),
        *columns,
        Column("extra", BLOB),  # fields that only newer versions know (MessagePack)
    )


def text(name: str) -> Column[object]:
    """Return a column of text, null where unknown."""
    return Column(name, Text)


def number(name: str) -> Column[object]:
    """Return a column of a signed 64-bit number (or 0/1), null where unknown."""
    return Column(name, Integer)


def raw(name: str) -> Column[object]:
    """Return a column of bytes, null where unknown."""
    return Column(name, BLOB)


def real(name: str) -> Column[object]:
    """Return a column of a floating-point number, null where unknown."""
    return Column(name, Float)

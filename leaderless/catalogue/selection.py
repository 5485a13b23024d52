"""Many files at once: those that a person names one by one, and those that a search finds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from leaderless.catalogue.find import fitting
from leaderless.catalogue.targets import find_target, target_of
from leaderless.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Connection

    from leaderless.catalogue.find import Query
    from leaderless.catalogue.targets import Target

_AT_ONCE: Final = 500
"""Ids in one question."""


def select(
    connection: Connection,
    own_epoch: int,
    references: Sequence[str],
    query: Query | None = None,
    scope: str | None = None,
) -> list[Target]:
    """Return the targets of `references` and of all that fit `query`, each entry once.

    Raises NotFoundError where a reference names nothing or nothing fits; UsageError where neither
    is given.
    """
    if not references and query is None:
        raise UsageError(
            "which files?",
            hint="name them, or search for them: --where TEXT, --ext E, --location L",
        )
    found = [find_target(connection, own_epoch, reference, scope) for reference in references]
    if query is not None:
        searched = list(_search(connection, query, scope))
        if not searched:
            raise NotFoundError("nothing fits that", hint="leaderless find takes the same filters")
        found += searched
    return list({target.entry: target for target in found}.values())


def folders_among(connection: Connection, targets: Sequence[Target]) -> int:
    """Return how many of these are folders."""
    found = 0
    for begin in range(0, len(targets), _AT_ONCE):
        entries = [target.entry for target in targets[begin : begin + _AT_ONCE]]
        found += connection.exec_driver_sql(
            "SELECT count(*) FROM entry WHERE kind = 'directory' AND uuid IN"
            f" ({', '.join('?' * len(entries))})",
            tuple(entries),
        ).scalar_one()
    return found


def _search(connection: Connection, query: Query, scope: str | None) -> Iterator[Target]:
    if query.is_empty:
        raise UsageError(
            "that would be every file", hint='if you mean all of them, say so: --where ""'
        )
    condition, values = fitting(connection, query)
    rows = connection.exec_driver_sql(
        "SELECT e.uuid, e.content, e.size_bytes FROM entry e JOIN location l ON l.id = e.location"
        f" JOIN incarnation i ON i.id = e.epoch WHERE {condition} ORDER BY e.id",
        tuple(values),
    )
    for uuid, content, size in rows:
        yield target_of(uuid, content, size, scope)

"""What a request says about which files it means: find's filters, and many files at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from leaderless.catalogue.find import Query
from leaderless.catalogue.hierarchy import read_hierarchy
from leaderless.catalogue.listing import find_device, find_locations
from leaderless.catalogue.tagging import Files
from leaderless.catalogue.tags import find_tag
from leaderless.errors import UsageError
from leaderless.status.http import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy import Connection

MAX_FOUND = 10_000


def find_query(connection: Connection, request: Request) -> Query:
    """Return what a request looks for; raises NotFoundError or UsageError for a wrong filter."""
    limit = request.within("limit", 50, 1, MAX_FOUND)
    device, tag, location = request.text("device"), request.text("tag"), request.text("location")
    return Query(
        request.text("text") or None,
        None if device is None else find_device(connection, device),
        request.text("ext") or None,
        request.reference("kind"),
        request.number("larger"),
        request.number("newer_ms"),
        limit,
        None if tag is None else read_hierarchy(connection).carried(find_tag(connection, tag)),
        None if location is None else find_locations(connection, location),
    )


def files_of(request: Request) -> Files:
    """Return which files a request names in `targets` and searches for in `where`."""
    where = request.body.get("where")
    if where is not None and not isinstance(where, dict):
        raise UsageError("where must be an object of find's filters")
    return Files(texts(request, "targets"), _query_of(where), request.text("scope"))


def _query_of(where: Mapping[str, object] | None) -> Callable[[Connection], Query] | None:
    if where is None:
        return None
    request = Request("GET", "", body=where)
    return lambda connection: find_query(connection, request)


def texts(request: Request, name: str) -> tuple[str, ...]:
    """Return a list of texts from the body; none if it is not there."""
    given = request.body.get(name, [])
    if not isinstance(given, list) or any(not isinstance(item, str) for item in given):
        raise UsageError(f"{name} must be a list of texts")
    return tuple(given)


def fields_of(request: Request) -> Mapping[str, object]:
    """Return the `fields` of the body, an object."""
    fields = request.body.get("fields", {})
    if not isinstance(fields, dict):
        raise UsageError("fields must be an object")
    return fields

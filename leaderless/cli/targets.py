"""Files as a person names them: paths, DEVICE:PATH, entry ids, and all that a search finds."""

from __future__ import annotations

import os
import re
import time
from functools import update_wrapper
from typing import TYPE_CHECKING, Any

import click

from leaderless.cli.app import names
from leaderless.cli.values import parse_size, parse_time_ms
from leaderless.errors import UsageError
from leaderless.words import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable

_ID = re.compile(r"[0-9a-fA-F]{8,32}")
_ELSEWHERE = re.compile(r"[^/]+:/", re.DOTALL)
"""DEVICE:PATH, as distinct from a path with a colon further on."""

SEARCH = (
    click.option("--where", "text", metavar="TEXT", help="All whose name holds TEXT."),
    click.option("--tag", "with_tag", shell_complete=names("tag"), help="All that carry this tag."),
    click.option("--device", shell_complete=names("device"), help="All on this device."),
    click.option("--location", shell_complete=names("location"), help="All in this location."),
    click.option("--ext", help="All with this extension: jpg, tar.gz."),
    click.option("--kind", type=click.Choice(KINDS), help="All of this kind."),
    click.option(
        "--larger", metavar="SIZE", help="All larger than this: 10M, 1.5G; no directories."
    ),
    click.option("--newer", metavar="TIME", help="All changed since: 7d, 2026-01-31."),
)
"""find's own filters; what is given has to hold together."""
_FILTERS = ("text", "with_tag", "device", "location", "ext", "kind", "larger", "newer")


def reference(text: str) -> str:
    """Return how a file that a person named travels: a path of this device is made absolute.

    An id stays one, unless there is a file of that name in the current folder. Raises UsageError.
    """
    if not text:
        raise UsageError("an empty name names no file", hint="leaderless find shows what there is")
    if text.startswith("/") or _ELSEWHERE.match(text):
        return text
    if _ID.fullmatch(text.replace("-", "")) and not os.path.lexists(text):
        return text
    return os.path.abspath(text)  # noqa: PTH100 - a link is meant itself, not what it points to


def record_reference(text: str) -> str:
    """Return how a tag, an album or a file that a person named travels: tag:NAME, or as a file."""
    return text if text.startswith(("tag:", "album:")) else reference(text)


def file_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb TARGETs and find's filters, as `files`: the part of a request that names them."""

    def gathered(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - whatever the verb takes
        given = {name: kwargs.pop(name) for name in ("targets", *_FILTERS)}
        return function(*args, files=_request(given), **kwargs)

    wrapped: Callable[..., Any] = update_wrapper(gathered, function)
    for option in reversed(SEARCH):
        wrapped = option(wrapped)
    return click.argument("targets", nargs=-1, metavar="[TARGET]...")(wrapped)


def _request(given: dict[str, Any]) -> dict[str, Any]:
    where = {
        "text": given["text"],
        "tag": given["with_tag"],
        "device": given["device"],
        "location": given["location"],
        "ext": given["ext"],
        "kind": given["kind"],
        "larger": None if given["larger"] is None else parse_size(given["larger"]),
        "newer_ms": None
        if given["newer"] is None
        else parse_time_ms(given["newer"], time.time_ns() // 1_000_000),
    }
    searched = {name: value for name, value in where.items() if value is not None}
    body: dict[str, Any] = {"targets": [reference(target) for target in given["targets"]]}
    return {**body, "where": searched} if searched else body

"""note, favorite, rate, hide, meta: what is said of files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from leaderless.cli.app import Context, Group, verb
from leaderless.cli.output import chat, put_json, say
from leaderless.cli.targets import file_options, reference
from leaderless.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

_SCOPE = click.option(
    "--scope",
    type=click.Choice(["content", "entry"]),
    help="All copies (content), or this file alone (entry); default: all copies, where the whole"
    " file was hashed.",
)
_INHERIT = click.option(
    "--inherit",
    is_flag=True,
    help="Say nothing of these files alone any more: they show what is said of all copies.",
)
_UNSET = {"unset": True}
_TYPES: dict[str, Callable[[str], object]] = {"text": str, "integer": int, "number": float}


@click.command()
@file_options
@click.argument("words", required=False, metavar="[TEXT]")
@click.option("--clear", is_flag=True, help="Take the note away.")
@_INHERIT
@_SCOPE
@verb
def note(
    context: Context,
    words: str | None,
    clear: bool,
    inherit: bool,
    scope: str | None,
    files: dict[str, Any],
) -> None:
    """Write the note TEXT to files: TARGETs (paths, DEVICE:PATH or ids), or what a search finds.

    The last word is the note, so put it in quotes: `leaderless note photo.jpg "at the sea"`.
    """
    value = _last(words, clear or inherit, files, "leaderless note TARGET TEXT, or --clear")
    _write(context, {"note": value}, scope, files, inherit=inherit)


@click.command()
@file_options
@click.option("--off", is_flag=True, help="Not a favorite any more.")
@_INHERIT
@_SCOPE
@verb
def favorite(
    context: Context, off: bool, inherit: bool, scope: str | None, files: dict[str, Any]
) -> None:
    """Make files favorites: TARGETs (paths, DEVICE:PATH or ids), or what a search finds."""
    _write(context, {"favorite": not off}, scope, files, inherit=inherit)


@click.command()
@file_options
@click.option("--off", is_flag=True, help="Not hidden any more.")
@_INHERIT
@_SCOPE
@verb
def hide(
    context: Context, off: bool, inherit: bool, scope: str | None, files: dict[str, Any]
) -> None:
    """Mark files as hidden: TARGETs (paths, DEVICE:PATH or ids), or what a search finds."""
    _write(context, {"hidden": not off}, scope, files, inherit=inherit)


@click.command()
@file_options
@click.argument("stars", required=False)
@click.option("--clear", is_flag=True, help="Take the rating away.")
@_INHERIT
@_SCOPE
@verb
def rate(
    context: Context,
    stars: str | None,
    clear: bool,
    inherit: bool,
    scope: str | None,
    files: dict[str, Any],
) -> None:
    """Rate files from 0 to 5: TARGETs (paths, DEVICE:PATH or ids), or what a search finds."""
    how = "leaderless rate TARGET 4, or --clear"
    value = _last(stars, clear or inherit, files, how)
    if value is not None and value not in tuple("012345"):
        raise UsageError(f"“{value}” is no rating from 0 to 5", hint=how)
    rating = None if value is None else int(value)
    _write(context, {"rating": rating}, scope, files, inherit=inherit)


@click.group(cls=Group)
def meta() -> None:
    """Set and unset data of your own on files: a value for each KEY."""


@meta.command("set")
@file_options
@click.argument("key")
@click.argument("value")
@click.option(
    "--type",
    "value_type",
    type=click.Choice([*_TYPES, "boolean"]),
    default="text",
    show_default=True,
    help="What VALUE is.",
)
@_SCOPE
@verb
def meta_set(
    context: Context,
    key: str,
    value: str,
    value_type: str,
    scope: str | None,
    files: dict[str, Any],
) -> None:
    """Set KEY to VALUE on files: TARGETs (paths, DEVICE:PATH or ids), or what a search finds."""
    _write(context, {"custom_data": {key: _typed(value, value_type)}}, scope, files)


@meta.command("unset")
@file_options
@click.argument("key")
@_INHERIT
@_SCOPE
@verb
def meta_unset(
    context: Context, key: str, inherit: bool, scope: str | None, files: dict[str, Any]
) -> None:
    """Take KEY away from files: TARGETs (paths, DEVICE:PATH or ids), or what a search finds."""
    _write(context, {"custom_data": {key: None}}, scope, files, inherit=inherit)


def _takes_away(fields: dict[str, Any]) -> bool:
    """Return whether fields say nothing but that something is not said."""
    given = fields.get("custom_data", fields)
    return all(value in (None, False, _UNSET) for value in given.values())


def _unset(value: object) -> object:
    return dict.fromkeys(value, _UNSET) if isinstance(value, dict) else _UNSET


def _last(value: str | None, no_value: bool, files: dict[str, Any], hint: str) -> str | None:
    """Return the value that stands behind the files; where none is to, it is one more file."""
    if no_value:
        if value is not None:
            files["targets"].append(reference(value))
        return None
    if value is None or not (files["targets"] or files.get("where")):
        raise UsageError("a file and what to say of it are needed", hint=hint)
    return value


def _typed(value: str, kind: str) -> object:
    if kind == "boolean":
        if value.lower() not in ("true", "false"):
            raise UsageError(f"“{value}” is neither true nor false")
        return value.lower() == "true"
    try:
        return _TYPES[kind](value)
    except ValueError as error:
        raise UsageError(f"“{value}” is no {kind}") from error


def _write(
    context: Context,
    fields: dict[str, Any],
    scope: str | None,
    files: dict[str, Any],
    *,
    inherit: bool = False,
) -> None:
    if inherit:
        if scope == "content":
            raise UsageError("all copies have nothing to inherit from", hint="leave --scope out")
        scope, fields = "entry", {name: _unset(value) for name, value in fields.items()}
    body = {"fields": fields, **files}
    if scope is not None:
        body["scope"] = scope
    answer = context.work("/v1/metadata", body)
    if context.json:
        put_json(answer)
        return
    say(answer["count"])
    if answer["id"] is None:
        chat("There was nothing to take away." if _takes_away(fields) else "It is said already.")
    else:
        chat(f"Done; `{context.command('undo ' + answer['id'])}` takes it back.")
    if answer["own"] != "0":
        chat(
            f"{answer['own']} of these files show what was said of them alone;"
            " --scope entry changes that."
        )

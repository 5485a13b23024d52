"""tag: on files, and to each other."""

from __future__ import annotations

from typing import Any

import click

from leaderless.cli.app import Context, names, verb
from leaderless.cli.output import chat, name_text, put_json, say
from leaderless.cli.targets import file_options
from leaderless.words import counted

"""An action on a million files takes its time, and is done as a whole."""


@click.command()
@click.argument("tag", shell_complete=names("tag"))
@file_options
@click.option("--scope", type=click.Choice(["content", "entry"]), help="All copies, or this file.")
@click.option("--context", "about", metavar="TEXT", help="In what context it carries the tag.")
@click.option(
    "--source",
    type=click.Choice(["user", "ai", "import"]),
    default="user",
    show_default=True,
    help="Who says so.",
)
@verb
def add(
    context: Context,
    tag: str,
    scope: str | None,
    about: str | None,
    source: str,
    files: dict[str, Any],
) -> None:
    """Put TAG on files: TARGETs (paths, DEVICE:PATH or ids), and all that a search finds.

    The tag holds for every copy of a file whose whole content is known.
    """
    body = {"tag": tag, "scope": scope, "context": about, "source": source, **files}
    answer = context.work("/v1/tags/add", _given(body))
    if context.json:
        put_json(answer)
        return
    name, count, total = _counted(answer)
    there = int(answer["files"]) - int(count)
    say(count)
    had = f"; {there} had it" if there else ""
    chat(f"“{name}” is new on {count} of {total}{had}.{_back(context, answer)}")


@click.command()
@click.argument("tag", shell_complete=names("tag"))
@file_options
@click.option("--scope", type=click.Choice(["content", "entry"]), help="All copies, or this file.")
@verb
def remove(context: Context, tag: str, scope: str | None, files: dict[str, Any]) -> None:
    """Take TAG off files: TARGETs (paths, DEVICE:PATH or ids), and all that a search finds."""
    body = {"tag": tag, "scope": scope, **files}
    answer = context.work("/v1/tags/remove", _given(body))
    if context.json:
        put_json(answer)
        return
    name, count, total = _counted(answer)
    say(count)
    chat(f"“{name}” is off {count} of {total}.{_back(context, answer)}")


def _given(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if value is not None}


def _counted(answer: dict[str, Any]) -> tuple[str, str, str]:
    """Return the tag's name, how many it was changed on, and what all was meant, in words."""
    total, folders = int(answer["files"]), int(answer["folders"])
    files, inside = counted(total - folders, "file"), counted(folders, "folder")
    meant = f"{total} ({files} and {inside})"
    if not folders:
        meant = files
    elif folders == total:
        meant = inside
    return name_text(answer["tag"]["canonical_name"]), answer["count"], meant


def _back(context: Context, answer: dict[str, Any]) -> str:
    """Return what takes an action back, nothing where nothing was done."""
    if answer["action"] is None:
        return ""
    return f" `{context.command('undo ' + answer['action'])}` takes it back."


@click.command()
@click.argument("child", shell_complete=names("tag"))
@click.argument("parent", shell_complete=names("tag"))
@verb
def parent(context: Context, child: str, parent: str) -> None:
    """Put the tag CHILD under PARENT: `find --tag PARENT` finds what carries CHILD, too."""
    answer = context.client.post("/v1/tags/parent", {"child": child, "parent": parent})
    done = f"“{_name(answer, 'child')}” is under “{_name(answer, 'parent')}” now."
    _tell(context, answer, "new", done, "It is there already.")


@click.command()
@click.argument("child", shell_complete=names("tag"))
@click.argument("parent", shell_complete=names("tag"))
@verb
def unparent(context: Context, child: str, parent: str) -> None:
    """Take the tag CHILD from under PARENT."""
    answer = context.client.post("/v1/tags/unparent", {"child": child, "parent": parent})
    done = f"“{_name(answer, 'child')}” is not under “{_name(answer, 'parent')}” any more."
    _tell(context, answer, "gone", done, "")


@click.command()
@click.argument("tag", shell_complete=names("tag"))
@click.argument("other", shell_complete=names("tag"))
@click.option(
    "--kind", type=click.Choice(["synonym", "related"]), default="related", show_default=True
)
@click.option("--strength", type=click.FloatRange(0, 1), help="How strongly, from 0 to 1.")
@verb
def relate(context: Context, tag: str, other: str, kind: str, strength: float | None) -> None:
    """Say that TAG and OTHER are synonyms or related."""
    body = {"tag": tag, "other": other, "kind": kind, "strength": strength}
    answer = context.client.post("/v1/tags/relate", _given(body))
    what = "synonyms" if kind == "synonym" else "related"
    done = f"“{_name(answer, 'tag')}” and “{_name(answer, 'other')}” are {what} now."
    _tell(context, answer, "new", done, f"They are {what} already.")


@click.command()
@click.argument("tag", shell_complete=names("tag"))
@click.argument("other", shell_complete=names("tag"))
@verb
def unrelate(context: Context, tag: str, other: str) -> None:
    """Say that TAG and OTHER are no synonyms and not related any more."""
    answer = context.client.post("/v1/tags/unrelate", {"tag": tag, "other": other})
    done = f"“{_name(answer, 'tag')}” and “{_name(answer, 'other')}” are not related any more."
    _tell(context, answer, "gone", done, "")


@click.command()
@click.argument("tag", shell_complete=names("tag"))
@click.argument("other", shell_complete=names("tag"))
@verb
def merge(context: Context, tag: str, other: str) -> None:
    """Make TAG and OTHER one: either name finds it, with the files of both.

    The older tag gives the name; `tag rename` gives another, `undo` takes a merge back.
    """
    answer = context.client.post("/v1/tags/merge", {"tag": tag, "other": other})
    name = name_text(answer["tag"]["canonical_name"])
    done = f"Both are “{name}” now; `{context.command('undo')}` takes it back."
    _tell(context, answer, "new", done, f"Both are “{name}” already.")


def _name(answer: dict[str, Any], end: str) -> str:
    """Return what a tag is called that was named by an id or an alias, perhaps."""
    return name_text(answer[end]["name"])


def _tell(context: Context, answer: dict[str, Any], key: str, done: str, nothing: str) -> None:
    if context.json:
        put_json(answer)
    else:
        chat(done if answer[key] else nothing)

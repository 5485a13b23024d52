"""show: everything known about a file."""

from __future__ import annotations

from typing import Any

import click

from leaderless.cli.app import Context, verb
from leaderless.cli.copies import put_copies, put_places
from leaderless.cli.output import (
    bare_text,
    chat,
    locked_text,
    name_text,
    put_json,
    say,
    size_text,
    table,
    time_text,
    value_text,
)
from leaderless.cli.targets import reference
from leaderless.words import counted

_QUIET = ("scope", "target", "item", "tag", "album", "hash", "size_bytes", "position", "added_by")
"""Fields that say what a record is about; that is shown by other lines."""

_LOCKED = {
    "user_metadata": "what is said of",
    "user_metadata_tag": "a tag's place on",
    "album_entry": "the place in an album of",
    "content": "the content of",
}
"""What of a file is locked, in words."""


@click.command()
@click.argument("target", type=click.Path())
@verb
def show(context: Context, target: str) -> None:
    """Show everything about the file TARGET (a path, DEVICE:PATH or id).

    Its copies on all devices and drives, tags, albums, note, rating and own data, who changed what
    last, locks and open conflicts; also while its device is off.
    """
    answer = context.client.get("/v1/show", {"target": reference(target)})
    if context.json:
        put_json(answer)
        return
    _put_file(answer["file"])
    _put_metadata(answer["metadata"])
    _put_tags(answer["tags"])
    for album in answer["albums"]:
        caption = f": {name_text(album['caption'])}" if album["caption"] else ""
        locked = f" (locked {by})" if (by := locked_text(album)) else ""
        say(f"album: {name_text(album['name'])}{locked}{caption}")
    for lock in answer["locks"]:
        what = _LOCKED.get(lock["model"], lock["model"])
        whose = "all copies" if lock["scope"] == "content" else "this file"
        unlock = context.command(f"unlock {lock['record']}")
        say(f"locked: {what} {whose}, by {name_text(lock['by'])}; `{unlock}` frees it")
    if "copies" in answer:
        say("")
        put_copies(context, answer["copies"])
    else:
        put_places([answer["file"]])
    _put_changes(answer["changes"])
    if answer["conflicts"]:
        count = counted(len(answer["conflicts"]), "open conflict")
        chat(f"{count}; `{context.command('conflicts')}` lists them.")


def _put_file(file: dict[str, Any]) -> None:
    say(name_text(file["path"]))
    say(f"id: {file['id']}")
    say(f"kind: {name_text(file['kind'])}")
    if file["kind"] == "file":
        say(f"size: {size_text(file['size_bytes'])}")
        say(f"hash: {file['hash'] or {'quick': 'of a sample only'}.get(file['hashed'], 'none')}")
    if file["mtime_ns"] is not None:
        say(f"changed: {time_text(int(file['mtime_ns']) // 1_000_000)}")


def _put_metadata(metadata: dict[str, Any]) -> None:
    for name in ("note", "favorite", "rating", "hidden"):
        value = metadata.get(name)
        if value is not None:
            say(f"{name}: {value_text(value)}")
    for key, value in metadata.get("custom_data", {}).items():
        say(f"{name_text(key)} = {value_text(value)}")


def _put_tags(tags: list[dict[str, Any]]) -> None:
    by_context: dict[str | None, list[str]] = {}
    for tag in tags:
        above = f" (in {', '.join(map(name_text, tag['above']))})" if tag["above"] else ""
        locked = f" (locked {by})" if (by := locked_text(tag)) else ""
        by_context.setdefault(tag["context"], []).append(name_text(tag["name"]) + above + locked)
    for context, named in by_context.items():
        about = f" [{name_text(context)}]" if context else ""
        say(f"tags{about}: {', '.join(named)}")


def _put_changes(changes: list[dict[str, Any]]) -> None:
    rows = [
        (
            " ".join(filter(None, (change["model"], change["name"]))),
            change["scope"],
            change["field"] + (f".{change['subkey']}" if change["subkey"] else ""),
            bare_text(change["value"]),
            change["by"],
            time_text(change["at_ms"]),
            " " if change["in_effect"] else "under the file's own",
        )
        for change in changes
        if change["field"] not in _QUIET
    ]
    if rows:
        say("")
    table(("record", "scope", "field", "value", "last by", "at", ""), rows)

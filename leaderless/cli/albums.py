"""album."""

from __future__ import annotations

from typing import Any

import click

from leaderless.cli.app import Context, Group, names, verb
from leaderless.cli.output import chat, locked_text, name_text, put_json, say, size_text, table
from leaderless.cli.targets import file_options, reference
from leaderless.cli.values import parse_fields
from leaderless.words import counted


@click.group(cls=Group)
def album() -> None:
    """Make albums and arrange what is in them: files of all devices, in an order of your own."""


def _fields(pairs: tuple[str, ...], unset: tuple[str, ...] = ()) -> dict[str, object]:
    fields = parse_fields(pairs, unset)
    cover = fields.get("cover")
    return {**fields, "cover": reference(cover)} if cover and isinstance(cover, str) else fields


def _done(context: Context, answer: dict[str, Any], text: str) -> None:
    if context.json:
        put_json(answer)
        return
    say(answer["album"]["id"] if "album" in answer else answer["id"])
    if "action" in answer:
        text += f" `{context.command('undo ' + answer['action'])}` takes it back."
    chat(text)


@album.command("create")
@click.argument("name")
@click.argument("fields", nargs=-1, metavar="[FIELD=VALUE]...")
@click.option("--another", is_flag=True, help="Also where there is one of that name.")
@verb
def album_create(context: Context, name: str, fields: tuple[str, ...], another: bool) -> None:
    """Make an album called NAME. Two of one name, made on two devices, are two albums."""
    body = {"name": name, "fields": _fields(fields), "another": another}
    answer = context.client.post("/v1/albums/create", body)
    _done(context, answer, f"Created; `{context.command('album add ALBUM FILE')}` puts files in.")


@album.command("list")
@click.option("--deleted", is_flag=True, help="Those that are deleted and can be restored.")
@verb
def album_list(context: Context, deleted: bool) -> None:
    """List every album."""
    answer = context.client.get("/v1/albums", {"deleted": "1"} if deleted else None)
    if context.json:
        put_json(answer)
        return
    rows = [
        (
            item["name"],
            item.get("files"),
            item["description"],
            item["sort_order"],
            locked_text(item),
            item["id"],
        )
        for item in answer["albums"]
    ]
    if not rows and deleted:
        chat("No album is deleted.")
    elif not rows:
        chat(f"No albums; `{context.command('album create NAME')}` makes one.")
    table(("name", "files", "description", "sorted by", "locked", "id"), rows)


@album.command("show")
@click.argument("album", shell_complete=names("album"))
@click.option("--limit", type=click.IntRange(1, 10_000), default=200, show_default=True)
@verb
def album_show(context: Context, album: str, limit: int) -> None:
    """Show what is in ALBUM, in order, with every copy and whether it can be reached now."""
    answer = context.client.get("/v1/albums/show", {"album": album, "limit": limit})
    if context.json:
        put_json(answer)
        return
    shown = answer["album"]
    rows = [
        (
            item["number"] if first else "",
            item["caption"] if first else "",
            copy["device"],
            "reachable" if copy["reachable"] else copy["why"],
            size_text(copy["size_bytes"]),
            copy["path"],
            item["id"] if first else "",
        )
        for item in shown["entries"]
        for first, copy in [(copy is item["copies"][0], copy) for copy in item["copies"]]
    ]
    about = [f"{name_text(shown['name'])}: {counted(shown['files'], 'file')}"]
    if shown["description"]:
        about.append(name_text(shown["description"]))
    if locked := locked_text(shown):
        about.append(f"locked {locked}, what is in it is not")
    chat("; ".join(about) + ".")
    table(("no", "caption", "device", "now", "size", "path", "id"), rows)
    if shown["hidden"] != "0":
        chat(
            f"Not shown: {shown['hidden']}, as no device has such a file or content now (edited,"
            " deleted, or gone with its folder)."
        )
    if shown["more"]:
        chat(f"The first {limit}; more with --limit.")


@album.command("set")
@click.argument("album", shell_complete=names("album"))
@click.argument("fields", nargs=-1, metavar="[FIELD=VALUE]...")
@click.option("--unset", multiple=True, metavar="FIELD", help="Leave it without a value.")
@verb
def album_set(
    context: Context, album: str, fields: tuple[str, ...], unset: tuple[str, ...]
) -> None:
    """Change ALBUM: description=TEXT cover=TARGET sort_order=position|name|added."""
    body = {"album": album, "fields": _fields(fields, unset)}
    answer = context.client.post("/v1/albums/set", body)
    _done(context, answer, "Changed.")


@album.command("rename")
@click.argument("album", shell_complete=names("album"))
@click.argument("name")
@click.option("--another", is_flag=True, help="Also where there is one of that name.")
@verb
def album_rename(context: Context, album: str, name: str, another: bool) -> None:
    """Call ALBUM by another NAME."""
    body = {"album": album, "name": name, "another": another}
    answer = context.client.post("/v1/albums/rename", body)
    _done(context, answer, "Renamed.")


@album.command("delete")
@click.argument("album", shell_complete=names("album"))
@verb
def album_delete(context: Context, album: str) -> None:
    """Delete ALBUM everywhere, no file with it; `restore` brings it back."""
    answer = context.client.post("/v1/albums/delete", {"album": album})
    restore = context.command(f"album restore {answer['id']}")
    _done(context, answer, f"Deleted; `{restore}` brings it back.")


@album.command("restore")
@click.argument("album")
@verb
def album_restore(context: Context, album: str) -> None:
    """Bring a deleted ALBUM (its name or id) back with all that was in it."""
    _done(context, context.client.post("/v1/albums/restore", {"album": album}), "Restored.")


# --- what is in it --------------------------------------------------------------------------------


@album.command("add")
@click.argument("album", shell_complete=names("album"))
@file_options
@click.option("--at", type=click.IntRange(1), metavar="N", help="So that the first has number N.")
@click.option("--caption", help="What to write below them.")
@click.option("--again", is_flag=True, help="Also those that are in it already, once more.")
@verb
def album_add(
    context: Context,
    album: str,
    at: int | None,
    caption: str | None,
    again: bool,
    files: dict[str, Any],
) -> None:
    """Put files at the end of ALBUM: TARGETs (paths, DEVICE:PATH or ids), and what a search finds.

    A photo is in an album once, whatever device has added which copy of it.
    """
    body = {"album": album, "again": again, **files}
    body |= {} if at is None else {"at": at}
    body |= {} if caption is None else {"caption": caption}
    answer = context.work("/v1/albums/add", body)
    if context.json:
        put_json(answer)
        return
    say(answer["new"])
    told = [f"{answer['new']} of {answer['files']} are new in the album"]
    if answer["captioned"] != "0":
        told.append(f"{answer['captioned']} got the caption")
    if answer["new"] != answer["files"] and not again:
        told.append("what is in it already is put in once more with --again")
    chat("; ".join(told) + ".")


@album.command("remove")
@click.argument("album", shell_complete=names("album"))
@click.argument("targets", nargs=-1, required=True, metavar="TARGET...")
@verb
def album_remove(context: Context, album: str, targets: tuple[str, ...]) -> None:
    """Take files out of ALBUM: paths, DEVICE:PATH, ids, or the ids that `album show` lists."""
    body = {"album": album, "targets": [reference(target) for target in targets]}
    answer = context.client.post("/v1/albums/remove", body)
    if context.json:
        put_json(answer)
    else:
        say(answer["count"])
        chat("Taken out.")


@album.command("move")
@click.argument("album", shell_complete=names("album"))
@click.argument("target")
@click.option("--to", type=click.IntRange(1), metavar="N", help="So that it has number N.")
@click.option("--before", metavar="TARGET", help="Right before this one.")
@click.option("--after", metavar="TARGET", help="Right after this one.")
@verb
def album_move(
    context: Context,
    album: str,
    target: str,
    to: int | None,
    before: str | None,
    after: str | None,
) -> None:
    """Move TARGET within ALBUM; the others stay as they are, on every device."""
    body: dict[str, Any] = {"album": album, "target": reference(target)}
    body |= {} if to is None else {"to": to}
    body |= {} if before is None else {"before": reference(before)}
    body |= {} if after is None else {"after": reference(after)}
    answer = context.client.post("/v1/albums/move", body)
    if context.json:
        put_json(answer)
        return
    chat("Moved." if answer["moved"] else "It is there already.")
    if answer["sort_order"] != "position":
        chat(f"The album is shown by {answer['sort_order']};")
        back = context.command("album set ALBUM sort_order=position")
        chat(f"  → {back} shows it as arranged")

"""tag: making and editing tags; what is done with them stands in `tagging`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from leaderless.cli import tagging
from leaderless.cli.app import Context, Group, names, verb
from leaderless.cli.output import (
    LOCK,
    chat,
    locked_text,
    name_text,
    put_json,
    say,
    table,
    value_text,
)
from leaderless.cli.values import parse_fields

if TYPE_CHECKING:
    from collections.abc import Sequence


_UNSHOWN = ("created_by_device", "merged_into", "skipped", *LOCK)
"""What JSON says of a tag that stands in other words on a terminal."""


@click.group(cls=Group)
def tag() -> None:
    """Make tags, put them on files, and relate them to each other."""


for _name in ("add", "remove", "parent", "unparent", "relate", "unrelate", "merge"):
    tag.add_command(getattr(tagging, _name))


def _done(context: Context, answer: dict[str, Any], text: str) -> None:
    if context.json:
        put_json(answer)
        return
    say(answer["tag"]["id"] if "tag" in answer else answer["id"])
    if "action" in answer:
        text += f" `{context.command('undo ' + answer['action'])}` takes it back."
    chat(text)


@tag.command("create")
@click.argument("name")
@click.argument("fields", nargs=-1, metavar="[FIELD=VALUE]...")
@click.option("--another", is_flag=True, help="Also where there is one of that name.")
@verb
def tag_create(context: Context, name: str, fields: tuple[str, ...], another: bool) -> None:
    """Make a tag called NAME. Two of one name, made on two devices, are two tags."""
    body = {"name": name, "fields": parse_fields(fields), "another": another}
    answer = context.client.post("/v1/tags/create", body)
    _done(context, answer, f"Created; `{context.command('tag add TAG FILE')}` puts it on files.")


@tag.command("list")
@click.option("--deleted", is_flag=True, help="Those that are deleted and can be restored.")
@verb
def tag_list(context: Context, deleted: bool) -> None:
    """List every tag."""
    answer = context.client.get("/v1/tags", {"deleted": "1"} if deleted else None)
    if context.json:
        put_json(answer)
        return
    rows = [
        (
            item["canonical_name"],
            item.get("files"),
            _list(item.get("parents", ())),
            _list(item["merged"]),
            item["display_name"],
            item["namespace"],
            item["color"],
            ", ".join(item["aliases"] or ()),
            locked_text(item),
            item["id"],
        )
        for item in answer["tags"]
    ]
    headings = ("name", "files", "under", "merged", "shown as", "namespace", "color", "aliases")
    table((*headings, "locked", "id"), rows)
    if not rows and deleted:
        chat("No tag is deleted.")
    elif not rows:
        chat(f"No tags; `{context.command('tag create NAME')}` makes one.")


def _list(tags: Sequence[dict[str, Any]]) -> str:
    return ", ".join(name_text(tag["name"]) for tag in tags)


@tag.command("show")
@click.argument("tag", shell_complete=names("tag"))
@verb
def tag_show(context: Context, tag: str) -> None:
    """Show everything about TAG (a name, an alias, or either end of an id)."""
    answer = context.client.get("/v1/tags/show", {"tag": tag})
    if context.json:
        put_json(answer)
        return
    for name, value in answer["tag"].items():
        if name not in _UNSHOWN and value not in (None, [], {}):
            say(f"{name}: {_shown(name, value)}")
    for edge in answer["tag"]["skipped"]:
        child, parent = name_text(edge["child"]), name_text(edge["parent"])
        circle = " under ".join(map(name_text, edge["circle"]))
        say(f"not in effect: {child} under {parent}, would close a circle with {circle}")
        away = context.command(f"tag unparent {edge['child_id']} {edge['parent_id']}")
        chat(f"  → `{away}` takes it away")
    if locked := locked_text(answer["tag"]):
        unlock = context.command(f"unlock {answer['tag']['id']}")
        say(f"locked: {locked}; `{unlock}` frees it")


def _shown(name: str, value: Any) -> str:  # noqa: ANN401 - JSON
    """Return a field as people read it."""
    if name in ("merged", "parents", "children"):
        return _list(value)
    if name == "relations":
        return ", ".join(f"{name_text(item['name'])} ({item['kind']})" for item in value)
    return value_text(value)


@tag.command("set")
@click.argument("tag", shell_complete=names("tag"))
@click.argument("fields", nargs=-1, metavar="[FIELD=VALUE]...")
@click.option("--unset", multiple=True, metavar="FIELD", help="Leave it without a value.")
@verb
def tag_set(context: Context, tag: str, fields: tuple[str, ...], unset: tuple[str, ...]) -> None:
    """Change fields of TAG: color=red aliases=+trip,-tour attributes=key=value."""
    answer = context.client.post(
        "/v1/tags/set", {"tag": tag, "fields": parse_fields(fields, unset)}
    )
    _done(context, answer, "Changed.")


@tag.command("rename")
@click.argument("tag", shell_complete=names("tag"))
@click.argument("name")
@click.option("--another", is_flag=True, help="Also where there is one of that name.")
@verb
def tag_rename(context: Context, tag: str, name: str, another: bool) -> None:
    """Call TAG by another NAME."""
    body = {"tag": tag, "name": name, "another": another}
    _done(context, context.client.post("/v1/tags/rename", body), "Renamed.")


@tag.command("delete")
@click.argument("tag", shell_complete=names("tag"))
@verb
def tag_delete(context: Context, tag: str) -> None:
    """Delete TAG everywhere; `restore` brings it back."""
    answer = context.client.post("/v1/tags/delete", {"tag": tag})
    restore = context.command(f"tag restore {answer['id']}")
    _done(context, answer, f"Deleted; `{restore}` brings it back.")


@tag.command("restore")
@click.argument("tag")
@verb
def tag_restore(context: Context, tag: str) -> None:
    """Bring a deleted TAG (its name or id) back with the values it had."""
    _done(context, context.client.post("/v1/tags/restore", {"tag": tag}), "Restored.")

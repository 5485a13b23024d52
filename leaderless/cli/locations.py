"""location: the folders of this device that are indexed."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from leaderless.cli.app import Context, Group, names, verb
from leaderless.cli.confirming import make_sure
from leaderless.cli.output import chat, name_text, path_json, put_json, say, size_text, table
from leaderless.cli.pausing import left_text, resume_command
from leaderless.errors import LeaderlessError, NotFoundError
from leaderless.escape import shell_word
from leaderless.words import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

_MODES = click.Choice(["shallow", "content", "deep"])
_MODE_HELP = (
    "shallow: names, sizes and times. content: each file is also read and hashed."
    " deep: as content, for now."
)
_AS_CONTENT = "deep: files are hashed, as with content; of what type they are is not looked at yet."
_LOOK_S = 0.2
"""Looks at a location that stays as it was, until the scan that was asked for counts as over."""


class ScanError(LeaderlessError):
    """A scan did not end well; its message says what to do."""

    code = "scan"


@click.group(cls=Group)
def location() -> None:
    """Add, list, scan, pause and remove indexed folders."""


@location.command("add")
@click.argument("path", type=click.Path())
@click.option("--name", help="What to call it; default: the folder's name.")
@click.option(
    "--mode",
    type=_MODES,
    help=f"{_MODE_HELP}  [default: shallow]",
)
@click.option("--wait", is_flag=True, help="Wait for the first scan, with progress.")
@verb
def location_add(
    context: Context, path: str, name: str | None, mode: str | None, wait: bool
) -> None:
    """Index the folder PATH of this device."""
    absolute = os.path.abspath(path)  # noqa: PTH100 - a link is to be refused, not followed
    body = {"path": path_json(absolute), "name": name}
    body |= {} if mode is None else {"index_mode": mode}
    answer = context.client.post("/v1/locations", body)
    if wait:
        answer |= _watch(context, answer)
    if context.json:
        put_json(answer)
    else:
        say(answer["id"])
        if wait:
            chat(f"Indexed; `{context.command('find')}` looks in it on every device.")
        else:
            chat(f"Indexing; `{context.command('status')}` shows how far it is.")
    if mode == "deep":
        chat(_AS_CONTENT)


@location.command("list")
@verb
def location_list(context: Context) -> None:
    """List the indexed folders of all devices."""
    answer = context.client.get("/v1/locations")
    if context.json:
        put_json(answer)
        return
    rows = [
        (
            item["name"],
            item["device"],
            item["drive"],
            item["path"],
            item["index_mode"],
            item["total_file_count"],
            size_text(item["total_byte_size"]),
            _scan_text(item),
        )
        for item in answer["locations"]
    ]
    table(("name", "device", "drive", "path", "mode", "files", "size", "scan"), rows)
    for item in answer["locations"]:
        if item["error_message"]:
            why = context.told(name_text(item["error_message"]))
            say(f"{name_text(item['name'])}: {why}")
        for error in item.get("errors", ())[:20]:
            say(f"  {name_text(error['path'])}: {name_text(error['why'])}")
        if item.get("paused"):
            command = resume_command(context, item["name"])
            say(f"{name_text(item['name'])}: hashing is paused{left_text(item)}: {command}")


def _scan_text(item: dict[str, Any]) -> str | None:
    """Return how the scans of a location are doing; of another device's nothing is known."""
    state: str | None = item["scan_state"]
    return f"{state}, hashing paused" if item.get("paused") else state


@location.command("scan")
@click.argument("location", shell_complete=names("location"))
@click.option(
    "--accept-deletes", is_flag=True, help="Take missing files out of the catalogue, however many."
)
@click.option("--wait", is_flag=True, help="Wait for the scan, with progress.")
@verb
def location_scan(context: Context, location: str, accept_deletes: bool, wait: bool) -> None:
    """Scan LOCATION of this device now."""
    body = {"location": _reference(location), "accept_deletes": accept_deletes}
    answer = context.client.post("/v1/locations/scan", body)
    if wait:
        answer |= _watch(context, answer)
    if context.json:
        put_json(answer)


@location.command("mode")
@click.argument("location", shell_complete=names("location"))
@click.argument("mode", type=_MODES)
@click.option("--wait", is_flag=True, help="Wait for the scan, with progress.")
@verb
def location_mode(context: Context, location: str, mode: str, wait: bool) -> None:
    """Index LOCATION of this device in another MODE from now on, beginning with a scan.

    shallow: names, sizes and times. content: each file is also read and hashed. deep: as content, for
    now. Hashes that are known stay until their files change.
    """
    body = {"location": _reference(location), "index_mode": mode}
    answer = context.client.post("/v1/locations/mode", body)
    if wait:
        answer |= _watch(context, answer)
    if context.json:
        put_json(answer)
    else:
        chat(f"Indexed as {mode} from now on.")
    if mode == "deep":
        chat(_AS_CONTENT)


@location.command("pause")
@click.argument("location", required=False, shell_complete=names("location"))
@verb
def location_pause(context: Context, location: str | None) -> None:
    """Hash no files of LOCATION for now; without it, of all that this device has by now.

    Names, sizes, times, moves and deletes go on being noticed. It lasts, also when the daemon ends and
    starts again, until `location resume`.
    """
    answer = _ask_hashing(context, "pause", location)
    news = [item for item in answer if item["changed"]]
    for item in news:
        chat(f"Hashing is paused in {name_text(item['name'])}{left_text(item)}.")
    for item in answer if not news else ():
        if item["paused"]:
            chat(f"Hashing is paused in {name_text(item['name'])} already{left_text(item)}.")
        else:
            mode = item["index_mode"]
            chat(f"Nothing to pause in {name_text(item['name'])}: no file is hashed (mode {mode}).")
    if any(item["paused"] for item in answer):
        named = None if location is None else answer[0]["name"]
        chat(f"`{resume_command(context, named)}` goes on.")


@location.command("resume")
@click.argument("location", required=False, shell_complete=names("location"))
@verb
def location_resume(context: Context, location: str | None) -> None:
    """Go on with hashing files of LOCATION; without it, of all that are paused on this device."""
    answer = _ask_hashing(context, "resume", location)
    news = [item for item in answer if item["changed"]]
    for item in news:
        chat(f"Hashing goes on in {name_text(item['name'])}.")
    if answer and not news:
        where = "no location" if location is None else name_text(answer[0]["name"])
        chat(f"Nothing to resume: {where} is {'' if location is None else 'not '}paused.")


def _ask_hashing(context: Context, what: str, location: str | None) -> list[dict[str, Any]]:
    """Ask for a pause or its end; return what is to be told of it, nothing where JSON was printed."""
    body = {} if location is None else {"location": _reference(location)}
    answer = context.client.post(f"/v1/locations/{what}", body)
    if context.json:
        put_json(answer)
        return []
    if not answer["locations"]:
        add = context.command("location add FOLDER")
        chat(f"Nothing to {what}: this device has no location. `{add}` indexes a folder.")
    return list(answer["locations"])


@location.command("remove")
@click.argument("location", shell_complete=names("location"))
@click.option("--yes", is_flag=True, help="Do not ask, whatever goes with it.")
@verb
def location_remove(context: Context, location: str, yes: bool) -> None:
    """Take LOCATION out of the catalogue; its files stay untouched.

    What was said of a file that was not hashed (tags, notes, places in albums) goes with it; what was
    said of a content stays, and shows again wherever that content is. Asks first if anything is said
    of its files that no other place in the catalogue shows.
    """
    body = {"location": _reference(location)}
    if not yes:
        asked = context.client.get("/v1/locations/remove", body)
        _make_sure(context, asked, f"location remove {shell_word(location)} --yes")
    answer = context.client.post("/v1/locations/remove", body, timeout_s=None)
    if context.json:
        put_json(answer)
    else:
        chat("Removed from the catalogue; the files are untouched.")
        for sentence in _losses(answer, "went with it", "is not seen"):
            chat(f"W{sentence[1:]}.")


def _make_sure(context: Context, asked: dict[str, Any], command: str) -> None:
    """Ask, if something that was said of a location's files would go with it, or out of sight."""
    losses = list(_losses(asked, "goes with it", "will not be seen"))
    if losses:
        name, said = name_text(asked["name"]), "; ".join(losses)
        what = f"this takes {name} out of the catalogue: {said}"
        make_sure(context, what, f"W{said[1:]}. Take {name} out of the catalogue?", command)


def _losses(answer: dict[str, Any], goes: str, seen: str) -> Iterator[str]:
    """Yield, from "what" on, what a location takes along, and what is out of sight without it."""
    gone, unseen = answer["gone"], answer["unseen"]
    if gone["files"]:
        files = counted(gone["files"], "file")
        yield f"what was said of {files} alone {goes}: {_parts(gone)}"
    if unseen["files"]:
        contents = counted(unseen["files"], "content")
        yield (
            f"what was said of {contents} that no other place has {seen} until that is indexed again:"
            f" {_parts(unseen)}"
        )


def _parts(lost: dict[str, int]) -> str:
    named = (("notes", "note"), ("marks", "rating or mark"), ("tags", "tag"))
    parts = [counted(lost[part], thing) for part, thing in named if lost[part]]
    if lost["albums"]:
        parts.append(f"{counted(lost['albums'], 'place')} in albums")
    return ", ".join(parts)


def _reference(location: str) -> str:
    """Return a location as the daemon is asked for it: a path is whole, as it works elsewhere."""
    is_path = location in (".", "..") or location.startswith(("/", "./", "../"))
    return os.path.abspath(location) if is_path else location  # noqa: PTH100 - as for `add`


def _check_goes_on(context: Context) -> None:
    """Raise ScanError where a scan ended as this device may write nothing before a person acts."""
    for alert in context.client.get("/v1/status").get("warnings", ()):
        if alert["code"] == "CLONED":
            raise ScanError(context.told(alert["text"]), hint=alert["hint"])


def _watch(context: Context, asked: dict[str, Any]) -> dict[str, Any]:
    """Show a scan until the pass that was asked for is over; raises ScanError if that went wrong.

    What is paused is not waited for, but said: in words, or by what is returned for JSON.
    """
    shown = sys.stderr.isatty()
    while True:
        listed = context.client.get("/v1/locations")["locations"]
        item = next((item for item in listed if item["id"] == asked["id"]), None)
        if item is None:
            raise NotFoundError("the location was removed")
        state = item["scan_state"]
        if item["passes"] >= asked["pass"]:
            if state not in ("pending", "scanning"):
                break
            _check_goes_on(context)
        if shown:
            seen = item.get("entries_seen", "0")
            entries = "entry" if seen == "1" else "entries"
            click.echo(f"\r{seen} {entries} seen ", err=True, nl=False)
        time.sleep(_LOOK_S)
    if shown:
        chat("")
    if state != "idle":
        raise ScanError(context.told(f"{state}: {item['error_message']}"))
    if not item.get("paused"):
        return {}
    if not context.json:
        command = resume_command(context, item["name"])
        chat(f"Not hashed: hashing is paused{left_text(item)}. `{command}` goes on.")
    return {key: item[key] for key in ("paused", "unhashed_files", "unhashed_bytes")}

"""location: the folders of this device that are indexed."""

from __future__ import annotations

import os
import sys
import time

import click

from leaderless.cli.app import Context, names, verb
from leaderless.cli.client import EXIT_FAILED
from leaderless.cli.output import chat, name_text, path_json, put_json, say, size_text, table


@click.group()
def location() -> None:
    """Add, list, scan and remove indexed folders."""


@location.command("add")
@click.argument("path", type=click.Path())
@click.option("--name", help="What to call it; default: the folder's name.")
@click.option("--mode", type=click.Choice(["shallow", "content", "deep"]), default="shallow")
@click.option("--wait", is_flag=True, help="Wait for the first scan, with progress.")
@verb
def location_add(context: Context, path: str, name: str | None, mode: str, wait: bool) -> None:
    """Index the folder PATH of this device."""
    absolute = os.path.abspath(path)  # noqa: PTH100 - a link is to be refused, not followed
    body = {"path": path_json(absolute), "name": name, "index_mode": mode}
    answer = context.client.post("/v1/locations", body)
    if wait:
        _watch(context, answer["id"])
    if context.json:
        put_json(answer)
    else:
        say(answer["id"])
        if not wait:
            chat("Indexing; `leaderless status` shows how far it is.")


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
            item["scan_state"],
        )
        for item in answer["locations"]
    ]
    table(("name", "device", "drive", "path", "mode", "files", "size", "scan"), rows)
    for item in answer["locations"]:
        if item["error_message"]:
            say(f"{name_text(item['name'])}: {name_text(item['error_message'])}")
        for error in item.get("errors", ())[:20]:
            say(f"  {name_text(error['path'])}: {name_text(error['why'])}")


@location.command("scan")
@click.argument("location", shell_complete=names("location"))
@click.option("--accept-deletes", is_flag=True, help="Delete entries even if they are many.")
@click.option("--wait", is_flag=True, help="Wait for the scan, with progress.")
@verb
def location_scan(context: Context, location: str, accept_deletes: bool, wait: bool) -> None:
    """Scan LOCATION of this device now."""
    body = {"location": location, "accept_deletes": accept_deletes}
    answer = context.client.post("/v1/locations/scan", body)
    if wait:
        _watch(context, answer["id"])
    if context.json:
        put_json(answer)


@location.command("remove")
@click.argument("location", shell_complete=names("location"))
@verb
def location_remove(context: Context, location: str) -> None:
    """Take LOCATION out of the catalogue; its files stay untouched."""
    answer = context.client.post("/v1/locations/remove", {"location": location}, timeout_s=None)
    if context.json:
        put_json(answer)
    else:
        chat("Removed from the catalogue; the files are untouched.")


def _watch(context: Context, wanted: str) -> None:
    """Show a scan until it is over; exits 1 if it did not end well."""
    while True:
        listed = context.client.get("/v1/locations")["locations"]
        item = next((item for item in listed if item["id"] == wanted), None)
        if item is None:
            return
        if item["scan_state"] not in ("pending", "scanning"):
            if sys.stderr.isatty():
                chat("")
            if item["scan_state"] != "idle":
                chat(f"{item['scan_state']}: {name_text(item['error_message'])}")
                sys.exit(EXIT_FAILED)
            return
        if sys.stderr.isatty():
            seen = item.get("entries_seen", "0")
            click.echo(f"\r{seen} entries seen ", err=True, nl=False)
        time.sleep(0.2)

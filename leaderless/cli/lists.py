"""device and volume."""

from __future__ import annotations

from typing import Any

import click

from leaderless.cli.app import Context, names, verb
from leaderless.cli.output import chat, name_text, put_json, size_text, table, time_text


@click.group()
def device() -> None:
    """List devices, rename this one, or say that it is the one that goes on."""


@device.command("list")
@verb
def device_list(context: Context) -> None:
    """List every device, also those that are off."""
    answer = context.client.get("/v1/devices")
    if context.json:
        put_json(answer)
        return
    rows = [
        (
            item["name"] + (" (this device)" if item["this_device"] else ""),
            _now(item),
            " ".join(filter(None, (item["os"], item["os_version"]))),
            item["rows"],
            item["verified"],
            time_text(item["last_seen_ms"]),
            item["id"][:8],
        )
        for item in answer["devices"]
    ]
    table(("name", "now", "system", "rows", "verified", "last seen", "id"), rows)


def _now(item: dict[str, Any]) -> str:
    """Return whether a device is there; of one that is away, whether its lease is over."""
    if item["online"]:
        return "online"
    return "lapsed" if item.get("lapsed") else "away"


@device.command("rename")
@click.argument("device", shell_complete=names("device"))
@click.argument("name", required=False)
@verb
def device_rename(context: Context, device: str, name: str | None) -> None:
    """Give this device another name: `rename NAME`, or `rename OLD NAME`."""
    body = {"name": device} if name is None else {"device": device, "name": name}
    answer = context.client.post("/v1/devices/rename", body)
    if context.json:
        put_json(answer)
    else:
        chat(f"This device is called {name_text(answer['name'])} now.")
        if answer["namesakes"]:
            ids = ", ".join(uuid[:8] for uuid in answer["namesakes"])
            chat(f"Careful: another device of this library has that name too ({ids}).")


@device.command("claim")
@verb
def device_claim(context: Context) -> None:
    """Go on as this device, as it is now: for one that was restored or cloned.

    Of two machines that run as one device, run this on the one that stays, after the other stopped. A
    restored device whose peers will not come back goes on without what they know of it.
    """
    answer = context.client.post("/v1/devices/claim")
    if context.json:
        put_json(answer)
    else:
        chat("This machine goes on as the device; the others read what it has anew.")


@click.group()
def volume() -> None:
    """List drives."""


@volume.command("list")
@verb
def volume_list(context: Context) -> None:
    """List every drive and where it was seen."""
    answer = context.client.get("/v1/volumes")
    if context.json:
        put_json(answer)
        return
    rows = [
        (
            drive["display_name"],
            drive["file_system"],
            drive["volume_type"],
            size_text(drive["total_bytes"]),
            seen["device"],
            seen["mount_point"],
            "reachable" if seen["online"] else "away",
        )
        for drive in answer["volumes"]
        for seen in drive["seen_on"]
    ]
    table(("drive", "system", "type", "size", "device", "mounted at", "now"), rows)

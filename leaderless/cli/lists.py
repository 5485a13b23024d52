"""device and volume."""

from __future__ import annotations

from typing import Any

import click

from leaderless.cli.app import Context, Group, names, verb
from leaderless.cli.confirming import make_sure
from leaderless.cli.output import chat, name_text, put_json, size_text, table, time_text
from leaderless.escape import shell_word


@click.group(cls=Group)
def device() -> None:
    """List the devices of the library, rename this one, or revoke one.

    Of two machines that run as one device `claim` says which one it is from now on.
    """


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
            _state_text(item),
            " ".join(filter(None, (item["os"], item["os_version"]))),
            item["rows"],
            item["verified"],
            time_text(item["last_seen_ms"]),
            item["id"][:8],
        )
        for item in answer["devices"]
    ]
    table(("name", "now", "system", "rows", "verified", "last seen", "id"), rows)


def _state_text(item: dict[str, Any]) -> str:
    """Return where a device is, whether its lease is over, or who says that it is no member."""
    gone = item.get("revoked")
    if gone is not None:
        return f"revoked by {name_text(gone['by'])} on {time_text(gone['at_ms'])}"
    if item["online"]:
        return "online"
    return "lapsed" if item.get("lapsed") else "away"


@device.command("revoke")
@click.argument("device", shell_complete=names("device"))
@click.option("--yes", is_flag=True, help="Do not ask.")
@verb
def device_revoke(context: Context, device: str, yes: bool) -> None:
    """Take the membership of DEVICE away: it was lost, or is given away.

    That holds on all devices, as they hear of it: nobody takes its calls any more. What anybody had
    of its edits stays, and so do its files in the catalogue, as they were last known. It keeps what it
    holds already. It can be admitted anew with `pair`.
    """
    asked = context.client.get("/v1/devices/revoke", {"device": device})
    if asked["this_device"]:
        chat(
            "Careful: this is the device that you are at. No edit made here reaches the others any"
            " more, and only a member can admit it anew."
        )
    if not yes:
        name = name_text(asked["name"])
        make_sure(
            context,
            f"this takes the membership of {name} away",
            f"Revoke {name}? Nobody will take its calls",
            f"device revoke {shell_word(device)} --yes",
        )
    answer = context.client.post("/v1/devices/revoke", {"device": device})
    if context.json:
        put_json(answer)
    else:
        chat(
            f"{name_text(answer['name'])} is no member any more; the others hear of it as they meet."
        )


@device.command("rename")
@click.argument("device", shell_complete=names("device"))
@click.argument("name", required=False)
@verb
def device_rename(context: Context, device: str, name: str | None) -> None:
    """Give this device another name.

    `rename NAME`, or `rename OLD NAME`, where OLD is what it is called now.
    """
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
    """Let a device go on that was restored or cloned, as it is now.

    Of two machines that run as one device, stop one and run this on the other, the one that stays: it
    takes back what the stopped one has told the others, and goes on. A restored device waits by itself
    for those who know more of it; where they will not come back, this makes it go on without.
    """
    answer = context.client.post("/v1/devices/claim")
    if context.json:
        put_json(answer)
    elif answer["generation"] is None:
        chat(
            "This machine goes on as the device once it has taken back what the others know of it:"
            " half a minute at most after the last of them has given it."
        )
    else:
        chat("This machine goes on as the device; the others read what it has anew.")


@click.group(cls=Group)
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

"""`record` against a real daemon."""

from __future__ import annotations

from typing import Any

import pytest

from scripts.device import Device

OPTIONS = 'listen_host = "127.0.0.1"\nlisten_port = 0\nmdns = false\n'


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Run one daemon for all of these tests."""
    made = Device(tmp_path_factory.mktemp("home"), "anna", OPTIONS)
    made.start()
    yield made
    made.stop()


def test_a_record_is_made_changed_and_shown(device: Device) -> None:
    """Its id is data, all else is chatter; a map can be given more than once."""
    made = device.run(
        "record", "create", "tag", "canonical_name=sea", "attributes=a=1", "attributes=b=2"
    )
    assert (len(made.stdout), made.stderr) == (33, b"Created.\n")
    uuid = made.stdout.decode().strip()
    assert device.run("record", "set", "tag", uuid, "aliases=+ocean,+lake").stderr == b"Changed.\n"
    shown = device.run("record", "show", "tag", uuid).stdout.decode().splitlines()
    assert shown == [
        f"id: {uuid}",
        "canonical_name: sea",
        "aliases: lake, ocean",
        "attributes: a=1, b=2",
        f"created_by_device: {device.json('status')['device_id']}",
    ]
    listed = device.run("record", "list", "tag").stdout.decode().splitlines()
    assert listed[0].split() == [
        "ID",
        "CANONICAL_NAME",
        "ALIASES",
        "ATTRIBUTES",
        "CREATED_BY_DEVICE",
    ]
    deleted = device.run("record", "delete", "tag", uuid)
    assert f"leaderless --home {device.home} record restore tag {uuid}" in deleted.stderr.decode()
    assert device.run("record", "restore", "tag", uuid).stdout == made.stdout


def test_a_field_of_a_record_is_unset(device: Device) -> None:
    """Which is not empty; what is both set and unset is refused."""
    uuid = device.json("record", "create", "album", "name=best", "description=sea")["record"]["id"]
    device.run("record", "set", "album", uuid, "description=", "--unset", "cover")
    fields = device.json("record", "show", "album", uuid)["record"]["fields"]
    assert (fields["description"], fields["cover"]) == ("", None)
    device.run("record", "set", "album", uuid, "name=x", "--unset", "name", code=2)


def test_models_are_listed(device: Device) -> None:
    """With where they are from and what fields they have."""
    lines = device.run("record", "models").stdout.decode().splitlines()
    assert any(line.startswith("album  ") and "built in" in line for line in lines)
    assert device.json("record", "models")["models"][0]["model"] == "content"


def test_text_of_others_cannot_reach_the_terminal(device: Device) -> None:
    """Whatever a field holds is escaped."""
    uuid = device.json("record", "create", "album", "name=\x1b[31mred")["record"]["id"]
    for arguments in (("show", "album", uuid), ("list", "album")):
        assert b"\x1b" not in device.run("record", *arguments).stdout


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("list", "nobody"), 5),
        (("show", "tag", "ffffffff"), 5),
        (("create", "tag", "nonsense"), 2),
        (("create", "tag", "nonsense=1"), 2),
        (("set", "tag", "ffffffff"), 2),
    ],
)
def test_errors_have_exit_codes(device: Device, arguments: tuple[str, ...], code: int) -> None:
    """Nothing is on standard output, the reason is on standard error."""
    done = device.run("record", *arguments, code=code)
    assert done.stdout == b""
    assert done.stderr


def test_an_empty_list_says_what_makes_one(device: Device) -> None:
    """No heading without a row; the next command as chatter."""
    done = device.run("record", "list", "tag_relation")
    assert done.stdout == b""
    command = f"leaderless --home {device.home} record create tag_relation"
    assert command in done.stderr.decode()

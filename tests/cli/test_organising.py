"""Tags on files and albums, on the command line against a real daemon."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scripts.device import Device

OPTIONS = 'listen_host = "127.0.0.1"\nlisten_port = 0\nmdns = false\n'


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Run a daemon that has indexed a folder with photos."""
    made = Device(tmp_path_factory.mktemp("home"), "anna", OPTIONS)
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def photos(device: Device, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a location of three photos and a copy of one."""
    folder = tmp_path_factory.mktemp("photos")
    for name in ("a", "b", "c"):
        (folder / f"{name}.jpg").write_text(name)
    (folder / "copy.jpg").write_text("a")
    device.run("location", "add", str(folder), "--mode", "content", "--wait")
    return folder


def test_tags_are_put_on_files_and_related(device: Device, photos: Path) -> None:
    """What is new is counted on standard output; the story is told beside it."""
    for name in ("trip", "travel", "tour"):
        device.run("tag", "create", name)
    done = device.run("tag", "add", "trip", str(photos / "a.jpg"), "--context", "sea")
    assert (done.stdout, b"new on 1 of 1" in done.stderr) == (b"1\n", True)
    done = device.run("tag", "add", "trip", "--ext", "jpg")
    assert (done.stdout, b"2 had it" in done.stderr) == (b"2\n", True)
    device.run("tag", "parent", "trip", "travel")
    refused = device.run("tag", "parent", "travel", "trip", code=2)
    assert b"tag unparent" in refused.stderr
    assert len(device.json("find", "--tag", "travel")["entries"]) == 4
    assert "“travel”".encode() in device.run("tag", "merge", "tour", "travel").stderr
    assert b"merged: tour" in device.run("tag", "show", "tour").stdout
    device.run("tag", "unparent", "trip", "tour")
    device.run("tag", "relate", "trip", "tour", "--kind", "synonym", "--strength", "0.5")
    assert b"trip (synonym)" in device.run("tag", "show", "tour").stdout
    device.run("tag", "unrelate", "tour", "trip")
    assert b"trip" in device.run("tag", "list").stdout
    assert device.run("tag", "remove", "trip", "--where", "b.jpg").stdout == b"1\n"
    assert device.json("tag", "show", "trip")["tag"]["files"] == "3"
    assert b"which files" in device.run("tag", "add", "trip", code=2).stderr


def test_a_lock_is_shown_wherever_its_tag_is(device: Device, photos: Path) -> None:
    """In the list, alone, and on the file, each with who holds it."""
    device.run("tag", "create", "frozen")
    device.run("tag", "add", "frozen", str(photos / "b.jpg"))
    assert b"tag frozen" in device.run("lock", "tag:frozen").stderr
    (row,) = (
        line
        for line in device.run("tag", "list").stdout.splitlines()
        if line.startswith(b"frozen ")
    )
    assert b"by anna" in row
    assert b"locked: by anna; `leaderless" in device.run("tag", "show", "frozen").stdout
    assert b"frozen (locked by anna)" in device.run("show", str(photos / "b.jpg")).stdout


def test_a_deleted_album_is_listed_until_it_is_back(device: Device) -> None:
    """Who wants one back finds it; the remedy of a wrong name is this list."""
    device.run("album", "create", "lost", "description=found")
    (uuid,) = device.run("album", "delete", "lost").stdout.split()
    listed = device.run("album", "list", "--deleted").stdout
    assert (b"lost" in listed, b"found" in listed, uuid in listed) == (True, True, True)
    assert b"album list --deleted" in device.run("album", "restore", "lots", code=5).stderr
    device.run("album", "restore", "lost")
    assert b"lost" not in device.run("album", "list", "--deleted").stdout


def test_what_is_said_of_a_file_is_locked_by_its_path(device: Device, photos: Path) -> None:
    """The answer names the file, `show` says what is frozen and how it is freed."""
    photo = str(photos / "c.jpg")
    assert b"nothing is said of" in device.run("lock", photo, code=5).stderr
    device.run("note", photo, "keep")
    assert photo.encode() in device.run("lock", photo).stderr
    assert b"locked: what is said of all copies, by anna" in device.run("show", photo).stdout


def test_an_album_is_arranged(device: Device, photos: Path) -> None:
    """Made, filled, moved in, taken from, shown, deleted and brought back."""
    a, b, c = (str(photos / f"{name}.jpg") for name in "abc")
    device.run("album", "create", "best", "description=sea", f"cover={a}")
    assert device.run("album", "add", "best", a, b).stdout == b"2\n"
    told = device.run("album", "add", "best", str(photos / "copy.jpg"), "--caption", "x").stderr
    assert b"got the caption" in told
    device.run("album", "add", "best", c, "--at", "1")
    device.run("album", "move", "best", b, "--before", a)
    shown = device.json("album", "show", "best")["album"]
    names = [entry["copies"][0]["path"].rsplit("/")[-1] for entry in shown["entries"]]
    assert names[:2] == ["c.jpg", "b.jpg"]
    assert len(shown["entries"][2]["copies"]) == 2
    lines = device.run("album", "show", "best").stdout.splitlines()
    assert lines[0].split()[:3] == [b"NO", b"CAPTION", b"DEVICE"]
    assert device.run("album", "remove", "best", c).stdout == b"1\n"
    device.run("album", "set", "best", "sort_order=name")
    assert b"sort_order=position" in device.run("album", "move", "best", b, "--to", "9").stderr
    assert b"where to?" in device.run("album", "move", "best", b, code=2).stderr
    device.run("album", "rename", "best", "top")
    assert b"album restore" in device.run("album", "delete", "top").stderr
    assert device.run("album", "show", "top", code=None).returncode == 5
    device.run("album", "restore", "top")
    assert b"top" in device.run("album", "list").stdout


def test_folders_are_not_counted_as_files(device: Device, photos: Path) -> None:
    """A tag on all that is in a location is on its folders, too; the way back is named."""
    (photos / "deep" / "er").mkdir(parents=True)
    (photos / "deep" / "one.jpg").write_text("one")
    device.run("location", "scan", photos.name, "--wait")
    device.run("tag", "create", "inside")
    wanted = ["inside", str(photos / "deep"), str(photos / "deep" / "er")]
    told = device.run("tag", "add", *wanted).stderr.decode()
    assert "“inside” is new on 2 of 2 folders. `leaderless" in told
    told = device.run("tag", "add", *wanted, str(photos / "deep" / "one.jpg")).stderr.decode()
    assert "“inside” is new on 1 of 3 (1 file and 2 folders); 2 had it." in told
    device.run("undo", told.split("undo ")[1].split("`")[0])
    told = device.run("tag", "remove", *wanted, str(photos / "deep" / "one.jpg")).stderr.decode()
    assert "“inside” is off 2 of 3 (1 file and 2 folders). `leaderless" in told
    told = device.run("tag", "remove", *wanted).stderr.decode()
    assert told.endswith("“inside” is off 0 of 2 folders.\n")
    device.run("album", "create", "held")
    told = device.run("album", "set", "held", "description=x").stderr.decode()
    device.run("undo", told.split("undo ")[1].split("`")[0])
    assert device.json("album", "show", "held")["album"]["description"] is None


def test_an_album_counts_what_it_holds_of_edited_files(device: Device, photos: Path) -> None:
    """The content that was put in is nowhere now; it is not called a file without a copy."""
    draft = photos / "draft.jpg"
    draft.write_text("first")
    device.run("location", "scan", photos.name, "--wait")
    device.run("album", "create", "drafts")
    device.run("album", "add", "drafts", str(draft))
    draft.write_text("second try")
    device.run("location", "scan", photos.name, "--wait")
    told = device.run("album", "show", "drafts").stderr
    assert b"Not shown: 1, as no device has such a file or content now" in told

"""history, changes and undo, asked of a real daemon."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scripts.device import Device
from tests.cli.asking import Said, answering, http, run

Ask = Callable[..., Said]


def _last(ask: Ask) -> dict[str, Any]:
    """Return the newest action."""
    actions: list[dict[str, Any]] = ask("--json", "history", "--limit", "1").json()["actions"]
    return actions[0]


@pytest.mark.parametrize(
    ("verb", "data"),
    [
        (["create", "{0}"], {"{1}": "{0}"}),
        (["rename", "{0}", "{0}2"], {"{1}": "{0}", "to": "{0}2"}),
        (["delete", "{0}2"], {"{1}": "{0}2"}),
        (["restore", "{0}2"], {"{1}": "{0}2"}),
    ],
)
@pytest.mark.parametrize("kind", ["tag", "album"])
def test_an_action_says_what_it_was_done_to(
    ask: Ask, kind: str, verb: list[str], data: dict[str, str]
) -> None:
    """By the name of that time, though it has another now or is gone."""
    name = f"old {kind}"
    ask(kind, *(word.format(name) for word in verb))
    told = _last(ask)
    wanted = {key.format(name, kind): value.format(name) for key, value in data.items()}
    assert (told["command"], told["data"]) == (f"{kind}.{verb[0]}", wanted)


def test_a_new_name_stands_behind_the_old(ask: Ask) -> None:
    """One line says what became what."""
    ask("tag", "create", "holiday")
    ask("tag", "rename", "holiday", "summer")
    assert "holiday → summer" in ask("history", "--limit", "1").out


@pytest.mark.parametrize(
    "options", [["--since-last", "--all"], ["--since", "1d", "--all"], ["--since", "yesterday"]]
)
def test_changes_since_when_is_asked_one_way(ask: Ask, options: list[str]) -> None:
    """Two ways at once, or a time that is none, are refused."""
    assert ask("changes", *options).code == 2


@pytest.mark.parametrize("options", [[], ["--since-last"], ["--keep"]])
def test_where_nothing_is_new_all_can_be_listed(ask: Ask, options: list[str]) -> None:
    """The remedy is a command for this device."""
    said = ask("changes", *options)
    assert (said.code, "changes --all` lists" in said.err) == (0, True)


@pytest.mark.parametrize("options", [["--since", "7d"], ["--all"]])
def test_nobody_else_has_done_anything_yet(ask: Ask, options: list[str]) -> None:
    """A device that is alone has no news, whenever it begins."""
    assert ask("changes", *options).err == "Nothing new.\n"


def test_a_list_that_is_cut_says_so(ask: Ask) -> None:
    """On standard error, with what shows more."""
    for name in ("cut-one", "cut-two"):
        ask("tag", "create", name)
    assert "more with --limit" in ask("history", "--limit", "1").err


def test_an_undo_says_what_it_took_back_and_what_is_next(ask: Ask) -> None:
    """So nobody goes back one step too far."""
    ask("tag", "create", "undone-a")
    ask("tag", "rename", "undone-a", "undone-b")
    said = ask("undo")
    assert "Taken back: tag.rename, undone-a → undone-b." in said.err
    assert "undo` takes back tag.create, undone-a." in said.err


def test_a_refused_undo_names_what_came_later(ask: Ask) -> None:
    """Its id, as history shows it, and its command; that one can be taken back first."""
    ask("tag", "create", "stood-on")
    first = _last(ask)["short_id"]
    ask("tag", "set", "stood-on", "color=red")
    later = _last(ask)["short_id"]
    refused = ask("undo", first)
    assert (refused.code, f"tag.create stood-on ({first}) stays: " in refused.err) == (1, True)
    assert f"undo {later} takes back tag.set stood-on, by anna, first" in refused.err
    assert ask("undo", later).code == ask("undo", first).code == 0


def test_history_says_what_was_said_of_which_file(indexed: Device, folder: Path) -> None:
    """The value beside its name; an undo names what it took back."""
    indexed.run("rate", str(folder / "c.jpg"), "5")
    assert b"metadata.rating  c.jpg: 5 " in indexed.run("history", "--limit", "1").stdout
    indexed.run("rate", str(folder / "c.jpg"), "--clear")
    assert b"c.jpg: (cleared) " in indexed.run("history", "--limit", "1").stdout
    indexed.run("undo")
    assert b"metadata.rating, c.jpg: (cleared) (" in indexed.run("history", "--limit", "1").stdout


def test_history_of_a_file_marks_scopes_where_there_are_two(indexed: Device, folder: Path) -> None:
    """What was said of the file alone is told from what was said of all its copies."""
    file = str(folder / "a.jpg")
    indexed.run("note", file, "of all copies")
    assert b"SCOPE" not in indexed.run("history", file).stdout
    indexed.run("note", file, "of this one", "--scope", "entry")
    head, own, every, *_ = indexed.run("history", file).stdout.splitlines()
    assert b"ACTION         SCOPE    WHAT" in head
    assert b"metadata.note  entry    a.jpg: of this one" in own
    assert b"metadata.note  content  a.jpg: of all copies" in every


def test_history_takes_the_ids_that_it_prints(ask: Ask) -> None:
    """As short as they are, the line of that action alone; of no action it says what is wrong."""
    ask("tag", "create", "by-its-id")
    shown = _last(ask)["short_id"]
    ask("tag", "create", "another-one")
    told = ask("history", shown).out.splitlines()
    assert (len(told), "by-its-id" in told[1]) == (2, True)
    assert ask("history", "00000000").code == 5


def test_history_names_the_first_of_several_files(indexed: Device, folder: Path) -> None:
    """And counts the others; what became of a key is said with it."""
    indexed.run("meta", "set", *(str(folder / name) for name in ("c.jpg", "a.jpg")), "place", "sea")
    told = indexed.run("history", "--limit", "1").stdout
    assert b"c.jpg and 1 more: place=sea " in told


def test_history_names_the_file_that_a_tag_was_put_on(indexed: Device, folder: Path) -> None:
    """Behind the tag; that its content was made for it is nobody's business."""
    indexed.run("tag", "create", "seaside")
    indexed.run("tag", "add", "seaside", str(folder / "c.jpg"))
    told = indexed.json("history", "--limit", "1")["actions"][0]
    assert [record["model"] for record in told["records"]] == ["user_metadata_tag"]
    assert b"seaside: c.jpg " in indexed.run("history", "--limit", "1").stdout
    assert b"Taken back: tag.add, seaside: c.jpg." in indexed.run("undo").stderr


def test_history_names_the_fields_that_were_set(ask: Ask) -> None:
    """Of tags and albums alike."""
    for kind, field in (("tag", "color=red"), ("album", "description=sea")):
        ask(kind, "create", f"told-{kind}")
        ask(kind, "set", f"told-{kind}", field)
        assert f"told-{kind}: {field.partition('=')[0]}" in ask("history", "--limit", "1").out


def test_a_lock_says_how_it_is_taken_back(ask: Ask) -> None:
    """By the command for this device, and the other way round."""
    ask("tag", "create", "guarded")
    for verb, back in (("lock", "unlock"), ("unlock", "lock")):
        said = ask(verb, "tag:guarded")
        assert (said.code, f" {back} " in said.err) == (0, True)


@pytest.mark.parametrize(
    "words",
    [
        ["undo", ""],
        ["history", ""],
        ["history", "--by", ""],
        ["tag", "show", ""],
        ["album", "show", ""],
        ["lock", "tag:"],
        ["show", ""],
        ["find", "--tag", ""],
        ["location", "scan", ""],
        ["at-risk", "--device", ""],
    ],
)
def test_an_empty_reference_is_a_mistake(ask: Ask, words: list[str]) -> None:
    """An empty variable of a script takes nothing back and shows nothing else."""
    assert ask(*words).code == 2


def _listed(home: Path, **about: object) -> str:
    """Return the line that the history shows of an action."""
    action = {
        "id": "ab" * 16,
        "short_id": "ab" * 4,
        "author": "anna",
        "authored_ms": "1800000000000",
        "confirmed_by": [],
        "data": {},
        "changes": 0,
        "records": [],
        "undone": False,
        "forgotten": False,
        **about,
    }
    with answering(home, http({"actions": [action], "more": False})):
        return run("--home", str(home), "history").out.splitlines()[1]


def test_what_was_forgotten_is_marked(tmp_path: Path) -> None:
    """Also where its header still says what it was about."""
    line = _listed(tmp_path, command="tag.create", data={"tag": "trip"}, forgotten=True)
    assert "tag.create (forgotten)" in line
    assert "trip" in line


def test_a_history_that_is_forgotten_in_part_says_so(tmp_path: Path) -> None:
    """Nothing was done, is what nobody can say then."""
    answer = {"actions": [], "more": False, "forgotten_until_ms": "1800000000000"}
    with answering(tmp_path, http(answer)):
        said = run("--home", str(tmp_path), "history", "tag:trip")
    assert "Nothing is known that was done." in said.err
    assert "done up to 2027-01-15" in said.err


def test_a_revoke_says_whose_and_by_whom(tmp_path: Path) -> None:
    """Whoever wrote the line."""
    line = _listed(tmp_path, command="device.revoke", data={"device": "ben", "by": "cy"})
    assert "ben (by cy)" in line
    said = {"device": "ben", "by": "cy", "member_again": True}
    line = _listed(tmp_path / "again", command="device.revoke", data=said)
    assert "ben (by cy), a member again" in line


def test_a_restored_device_says_what_it_brought_back(tmp_path: Path) -> None:
    """Where it had been revoked since the backup, and names what it wrote before that."""
    line = _listed(tmp_path, command="device.restore", data={}, changes=0, records=[])
    assert "what was done on it before it was revoked" in line


def test_an_undo_shows_the_id_of_what_it_took_back(tmp_path: Path) -> None:
    """As `history` takes it; of what is not in the log there is none to ask for."""
    said = {"command_id": "cd" * 16, "command": "tag.create"}
    undid = {"command": "tag.create", "data": {"tag": "trip"}, "short_id": "cdcdcdcdcdcd"}
    line = _listed(tmp_path / "a", command="undo", data=said, undid=undid)
    assert "  tag.create, trip (cdcdcdcdcdcd)" in line
    assert "cdcd" not in _listed(tmp_path / "b", command="undo", data=said)


def test_an_undo_does_not_call_next_what_would_be_refused(tmp_path: Path) -> None:
    """It says that this stays, and which one can be taken back in its place."""

    def done(name: str) -> dict[str, Any]:
        return {"command": "tag.create", "data": {"tag": name}, "short_id": f"id-of-{name}"}

    answer = {"undone": done("c"), "notes": [], "passed_over": [], "next": done("b")}
    for older, told in ((done("a"), True), (None, False)):
        home = tmp_path / str(told)
        with answering(home, http({**answer, "next_stays": True, "older": older})):
            said = run("--home", str(home), "undo").err
        assert "Next: " not in said
        assert "What was done before, tag.create, b, stays: `" in said
        assert ("undo id-of-a` takes back tag.create, a, done before that." in said) is told

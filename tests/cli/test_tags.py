"""tag, asked of a real daemon."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.cli.asking import Said

Ask = Callable[..., Said]
HOSTILE = "red\x1b[31m\u202e\x9b2J"


def _tag(ask: Ask, reference: str) -> Any:
    return ask("--json", "tag", "show", reference).json()["tag"]


def _made(ask: Ask, name: str, *fields: str) -> str:
    said = ask("tag", "create", name, *fields, "--another")
    assert said.code == 0, said.err
    return said.out.strip()


def test_a_new_tags_id_is_the_data(ask: Ask) -> None:
    """A script takes it from standard output; what people read is beside it."""
    said = ask("tag", "create", "fresh")
    assert (len(said.out.strip()), "Created; " in said.err) == (32, True)


def test_a_taken_name_is_refused_with_the_id_that_has_it(ask: Ask) -> None:
    """Exit 1 as of what the state of things refuses, and the remedy says how to mean it."""
    uuid = _made(ask, "taken")
    said = ask("tag", "create", "taken")
    assert (said.code, said.out, uuid in said.err, "--another" in said.err) == (1, "", True, True)
    assert ask("--json", "tag", "create", "taken").json()["error"]["code"] == "name_taken"


def test_two_tags_of_one_name_are_two(ask: Ask) -> None:
    """The second, where it is meant, does not change the first."""
    first, second = (_made(ask, "twin", f"color={color}") for color in ("red", "blue"))
    assert [_tag(ask, uuid)["color"] for uuid in (first, second)] == ["red", "blue"]


def test_a_name_of_several_tags_is_a_choice(ask: Ask) -> None:
    """Exit 2, with both ids to choose from, and nothing is changed."""
    twins = [_made(ask, "ambiguous") for _ in range(2)]
    said = ask("tag", "set", "ambiguous", "color=red")
    assert (said.code, said.out) == (2, "")
    assert all(uuid in said.err or uuid[-4:] in said.err for uuid in twins)
    assert [_tag(ask, uuid)["color"] for uuid in twins] == [None, None]


def test_a_field_given_several_times_is_taken_every_time(ask: Ask) -> None:
    """Keys of a map and elements of a set can be given one by one."""
    _made(ask, "many", "attributes=a=1", "attributes=b=x=y,z", "aliases=+one", "aliases=+two")
    tag = _tag(ask, "many")
    assert (tag["attributes"], tag["aliases"]) == ({"a": "1", "b": "x=y,z"}, ["one", "two"])


def test_a_plain_field_has_one_value(ask: Ask) -> None:
    """Two at once are refused, as it is not known which is meant."""
    assert ask("tag", "create", "double", "color=red", "color=blue").code == 2


def test_unset_is_not_empty(ask: Ask) -> None:
    """A field can be without a value, and it can have the empty one."""
    _made(ask, "hollow", "color=red", "icon=sun")
    ask("tag", "set", "hollow", "color=", "--unset", "icon")
    tag = _tag(ask, "hollow")
    assert (tag["color"], tag["icon"]) == ("", None)


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense=1"],
        ["nonsense"],
        ["search_weight=heavy"],
        ["search_weight=99999999999999999999"],
        ["is_organizational_anchor=perhaps"],
        ["aliases="],
        ["aliases=+"],
        ["attributes=novalue"],
        ["attributes==x"],
        ["created_by_device=x"],
        ["canonical_name="],
        ["--unset", "canonical_name"],
        ["--unset", "created_by_device"],
        ["--unset", "aliases"],
        ["--unset", "nonsense"],
        ["color=red", "--unset", "color"],
        ["description=caf\udce9"],
        ["canonical_name=" + "x" * 257],
        [],
    ],
)
def test_what_a_tag_cannot_be_is_refused(ask: Ask, arguments: list[str]) -> None:
    """Exit 2, nothing on standard output, and the tag is as it was."""
    uuid = _made(ask, "firm", "color=green")
    before = _tag(ask, uuid)
    said = ask("tag", "set", uuid, *arguments)
    assert (said.code, said.out, _tag(ask, uuid)) == (2, "", before)


@pytest.mark.parametrize("name", ["", "x" * 257, "caf\udce9"])
def test_what_no_tag_can_be_called_is_refused(ask: Ask, name: str) -> None:
    """Neither a new tag nor one that is there gets such a name."""
    uuid = _made(ask, "named")
    assert [ask("tag", "create", name).code, ask("tag", "rename", uuid, name).code] == [2, 2]


def test_a_tag_of_no_such_name_is_not_found(ask: Ask) -> None:
    """Every verb that takes a tag says so, with exit 5."""
    codes = [
        ask("tag", *arguments).code
        for arguments in (
            ("show", "nobody"),
            ("set", "nobody", "color=red"),
            ("rename", "nobody", "x"),
            ("delete", "nobody"),
            ("restore", "nobody"),
        )
    ]
    assert codes == [5] * 5


def test_show_prints_fields_as_they_are_given(ask: Ask) -> None:
    """Maps, sets and switches read as `tag set` takes them; what has no value is left out."""
    fields = ("attributes=place=sea", "aliases=+b,+a", "is_organizational_anchor=true")
    _made(ask, "shown", *fields, "search_weight=-5")
    lines = ask("tag", "show", "shown").out.splitlines()
    wanted = {
        "canonical_name: shown",
        "attributes: place=sea",
        "aliases: a, b",
        "is_organizational_anchor: true",
        "search_weight: -5",
    }
    assert wanted <= set(lines)
    assert not any(line.startswith("color") for line in lines)


@pytest.mark.parametrize("verb", [["list"], ["show", "hostile"]])
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_what_others_wrote_steers_no_terminal(ask: Ask, verb: list[str], form: list[str]) -> None:
    """Escapes in names, values and keys are spelled out, in words and in JSON."""
    if ask("tag", "show", "hostile").code == 5:
        given = (f"color={HOSTILE}", f"attributes={HOSTILE}={HOSTILE}", f"aliases=+{HOSTILE}")
        _made(ask, "hostile", *given)
    said = ask(*form, "tag", *verb, terminal=True)
    assert said.code == 0
    assert not {"\x1b", "\u202e", "\x9b"} & set(said.out + said.err)


def test_a_deleted_tag_comes_back_by_its_id(ask: Ask) -> None:
    """What `delete` prints is what `restore` takes; its values are there again."""
    _made(ask, "phoenix", "color=red")
    uuid = ask("tag", "delete", "phoenix").out.strip()
    assert ask("tag", "restore", uuid).code == 0
    assert _tag(ask, "phoenix")["color"] == "red"


def test_the_deleted_are_listed_apart(ask: Ask) -> None:
    """Who wants one back finds it; the living are not among them."""
    _made(ask, "kept-here")
    uuid = _made(ask, "gone-there")
    ask("tag", "delete", uuid)
    listed = ask("tag", "list", "--deleted").out
    assert ("gone-there" in listed, "kept-here" in listed) == (True, False)


def test_an_edit_of_a_tag_names_what_takes_it_back(ask: Ask) -> None:
    """By the id of the action, as an edit of a file does."""
    _made(ask, "taken-back")
    for verb in (["set", "taken-back", "color=red"], ["rename", "taken-back", "x-taken-back"]):
        said = ask("tag", *verb).err
        action = said.split("undo ")[1].split("`")[0]
        assert ask("undo", action).code == 0
    assert _tag(ask, "taken-back")["color"] is None


def test_a_renamed_tag_is_the_same_tag(ask: Ask) -> None:
    """Its id stays, the old name is free."""
    uuid = _made(ask, "before")
    assert ask("tag", "rename", "before", "after").out.strip() == uuid
    assert (ask("tag", "show", "before").code, _tag(ask, "after")["id"]) == (5, uuid)


@pytest.mark.parametrize(
    "verb",
    [["create", "j"], ["set", "ID", "color=red"], ["rename", "ID", "k"], ["delete", "ID"]],
)
def test_every_verb_answers_in_json(ask: Ask, verb: list[str]) -> None:
    """One object with a schema, and no chatter."""
    uuid = _made(ask, "json")
    said = ask("tag", *[uuid if word == "ID" else word for word in verb], "--json")
    assert (said.json()["schema"], said.err) == (1, "")


def test_a_list_shows_what_is_above_and_what_was_merged(ask: Ask) -> None:
    """Beside each tag, and in `show` by name."""
    for name in ("upper", "lower", "lowest"):
        _made(ask, name)
    ask("tag", "parent", "lower", "upper")
    ask("tag", "merge", "lower", "lowest")
    (row,) = (line for line in ask("tag", "list").out.splitlines() if line.startswith("lower "))
    assert row.split()[:4] == ["lower", "0", "upper", "lowest"]
    assert {"parents: upper", "merged: lowest"} <= set(ask("tag", "show", "lower").out.splitlines())


def test_relations_in_words_steer_no_terminal(ask: Ask) -> None:
    """The name of the other tag is spelled out where it has escapes."""
    _made(ask, "calm")
    uuid = _made(ask, f"wild{HOSTILE}")
    ask("tag", "relate", "calm", uuid, "--kind", "synonym")
    said = ask("tag", "show", "calm", terminal=True).out
    assert "relations: wildred\\x1b[31m" in said
    assert "\x1b" not in said


def test_relations_are_told_by_the_names_of_the_tags(ask: Ask) -> None:
    """However they were typed: by an id, or an alias."""
    child, parent = (ask("tag", "create", name).out.strip() for name in ("low-tag", "high-tag"))
    for verb in ("parent", "unparent", "relate", "unrelate"):
        told = ask("tag", verb, child, parent).err
        assert ("“low-tag”" in told, "“high-tag”" in told, child in told) == (True, True, False)


def test_a_tag_names_the_device_that_made_it(ask: Ask) -> None:
    """JSON has its id beside the name, for deleted ones too."""
    ask("tag", "create", "made-here")
    shown = ask("tag", "show", "made-here").out
    assert ("created_by: anna" in shown, "created_by_device" in shown) == (True, False)
    told = ask("--json", "tag", "show", "made-here").json()["tag"]
    assert (told["created_by"], len(told["created_by_device"])) == ("anna", 32)
    ask("tag", "delete", "made-here")
    deleted = ask("--json", "tag", "list", "--deleted").json()["tags"]
    assert {tag["created_by"] for tag in deleted if tag["canonical_name"] == "made-here"} == {
        "anna"
    }


@pytest.mark.parametrize("kind", ["tag", "album"])
def test_a_name_that_is_taken_is_not_given_by_a_rename(ask: Ask, kind: str) -> None:
    """As little as by a creation: unless another of that name is meant."""
    taken = ask(kind, "create", f"{kind}-taken").out.strip()
    ask(kind, "create", f"{kind}-free")
    refused = ask(kind, "rename", f"{kind}-free", f"{kind}-taken")
    assert (refused.code, taken in refused.err, "--another" in refused.err) == (1, True, True)
    assert ask(kind, "rename", f"{kind}-free", f"{kind}-taken", "--another").code == 0


@pytest.mark.parametrize("kind", ["tag", "album"])
def test_a_rename_to_the_name_it_has_is_no_clash(ask: Ask, kind: str) -> None:
    """It stands in nobody's way."""
    ask(kind, "create", f"{kind}-same")
    assert ask(kind, "rename", f"{kind}-same", f"{kind}-same").code == 0


def test_a_name_is_taken_in_its_namespace_alone(ask: Ask) -> None:
    """Elsewhere the same name is another tag's."""
    ask("tag", "create", "spaced", "namespace=one")
    other = ask("tag", "create", "unspaced", "namespace=two").out.strip()
    assert ask("tag", "rename", other, "spaced").code == 0


@pytest.mark.parametrize("kind", ["tag", "album"])
def test_what_is_deleted_is_not_found_with_the_way_back(ask: Ask, kind: str) -> None:
    """By the name it had, quoted where it needs to be."""
    ask(kind, "create", f"{kind} gone")
    ask(kind, "delete", f"{kind} gone")
    refused = ask(kind, "show", f"{kind} gone")
    assert (refused.code, f" {kind} restore '{kind} gone' brings" in refused.err) == (5, True)

"""What a person writes for a field."""

from __future__ import annotations

import pytest

from leaderless.catalogue.values import check_name, parse_value
from leaderless.errors import UsageError
from registry.models import Field, FieldKind

FIELDS = (
    Field("title"),
    Field("url", nullable=False),
    Field("rating", (int,), least=0, most=5),
    Field("share", (float, int)),
    Field("done", (bool,)),
    Field("item", (bytes,)),
    Field("tags", (bool,), FieldKind.SET),
    Field("words", kind=FieldKind.MAP),
    Field("counts", (int, bool), FieldKind.MAP),
)


@pytest.mark.parametrize(
    ("name", "value", "writes"),
    [
        ("title", "News", {"title": "News"}),
        ("title", "", {"title": ""}),
        ("title", "5", {"title": "5"}),
        ("title", None, {"title": None}),
        ("rating", "5", {"rating": 5}),
        ("rating", 5, {"rating": 5}),
        ("rating", None, {"rating": None}),
        ("share", "0.5", {"share": 0.5}),
        ("share", "1", {"share": 1}),
        ("done", "True", {"done": True}),
        ("done", False, {"done": False}),
        ("item", "00ff", {"item": b"\0\xff"}),
        ("tags", "a,+b,-c", {("tags", "a"): True, ("tags", "b"): True, ("tags", "c"): None}),
        ("tags", ["a", "-b"], {("tags", "a"): True, ("tags", "b"): None}),
        ("words", "k=a=b", {("words", "k"): "a=b"}),
        ("words", ["k=a", "l="], {("words", "k"): "a", ("words", "l"): None}),
        ("words", "k=", {("words", "k"): None}),
        ("counts", "k=7", {("counts", "k"): 7}),
        ("counts", "k=true", {("counts", "k"): True}),
    ],
)
def test_a_value_becomes_the_writes_of_its_field(name: str, value: object, writes: object) -> None:
    """By the kind of the field and the types that it takes."""
    assert parse_value("a page", FIELDS, name, value) == writes


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("colour", "red", "a page has no field “colour”"),
        ("title", 5, "title cannot be “5”"),
        ("url", None, "url cannot be “None”"),
        ("rating", "six", "rating cannot be “six”"),
        ("rating", "6", "rating cannot be “6”"),
        ("rating", str(1 << 64), "rating cannot be"),
        ("share", "half", "share cannot be “half”"),
        ("done", "yes", "done cannot be “yes”"),
        ("item", "xyz", "item cannot be “xyz”"),
        ("tags", "a,,b", "tags takes +ELEMENT or -ELEMENT"),
        ("tags", "-", "tags takes +ELEMENT or -ELEMENT"),
        ("tags", [7], "tags is given as text"),
        ("rating", "", "rating cannot be “”"),
        ("rating", 1 << 63, "rating cannot be"),
        ("title", ["a", "b"], "title is given once"),
        ("title", "caf\udce9", "title is no text"),
        ("words", "k=caf\udce9", "words is no text"),
        ("words", "k", "words takes KEY=VALUE"),
        ("words", "=v", "words takes KEY=VALUE"),
        ("counts", "k=many", "counts cannot be “many”"),
        ("counts", None, "counts is given as text"),
    ],
)
def test_what_a_field_does_not_take_is_refused(name: str, value: object, why: str) -> None:
    """The message says which field and what was given; the hint says what it takes."""
    with pytest.raises(UsageError) as caught:
        parse_value("a page", FIELDS, name, value)
    assert caught.value.message.startswith(why)
    assert caught.value.hint or "takes" in why


def test_the_hint_names_bounds() -> None:
    """Whoever wrote a number out of range learns the range."""
    with pytest.raises(UsageError) as caught:
        parse_value("a page", FIELDS, "rating", "6")
    assert caught.value.hint == "rating: a number from 0 to 5"


@pytest.mark.parametrize("name", [None, 7, "", "x" * 257, "caf\udce9"])
def test_what_can_be_no_name_is_refused(name: object) -> None:
    """The message says whose name it would have been."""
    with pytest.raises(UsageError, match=r"^an album's name "):
        check_name("an album", name)

"""Rows as JSON."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaderless.catalogue.text import name_bytes, name_json, plain_json, value_json
from registry.changes import UNSET


@pytest.mark.parametrize(
    ("name", "shown"),
    [(b"plain", "plain"), ("Größe".encode(), "Größe"), (b"caf\xe9", {"b64": "Y2Fm6Q=="})],
)
def test_names_are_text_where_they_are_utf8(name: bytes, shown: object) -> None:
    """A name that is not UTF-8 keeps its bytes in base 64."""
    assert name_json(name) == shown


@given(st.binary(max_size=40))
def test_a_name_comes_back_from_json_as_it_was(name: bytes) -> None:
    """Whatever its bytes are, a reader of the JSON gets these."""
    assert name_bytes(json.loads(json.dumps(name_json(name)))) == name


@pytest.mark.parametrize(
    "value",
    [None, 7, ["x"], {}, {"b64": 7}, {"b64": "not base 64!"}, {"b64": "é"}, "\ud800"],
)
def test_what_is_no_name_is_told_apart(value: object) -> None:
    """Anything else in its place is no name, not an error of ours."""
    assert name_bytes(value) is None


@pytest.mark.parametrize(
    ("model", "field", "value", "shown"),
    [
        ("entry", "name", b"a", "a"),
        ("entry", "name", b"\xff", {"b64": "/w=="}),
        ("location", "path", b"/a", "/a"),
        ("volume", "mount_point", b"/a", "/a"),
        ("entry", "content", b"a", "61"),
        ("entry", "size_bytes", 1 << 60, "1152921504606846976"),
        ("tag", "search_weight", -1, "-1"),
        ("tag", "is_organizational_anchor", True, True),
        ("tag", "color", None, None),
        ("tag", "color", "", ""),
        ("tag", "attributes", {"n": 1, "t": True, "f": 0.5}, {"n": "1", "t": True, "f": 0.5}),
        ("other", "list", [1, b"\x01", "x"], ["1", "01", "x"]),
    ],
)
def test_values_are_shown_so_that_every_reader_can_hold_them(
    model: str, field: str, value: object, shown: object
) -> None:
    """Whole numbers are decimal strings, names as above, other bytes hexadecimal."""
    assert value_json(model, field, value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (UNSET, None),
        (float("nan"), "nan"),
        ([float("inf"), 1.5], ["inf", 1.5]),
        ({"a": float("-inf"), b"\x01": {"b": b"\xff"}}, {"a": "-inf", "01": {"b": "ff"}}),
    ],
)
def test_whatever_a_value_is_people_are_shown_json(value: object, shown: object) -> None:
    """What JSON has no word for is text, at any depth."""
    assert json.loads(json.dumps(plain_json(value), allow_nan=False)) == shown


def test_an_export_holds_no_number_that_json_does_not_know() -> None:
    """Those are text, within lists, too."""
    assert value_json("tag", "attributes", [float("nan"), 0.5]) == ["nan", 0.5]

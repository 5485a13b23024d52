"""How answers look."""

from __future__ import annotations

import datetime as dt
import json
import os

import pytest

from leaderless.cli.output import (
    bare_text,
    chat,
    harmless_json,
    name_text,
    path_json,
    put_json,
    say,
    size_text,
    table,
    time_text,
    value_text,
)
from tests.cli.asking import printed

HOSTILE = "a\x1b[31m\x07\x7f\x9b2J\u202eb\u2066\U000e0041\n"
STEERING = ("\x1b", "\x07", "\x7f", "\x9b", "\u202e", "\u2066", "\U000e0041")


def _steers(text: str) -> list[str]:
    return [character for character in STEERING if character in text]


def test_data_and_chatter_go_separate_ways() -> None:
    """A pipe gets the data alone."""
    with printed() as (out, err):
        say("data")
        chat("chatter")
    assert (out.text(), err.text()) == ("data\n", "chatter\n")


def test_json_for_a_program_is_one_line() -> None:
    """It can be read line by line."""
    with printed() as (out, _):
        put_json({"schema": 1, "list": [1, 2]})
    assert out.text() == '{"schema": 1, "list": [1, 2]}\n'


def test_json_on_a_terminal_is_laid_out() -> None:
    """A person sees one value a line."""
    with printed(terminal=True) as (out, _):
        put_json({"schema": 1})
    assert out.text() == '{\n  "schema": 1\n}\n'


@pytest.mark.parametrize("terminal", [False, True])
def test_json_steers_no_terminal_and_says_the_same(terminal: bool) -> None:
    """Escapes, control and reordering characters are spelled as JSON spells them."""
    with printed(terminal=terminal) as (out, _):
        put_json({"name": HOSTILE})
    assert (json.loads(out.text()), _steers(out.text())) == ({"name": HOSTILE}, [])


def test_json_keeps_letters_readable() -> None:
    """Only what could do harm is spelled out."""
    assert harmless_json('{"name": "Größe 日本 \\\\ 🙂"}') == '{"name": "Größe 日本 \\\\ 🙂"}'


def test_json_can_hold_names_that_are_no_text() -> None:
    """Half a character is spelled out instead of ending the command."""
    with printed() as (out, _):
        put_json({"message": "caf\udce9"})
    assert json.loads(out.text()) == {"message": "caf\udce9"}


def test_json_is_whole_where_the_terminal_knows_few_letters() -> None:
    """Every character arrives, as an escape."""
    with printed(encoding="iso-8859-1") as (out, _):
        put_json({"name": "日本 🙂"})
    assert json.loads(out.text()) == {"name": "日本 🙂"}


@pytest.mark.parametrize(
    ("value", "shown"),
    [("plain", "plain"), ("a\nb", "a\\nb"), ({"b64": "Y2Fm6Q=="}, "caf\\xe9"), (7, "7")],
)
def test_a_name_is_shown_on_one_line(value: object, shown: str) -> None:
    """Whether it is text or not."""
    assert name_text(value) == shown


def test_a_name_steers_no_terminal() -> None:
    """What others called their files is spelled out."""
    assert _steers(name_text(HOSTILE)) == []


def test_a_table_lines_up_under_its_headings() -> None:
    """Columns are as wide as their widest cell, lines have no blanks at the end."""
    with printed() as (out, _):
        table(("name", "size"), [("a", 1), ("longer", 22)])
    assert out.text() == "NAME    SIZE\na       1\nlonger  22\n"


def test_a_table_of_nothing_is_nothing() -> None:
    """A script that counts lines counts none."""
    with printed() as (out, _):
        table(("name",), [])
    assert out.text() == ""


def test_cells_say_true_false_and_nothing() -> None:
    """True and false are words; what is not there is a dash, zero is a number."""
    with printed() as (out, _):
        table(("a", "b", "c", "d", "e"), [(True, False, None, "", 0)])
    assert out.text().splitlines()[1].split() == ["true", "false", "-", "-", "0"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "(empty)"),
        (True, "true"),
        ([1, None], "1, (empty)"),
        ({"a": False, "b\n": {"b64": "/w=="}}, "a=false, b\\n=\\xff"),
        ("back\\slash", "back\\\\slash"),
    ],
)
def test_values_are_said_as_they_are_given(value: object, text: str) -> None:
    """No word of a programming language; what is empty says so."""
    assert value_text(value) == text


def test_a_value_in_a_table_is_made_safe_once() -> None:
    """It stands there as it stands alone."""
    value = "back\\slash\n"
    with printed() as (out, _):
        table(("value",), [(bare_text(value),)])
    assert out.text().splitlines()[1] == value_text(value)


def test_a_table_steers_no_terminal() -> None:
    """A row stays a row, whatever its cells hold."""
    with printed() as (out, _):
        table(("name",), [(HOSTILE,)])
    assert (out.text().count("\n"), _steers(out.text())) == (2, [])


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (None, "-"),
        ("0", "0 B"),
        (1023, "1023 B"),
        ("1024", "1.0 KiB"),
        (1 << 20, "1.0 MiB"),
        (3 << 29, "1.5 GiB"),
        (1 << 40, "1.0 TiB"),
        (1 << 60, "1048576.0 TiB"),
    ],
)
def test_sizes_are_shown_in_units_of_1024(size: object, shown: str) -> None:
    """With one decimal, and whole bytes."""
    assert size_text(size) == shown


def test_a_time_is_shown_in_the_zone_of_the_reader() -> None:
    """The text is the local time of that moment."""
    shown = dt.datetime.fromisoformat(time_text("1769817600000"))
    assert shown.astimezone().timestamp() == 1_769_817_600


def test_a_time_that_is_not_known_is_a_dash() -> None:
    """Nothing is not 1970."""
    assert time_text(None) == "-"


@pytest.mark.parametrize(
    ("raw", "shown"), [("/é".encode(), "/é"), (b"/caf\xe9", {"b64": "L2NhZuk="})]
)
def test_a_path_travels_with_its_bytes(raw: bytes, shown: object) -> None:
    """As text if it is UTF-8, else in base 64."""
    assert path_json(os.fsdecode(raw)) == shown

"""Requests and answers, and how errors look."""

from __future__ import annotations

import json
from typing import Any

import pytest
from structlog.testing import capture_logs

from leaderless.errors import (
    InvalidDataError,
    LeaderlessError,
    NotFoundError,
    NotPermittedError,
    NotYetError,
    TimedOutError,
    UnreachableError,
    UsageError,
)
from leaderless.status.http import Answer, Request, Routes, error_answer, parse_request


def _request(**body: Any) -> Request:
    return Request("POST", "/v1/x", {}, body)


@pytest.mark.parametrize("number", [0, -1, 101, "1000000"])
def test_a_number_out_of_its_range_is_refused_with_the_range(number: object) -> None:
    """It is not taken for another number silently."""
    with pytest.raises(UsageError, match="limit is a number from 1 to 100"):
        _request(limit=number).within("limit", 50, 1, 100)


def test_a_number_within_its_range_is_taken() -> None:
    """Both ends belong to it; one that is not given has its default."""
    found = [_request(limit=limit).within("limit", 50, 1, 100) for limit in (1, 100)]
    assert (found, _request().within("limit", 50, 1, 100)) == ([1, 100], 50)


def test_a_value_is_taken_from_the_query() -> None:
    """What stands behind the question mark is there as text."""
    assert parse_request("GET", "/v1/find?text=a%20b", b"").text("text") == "a b"


def test_a_value_in_the_body_goes_before_one_in_the_query() -> None:
    """Who gives both means the body."""
    assert parse_request("POST", "/v1/x?name=query", b'{"name": "body"}').text("name") == "body"


def test_of_several_values_of_one_name_the_last_counts() -> None:
    """An address that repeats a name is not an error."""
    assert parse_request("GET", "/v1/x?a=1&a=2", b"").text("a") == "2"


def test_bytes_of_a_query_that_are_not_utf8_are_kept() -> None:
    """Names of files are looked for as they are."""
    found = parse_request("GET", "/v1/find?text=caf%E9", b"").text("text")
    assert found is not None
    assert found.encode("utf-8", "surrogateescape") == b"caf\xe9"


@pytest.mark.parametrize("target", ["//[", "http://[/v1/status"])
def test_an_address_that_is_none_is_refused(target: str) -> None:
    """What cannot be read as an address is the asker's mistake."""
    with pytest.raises(UsageError):
        parse_request("GET", target, b"")


@pytest.mark.parametrize(
    "body",
    [b"{", b"[]", b'"text"', b"\xff", b"[" * 100_000, b"1" * 10_000, b'{"a":' * 50_000],
    ids=["cut", "list", "text", "bytes", "deep list", "long number", "deep object"],
)
def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    """However deep or broken it is, it is the asker's mistake."""
    with pytest.raises(UsageError):
        parse_request("POST", "/v1/x", body)


@pytest.mark.parametrize("value", [7, True, ["a"], {"b": 1}])
def test_text_has_to_be_text(value: object) -> None:
    """Anything else in its place is refused by its name."""
    with pytest.raises(UsageError, match="name must be a text"):
        _request(name=value).text("name")


def test_what_is_needed_has_to_be_there() -> None:
    """The error names what is missing."""
    with pytest.raises(UsageError, match="name is missing"):
        _request().needed("name")


def test_a_reference_that_is_empty_is_not_left_out() -> None:
    """An empty id in a query is an error, and none is none."""
    assert _request().reference("id") is None
    with pytest.raises(UsageError, match="id is empty"):
        parse_request("GET", "/v1/x?id=", b"").reference("id")


def test_what_is_needed_may_be_empty() -> None:
    """Empty is not missing."""
    assert _request(name="").needed("name") == ""


@pytest.mark.parametrize(("value", "number"), [("12", 12), (-3, -3), (str(1 << 62), 1 << 62)])
def test_numbers_are_text_or_numbers(value: object, number: int) -> None:
    """A query has text, a body may have either."""
    assert _request(limit=value).number("limit") == number


def test_a_number_that_is_not_given_has_a_default() -> None:
    """Nothing is not zero."""
    assert (_request().number("limit", 50), _request().number("limit")) == (50, None)


@pytest.mark.parametrize(
    "value", ["much", "", [], {}, float("inf"), float("nan"), "9" * 5_000, 1 << 63, -(1 << 63) - 1]
)
def test_what_is_no_number_of_the_database_is_refused(value: object) -> None:
    """No value can reach the rooms that they could not hold."""
    with pytest.raises(UsageError, match="limit must be a number"):
        _request(limit=value).number("limit")


def test_an_answer_is_one_line_of_json_with_a_schema() -> None:
    """A reader knows by it which form the rest has."""
    body = Answer({"name": "é"}).body()
    assert (json.loads(body), body.count(b"\n")) == ({"schema": 1, "name": "é"}, 1)


def test_an_answer_can_quote_what_is_not_utf8() -> None:
    """Text made from odd bytes arrives as JSON that every reader takes."""
    text = "there is no folder /caf\udce9"
    assert json.loads(Answer({"message": text}).body()) == {"schema": 1, "message": text}


def test_an_error_has_code_message_and_hint() -> None:
    """The hint is there even where it is not known."""
    assert error_answer(404, "not_found", "no") == Answer(
        {"error": {"code": "not_found", "message": "no", "hint": None}}, 404
    )


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UsageError("no"), 400),
        (InvalidDataError("no"), 400),
        (NotPermittedError("no"), 403),
        (NotFoundError("no"), 404),
        (LeaderlessError("no"), 409),
        (UnreachableError("no"), 503),
        (NotYetError("no"), 504),
        (TimedOutError("no"), 504),
    ],
)
async def test_each_kind_of_error_has_its_status(error: LeaderlessError, status: int) -> None:
    """Programs can tell them apart without reading."""

    async def fail(_: Request) -> Answer:
        raise error

    answer = await Routes({("GET", "/x"): fail}).answer(Request("GET", "/x"))
    assert (answer.status, answer.data["error"]["code"]) == (status, error.code)


async def test_text_that_cannot_be_written_is_the_askers_mistake() -> None:
    """Half a character in a name ends in a usage error, not in one of ours."""

    async def write(request: Request) -> Answer:
        request.needed("name").encode()
        return Answer()

    answer = await Routes({("POST", "/v1/x"): write}).answer(_request(name="\ud800"))
    assert (answer.status, answer.data["error"]["code"]) == (400, "usage")


async def test_a_bug_is_an_answer_and_a_line_in_the_log() -> None:
    """Whoever asked gets an error, and the log has where it came from."""

    async def fail(_: Request) -> Answer:
        raise ZeroDivisionError("oops")

    with capture_logs() as logged:
        answer = await Routes({("GET", "/x"): fail}).answer(Request("GET", "/x"))
    assert answer.status == 500
    assert isinstance(logged[0]["exc_info"], ZeroDivisionError)


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/nowhere", 404), ("PUT", "/x", 405)]
)
async def test_what_nobody_answers_is_said_so(method: str, path: str, status: int) -> None:
    """An unknown address and a known one that is asked in another way differ."""

    async def fine(_: Request) -> Answer:
        return Answer()

    answer = await Routes({("GET", "/x"): fine}).answer(Request(method, path))
    assert answer.status == status

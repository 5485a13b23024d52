"""Addresses that a person typed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaderless.discovery.static import DEFAULT_PORT, parse_address
from leaderless.errors import UsageError


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("192.0.2.7:1", "192.0.2.7", 1),
        ("nas.example:65535", "nas.example", 65_535),
        ("nas", "nas", DEFAULT_PORT),
        ("nas:", "nas", DEFAULT_PORT),
        ("  nas:80\n", "nas", 80),
        ("[2001:db8::1]:80", "2001:db8::1", 80),
        ("[2001:db8::1]", "2001:db8::1", DEFAULT_PORT),
        ("[2001:db8::1]:", "2001:db8::1", DEFAULT_PORT),
        ("2001:db8::1", "2001:db8::1", DEFAULT_PORT),
        ("fe80::1%eth0", "fe80::1%eth0", DEFAULT_PORT),
    ],
)
def test_each_form_of_an_address_is_understood(text: str, host: str, port: int) -> None:
    """Name, IPv4 and IPv6, with a port or with the default one."""
    assert parse_address(text) == (host, port)


def test_another_default_port_can_be_given() -> None:
    """It stands in where none is typed, and only there."""
    assert parse_address("nas", 99) == ("nas", 99)
    assert parse_address("nas:80", 99) == ("nas", 80)


@pytest.mark.parametrize(
    "text",
    ["", " ", ":80", "[]:80", "[2001:db8::1", "[2001:db8::1:80", "a b:80", "a/b", "http://nas"],
)
def test_what_is_no_address_is_refused_with_an_example(text: str) -> None:
    """The error shows the form."""
    with pytest.raises(UsageError) as caught:
        parse_address(text)
    assert caught.value.hint == "write HOST:PORT, such as 192.0.2.7:4747"


@pytest.mark.parametrize(
    "port",
    ["0", "65536", "-1", "+1", "1.0", "x", "8 0", "٤٢", "4_7", "9" * 5000],
)
def test_what_is_no_port_is_refused(port: str) -> None:
    """Only decimal numbers from 1 to 65535 are ports, however long the text."""
    with pytest.raises(UsageError, match="no port between 1 and 65535") as caught:
        parse_address(f"nas:{port}")
    assert caught.value.hint == "write HOST:PORT, such as 192.0.2.7:4747"


def test_what_follows_a_bracket_must_be_a_port() -> None:
    """Letters right after the bracket are not dropped."""
    with pytest.raises(UsageError, match="no port"):
        parse_address("[2001:db8::1]80")


@given(text=st.text(max_size=60))
def test_any_text_is_an_address_or_a_mistake(text: str) -> None:
    """Nothing but our own error comes of what a person or a peer writes."""
    try:
        host, port = parse_address(text)
    except UsageError:
        return
    assert host
    assert 1 <= port <= 65_535

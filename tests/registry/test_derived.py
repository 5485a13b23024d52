"""Ids that every device derives alike."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.derived import NAMESPACE, derived_id, link_id

PARTS = st.lists(st.binary(max_size=20), max_size=4)


def test_an_id_stays_what_it_was_derived_as() -> None:
    """Devices of any version derive one id: to change this is to make every record anew."""
    assert derived_id("content", b"hash").hex() == "8814b2730d945274ab0dd00d9ca9db70"


def test_an_id_is_a_uuid_of_names() -> None:
    """It is what the standard makes of the namespace and the parts behind their lengths."""
    name = b"\0\0\0\7content\0\0\0\4hash"
    made = uuid.uuid5(uuid.UUID(bytes=NAMESPACE), name.decode("ascii"))
    assert derived_id("content", b"hash") == made.bytes


@given(PARTS, PARTS)
def test_only_equal_parts_give_one_id(one: list[bytes], other: list[bytes]) -> None:
    """Wherever the borders between the parts lie."""
    assert (derived_id("kind", *one) == derived_id("kind", *other)) == (one == other)


@pytest.mark.parametrize(("kind", "part"), [("tag", b"a"), ("content", b"b")])
def test_kind_and_parts_make_a_difference(kind: str, part: bytes) -> None:
    """Two kinds of thing that the same parts identify are two things."""
    assert derived_id(kind, part) != derived_id("content", b"a")


def test_a_link_is_one_of_its_relation_from_item_to_group() -> None:
    """The two ends are not exchangeable."""
    assert link_id("album_entry", b"i", b"g") == derived_id("album_entry", b"i", b"g")
    assert link_id("album_entry", b"i", b"g") != link_id("album_entry", b"g", b"i")

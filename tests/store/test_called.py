"""What a person calls a record that is locked."""

from __future__ import annotations

import pytest

from entities.content import content_id
from leaderless.store.called import Called, called
from leaderless.store.command import LockedRecordError
from registry.changes import Create, Edit, Lock, Update
from tests.catalogue.files import Drive, hash_of, meet
from tests.replicas import Replica
from tests.store.passing import within

TAG, OTHER, RECORD, ALBUM = (bytes([at]) * 16 for at in range(1, 5))
CONTENT = content_id(hash_of("photo"))


def _commit(replica: Replica, *edits: Edit) -> None:
    replica.store.write_here(lambda tx: tx.commit("test", edits))


def _called(replica: Replica, *edits: Edit) -> Called:
    """Return what the last record that these edits make is called."""
    _commit(replica, *edits)
    own, last = replica.identity.device, edits[-1]
    return within(replica, lambda c: called(c, own, last.model, last.record))


@pytest.mark.parametrize(
    ("model", "field", "reference"),
    [("tag", "canonical_name", "'tag:by the sea'"), ("album", "name", "'album:by the sea'")],
)
def test_tags_and_albums_are_named(
    replica: Replica, model: str, field: str, reference: str
) -> None:
    """As a person points at them, quoted for a shell."""
    found = _called(replica, Create(model, RECORD, {field: "by the sea"}))
    assert found == (f"{model} “by the sea”", reference)


def test_one_of_two_tags_of_a_name_is_pointed_at_by_its_id(replica: Replica) -> None:
    """The name would not say which."""
    one, two = (Create("tag", uuid, {"canonical_name": "sea"}) for uuid in (TAG, OTHER))
    assert _called(replica, one, two) == ("tag “sea”", OTHER.hex())


def test_what_is_said_of_a_content_is_called_after_a_file_here(replica: Replica) -> None:
    """And pointed at by the path of that file."""
    Drive(replica, "my disk").put("a.jpg", "photo")
    content = Create("content", CONTENT, {"hash": hash_of("photo"), "size_bytes": 1})
    note = Create("user_metadata", RECORD, {"scope": "content", "target": CONTENT, "note": "x"})
    assert _called(replica, content, note) == ("what is said of “a.jpg”", "'/my disk/a.jpg'")


@pytest.mark.parametrize(("text", "by_path"), [(None, True), ("photo", False)])
def test_a_path_stands_for_an_entry_while_its_content_is_not_known(
    replica: Replica, text: str | None, by_path: bool
) -> None:
    """Else it would free what is said of all copies."""
    entry = Drive(replica, "disk").put("a.jpg", text)
    found = _called(replica, Create("user_metadata", RECORD, {"scope": "entry", "target": entry}))
    assert found.reference == ("/disk/a.jpg" if by_path else RECORD.hex())


def test_a_file_of_another_device_is_named_and_its_record_pointed_at(
    replicas: list[Replica],
) -> None:
    """There is no path of it here."""
    anna, ben, _ = replicas
    entry = Drive(anna, "disk").put("red\x1b.jpg")
    meet(anna, ben)
    found = _called(ben, Create("user_metadata", RECORD, {"scope": "entry", "target": entry}))
    assert found == ("what is said of “red\\x1b.jpg”", RECORD.hex())


def test_a_link_is_called_after_both_its_ends(replica: Replica) -> None:
    """By the names of what it links; its maker is none of them."""
    entry = Drive(replica, "disk").put("a.jpg")
    link = {"item": entry, "scope": "entry", "album": ALBUM, "added_by": replica.identity.device}
    made = Create("album", ALBUM, {"name": "summer"}), Create("album_entry", RECORD, link)
    found = _called(replica, *made)
    assert sorted(found.words.removeprefix("album_entry of ").split(" and ")) == [
        "“a.jpg”",
        "“summer”",
    ]
    assert found.reference == RECORD.hex()


def test_what_has_no_name_has_its_id(replica: Replica) -> None:
    """Also where what it is about is not known here."""
    record = Create("user_metadata", RECORD, {"scope": "entry", "target": OTHER})
    assert _called(replica, record) == (f"user_metadata {RECORD.hex()}", RECORD.hex())


def test_a_refusal_names_the_file(replicas: list[Replica]) -> None:
    """With who holds it, and what frees it."""
    anna, ben, _ = replicas
    entry = Drive(ben, "disk").put("a.jpg")
    meet(anna, ben)
    about = {"scope": "entry", "target": entry, "note": "x"}
    _commit(anna, Create("user_metadata", RECORD, about))
    _commit(anna, Lock("user_metadata", RECORD))
    meet(anna, ben)
    with pytest.raises(LockedRecordError) as refused:
        _commit(ben, Update("user_metadata", RECORD, {"note": "y"}))
    assert refused.value.message == "what is said of “a.jpg” is locked by device0"
    assert refused.value.hint == "leaderless unlock /disk/a.jpg"

"""What a history is asked of."""

from __future__ import annotations

import pytest

from entities.content import content_id
from entities.user_metadata import metadata_id
from leaderless.catalogue.story import Story, story_of
from leaderless.errors import NotFoundError, UsageError
from registry.changes import Create, Edit
from tests.catalogue.files import Drive, hash_of
from tests.replicas import Replica
from tests.store.passing import within

TAG, LINK, UNKNOWN = (bytes([at]) * 16 for at in range(1, 4))


def _edit(replica: Replica, *edits: Edit) -> bytes:
    return replica.store.write_here(lambda tx: tx.commit("test", edits))


def _story(replica: Replica, reference: str) -> Story:
    return within(replica, lambda c: story_of(c, replica.store.own_epoch, reference))


def _note(scope: str, target: bytes) -> Create:
    about = {"scope": scope, "target": target, "note": "x"}
    return Create("user_metadata", metadata_id(scope, target), about)


def test_of_a_file_it_is_what_is_said_in_either_scope(replica: Replica) -> None:
    """Of the file alone, also before it was hashed, and of the content that it has now."""
    entry, content = Drive(replica, "disk").put("a", "text"), content_id(hash_of("text"))
    own, of_content = _note("entry", entry), _note("content", content)
    tag = Create("user_metadata_tag", LINK, {"item": entry, "scope": "entry", "tag": TAG})
    _edit(replica, own, of_content, tag)
    scopes = {
        "entry": frozenset([entry, bytes(own.record), LINK]),
        "content": frozenset([content, bytes(of_content.record)]),
    }
    for reference in ("/disk/a", entry.hex()):
        story = _story(replica, reference)
        assert (story.scopes, story.records) == (scopes, frozenset().union(*scopes.values()))


def test_a_file_that_is_not_hashed_has_one_scope(replica: Replica) -> None:
    """Nothing can be said of a content that nobody knows."""
    Drive(replica, "disk").put("a")
    assert [*_story(replica, "/disk/a").scopes] == ["entry"]


def test_a_tag_has_no_scope(replica: Replica) -> None:
    """It is itself, with the links to it."""
    _edit(replica, Create("tag", TAG, {"canonical_name": "trip"}))
    assert _story(replica, "tag:trip") == Story(frozenset([TAG]))


def test_the_id_of_a_file_that_is_not_here_names_what_is_said_of_it(replica: Replica) -> None:
    """Its row may come later or be gone; an id of which nothing is said names nothing."""
    note = _note("entry", UNKNOWN)
    _edit(replica, note)
    story = _story(replica, UNKNOWN.hex())
    assert story.records == story.scopes["entry"] == {UNKNOWN, bytes(note.record)}
    for nothing in (LINK.hex(), LINK.hex()[:8], "/disk/none"):
        with pytest.raises(NotFoundError):
            _story(replica, nothing)


def test_the_id_of_an_action_names_that_action(replica: Replica) -> None:
    """By either of its ends."""
    done = _edit(replica, Create("tag", TAG))
    for reference in (done.hex(), done.hex()[:8], done.hex()[-8:]):
        assert [item.command_id for item in _story(replica, reference).actions] == [done]


def test_what_names_a_file_and_an_action_is_refused(replica: Replica) -> None:
    """Neither is shown in the place of the other."""
    done = _edit(replica, Create("tag", TAG))
    Drive(replica, "disk").put("a", uuid=done[:6] + b"\x70" + done[7:])
    with pytest.raises(UsageError, match="of an action and that of something else"):
        _story(replica, done.hex()[:8])
    assert len(_story(replica, done.hex()).actions) == 1

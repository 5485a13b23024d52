"""What was said of a file under an id that it has no more, and where that is said now.

A device that was restored had found a file in both of its lives; what was said of the one id has
followed to the other (store/sayings.py), whose records name the changes that they repeat. Who reads
the log is led from either to the other here. What a commit names was written by any member: a
chain that leads back to itself ends there.
"""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Final

from leaderless.catalogue.history import action_at
from leaderless.store import meant
from leaderless.store.registers import read_state
from leaderless.store.sayings import COMMAND as FOLLOWED
from leaderless.store.sayings import actions_here
from registry.changes import Form, Position

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection

    from leaderless.catalogue.pages import Pages
    from registry.changes import SharedChange, WriteRef
    from registry.state import RecordState

_ACTIONS: Final = 4
"""Actions whose records are kept by what they repeat."""
_REPEATING: Final = (Form.CREATE, Form.UPDATE)

About = tuple[str, bytes]
"""A record: (model, uuid)."""


class Followed:
    """Reads the log for what followed to other records."""

    def __init__(self, connection: Connection, pages: Pages) -> None:
        self._connection = connection
        self._pages = pages
        self._repeated = lru_cache(_ACTIONS)(self._read)

    @cached_property
    def _actions(self) -> frozenset[tuple[bytes, bytes]]:
        return actions_here(self._connection)

    @property
    def any(self) -> bool:
        """Return whether anything ever followed anywhere."""
        return bool(self._actions)

    def now(self, model: str, state: RecordState) -> bytes | None:
        """Return the record that says now what one in `state` had said, None where there is none."""
        found, passed = None, set[bytes]()
        while self.any and not state.alive:
            following = self._one_further(model, state)
            if following is None or following in passed:
                break
            found = following
            passed.add(following)
            state = read_state(self._connection, model, following)
        return found

    def stands_for(self, model: str, record: bytes) -> bytes:
        """Return the record that says now what another one had said; that one itself if none does."""
        if not self.any:
            return record
        return self.now(model, read_state(self._connection, model, record)) or record

    def _one_further(self, model: str, state: RecordState) -> bytes | None:
        written = {write.ref for write in state.remembered.writes}
        for death in sorted(state.died_of):
            page = self._pages.page(death.feed, death.seq)
            if page is None or page.header.command != FOLLOWED:
                continue
            repeated = self._repeated(death.feed, death.seq - page.header.part + 1)
            for ref in sorted(written):
                if (model, ref) in repeated:
                    return repeated[model, ref]
        return None

    def _read(self, feed: bytes, seq: int) -> dict[tuple[str, WriteRef], bytes]:
        """Return the records of an action by what they repeat."""
        action = action_at(self._connection, Position(feed, seq))
        if action is None:
            return {}
        return {
            (change.model, ref): bytes(change.record)
            for _, _, change in action.changes(self._connection)
            if change.form in _REPEATING
            for ref in change.seen
        }

    def before(self, records: Iterable[About]) -> set[About]:
        """Return the records whose changes some records repeat, and those that these had repeated."""
        found: set[About] = set()
        waiting = {*records} if self.any else set()
        while waiting:
            news = {about for one in waiting for about in self._one_back(*one)} - found
            found |= news
            waiting = news
        return found

    def ids_before(self, records: Iterable[bytes]) -> frozenset[bytes]:
        """Return what `before` does, of records of whatever model that are known by their ids alone."""
        known: set[About] = set()
        for record in records if self.any else ():
            models = "SELECT model FROM record WHERE uuid = ?"
            found = self._connection.exec_driver_sql(models, (record,)).scalars()
            known.update((model, record) for model in found.all())
        return frozenset(record for _, record in self.before(known))

    def _one_back(self, model: str, record: bytes) -> set[About]:
        found: set[About] = set()
        for feed, command_id in self._actions:
            seqs = self._connection.exec_driver_sql(
                "SELECT c.seq FROM commit_log c JOIN feed f ON f.id = c.feed"
                " WHERE c.command_id = ? AND f.feed = ? AND instr(c.body, ?) > 0",
                (command_id, feed, record),
            ).scalars()
            for change in (
                item for seq in seqs.all() for item in self._of_record(feed, seq, record)
            ):
                if change.model == model:
                    found.update(map(self._changed, change.seen))
        return {about for about in found if about[0] == model and about[1] != record}

    def _of_record(self, feed: bytes, seq: int, record: bytes) -> list[SharedChange]:
        """Return the changes of a commit that make or change a record with that id."""
        page = self._pages.page(feed, seq)
        if page is None:
            return []
        found = page.changes_of(record)
        whole = meant.as_here(self._connection, feed, page.header.seq, found)
        return [change for change in whole if change.form in _REPEATING]

    def _changed(self, ref: WriteRef) -> About:
        """Return the record that a write changed; one of no model where nobody knows."""
        page = self._pages.page(ref.feed, ref.seq)
        change = None if page is None else page.change(ref.place)
        return ("", b"") if change is None else (change.model, bytes(change.record))

"""The routes about what was done: history, undo, conflicts, locks, and the proof by rebuilding."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from leaderless.catalogue import conflicts, history, looks, said_of, undo, undo_story
from leaderless.catalogue.action_ids import short_id
from leaderless.catalogue.followed import Followed
from leaderless.catalogue.hierarchy import circles
from leaderless.catalogue.history import Filter
from leaderless.catalogue.listing import find_device
from leaderless.catalogue.locks import check_guard
from leaderless.catalogue.names import record_name
from leaderless.catalogue.pages import Pages
from leaderless.catalogue.records import find_reference
from leaderless.catalogue.reversal import StandsOnError
from leaderless.catalogue.story import Story, story_of
from leaderless.catalogue.undone import taken_back, undone_actions
from leaderless.errors import UsageError
from leaderless.status.http import Answer
from leaderless.store.rebuild import rebuild
from registry.changes import Lock, Unlock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from sqlalchemy import Connection

    from leaderless.catalogue.history import Action
    from leaderless.catalogue.looks import Seen
    from leaderless.status.http import Request
    from leaderless.store.store import Store
    from leaderless.store.transaction import Transaction

    Handler = Callable[[Request], Awaitable[Answer]]

MAX_ACTIONS = 10_000


@dataclass
class HistoryDesk:
    """Answers about what was done."""

    store: Store

    def table(self) -> dict[tuple[str, str], Handler]:
        """Return who answers what."""
        return {
            ("GET", "/v1/history"): self.history,
            ("GET", "/v1/changes"): self.changes,
            ("POST", "/v1/undo"): self.undo,
            ("GET", "/v1/conflicts"): self.conflicts,
            ("GET", "/v1/conflicts/show"): self.conflict_show,
            ("POST", "/v1/conflicts/restore"): self.conflict_restore,
            ("POST", "/v1/conflicts/dismiss"): self.conflict_dismiss,
            ("POST", "/v1/lock"): self.lock,
            ("POST", "/v1/unlock"): self.unlock,
            ("POST", "/v1/rebuild"): self.rebuild,
        }

    async def history(self, request: Request) -> Answer:
        """Return what was done, newest first."""
        target, by, device = request.text("target"), request.text("by"), request.text("device")
        limit = request.within("limit", 50, 1, MAX_ACTIONS)
        since_ms, epoch = request.number("since_ms"), self.store.own_epoch

        def listed(connection: Connection) -> tuple[list[dict[str, Any]], int | None]:
            records, story = None, Story()
            if target is not None:
                story = story_of(connection, epoch, target)
                if story.actions:
                    return self._json(connection, story.actions), None
                records = story.records
            elif device is not None:
                records = said_of.records_on(connection, find_device(connection, device))
            author = None if by is None else find_device(connection, by)
            wanted = Filter(since_ms, author, records, None, limit + 1)
            # Of actions that are forgotten the header is listed, but not what they were done to.
            until = None if records is None else history.forgotten_until(connection)
            found = history.actions(connection, wanted)
            return self._json(connection, found, story.scopes), until

        found, until = await self.store.read(listed)
        return Answer(
            {
                "actions": found[:limit],
                "more": len(found) > limit,
                "forgotten_until_ms": None if until is None else str(until),
            }
        )

    async def changes(self, request: Request) -> Answer:
        """Return what others did since a person here last asked; `seen` remembers this look.

        With `since_ms` what has taken effect here since then, with `all` everything.
        """
        own, since_ms = self.store.own_device, request.number("since_ms")
        everything = request.text("all") is not None
        if since_ms is not None and everything:
            raise UsageError("since_ms and all are two different questions")
        limit = request.within("limit", 1_000, 1, MAX_ACTIONS)

        def listed(connection: Connection) -> tuple[int | None, Seen, list[dict[str, Any]]]:
            wanted = Filter(limit=limit + 1, not_author=own)
            since = since_ms
            if since_ms is not None:
                wanted = replace(wanted, after_applied_ms=since_ms)
            elif not everything:
                look = looks.last_look(connection)
                since = look.at_ms
                wanted = replace(wanted, seen=look.seen, after_applied_ms=look.after_applied_ms)
            # Up to what this look can see: what is being applied meanwhile is for the next one.
            found = self._json(connection, history.actions(connection, wanted))
            return since, looks.applied(connection), found

        since, upto, found = await self.store.read(listed)
        # What did not fit was not seen.
        if request.text("seen") is not None and len(found) <= limit:
            await self.store.write(lambda tx: looks.remember(tx.conn, upto, tx.now_ms))
        shown = None if since is None else str(since)
        return Answer({"since_ms": shown, "actions": found[:limit], "more": len(found) > limit})

    def _json(
        self,
        connection: Connection,
        actions: Iterable[Action],
        scopes: Mapping[str, frozenset[bytes]] = MappingProxyType({}),
    ) -> list[dict[str, Any]]:
        """Return actions for JSON; of a file, of which `scopes` are the records, with their scopes."""
        undone = undone_actions(connection).__contains__
        stands_for = Followed(connection, Pages(connection)).stands_for
        found = []
        for action in actions:
            shown = history.action_json(connection, action, undone, stands_for)
            if scopes:
                shown["scopes"] = [
                    scope
                    for scope, records in scopes.items()
                    if history.touches(connection, action, records)
                ]
            undid = taken_back(connection, action.headers[0])
            if undid is not None:
                shown["undid"] = history.action_json(connection, undid, undone, stands_for)
            found.append(shown)
        return found

    async def undo(self, request: Request) -> Answer:
        """Take an action back; say what is next."""
        own, reference = self.store.own_device, request.reference("id")
        now_ms, registry = self.store.now_ms(), self.store.registry
        try:
            done = await undo.undo(self.store, reference)
        except StandsOnError as error:
            await self._explain(error, reference)
            raise

        def told(connection: Connection) -> dict[str, Any]:
            followed = Followed(connection, Pages(connection))
            shown = history.action_json(
                connection, done.action, lambda _: True, followed.stands_for
            )
            story = undo_story.after(connection, registry, now_ms, own, done.action)
            return {"undone": shown, "notes": list(done.notes), **story}

        return Answer(await self.store.read(told))

    async def _explain(self, error: StandsOnError, reference: str | None) -> None:
        """Say which action could not be taken back, which later one stands on it, and what can."""
        own, now_ms, registry = self.store.own_device, self.store.now_ms(), self.store.registry

        def explain(connection: Connection) -> None:
            action = undo_story.candidate(connection, own, reference)
            if action is None:
                return
            stands_for = Followed(connection, Pages(connection)).stands_for
            in_words = partial(history.in_words, connection, stands_for=stands_for)
            about, short = in_words(action), partial(_short, connection)
            error.message = f"{about} ({short(action)}) stays: {error.message}"
            hints = []
            later = undo_story.standing_on(connection, error.at)
            if later is not None:
                what, by = later
                about = in_words(what)
                hints.append(f"leaderless undo {short(what)} takes back {about}, by {by}, first")
            if reference is None:
                older = undo_story.next_possible(connection, registry, now_ms, own, action)
                if older is not None:
                    about = in_words(older)
                    hints.append(f"leaderless undo {short(older)} takes back {about}, done before")
            error.hint = "; ".join(hints) or error.hint

        await self.store.read(explain)

    async def conflicts(self, _: Request) -> Answer:
        """Return what lost against what its author had not seen."""
        registry = self.store.registry

        def listed(connection: Connection) -> dict[str, Any]:
            found = conflicts.conflicts(connection, registry)
            shorts = conflicts.shown_ids(found)
            shown = [conflicts.conflict_json(connection, item, shorts) for item in found]
            return {"conflicts": shown, "circles": circles(connection)}

        return Answer(await self.store.read(listed))

    async def conflict_show(self, request: Request) -> Answer:
        """Return one conflict."""
        reference, registry = _conflict(request), self.store.registry

        def shown(connection: Connection) -> dict[str, Any]:
            found = conflicts.find_conflict(connection, registry, reference)
            shorts = conflicts.shown_ids(conflicts.conflicts(connection, registry))
            return conflicts.conflict_json(connection, found, shorts)

        return Answer({"conflict": await self.store.read(shown)})

    async def conflict_restore(self, request: Request) -> Answer:
        """Let what lost win."""
        found, action = await conflicts.restore_conflict(self.store, _conflict(request))
        shown = await self.store.read(lambda c: conflicts.conflict_json(c, found, {}))
        return Answer({"restored": shown, "action": action.hex()})

    async def conflict_dismiss(self, request: Request) -> Answer:
        """Let some conflicts rest, or all."""
        given = request.body.get("ids")
        if given is None:
            one = request.reference("id")
            given = None if one is None else [one]
        if given is None and request.body.get("all") is not True:
            raise UsageError("id, ids or all is missing", hint="leaderless conflicts")
        if given is not None and not _are_ids(given):
            raise UsageError("ids is a list of ids", hint="leaderless conflicts")
        return Answer({"dismissed": await conflicts.dismiss_conflicts(self.store, given)})

    async def lock(self, request: Request) -> Answer:
        """Freeze a record as it is."""
        return await self._guard("lock", request)

    async def unlock(self, request: Request) -> Answer:
        """Let everybody edit a record again."""
        return await self._guard("unlock", request)

    async def _guard(self, command: str, request: Request) -> Answer:
        reference, epoch = request.needed("target"), self.store.own_epoch
        kind = Lock if command == "lock" else Unlock

        def write(transaction: Transaction) -> dict[str, Any]:
            found = find_reference(transaction.conn, epoch, reference)
            check_guard(transaction.conn, found, reference, lock=kind is Lock)
            name = record_name(transaction.conn, found.model, found.record)
            edit = kind(found.model, found.record)
            transaction.commit(f"{found.model}.{command}", [edit], {"name": name})
            return {"model": found.model, "record": found.record.hex(), "name": name}

        return Answer(await self.store.write(write))

    async def rebuild(self, _: Request) -> Answer:
        """Run the log again and say whether the result is what stood there."""
        registry = self.store.registry
        done = await self.store.write(
            lambda tx: rebuild(tx.conn, registry, tx.now_ms, tx.progress.tell)
        )
        return Answer(
            {
                "commits": done.commits,
                "records": done.records,
                "deleted": done.deleted,
                "equal": not done.differences,
                "differences": list(done.differences),
            }
        )


def _short(connection: Connection, action: Action) -> str:
    """Return an action's id as `history` shows it."""
    return short_id(connection, action.command_id)


def _are_ids(given: object) -> bool:
    """Return whether that is a list of at least one text."""
    return isinstance(given, list) and bool(given) and all(isinstance(one, str) for one in given)


def _conflict(request: Request) -> str:
    """Return what begins the id of a conflict; raises UsageError where nothing does."""
    reference = request.reference("id")
    if reference is None:
        raise UsageError("id is missing", hint="leaderless conflicts")
    return reference

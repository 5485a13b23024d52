"""Who is what by a set of signed statements: judged, not read; certificates are not known here.

A statement *stands* once all that it builds on does and its author was an admin by that, its causal
past. That never changes again, so every device keeps the same statements. What is *in effect* of those
that stand depends on all of them:

1. What takes somebody something away (a revoke, a role that is no admin's) is looked at in order of
   its authors' seniority, which is the order in which devices were first admitted. It is in effect
   unless one that is in effect already takes its author away, neither of the two having seen the other
   (so of two who revoke each other the senior stays); or nobody would be an admin any more.
2. What somebody said who was taken away, neither having seen the other, admits nobody and makes
   nobody an admin.
3. A revoke beats every admission of its subject that had not seen it.
4. Of the role statements about a member the newest counts, of several the most senior author's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


class StatementKind(Enum):
    """What a statement says about its subject."""

    GENESIS = "genesis"
    ADD = "add"
    REVOKE = "revoke"
    ROLE = "role"


class Role(Enum):
    """What a member may do beside taking part."""

    ADMIN = "admin"
    """May admit others, revoke them, and say who is an admin."""
    MEMBER = "member"


_ADMISSIONS = (StatementKind.GENESIS, StatementKind.ADD)


@dataclass(frozen=True, slots=True)
class Said:
    """A statement by its hash; `subject` and `author` are public keys."""

    at: bytes
    kind: StatementKind
    subject: bytes
    author: bytes
    role: Role
    parents: tuple[bytes, ...]
    generation: int = 0

    @property
    def takes_away(self) -> bool:
        """Return whether its subject has less by it."""
        is_less = self.kind is StatementKind.ROLE and self.role is not Role.ADMIN
        return self.kind is StatementKind.REVOKE or is_less


class Gone(NamedTuple):
    """How somebody was admitted first, and what took it away, or whoever had admitted it."""

    admission: Said
    loss: Said


@dataclass(frozen=True, slots=True)
class Standing:
    """Who is what: members with their role, and the statement that admitted each.

    `since` is the lowest generation whose incarnations belong to a membership; `gone` are those that
    some statement admitted and that are no members.
    """

    admitted: Mapping[bytes, Said] = field(default_factory=dict)
    roles: Mapping[bytes, Role] = field(default_factory=dict)
    since: Mapping[bytes, int] = field(default_factory=dict)
    gone: Mapping[bytes, Gone] = field(default_factory=dict)

    def is_admin(self, key: bytes) -> bool:
        """Return whether a device is an admin."""
        return self.roles.get(key) is Role.ADMIN


class Judge:
    """Judges the statements of one library; `said` is any set of them, `root` the genesis' hash."""

    def __init__(self, said: Iterable[Said], root: bytes) -> None:
        self._said: list[Said] = []
        """Those that stand, each after all that it has seen."""
        self._seen: list[int] = []
        """Of each the statements it had seen, as bits."""
        self._places: dict[bytes, int] = {}
        self._judged: dict[int, Standing] = {}
        for item in _in_order(said, root):
            self._take(item)

    def _take(self, item: Said) -> None:
        """Let a statement stand, if its author might say it by all that it had seen."""
        seen = 0
        if item.kind is not StatementKind.GENESIS:
            if any(parent not in self._places for parent in item.parents):
                return
            # Whoever speaks of a library has seen its genesis.
            for place in (0, *(self._places[parent] for parent in item.parents)):
                seen |= self._seen[place] | 1 << place
            past = self._standing(seen)
            if not past.is_admin(item.author):
                return
            if item.kind is not StatementKind.ADD and item.subject not in past.admitted:
                return
        self._places[item.at] = len(self._said)
        self._said.append(item)
        self._seen.append(seen)

    def stands(self) -> frozenset[bytes]:
        """Return the hashes of the statements that stand."""
        return frozenset(self._places)

    def standing(self) -> Standing:
        """Return who is what by all that stands."""
        return self._standing((1 << len(self._said)) - 1)

    def _standing(self, among: int) -> Standing:
        if among not in self._judged:
            self._judged[among] = self._judge(among)
        return self._judged[among]

    def _judge(self, among: int) -> Standing:
        places = [place for place in range(len(self._said)) if among >> place & 1]
        rank: dict[bytes, int] = {}
        for place in places:
            if self._said[place].kind in _ADMISSIONS:
                rank.setdefault(self._said[place].subject, place)
        losses = [place for place in places if self._said[place].takes_away]
        losses.sort(key=lambda place: (rank[self._said[place].author], place))
        standing = self._effect(places, (), rank)
        taken: list[int] = []
        for place in losses:
            if place not in self._live(places, taken):
                continue
            then = self._effect(places, (*taken, place), rank)
            if Role.ADMIN in then.roles.values():
                taken.append(place)
                standing = then
        return standing

    def _live(self, places: Sequence[int], taken: Sequence[int]) -> set[int]:
        """Return the statements that hold: not void, and by somebody who was admitted by one."""
        live: set[int] = set()
        admissions: dict[bytes, list[int]] = {}
        for place in places:
            item = self._said[place]
            if item.kind is not StatementKind.GENESIS:
                known = admissions.get(item.author, ())
                if not any(self._has_seen(place, other) for other in known):
                    continue
                if self._is_void(place, taken):
                    continue
            live.add(place)
            if item.kind in _ADMISSIONS:
                admissions.setdefault(item.subject, []).append(place)
        return live

    def _is_void(self, place: int, taken: Sequence[int]) -> bool:
        """Return whether a statement's author was taken away, unseen by both."""
        author = self._said[place].author
        return any(
            self._said[loss].subject == author
            and loss != place
            and not self._has_seen(place, loss)
            and not self._has_seen(loss, place)
            for loss in taken
        )

    def _has_seen(self, place: int, other: int) -> bool:
        return bool(self._seen[place] >> other & 1)

    def _effect(
        self, places: Sequence[int], taken: Sequence[int], rank: Mapping[bytes, int]
    ) -> Standing:
        """Return who is what where of all that takes away those in `taken` are in effect."""
        live = self._live(places, taken)
        revokes = [loss for loss in taken if self._said[loss].kind is StatementKind.REVOKE]
        admitted: dict[bytes, list[int]] = {}
        for place in places:
            item = self._said[place]
            if item.kind in _ADMISSIONS:
                left = admitted.setdefault(item.subject, [])
                if place in live and not self._is_beaten(place, revokes):
                    left.append(place)
        members = {key: left for key, left in admitted.items() if left}
        roles = {key: self._role(key, left, live, taken, rank) for key, left in members.items()}
        return Standing(
            {key: self._said[left[0]] for key, left in members.items()},
            roles,
            {key: min(self._said[at].generation for at in left) for key, left in members.items()},
            {
                key: Gone(self._said[rank[key]], self._said[self._cause(key, places, taken, live)])
                for key, left in admitted.items()
                if not left
            },
        )

    def _is_beaten(self, place: int, revokes: Sequence[int]) -> bool:
        """Return whether a revoke of its subject takes an admission away."""
        subject = self._said[place].subject
        return any(
            self._said[revoke].subject == subject and not self._has_seen(place, revoke)
            for revoke in revokes
        )

    def _role(
        self,
        key: bytes,
        admissions: Sequence[int],
        live: set[int],
        taken: Sequence[int],
        rank: Mapping[bytes, int],
    ) -> Role:
        newer = [
            place
            for place in live
            if self._said[place].kind is StatementKind.ROLE
            and self._said[place].subject == key
            and (place in taken or not self._said[place].takes_away)
            and any(self._has_seen(place, admission) for admission in admissions)
        ]
        newest = [at for at in newer if not any(self._has_seen(other, at) for other in newer)]
        if not newest:
            return self._said[admissions[0]].role
        chosen = min(newest, key=lambda place: (rank[self._said[place].author], place))
        return self._said[chosen].role

    def _cause(
        self, key: bytes, places: Sequence[int], taken: Sequence[int], live: set[int]
    ) -> int:
        """Return what took somebody away who was admitted, or else whoever admitted them."""
        while True:
            losses = [place for place in taken if self._said[place].subject == key]
            if losses:
                revokes = [at for at in losses if self._said[at].kind is StatementKind.REVOKE]
                causes = revokes or losses
                # Who was admitted anew meanwhile is gone by what came after that.
                return next(
                    at for at in causes if not any(self._has_seen(other, at) for other in causes)
                )
            key = next(
                self._said[place].author
                for place in places
                if self._said[place].subject == key
                and self._said[place].kind in _ADMISSIONS
                and place not in live
            )


def _in_order(said: Iterable[Said], root: bytes) -> list[Said]:
    """Return the statements that build on `root`, each after its parents, in one order for everyone."""
    waiting = {item.at: item for item in said}
    first = waiting.pop(root, None)
    if first is None:
        return []
    depths = {root: 0}
    children: dict[bytes, list[Said]] = {}
    ready: list[Said] = []
    missing: dict[bytes, int] = {}
    for item in waiting.values():
        others = {parent for parent in item.parents if parent != root}
        missing[item.at] = len(others)
        for parent in others:
            children.setdefault(parent, []).append(item)
        if not others:
            ready.append(item)
    while ready:
        item = ready.pop()
        depths[item.at] = 1 + max((depths[parent] for parent in item.parents), default=0)
        for child in children.get(item.at, ()):
            missing[child.at] -= 1
            if missing[child.at] == 0:
                ready.append(child)
    waiting[root] = first
    return [waiting[at] for at in sorted(depths, key=lambda at: (depths[at], at))]

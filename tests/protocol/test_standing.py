"""Who is what by statements: order, seniority, and what two who do not know of each other say."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from leaderless.protocol.hashing import digest
from leaderless.protocol.standing import Judge, Role, Said, Standing, StatementKind

A, B, C, D = (name * 32 for name in (b"a", b"b", b"c", b"d"))
ROOT = Said(bytes(32), StatementKind.GENESIS, A, A, Role.ADMIN, ())


def said(
    kind: StatementKind,
    subject: bytes,
    by: bytes,
    *seen: Said,
    role: Role = Role.ADMIN,
    generation: int = 0,
    salt: int = 0,
) -> Said:
    """Return what somebody says who has seen some statements."""
    at = digest(repr((kind, subject, by, seen, role, generation, salt)).encode())
    return Said(at, kind, subject, by, role, tuple(item.at for item in seen), generation)


def add(subject: bytes, by: bytes, *seen: Said, role: Role = Role.ADMIN, since: int = 0) -> Said:
    """Return an admission."""
    return said(StatementKind.ADD, subject, by, *seen, role=role, generation=since)


def revoke(subject: bytes, by: bytes, *seen: Said) -> Said:
    """Return a revoke."""
    return said(StatementKind.REVOKE, subject, by, *seen)


def let(subject: bytes, role: Role, by: bytes, *seen: Said) -> Said:
    """Return a role statement."""
    return said(StatementKind.ROLE, subject, by, *seen, role=role)


def judged(*items: Said) -> Standing:
    """Return who is what, by statements in a row and the other way round alike."""
    standing = Judge((ROOT, *items), ROOT.at).standing()
    assert Judge((*items[::-1], ROOT), ROOT.at).standing() == standing
    return standing


def members(*items: Said) -> set[bytes]:
    """Return who is a member."""
    return set(judged(*items).admitted)


BEN = add(B, A, ROOT)
CARL = add(C, B, BEN)
DORA = add(D, A, CARL)


def test_without_its_genesis_nobody_is_anything() -> None:
    """Statements of another library count for nothing."""
    judge = Judge([BEN, CARL], ROOT.at)
    assert (judge.stands(), judge.standing()) == (frozenset(), Standing())


def test_who_is_revoked_is_gone_and_it_is_known_by_what() -> None:
    """It is no member any more, and its words after that do not stand."""
    out = revoke(B, A, CARL)
    late = add(D, B, out)
    standing = judged(BEN, CARL, out, late)
    assert set(standing.admitted) == {A, C}
    assert {key: gone.loss for key, gone in standing.gone.items()} == {B: out}
    assert late.at not in Judge([ROOT, BEN, CARL, out, late], ROOT.at).stands()


def test_who_is_revoked_once_more_is_gone_by_the_last_revoke() -> None:
    """The first was made up for; of two at the same time the senior's is named."""
    first = revoke(B, A, CARL)
    again = add(B, A, first)
    last, other = revoke(B, C, again), revoke(B, A, again)
    assert judged(BEN, CARL, first, again, last).gone[B].loss == last
    assert judged(BEN, CARL, first, again, last, other).gone[B].loss == other


def test_whom_a_revoked_device_had_admitted_before_stays() -> None:
    """A revoke takes away what it had not seen, not what was right before."""
    assert members(BEN, CARL, revoke(B, A, CARL)) == {A, C}


def test_whom_a_revoked_device_admits_unseen_is_no_member() -> None:
    """A stolen device brings nobody in, nor does whoever it brought in."""
    out = revoke(B, A, BEN)
    dora = add(D, C, CARL)
    standing = judged(BEN, out, CARL, dora)
    assert set(standing.admitted) == {A}
    assert {key: gone.loss for key, gone in standing.gone.items()} == dict.fromkeys((B, C, D), out)


def test_what_was_said_by_whoever_came_in_unseen_counts_no_more() -> None:
    """Neither a revoke by somebody whom a revoked device admitted."""
    out = revoke(B, A, BEN)
    assert members(BEN, out, CARL, revoke(A, C, CARL)) == {A}


def test_of_two_that_revoke_each_other_the_senior_stays() -> None:
    """Whoever was admitted first."""
    assert members(BEN, revoke(A, B, BEN), revoke(B, A, BEN)) == {A}
    assert members(BEN, CARL, revoke(B, C, CARL), revoke(C, B, CARL)) == {A, B}


def test_who_is_admitted_anew_has_its_seniority_again() -> None:
    """It counts from the first admission."""
    out = revoke(B, A, CARL)
    again = add(B, A, out)
    items = (BEN, CARL, out, again)
    assert members(*items, revoke(B, C, again), revoke(C, B, again)) == {A, B}


def test_a_junior_may_revoke_its_senior() -> None:
    """Every admin may; seniority decides between those who do not know of each other."""
    assert members(BEN, revoke(A, B, BEN)) == {B}


def test_a_circle_of_revokes_leaves_an_admin() -> None:
    """A takes C, C would take B, B takes A."""
    seen = (CARL,)
    items = (revoke(C, A, *seen), revoke(B, C, *seen), revoke(A, B, *seen))
    assert members(BEN, CARL, *items) == {B}


def test_the_last_admin_stays() -> None:
    """However it is taken away: by itself, or two by themselves at a time."""
    assert members(revoke(A, A, ROOT)) == {A}
    assert members(BEN, revoke(A, A, BEN), revoke(B, B, BEN)) == {B}
    plain = add(B, A, ROOT, role=Role.MEMBER)
    assert judged(plain, let(A, Role.MEMBER, A, plain)).roles == {A: Role.ADMIN, B: Role.MEMBER}


def test_a_revoke_beats_an_admission_that_had_not_seen_it() -> None:
    """Whoever admits anew has to know of it."""
    out = revoke(B, A, CARL)
    again = add(B, C, CARL)
    assert members(BEN, CARL, out, again) == {A, C}
    assert members(BEN, CARL, out, again, add(B, C, out)) == {A, B, C}


def test_who_is_admitted_anew_begins_at_a_generation() -> None:
    """What it had written before stays closed; of two admissions the lower one counts."""
    out = revoke(B, A, CARL)
    standing = judged(BEN, CARL, out, add(B, A, out, since=4), add(B, C, out, since=3))
    assert standing.since == {A: 0, B: 3, C: 0}


def test_a_plain_member_revokes_nobody() -> None:
    """Only an admin's word stands, and only about somebody who was admitted."""
    plain = add(B, A, ROOT, role=Role.MEMBER)
    assert members(plain, revoke(A, B, plain)) == {A, B}
    assert revoke(D, A, ROOT).at not in Judge([ROOT, revoke(D, A, ROOT)], ROOT.at).stands()


def test_a_role_says_who_is_an_admin_from_then_on() -> None:
    """In both directions, and of what is said one after the other the last counts."""
    less = let(B, Role.MEMBER, A, BEN)
    assert judged(BEN, less).roles[B] is Role.MEMBER
    more = let(B, Role.ADMIN, A, less)
    standing = judged(BEN, less, more, add(C, B, more))
    assert standing.roles == dict.fromkeys((A, B, C), Role.ADMIN)
    assert standing.is_admin(B)


def test_of_two_roles_at_a_time_the_senior_s_counts() -> None:
    """Both admins had not seen the other's word."""
    items = (BEN, CARL, DORA)
    for mine, other in ((Role.MEMBER, Role.ADMIN), (Role.ADMIN, Role.MEMBER)):
        said = (let(D, mine, A, DORA), let(D, other, C, DORA))
        assert judged(*items, *said).roles[D] is mine


def test_who_gives_up_its_own_role_has_it_no_more() -> None:
    """It need not have seen its own word before it said it."""
    assert judged(BEN, let(B, Role.MEMBER, B, BEN)).roles[B] is Role.MEMBER


def test_who_is_said_to_be_an_admin_loses_nothing_by_it() -> None:
    """What it says at the same time counts."""
    assert members(BEN, let(B, Role.ADMIN, A, BEN), CARL) == {A, B, C}


def test_a_role_from_before_a_revoke_says_nothing_of_whoever_is_admitted_anew() -> None:
    """It begins as it is admitted."""
    less = let(B, Role.MEMBER, A, CARL)
    out = revoke(B, A, less)
    assert judged(BEN, CARL, less, out, add(B, A, out)).roles[B] is Role.ADMIN


def test_who_loses_its_role_unseen_admits_nobody() -> None:
    """What it says at the same time is void, and the cause is named."""
    less = let(B, Role.MEMBER, A, BEN)
    standing = judged(BEN, less, CARL)
    assert set(standing.admitted) == {A, B}
    assert standing.gone[C].loss == less


def test_a_revoke_is_the_cause_where_a_role_was_taken_too() -> None:
    """What made it no member is named, not what made it less."""
    less = let(B, Role.MEMBER, A, BEN)
    out = revoke(B, C, CARL)
    late = add(D, A, less, out)
    assert judged(BEN, less, add(C, A, BEN), revoke(B, A, less), late).gone[B].loss.kind is (
        StatementKind.REVOKE
    )


def test_a_revoke_is_the_cause_though_a_senior_took_the_role_at_that_time() -> None:
    """Seniority decides between causes of one kind."""
    less, out = let(B, Role.MEMBER, A, CARL), revoke(B, C, CARL)
    assert judged(BEN, CARL, less, out).gone[B].loss == out


def test_the_cause_is_found_behind_an_admission_that_does_not_count() -> None:
    """Though whoever was admitted by it is a member by another one, of which the next knew nothing."""
    out = revoke(B, A, BEN)
    standing = judged(BEN, add(C, A, ROOT), CARL, out, add(D, C, CARL))
    assert (set(standing.admitted), standing.gone[D].loss) == ({A, C}, out)


def test_what_builds_on_early_and_late_statements_comes_after_both() -> None:
    """A device may have heard of some long ago."""
    assert members(BEN, CARL, add(D, A, ROOT, CARL)) == {A, B, C, D}


def test_a_statement_waits_for_all_that_it_builds_on() -> None:
    """One that builds on what does not stand never does."""
    lost = add(D, B, revoke(C, A, CARL))
    assert lost.at not in Judge([ROOT, BEN, CARL, lost], ROOT.at).stands()
    stray = add(D, D, ROOT)
    assert add(C, A, stray).at not in Judge([ROOT, stray, add(C, A, stray)], ROOT.at).stands()


@st.composite
def histories(draw: st.DrawFn) -> list[Said]:
    """Draw what admins say who have seen this and that."""
    items = [ROOT, BEN, CARL]
    for salt in range(draw(st.integers(1, 9))):
        seen = draw(st.lists(st.sampled_from(items), min_size=1, max_size=3))
        kind = draw(st.sampled_from([StatementKind.ADD, StatementKind.REVOKE, StatementKind.ROLE]))
        subject, by = draw(st.sampled_from([A, B, C, D])), draw(st.sampled_from([A, B, C, D]))
        role = draw(st.sampled_from(list(Role)))
        items.append(said(kind, subject, by, *seen, role=role, salt=salt))
    return items


@given(histories(), st.randoms())
def test_any_order_gives_the_same_members_and_there_is_always_an_admin(
    items: list[Said], chance: random.Random
) -> None:
    """Whatever is said; everybody who stands was admitted, and nobody is in and out."""
    standing = Judge(items, ROOT.at).standing()
    chance.shuffle(items)
    assert Judge(items, ROOT.at).standing() == standing
    assert Role.ADMIN in standing.roles.values()
    assert not set(standing.admitted) & set(standing.gone)
    assert set(standing.admitted) == set(standing.roles) == set(standing.since)


@given(histories(), st.data())
def test_what_stands_goes_on_to_stand(items: list[Said], data: st.DataObject) -> None:
    """More statements take away effects, never what everybody keeps."""
    fewer = data.draw(st.lists(st.sampled_from(items), unique=True))
    stands = Judge(fewer, ROOT.at).stands()
    assert stands <= Judge(items, ROOT.at).stands()

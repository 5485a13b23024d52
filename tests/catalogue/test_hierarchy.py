"""How tags stand to each other, from edges and merges alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from leaderless.catalogue.hierarchy import Hierarchy, Relation

TAGS = [bytes([at]) * 16 for at in range(6)]
A, B, C, D, *_ = TAGS


def edge(
    child: bytes, parent: bytes, kind: str = "parent_child", *, skipped: bool = False
) -> Relation:
    """Return an edge."""
    return Relation(child + parent, child, parent, kind, None, skipped)


def tree(*edges: Relation, canonical: dict[bytes, bytes] | None = None) -> Hierarchy:
    """Return the hierarchy of these edges."""
    return Hierarchy({tag: tag.hex()[:2] for tag in TAGS}, canonical or {}, {}, edges)


def test_what_is_below_counts_however_deep_and_once() -> None:
    """Two ways down to one tag are no trouble; skipped and other edges lead nowhere."""
    found = tree(
        edge(B, A),
        edge(C, A),
        edge(D, B),
        edge(D, C),
        edge(A, D, skipped=True),
        edge(TAGS[4], A, "related"),
    )
    assert found.below(A) == {B, C, D}
    assert found.above(D) == {A, B, C}
    assert found.carried(B) == [B, D]
    assert found.between(A, D) == [edge(A, D, skipped=True)]


def test_a_skipped_edge_names_the_circle_it_would_close() -> None:
    """The shortest way from its parent up to its child; each such edge is listed once."""
    back = edge(A, D, skipped=True)
    found = tree(edge(B, A), edge(C, B), edge(D, C), edge(D, B), back)
    assert (found.skipped(), found.circle(back)) == ([back], [D, B, A])


def test_a_skipped_edge_that_closes_nothing_names_nothing() -> None:
    """It may be in effect after the next change."""
    back = edge(A, D, skipped=True)
    assert tree(back).circle(back) == []


def test_a_merged_tag_carries_what_all_its_members_carry() -> None:
    """Edges of members are edges of the canonical tag; between members they vanish."""
    found = tree(edge(C, B), edge(B, A), canonical={B: A})
    assert found.carried(B) == found.carried(A) == [A, B, C]
    assert found.members(B) == [A, B]
    assert [item.child for item in found.relations(A)] == [C]


@given(
    st.lists(st.tuples(st.sampled_from(TAGS), st.sampled_from(TAGS)), max_size=20),
    st.dictionaries(st.sampled_from(TAGS[3:]), st.sampled_from(TAGS[:3])),
)
def test_no_tag_is_ever_above_itself(
    ends: list[tuple[bytes, bytes]], canonical: dict[bytes, bytes]
) -> None:
    """Whatever edges and merges there are: those that close a circle are skipped."""
    found = tree(*(edge(*pair) for pair in ends), canonical=canonical)
    for tag in TAGS:
        assert tag not in found.above(tag) | found.below(tag)
        assert all(tag in found.below(other) for other in found.above(found.canonical(tag))) or (
            found.canonical(tag) != tag
        )


def test_the_loose_end_of_merged_tags_ends_also_in_a_ring() -> None:
    """It is merged into nothing, or one of those that were merged into each other."""
    names = dict.fromkeys(TAGS)
    assert Hierarchy(names, {}, {A: B, B: C}, ()).loose_end(A) == C
    assert Hierarchy(names, {}, {A: B, B: C, C: B}, ()).loose_end(A) in (B, C)

"""What an undo does to one record, at several places of an action, as one edit of it.

What these edits are is `reversal`'s business.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from registry.changes import Dismiss, Update

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from registry.changes import Edit


def at_once(edits: Iterable[Edit]) -> Iterator[Edit]:
    """Yield at most one edit of a record: what was said of it at several times goes back at once."""
    joined: dict[tuple[str, bytes, bool], Edit] = {}
    for edit in edits:
        key = edit.model, bytes(edit.record), isinstance(edit, Dismiss)
        held = joined.setdefault(key, edit)
        if held is edit or not (isinstance(held, Update) and isinstance(edit, Update)):
            continue  # what is deleted needs no values
        joined[key] = replace(
            held,
            fields={**held.fields, **edit.fields},
            settles=(*held.settles, *edit.settles),
            unseen=(*held.unseen, *edit.unseen),
        )
    yield from joined.values()

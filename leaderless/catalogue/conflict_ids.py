"""What conflicts are called: by ids that follow from what lost, so they are the same on every device.

They outlast a rebuild of the journal, and a conflict that was settled gives its id to no other one.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from leaderless.catalogue.action_ids import SHORT_DIGITS, common_digits
from leaderless.protocol.hashing import digest
from leaderless.protocol.packing import pack
from registry.changes import LIFE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from registry.changes import WriteRef


def conflict_id(
    model: str, record: bytes, field: str, subkey: str, value: bytes, loser: WriteRef
) -> bytes:
    """Return the id (16 bytes) of what lost: a packed value in a register, or a delete (no field).

    A write is named as its author has signed it: what devices call the branches of a feed that has
    forked changes as they hear of the fork.
    """
    signed = (loser.stamp.pack(), loser.feed[:LIFE_BYTES], loser.seq, loser.place)
    return digest(pack([model, record, field, subkey, value, *signed]))[:16]


def short_ids(ids: Iterable[bytes]) -> dict[bytes, str]:
    """Return of each id the shortest beginning, of eight digits at least, that no other one has."""
    ordered = sorted(set(ids))
    lengths = dict.fromkeys(ordered, SHORT_DIGITS)
    for one, other in itertools.pairwise(ordered):
        needed = common_digits(one.hex(), other.hex()) + 1
        lengths[one], lengths[other] = max(lengths[one], needed), max(lengths[other], needed)
    return {uuid: uuid.hex()[:length] for uuid, length in lengths.items()}

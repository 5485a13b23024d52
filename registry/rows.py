"""The shapes in which rows of device-owned models go from and to their tables.

What a model's functions take and give; how they are stored and sent is not known here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, overload

if TYPE_CHECKING:
    from collections.abc import Mapping

    from registry.changes import Value


class Epochs(NamedTuple):
    """The incarnations of one owner as local keys: the one that writes now, and all of them."""

    current: int
    known: frozenset[int]


class StateEffect(NamedTuple):
    """What an apply did to the live rows of a model, for the set hash.

    `before` are rows that went or changed, `after` those that came or changed, each as (uuid, rev,
    fields without absent ones).
    """

    before: Sequence[StateRow] = ()
    after: Sequence[StateRow] = ()


class StateRow(NamedTuple):
    """One live owned row as it is on the wire and in the set hash."""

    uuid: bytes
    rev: int
    fields: Mapping[str, Value]


class Rows(list[tuple[Any, ...]]):
    """The rows of a change; `total` is what they add to the set hash, where that was reckoned ahead."""

    __slots__ = ("total",)

    def __init__(self, rows: Iterable[tuple[Any, ...]] = ()) -> None:
        """Take these rows; nothing is reckoned yet."""
        super().__init__(rows)
        self.total: int | None = None


class StateRows(Sequence[StateRow]):
    """Live owned rows of one model as a table has them: (uuid, rev, value, …) under `columns`.

    A value that is not there is None. What stands behind the columns in a row is passed over. `total`
    is that of `Rows`.
    """

    __slots__ = ("columns", "total", "values")

    def __init__(
        self,
        columns: tuple[str, ...],
        values: Sequence[tuple[Any, ...]],
        total: int | None = None,
    ) -> None:
        """Take the rows as they are."""
        self.columns = columns
        self.values = values
        self.total = total

    def __len__(self) -> int:
        """Return how many rows there are."""
        return len(self.values)

    @overload
    def __getitem__(self, at: int) -> StateRow: ...
    @overload
    def __getitem__(self, at: slice) -> StateRows: ...
    def __getitem__(self, at: int | slice) -> StateRow | StateRows:
        """Return one row, or some of them."""
        if isinstance(at, slice):
            return StateRows(self.columns, self.values[at])
        uuid, rev, *values = self.values[at]
        named = zip(self.columns, values, strict=False)
        return StateRow(uuid, rev, {name: value for name, value in named if value is not None})


class StateQuery(NamedTuple):
    """Rows of one model for the wire: (uuid, rev, value, …) under `columns`.

    `late` are rows that these refer to and that a reader in rev order would not have yet:
    (model, local key). `dead` are those of `rows` that are deleted at their owner: uuid → rev of
    the tombstone.
    """

    columns: tuple[str, ...]
    rows: Sequence[tuple[Any, ...]]
    late: frozenset[tuple[str, int]] = frozenset()
    dead: Mapping[bytes, int] = {}

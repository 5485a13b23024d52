"""What can be wrong with a change, by name.

::

    RegistryError
    ├── InvalidChangeError      the change breaks a rule by its own bytes, the same everywhere
    │   └── InvalidStampError   … because its stamp is not one
    ├── LockedError             another device holds the record locked
    ├── NotOwnerError           somebody speaks for rows of another device
    ├── ModelError              the declaration of a model is wrong (our bug)
    └── ApplyError              a model's apply function failed; names the model and the cause
"""

from __future__ import annotations


class RegistryError(Exception):
    """Root of everything the registry raises."""


class InvalidChangeError(RegistryError):
    """A change that no replica may apply, whatever else it knows."""


class InvalidStampError(InvalidChangeError):
    """Sixteen bytes that are no stamp, or one beyond the ceiling."""


class LockedError(RegistryError):
    """An edit of a record that another device, `by`, holds locked."""

    def __init__(self, model: str, record: bytes, by: bytes) -> None:
        super().__init__(f"{model} {record.hex()} is locked by device {by.hex()}")
        self.model = model
        self.record = record
        self.by = by


class NotOwnerError(RegistryError):
    """A row was offered by somebody who is not its owner and carries no word of its owner."""


class ModelError(RegistryError):
    """A model is declared in a way that cannot work."""


class ApplyError(RegistryError):
    """An apply function failed; the whole batch is undone.

    `model` names the one that failed; the cause is chained.
    """

    def __init__(self, model: str, cause: BaseException) -> None:
        super().__init__(f"applying {model} failed: {cause}")
        self.model = model

"""The synced models, one file each.

`MODELS` is the only list of built-in models, parents first. A model file reads in this order:
docstring (owner, conflict rule, local-only columns), table, apply functions, query, `MODEL`.
"""

from __future__ import annotations

from entities import device, entry, location, tag, volume

MODELS = (device.MODEL, volume.MODEL, location.MODEL, entry.MODEL, tag.MODEL)

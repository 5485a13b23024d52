"""The synced models, one file each.

`MODELS` is the only list of built-in models, parents first. A model file reads in this order:
docstring (owner, conflict rule, local-only columns), table, apply functions, query, `MODEL`.
Whoever gives a model a field raises its version: what newer devices had sent of it is shown then.
"""

from __future__ import annotations

from entities import (
    album,
    album_entry,
    content,
    device,
    entry,
    location,
    tag,
    tag_relation,
    user_metadata,
    user_metadata_tag,
    volume,
)

MODELS = (
    device.MODEL,
    volume.MODEL,
    location.MODEL,
    entry.MODEL,
    content.MODEL,
    tag.MODEL,
    tag_relation.MODEL,
    album.MODEL,
    album_entry.MODEL,
    user_metadata.MODEL,
    user_metadata_tag.MODEL,
)

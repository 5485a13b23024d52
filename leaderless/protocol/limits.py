"""Every limit, the attack it bounds, and its arithmetic. All are checked before decoding.

Decoded MessagePack costs up to 64 bytes of memory for a byte on the wire (an empty list), so
nothing that came from outside is decoded in pieces larger than `MAX_HEAD_BYTES`.
"""

from __future__ import annotations

from typing import Final

MAX_BODY_BYTES: Final = 8 << 20
"""Of a commit. A rule of validity: alike everywhere, for ever."""

MAX_CHANGES: Final = 10_000
"""In a commit; a larger action travels as parts of one command. A rule of validity."""

MAX_ITEMS: Final = 1 << 18
"""In a commit: dots, writes, references, and items within values, all changes together. At some 80
bytes each (a list, a map of one) 20 MiB, at 260 (a reference) 68 MiB; without it 8 MiB of empty lists
would be 512 MiB. One change of `MAX_HEAD_BYTES` cannot have more. A rule of validity."""

MAX_DEPTH: Final = 16
"""Of nesting in a value. A rule of validity; the decoder recurses once a level."""

MAX_DEPENDENCIES: Final = 4_096
"""Of a commit: feed heads that changed since the last one. 4,096 of 84 bytes are 344 KB."""

MAX_FRAME_BYTES: Final = MAX_BODY_BYTES + (1 << 20)
"""Of a frame, compressed and decompressed: the largest commit with its header. A peer can make us
hold four of these, 36 MiB: one takes effect, and the next is decoded from the parts of its frame."""

MAX_HEAD_BYTES: Final = 256 << 10
"""Of one piece that is decoded at once: at 64 bytes a byte, 16 MiB of objects."""

MAX_ROW_BYTES: Final = 64 << 10
"""Of an owned row: 4 MiB of objects while it is looked at."""

MAX_PARTS: Final = 16_384
"""Of a frame: at 4 bytes each an attacker could ask for two million slices."""

MAX_ROWS: Final = 20_000
"""In a state batch: rows are lists of a few references, about 200 bytes: 4 MiB."""

MAX_COLUMNS: Final = 128
"""In a state batch: models have twenty; this leaves room for those to come."""

BATCH_ROWS: Final = 800
"""What a source puts into one state batch, or into one of shared records: some 90 to 120 KiB, one
transaction of the receiver. It waits for the disk once, and writes the pages of an index that are hit
twice only once; twice as many would cost it little less, and others wait for it twice as long."""

BATCH_BYTES: Final = 512 << 10
"""Of the rows in one state batch, so that the largest rows fit a frame too: 800 rows of 64 KiB would
be 50 MiB. 800 entries with the longest names stay far below it."""

COLUMNS_SPARE_BYTES: Final = 64
"""A row that is sent as part of columns counts for so many bytes more than these have."""

LOG_BYTES: Final = 512 << 10
"""What a source gathers into one log message; a larger commit travels alone."""

MAX_RECORD_BYTES: Final = MAX_BODY_BYTES
"""Of a shared record's state with what was lost of it, as it travels; it is decoded write by write."""

MAX_CURSOR_BYTES: Final = 16 + 1024
"""Of a place among the shared records: a uuid and the longest name of a model."""

RECORDS_BYTES: Final = 256 << 10
"""What a source gathers into one message of shared records, and the record that crosses it."""

WINDOW_BYTES: Final = 150 << 10
"""Sent and not yet durable at the peer, in payload bytes; the batch that crosses it still goes. So two
batches of usual rows are on the way: one is read and decoded while the one before becomes durable. It
bounds what a slow peer makes us hold, as all beyond stays in the database until it is ready, and what
is sent twice when a side dies: 1,600 rows, so ten deaths in a backfill of 200,000 cost less than a
tenth."""

MAX_STATEMENTS: Final = 1_000
"""That make a library's membership; they travel in one message."""

MAX_STREAMS: Final = 1_024
"""That a peer may have asked for at once: two for each member and each life of one."""

MAX_POSITIONS: Final = 65_536
"""Of owners and feeds that a peer may tell on a connection: old incarnations add up; at some 200 bytes
each 13 MiB, and twice that for what it is asked of each."""

MAX_ZSTD_WINDOW: Final = 1 << 23
"""The window a frame may ask the decompressor to hold."""

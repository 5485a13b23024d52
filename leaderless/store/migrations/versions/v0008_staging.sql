-- What a peer said of the shared records, as of the start of the transfer; joined with ours at once when
-- all of it is here, or discarded.

CREATE TABLE staged_record (
    model TEXT NOT NULL,
    uuid BLOB NOT NULL CHECK (length(uuid) = 16),
    state BLOB,                                 -- as in `record`, as the next two
    deaths BLOB,
    remains BLOB,
    unseen BLOB NOT NULL,                       -- MessagePack, one after another: writes that nobody has named
    source BLOB NOT NULL CHECK (length(source) = 16),  -- the device that said so
    PRIMARY KEY (model, uuid)
) STRICT, WITHOUT ROWID;
CREATE TABLE staged_position (
    feed BLOB NOT NULL PRIMARY KEY CHECK (length(feed) = 44),
    start INTEGER NOT NULL,                     -- what the source had applied at the start
    as_of INTEGER NOT NULL                      -- the most that a source had applied since
) STRICT, WITHOUT ROWID;

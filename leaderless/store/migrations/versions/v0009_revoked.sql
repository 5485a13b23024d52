-- What this device knows of others whose membership was taken away. A function of the statements, but
-- for what was done here when it was learned, and of the closing commits that are here.

CREATE TABLE revoked (
    device BLOB NOT NULL PRIMARY KEY CHECK (length(device) = 16),
    statement BLOB NOT NULL,                    -- the one by which it is so
    below INTEGER,                              -- closed are its feeds of lower generations; null: all
    closed_at INTEGER,                          -- when our own closing commit was due no more, or null
    generation INTEGER,                         -- the newest rows that a closing commit names, or null
    nonce BLOB CHECK (length(nonce) = 8),
    rev INTEGER
) STRICT, WITHOUT ROWID;

ALTER TABLE feed ADD COLUMN counts INTEGER;     -- of a closed feed: as far as it counts; null: it is open

-- Two commits at one position are a fork: the feed ends before it, and what follows are branches of it.

ALTER TABLE feed ADD COLUMN forked INTEGER;     -- the position that has two commits, or null
ALTER TABLE feed ADD COLUMN trunk INTEGER REFERENCES feed (id); -- of a branch: what it begins behind

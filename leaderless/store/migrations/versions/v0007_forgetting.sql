-- Bodies that are still here, so that looking for some to forget reads nothing else.
CREATE INDEX commit_remembered ON commit_log (feed, seq, received_at) WHERE body IS NOT NULL;
-- Only undos are looked for by their name.
DROP INDEX commit_by_name;
CREATE INDEX commit_by_name ON commit_log (command, stamp, command_id, feed, seq)
    WHERE command = 'undo';
CREATE TABLE replaced (
    model TEXT NOT NULL,
    record BLOB NOT NULL CHECK (length(record) = 16),
    field TEXT NOT NULL,
    subkey TEXT NOT NULL,                       -- '' for a plain field
    ref BLOB NOT NULL,                          -- packed reference of the write; its body is forgotten
    value BLOB NOT NULL,                        -- MessagePack: what an undo shows again
    noted_at INTEGER NOT NULL,
    PRIMARY KEY (record, ref, field, subkey, model)
) STRICT, WITHOUT ROWID;
CREATE TABLE owned_confirmation (
    device BLOB NOT NULL PRIMARY KEY CHECK (length(device) = 16),
    generation INTEGER NOT NULL,
    nonce BLOB NOT NULL,
    watermark INTEGER NOT NULL                  -- of our own rows, as that member told it
) STRICT, WITHOUT ROWID;
ALTER TABLE incarnation ADD COLUMN floor INTEGER NOT NULL DEFAULT 0;  -- tombstones up to here are dropped
ALTER TABLE incarnation ADD COLUMN floor_word BLOB;                   -- the owner's signed word on it
ALTER TABLE incarnation ADD COLUMN base INTEGER NOT NULL DEFAULT 0;   -- the floor when this copy began at 0

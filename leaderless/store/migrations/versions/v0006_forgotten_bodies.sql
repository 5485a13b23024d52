-- A chain of signed headers has no holes; what a commit changed is forgotten once every member has it,
-- or nothing of it is in effect any more.

ALTER TABLE commit_log RENAME TO commit_log_before;
CREATE TABLE commit_log (
    feed INTEGER NOT NULL REFERENCES feed (id),
    seq INTEGER NOT NULL CHECK (seq >= 1),
    header BLOB NOT NULL,                       -- the exact bytes that were signed
    signature BLOB NOT NULL CHECK (length(signature) = 64),
    body BLOB,                                  -- null: forgotten
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    stamp BLOB NOT NULL CHECK (length(stamp) = 16),
    command TEXT NOT NULL,
    command_id BLOB NOT NULL CHECK (length(command_id) = 16),
    received_at INTEGER NOT NULL,               -- ms since 1970, as are all local times
    applied_at INTEGER,
    waits_for TEXT,                             -- why it is on the shelf, or null
    PRIMARY KEY (feed, seq)
) STRICT;
INSERT INTO commit_log
    SELECT feed, seq, header, signature, body, hash, stamp, command, command_id, received_at, applied_at,
        waits_for FROM commit_log_before ORDER BY feed, seq;
DROP TABLE commit_log_before;
CREATE INDEX commit_by_command ON commit_log (command_id, feed, seq, received_at, applied_at);
CREATE INDEX commit_by_feed ON commit_log (feed, seq, stamp, command_id);
CREATE INDEX commit_by_name ON commit_log (command, stamp, command_id, feed, seq);
CREATE INDEX commit_by_stamp ON commit_log (stamp, command_id, applied_at, feed, seq);

-- A body may be as long as 8 MiB, and what a row has behind it is read by passing over it: what lists of
-- actions ask for stands in indexes.

DROP INDEX commit_by_command;
DROP INDEX commit_by_stamp;
CREATE INDEX commit_by_command ON commit_log (command_id, received_at, applied_at);
CREATE INDEX commit_by_feed ON commit_log (feed, seq, stamp, command_id);
CREATE INDEX commit_by_name ON commit_log (command, stamp, command_id);
CREATE INDEX commit_by_stamp ON commit_log (stamp, command_id, applied_at);

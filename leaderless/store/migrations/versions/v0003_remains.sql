-- What a restore brings back is a function of the log.

ALTER TABLE record DROP COLUMN kept;
-- The writes on the dots of `deaths`, packed as a state.
ALTER TABLE record ADD COLUMN remains BLOB;

-- The store runs the log again when it opens this file.
INSERT OR REPLACE INTO meta (name, value) SELECT 'rebuild', 1 FROM commit_log LIMIT 1;

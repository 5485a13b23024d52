-- Own rows that a restored device has written since its backup was made, while it takes back those from
-- before: it writes them again when it goes on.

CREATE TABLE since_backup (
    uuid BLOB NOT NULL PRIMARY KEY CHECK (length(uuid) = 16),
    model TEXT NOT NULL,
    key INTEGER NOT NULL,                       -- the local key: what was made later has a higher one
    above BLOB,                                 -- the row of the same model that it hangs below
    fields BLOB NOT NULL,                       -- MessagePack map without absent fields
    stays BLOB                                  -- the row that stands for it, or null; its own id: `fields` are said of it
) STRICT, WITHOUT ROWID;
CREATE INDEX since_backup_by_above ON since_backup (model, above) WHERE stays IS NULL;

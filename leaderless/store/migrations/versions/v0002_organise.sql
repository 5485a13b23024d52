-- Everything that can be organised: links, contents, albums, metadata; the journal as a pure function
-- of the log; who has confirmed what.

-- Which shared records decide what is shown of which others; only living referrers stand here.
CREATE TABLE reference (
    target BLOB NOT NULL CHECK (length(target) = 16),
    model TEXT NOT NULL,                        -- of the record that refers
    record BLOB NOT NULL CHECK (length(record) = 16),
    field TEXT NOT NULL,
    PRIMARY KEY (target, model, record, field)
) STRICT, WITHOUT ROWID;
CREATE INDEX reference_by_record ON reference (model, record);

-- Deletes of a record that no later change has named as seen (packed references).
ALTER TABLE record ADD COLUMN deaths BLOB;
-- Who holds the record locked, or null.
ALTER TABLE record ADD COLUMN locked_by BLOB;

-- Changes that are neither in effect nor named as seen by a later one. field '' is a delete.
DROP TABLE journal;
CREATE TABLE journal (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    model TEXT NOT NULL,
    record BLOB NOT NULL CHECK (length(record) = 16),
    field TEXT NOT NULL,
    subkey TEXT NOT NULL,                       -- '' for a plain field
    value BLOB NOT NULL,                        -- MessagePack
    loser BLOB NOT NULL,                        -- packed reference of the change that lost
    noted_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX journal_by_loser ON journal (record, loser, field, subkey);

-- How far others have said they hold and have applied each feed.
CREATE TABLE confirmation (
    device BLOB NOT NULL CHECK (length(device) = 16),
    feed BLOB NOT NULL CHECK (length(feed) = 44),
    received INTEGER NOT NULL,
    applied INTEGER NOT NULL,
    PRIMARY KEY (device, feed)
) STRICT, WITHOUT ROWID;

-- Covers all that is asked about copies.
CREATE INDEX entry_by_content ON entry (content, location, size_bytes, inode, kind, dead)
    WHERE content IS NOT NULL;

ALTER TABLE tag ADD COLUMN merged_into BLOB;
-- The tag that a merged one resolves to: the least id of its component. Local, derived.
ALTER TABLE tag ADD COLUMN canonical BLOB;
CREATE INDEX tag_by_canonical ON tag (canonical) WHERE canonical IS NOT NULL;

-- One file's contents, wherever copies of it are.
CREATE TABLE content (
    uuid BLOB NOT NULL PRIMARY KEY CHECK (length(uuid) = 16),
    hash BLOB,                                  -- BLAKE3 of the whole file
    size_bytes INTEGER,
    mime TEXT,
    kind TEXT,
    extra BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX content_by_hash ON content (hash);

CREATE TABLE album (
    uuid BLOB NOT NULL PRIMARY KEY CHECK (length(uuid) = 16),
    name TEXT,
    description TEXT,
    cover BLOB,                                 -- an entry or a content
    sort_order TEXT,
    created_by_device BLOB,
    extra BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX album_by_name ON album (name);

CREATE TABLE album_entry (
    uuid BLOB NOT NULL PRIMARY KEY CHECK (length(uuid) = 16),
    item BLOB,                                  -- an entry or a content
    scope TEXT,                                 -- which of the two
    album BLOB NOT NULL REFERENCES album (uuid) DEFERRABLE INITIALLY DEFERRED,
    position TEXT,                              -- a fractional index
    added_by BLOB,
    caption TEXT,
    extra BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX album_entry_by_album ON album_entry (album, position);
CREATE INDEX album_entry_by_item ON album_entry (item);

CREATE TABLE user_metadata (
    uuid BLOB NOT NULL PRIMARY KEY CHECK (length(uuid) = 16),
    scope TEXT,                                 -- entry or content
    target BLOB,
    note TEXT,
    favorite INTEGER,
    hidden INTEGER,
    rating INTEGER,
    custom_data TEXT,                           -- JSON map
    extra BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX user_metadata_by_target ON user_metadata (target);

CREATE TABLE user_metadata_tag (
    uuid BLOB NOT NULL PRIMARY KEY CHECK (length(uuid) = 16),
    item BLOB,                                  -- an entry or a content
    scope TEXT,
    tag BLOB NOT NULL REFERENCES tag (uuid) DEFERRABLE INITIALLY DEFERRED,
    context TEXT,
    variant TEXT,
    confidence REAL,
    source TEXT,                                -- user, ai, import
    attributes TEXT,                            -- JSON map
    extra BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX user_metadata_tag_by_tag ON user_metadata_tag (tag);
CREATE INDEX user_metadata_tag_by_item ON user_metadata_tag (item);

CREATE TABLE tag_relation (
    uuid BLOB NOT NULL PRIMARY KEY CHECK (length(uuid) = 16),
    child BLOB NOT NULL REFERENCES tag (uuid) DEFERRABLE INITIALLY DEFERRED,
    parent BLOB NOT NULL REFERENCES tag (uuid) DEFERRABLE INITIALLY DEFERRED,
    relation TEXT,                              -- parent_child, synonym, related
    strength REAL,
    written BLOB,                               -- the edge's place among all: local, as the next
    skipped INTEGER NOT NULL DEFAULT 0,         -- 1: it would close a cycle
    extra BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX tag_relation_by_parent ON tag_relation (parent);
CREATE INDEX tag_relation_by_child ON tag_relation (child);

-- The journal's rule has changed: the store runs the log again when it opens this file.
INSERT INTO meta (name, value) SELECT 'rebuild', 1 FROM commit_log LIMIT 1;

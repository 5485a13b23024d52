CREATE TABLE album (
    uuid BLOB NOT NULL PRIMARY KEY CHECK (length(uuid) = 16),
    name TEXT,
    description TEXT,
    cover BLOB,                                 -- an entry or a content
    sort_order TEXT,
    created_by_device BLOB,
    extra BLOB
) STRICT, WITHOUT ROWID;
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
CREATE TABLE confirmation (
    device BLOB NOT NULL CHECK (length(device) = 16),
    feed BLOB NOT NULL CHECK (length(feed) = 44),
    received INTEGER NOT NULL,
    applied INTEGER NOT NULL,
    PRIMARY KEY (device, feed)
) STRICT, WITHOUT ROWID;
CREATE TABLE content (
    uuid BLOB NOT NULL PRIMARY KEY CHECK (length(uuid) = 16),
    hash BLOB,                                  -- BLAKE3 of the whole file
    size_bytes INTEGER,
    mime TEXT,
    kind TEXT,
    extra BLOB
) STRICT, WITHOUT ROWID;
CREATE TABLE device (
    id INTEGER PRIMARY KEY,
    uuid BLOB NOT NULL UNIQUE CHECK (length(uuid) = 16),
    epoch INTEGER NOT NULL REFERENCES incarnation (id),
    rev INTEGER NOT NULL,
    dead INTEGER NOT NULL DEFAULT 0 CHECK (dead IN (0, 1)),
    extra BLOB,
    name TEXT NOT NULL,
    os TEXT,
    os_version TEXT,
    hardware_model TEXT,
    form_factor TEXT,
    cpu_model TEXT,
    cpu_cores INTEGER,
    memory_total_bytes INTEGER,
    software_version TEXT,
    addresses TEXT                              -- JSON list of HOST:PORT
) STRICT;
CREATE TABLE entry (
    id INTEGER PRIMARY KEY,
    uuid BLOB NOT NULL UNIQUE CHECK (length(uuid) = 16),
    epoch INTEGER NOT NULL REFERENCES incarnation (id),
    rev INTEGER NOT NULL,
    dead INTEGER NOT NULL DEFAULT 0 CHECK (dead IN (0, 1)),
    extra BLOB,
    location INTEGER NOT NULL REFERENCES location (id) DEFERRABLE INITIALLY DEFERRED,
    parent INTEGER REFERENCES entry (id) DEFERRABLE INITIALLY DEFERRED,  -- null: the location's root
    name BLOB NOT NULL,
    extension TEXT,
    kind TEXT NOT NULL,
    size_bytes INTEGER,
    mtime_ns INTEGER,
    ctime_ns INTEGER,
    inode INTEGER,                              -- the 64-bit number read as signed
    mode INTEGER,
    is_hidden INTEGER CHECK (is_hidden IN (0, 1)),
    content BLOB CHECK (length(content) = 32),  -- BLAKE3 of the whole file
    quick_hash BLOB                             -- of a sample; never taken for equality
) STRICT;
CREATE TABLE feed (
    id INTEGER PRIMARY KEY,
    feed BLOB NOT NULL UNIQUE CHECK (length(feed) = 44),
    received INTEGER NOT NULL DEFAULT 0,
    received_hash BLOB NOT NULL,                -- of the header at `received`; zeros before the first
    applied INTEGER NOT NULL DEFAULT 0,
    applied_hash BLOB NOT NULL,
    told INTEGER NOT NULL DEFAULT 0,            -- what our own last commit said it builds on
    fault TEXT, counts INTEGER, forked INTEGER, trunk INTEGER REFERENCES feed (id),                                 -- why nothing more of it is taken, or null
    CHECK (applied <= received)
) STRICT;
CREATE TABLE given_back (
    id INTEGER PRIMARY KEY,
    batch BLOB NOT NULL                         -- as it came on the wire
) STRICT;
CREATE TABLE incarnation (
    id INTEGER PRIMARY KEY,
    device BLOB NOT NULL CHECK (length(device) = 16),
    generation INTEGER NOT NULL CHECK (generation >= 1),
    nonce BLOB NOT NULL CHECK (length(nonce) = 8),
    watermark INTEGER NOT NULL DEFAULT 0,       -- every current row and tombstone up to here is held
    as_of INTEGER NOT NULL DEFAULT 0,           -- the highest head seen at any source used
    verified INTEGER NOT NULL DEFAULT 0,        -- the watermark at which the set hash was proved
    row_count INTEGER NOT NULL DEFAULT 0,       -- live rows
    set_hash BLOB NOT NULL CHECK (length(set_hash) = 256),
    checkpoint BLOB,                            -- the owner's newest signed checkpoint, as its bytes
    checkpoint_rev INTEGER NOT NULL DEFAULT 0,
    fault TEXT, floor INTEGER NOT NULL DEFAULT 0, floor_word BLOB, base INTEGER NOT NULL DEFAULT 0,                                 -- why this copy is not to be trusted, or null
    UNIQUE (device, generation, nonce),
    CHECK (watermark <= as_of)
) STRICT;
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
CREATE TABLE location (
    id INTEGER PRIMARY KEY,
    uuid BLOB NOT NULL UNIQUE CHECK (length(uuid) = 16),
    epoch INTEGER NOT NULL REFERENCES incarnation (id),
    rev INTEGER NOT NULL,
    dead INTEGER NOT NULL DEFAULT 0 CHECK (dead IN (0, 1)),
    extra BLOB,
    volume INTEGER NOT NULL REFERENCES volume (id) DEFERRABLE INITIALLY DEFERRED,
    name TEXT NOT NULL,
    path BLOB NOT NULL,
    index_mode TEXT NOT NULL,                   -- shallow, content, deep
    total_file_count INTEGER,
    total_byte_size INTEGER,
    scan_state TEXT NOT NULL DEFAULT 'pending', -- local-only, as the next two
    last_scan_at INTEGER,                       -- ms since 1970
    error_message TEXT
, is_offline INTEGER CHECK (is_offline IN (0, 1))) STRICT;
CREATE TABLE meta (
    name TEXT NOT NULL PRIMARY KEY,
    value ANY NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE opaque_row (
    uuid BLOB NOT NULL PRIMARY KEY CHECK (length(uuid) = 16),
    model TEXT NOT NULL,
    epoch INTEGER NOT NULL REFERENCES incarnation (id),
    rev INTEGER NOT NULL,
    fields BLOB NOT NULL                        -- MessagePack map without absent fields
) STRICT, WITHOUT ROWID;
CREATE TABLE own_word (
    rev INTEGER NOT NULL PRIMARY KEY,
    digest BLOB NOT NULL CHECK (length(digest) = 16)
) STRICT;
CREATE TABLE owned_confirmation (
    device BLOB NOT NULL PRIMARY KEY CHECK (length(device) = 16),
    generation INTEGER NOT NULL,
    nonce BLOB NOT NULL,
    watermark INTEGER NOT NULL                  -- of our own rows, as that member told it
) STRICT, WITHOUT ROWID;
CREATE TABLE presence (
    device BLOB NOT NULL PRIMARY KEY CHECK (length(device) = 16),
    last_seen_at INTEGER,
    last_address TEXT,
    proved_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE TABLE record (
    model TEXT NOT NULL,
    uuid BLOB NOT NULL CHECK (length(uuid) = 16),
    state BLOB,                                 -- null once no dot lives
    deaths BLOB, locked_by BLOB, remains BLOB,                                  -- the fields it had when it was deleted, for a restore
    PRIMARY KEY (model, uuid)
) STRICT, WITHOUT ROWID;
CREATE TABLE reference (
    target BLOB NOT NULL CHECK (length(target) = 16),
    model TEXT NOT NULL,                        -- of the record that refers
    record BLOB NOT NULL CHECK (length(record) = 16),
    field TEXT NOT NULL,
    PRIMARY KEY (target, model, record, field)
) STRICT, WITHOUT ROWID;
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
CREATE TABLE revoked (
    device BLOB NOT NULL PRIMARY KEY CHECK (length(device) = 16),
    statement BLOB NOT NULL,                    -- the one by which it is so
    below INTEGER,                              -- closed are its feeds of lower generations; null: all
    closed_at INTEGER,                          -- when our own closing commit was due no more, or null
    generation INTEGER,                         -- the newest rows that a closing commit names, or null
    nonce BLOB CHECK (length(nonce) = 8),
    rev INTEGER
) STRICT, WITHOUT ROWID;
CREATE TABLE schema_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT schema_version_pkc PRIMARY KEY (version_num)
);
CREATE TABLE since_backup (
    uuid BLOB NOT NULL PRIMARY KEY CHECK (length(uuid) = 16),
    model TEXT NOT NULL,
    key INTEGER NOT NULL,                       -- the local key: what was made later has a higher one
    above BLOB,                                 -- the row of the same model that it hangs below
    fields BLOB NOT NULL,                       -- MessagePack map without absent fields
    stays BLOB                                  -- the row that stands for it, or null; its own id: `fields` are said of it
) STRICT, WITHOUT ROWID;
CREATE TABLE sqlite_sequence(name,seq);
CREATE TABLE staged_position (
    feed BLOB NOT NULL PRIMARY KEY CHECK (length(feed) = 44),
    start INTEGER NOT NULL,                     -- what the source had applied at the start
    as_of INTEGER NOT NULL                      -- the most that a source had applied since
) STRICT, WITHOUT ROWID;
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
CREATE TABLE statement (
    hash BLOB NOT NULL PRIMARY KEY CHECK (length(hash) = 32),
    body BLOB NOT NULL,
    signature BLOB NOT NULL CHECK (length(signature) = 64),
    received_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE tag (
    uuid BLOB NOT NULL PRIMARY KEY CHECK (length(uuid) = 16),
    canonical_name TEXT,
    display_name TEXT,
    formal_name TEXT,
    abbreviation TEXT,
    aliases TEXT,                               -- JSON list, sorted
    namespace TEXT,
    tag_type TEXT,
    color TEXT,
    icon TEXT,
    description TEXT,
    is_organizational_anchor INTEGER,
    privacy_level TEXT,
    search_weight INTEGER,
    attributes TEXT,                            -- JSON map
    composition_rules TEXT,                     -- JSON map
    created_by_device BLOB,
    extra BLOB
, merged_into BLOB, canonical BLOB) STRICT, WITHOUT ROWID;
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
CREATE TABLE tombstone (
    uuid BLOB NOT NULL PRIMARY KEY CHECK (length(uuid) = 16),
    model TEXT NOT NULL,
    epoch INTEGER NOT NULL REFERENCES incarnation (id),
    rev INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
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
CREATE TABLE volume (
    id INTEGER PRIMARY KEY,
    uuid BLOB NOT NULL UNIQUE CHECK (length(uuid) = 16),
    epoch INTEGER NOT NULL REFERENCES incarnation (id),
    rev INTEGER NOT NULL,
    dead INTEGER NOT NULL DEFAULT 0 CHECK (dead IN (0, 1)),
    extra BLOB,
    fingerprint TEXT NOT NULL,                  -- of the file system, nothing of the device in it
    display_name TEXT,
    file_system TEXT,
    mount_point BLOB,
    volume_type TEXT,
    device_model TEXT,
    total_bytes INTEGER,
    available_bytes INTEGER,
    is_removable INTEGER CHECK (is_removable IN (0, 1)),
    is_network INTEGER CHECK (is_network IN (0, 1))
) STRICT;
CREATE INDEX album_by_name ON album (name);
CREATE INDEX album_entry_by_album ON album_entry (album, position);
CREATE INDEX album_entry_by_item ON album_entry (item);
CREATE INDEX commit_by_command ON commit_log (command_id, feed, seq, received_at, applied_at);
CREATE INDEX commit_by_feed ON commit_log (feed, seq, stamp, command_id);
CREATE INDEX commit_by_name ON commit_log (command, stamp, command_id, feed, seq)
    WHERE command = 'undo';
CREATE INDEX commit_by_stamp ON commit_log (stamp, command_id, applied_at, feed, seq);
CREATE INDEX commit_remembered ON commit_log (feed, seq, received_at) WHERE body IS NOT NULL;
CREATE INDEX content_by_hash ON content (hash);
CREATE INDEX device_by_rev ON device (epoch, rev);
CREATE INDEX entry_by_content ON entry (content, location, size_bytes, inode, kind, dead)
    WHERE content IS NOT NULL;
CREATE INDEX entry_by_location ON entry (location, inode);
CREATE INDEX entry_by_parent ON entry (parent);
CREATE INDEX entry_by_rev ON entry (epoch, rev);
CREATE INDEX entry_dead ON entry (id) WHERE dead = 1;
CREATE UNIQUE INDEX journal_by_loser ON journal (record, loser, field, subkey);
CREATE INDEX location_by_rev ON location (epoch, rev);
CREATE INDEX location_by_volume ON location (volume);
CREATE INDEX opaque_row_by_rev ON opaque_row (epoch, rev);
CREATE INDEX reference_by_record ON reference (model, record);
CREATE INDEX since_backup_by_above ON since_backup (model, above) WHERE stays IS NULL;
CREATE INDEX tag_by_canonical ON tag (canonical) WHERE canonical IS NOT NULL;
CREATE INDEX tag_by_name ON tag (canonical_name);
CREATE INDEX tag_relation_by_child ON tag_relation (child);
CREATE INDEX tag_relation_by_parent ON tag_relation (parent);
CREATE INDEX tombstone_by_rev ON tombstone (epoch, rev);
CREATE INDEX user_metadata_by_target ON user_metadata (target);
CREATE INDEX user_metadata_tag_by_item ON user_metadata_tag (item);
CREATE INDEX user_metadata_tag_by_tag ON user_metadata_tag (tag);
CREATE INDEX volume_by_rev ON volume (epoch, rev);

-- Own rows that a peer gives back to a restored device, until they are whole and proved.

CREATE TABLE given_back (
    id INTEGER PRIMARY KEY,
    batch BLOB NOT NULL                         -- as it came on the wire
) STRICT;

-- The revs at which this device has signed its state, in its current incarnation: a peer that holds its
-- word on another state of one of these, or on a rev that is not here, knows what it has forgotten.

CREATE TABLE own_word (
    rev INTEGER NOT NULL PRIMARY KEY,
    digest BLOB NOT NULL CHECK (length(digest) = 16)
) STRICT;

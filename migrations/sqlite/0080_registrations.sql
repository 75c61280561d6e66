-- What clients of the compatible API say of a table beyond its contract: an identifier that is no name by the rules, say.
-- The document has the rest, as JSON.
CREATE TABLE _registrations (
    table_uid  TEXT NOT NULL PRIMARY KEY REFERENCES _tables (uid),
    identifier TEXT UNIQUE,
    document   TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- The one data source that those clients are told of. Its uid is this catalogue's for ever: they keep it.
CREATE TABLE _data_source (
    one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    uid TEXT    NOT NULL
) STRICT;

-- A random UUID, as RFC 9562 writes version 4.
INSERT INTO _data_source (one, uid)
SELECT 1, lower(substr(h, 1, 8) || '-' || substr(h, 9, 4) || '-4' || substr(h, 14, 3) || '-a' || substr(h, 18, 3) || '-' || substr(h, 21, 12))
FROM (SELECT hex(randomblob(16)) AS h);

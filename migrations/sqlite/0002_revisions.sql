-- Revisions of tables that are applied, in their order: the last one is where a table stands. A downgrade removes
-- rows. `up` and `down` are the SQL as it was applied, so that the way back needs no file; `base` is the contract that
-- the catalogue held before, which the way back leads to.
CREATE TABLE _table_revisions (
    table_uid   TEXT    NOT NULL REFERENCES _tables (uid),
    position    INTEGER NOT NULL CHECK (position > 0),
    revision    TEXT    NOT NULL,
    parent      TEXT,
    message     TEXT    NOT NULL,
    digest      TEXT    NOT NULL CHECK (length(digest) = 64),
    base        TEXT    NOT NULL,
    contract    TEXT    NOT NULL,
    up          TEXT    NOT NULL,
    down        TEXT    NOT NULL,
    rows_before INTEGER NOT NULL CHECK (rows_before >= 0),
    rows_after  INTEGER NOT NULL CHECK (rows_after >= 0),
    applied_at  INTEGER NOT NULL,
    PRIMARY KEY (table_uid, position),
    UNIQUE (table_uid, revision)
) STRICT, WITHOUT ROWID;

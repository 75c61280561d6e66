-- Revisions of tables that are applied, in their order: the last one is where a table stands. A downgrade removes
-- rows. `up` and `down` are the SQL as it was applied; `base` is the contract that the catalogue held before.
CREATE TABLE IF NOT EXISTS datanode.table_revisions (
    table_uid   text   COLLATE "C" NOT NULL REFERENCES datanode.tables (uid),
    position    bigint NOT NULL CHECK (position > 0),
    revision    text   COLLATE "C" NOT NULL,
    parent      text   COLLATE "C",
    message     text   NOT NULL,
    digest      text   COLLATE "C" NOT NULL CHECK (length(digest) = 64),
    base        text   NOT NULL,
    contract    text   NOT NULL,
    up          text   NOT NULL,
    down        text   NOT NULL,
    rows_before bigint NOT NULL CHECK (rows_before >= 0),
    rows_after  bigint NOT NULL CHECK (rows_after >= 0),
    applied_at  bigint NOT NULL,
    PRIMARY KEY (table_uid, position),
    UNIQUE (table_uid, revision)
);

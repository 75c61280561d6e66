-- The catalogue: components, tables, sources, nodes, runs.
--
-- It shares one file with the tables of users, because under WAL only a single file commits atomically. Names of
-- users match [a-z][a-z0-9_]*, so the leading underscore here makes a collision impossible. Times are microseconds
-- since 1970-01-01T00:00:00Z, documents are JSON text, digests are 64 hexadecimal digits.

CREATE TABLE _components (
    digest      TEXT    NOT NULL PRIMARY KEY CHECK (length(digest) = 64),
    name        TEXT    NOT NULL,
    version     TEXT    NOT NULL,
    manifest    TEXT    NOT NULL,
    imports     TEXT    NOT NULL,
    size        INTEGER NOT NULL CHECK (size >= 0),
    enabled     INTEGER NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1)),
    uploaded_at INTEGER NOT NULL,
    -- One release, one content.
    UNIQUE (name, version)
) STRICT, WITHOUT ROWID;

-- Apart from _components, so that listing components never pages through megabytes of code.
CREATE TABLE _component_bytes (
    digest TEXT NOT NULL PRIMARY KEY REFERENCES _components (digest),
    bytes  BLOB NOT NULL
) STRICT;

CREATE TABLE _tables (
    uid           TEXT    NOT NULL PRIMARY KEY,
    identifier    TEXT    NOT NULL UNIQUE,
    physical_name TEXT    NOT NULL UNIQUE,
    contract      TEXT    NOT NULL,
    -- Counts the commits that changed the rows: a commit that read an older epoch is refused.
    epoch         INTEGER NOT NULL DEFAULT 0 CHECK (epoch >= 0),
    created_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What a table holds per coordinate, kept by commits so that nothing ever scans a table for it.
CREATE TABLE _progress (
    table_uid  TEXT    NOT NULL REFERENCES _tables (uid),
    -- JSON array of one value per identity dimension.
    coordinate TEXT    NOT NULL,
    min_time   INTEGER NOT NULL,
    max_time   INTEGER NOT NULL,
    row_count  INTEGER NOT NULL CHECK (row_count > 0),
    PRIMARY KEY (table_uid, coordinate),
    CHECK (min_time <= max_time)
) STRICT, WITHOUT ROWID;

CREATE TABLE _sources (
    name       TEXT    NOT NULL PRIMARY KEY,
    definition TEXT    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Grants name components, not releases, and may be made before the component is uploaded: no foreign key.
CREATE TABLE _source_grants (
    source     TEXT    NOT NULL REFERENCES _sources (name),
    component  TEXT    NOT NULL,
    granted_at INTEGER NOT NULL,
    PRIMARY KEY (source, component)
) STRICT, WITHOUT ROWID;

CREATE TABLE _nodes (
    uid             TEXT    NOT NULL PRIMARY KEY,
    update_hash     TEXT    NOT NULL,
    component       TEXT    NOT NULL,
    pinned_digest   TEXT    REFERENCES _components (digest),
    config          TEXT    NOT NULL,
    hashed_document TEXT    NOT NULL,
    hash_namespace  TEXT    NOT NULL,
    table_uid       TEXT    NOT NULL REFERENCES _tables (uid),
    created_at      INTEGER NOT NULL,
    -- One update process and one output table are one node.
    UNIQUE (update_hash, table_uid)
) STRICT, WITHOUT ROWID;

CREATE INDEX _nodes_by_table ON _nodes (table_uid);

CREATE TABLE _node_dependencies (
    node_uid     TEXT    NOT NULL REFERENCES _nodes (uid),
    position     INTEGER NOT NULL,
    key          TEXT    NOT NULL,
    table_uid    TEXT    NOT NULL REFERENCES _tables (uid),
    -- The node that writes that table; NULL for a published table.
    provider_uid TEXT    REFERENCES _nodes (uid),
    declared     TEXT    NOT NULL,
    PRIMARY KEY (node_uid, position),
    UNIQUE (node_uid, key)
) STRICT, WITHOUT ROWID;

-- Columns for what is searched and sorted; the record itself is a document. A rowid table: records are long, and
-- sorting by time must not page through them.
CREATE TABLE _runs (
    run_id        TEXT    NOT NULL PRIMARY KEY,
    node_uid      TEXT    NOT NULL REFERENCES _nodes (uid),
    table_uid     TEXT    NOT NULL REFERENCES _tables (uid),
    status        TEXT    NOT NULL CHECK (status IN ('ok', 'empty', 'failed', 'skipped', 'blocked')),
    started_at    INTEGER NOT NULL,
    rows_inserted INTEGER NOT NULL CHECK (rows_inserted >= 0),
    record        TEXT    NOT NULL
) STRICT;

CREATE INDEX _runs_by_start ON _runs (started_at, run_id);
CREATE INDEX _runs_by_node ON _runs (node_uid, started_at, run_id);
CREATE INDEX _runs_by_table ON _runs (table_uid, started_at, run_id);

-- Lineage: which frames a run read, in the order in which they were opened.
CREATE TABLE _run_inputs (
    run_id    TEXT    NOT NULL REFERENCES _runs (run_id),
    position  INTEGER NOT NULL,
    key       TEXT    NOT NULL,
    table_uid TEXT    NOT NULL REFERENCES _tables (uid),
    row_count INTEGER NOT NULL CHECK (row_count >= 0),
    digest    TEXT    NOT NULL,
    PRIMARY KEY (run_id, position)
) STRICT, WITHOUT ROWID;

CREATE INDEX _run_inputs_by_table ON _run_inputs (table_uid);

-- Columns for what is searched and sorted; the record itself is a document.
CREATE TABLE IF NOT EXISTS datanode.runs (
    run_id        text   COLLATE "C" NOT NULL PRIMARY KEY,
    node_uid      text   COLLATE "C" NOT NULL REFERENCES datanode.nodes (uid),
    table_uid     text   COLLATE "C" NOT NULL REFERENCES datanode.tables (uid),
    status        text   COLLATE "C" NOT NULL CHECK (status IN ('ok', 'empty', 'failed', 'skipped', 'blocked')),
    started_at    bigint NOT NULL,
    rows_inserted bigint NOT NULL CHECK (rows_inserted >= 0),
    record        text   NOT NULL
);

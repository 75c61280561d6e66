CREATE TABLE IF NOT EXISTS datanode.nodes (
    uid             text   COLLATE "C" NOT NULL PRIMARY KEY,
    update_hash     text   COLLATE "C" NOT NULL,
    component       text   COLLATE "C" NOT NULL,
    pinned_digest   text   COLLATE "C" REFERENCES datanode.components (digest),
    config          text   NOT NULL,
    hashed_document text   NOT NULL,
    hash_namespace  text   NOT NULL,
    table_uid       text   COLLATE "C" NOT NULL REFERENCES datanode.tables (uid),
    created_at      bigint NOT NULL,
    -- One update process and one output table are one node.
    UNIQUE (update_hash, table_uid)
);

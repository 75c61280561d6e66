CREATE TABLE IF NOT EXISTS datanode.node_dependencies (
    node_uid     text   COLLATE "C" NOT NULL REFERENCES datanode.nodes (uid),
    position     bigint NOT NULL,
    key          text   COLLATE "C" NOT NULL,
    table_uid    text   COLLATE "C" NOT NULL REFERENCES datanode.tables (uid),
    -- The node that writes that table; NULL for a published table.
    provider_uid text   COLLATE "C" REFERENCES datanode.nodes (uid),
    declared     text   NOT NULL,
    PRIMARY KEY (node_uid, position),
    UNIQUE (node_uid, key)
);

-- Who may write a node. A row stays for ever, for its epoch only grows.
CREATE TABLE IF NOT EXISTS datanode.leases (
    node_uid   text   COLLATE "C" NOT NULL PRIMARY KEY REFERENCES datanode.nodes (uid),
    epoch      bigint NOT NULL CHECK (epoch > 0),
    holder     text   NOT NULL,
    run_id     text   NOT NULL,
    expires_at bigint NOT NULL
);

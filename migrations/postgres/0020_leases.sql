-- Who may write a node. A row stays when its lease is given up (then nobody holds it), for its epoch must only ever
-- grow: a commit is accepted under the epoch of the latest claim alone. `expires_at` is by the clock of the database.
CREATE TABLE IF NOT EXISTS datanode.leases (
    node_uid   text   COLLATE "C" NOT NULL PRIMARY KEY REFERENCES datanode.nodes (uid),
    epoch      bigint NOT NULL CHECK (epoch > 0),
    holder     text,
    run_id     text   COLLATE "C",
    expires_at bigint,
    CHECK ((holder IS NULL) = (run_id IS NULL) AND (run_id IS NULL) = (expires_at IS NULL))
);

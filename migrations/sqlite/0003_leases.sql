-- Who may write a node. A row stays when its lease is given up (then nobody holds it), for its epoch must only ever
-- grow: a commit is accepted under the epoch of the latest claim alone. `expires_at` is by the clock of the database,
-- in microseconds since 1970-01-01T00:00:00Z.
CREATE TABLE _leases (
    node_uid   TEXT    NOT NULL PRIMARY KEY REFERENCES _nodes (uid),
    epoch      INTEGER NOT NULL CHECK (epoch > 0),
    holder     TEXT,
    run_id     TEXT,
    expires_at INTEGER,
    CHECK ((holder IS NULL) = (run_id IS NULL) AND (run_id IS NULL) = (expires_at IS NULL))
) STRICT, WITHOUT ROWID;

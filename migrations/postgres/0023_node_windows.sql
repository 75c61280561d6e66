-- What each node has done, found empty, or failed at: stretches of time without overlaps. Where nothing is said, a node
-- has not been. Moments are microseconds since 1970-01-01T00:00:00Z, both ends inclusive; a window that nothing bounds
-- begins at the first moment of the year 1.
CREATE TABLE IF NOT EXISTS datanode.node_windows (
    node_uid   text   COLLATE "C" NOT NULL REFERENCES datanode.nodes (uid),
    first      bigint NOT NULL,
    last       bigint NOT NULL,
    state      text   COLLATE "C" NOT NULL CHECK (state IN ('done', 'empty', 'failed')),
    -- Written after the windows, in the same transaction.
    run_id     text   COLLATE "C" NOT NULL REFERENCES datanode.runs (run_id) DEFERRABLE INITIALLY DEFERRED,
    -- Runs that failed here in a row.
    failures   bigint NOT NULL CHECK (failures >= 0),
    updated_at bigint NOT NULL,
    PRIMARY KEY (node_uid, first),
    CHECK (first <= last),
    CHECK ((state = 'failed') = (failures > 0))
);

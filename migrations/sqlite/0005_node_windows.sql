-- What each node has done, found empty, or failed at: stretches of time without overlaps. Where nothing is said, a node
-- has not been. Moments are microseconds since 1970-01-01T00:00:00Z, both ends inclusive; a window that nothing bounds
-- begins at the first moment of the year 1.
CREATE TABLE _node_windows (
    node_uid   TEXT    NOT NULL REFERENCES _nodes (uid),
    first      INTEGER NOT NULL,
    last       INTEGER NOT NULL,
    state      TEXT    NOT NULL CHECK (state IN ('done', 'empty', 'failed')),
    -- Written after the windows, in the same transaction.
    run_id     TEXT    NOT NULL REFERENCES _runs (run_id) DEFERRABLE INITIALLY DEFERRED,
    -- Runs that failed here in a row.
    failures   INTEGER NOT NULL CHECK (failures >= 0),
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (node_uid, first),
    CHECK (first <= last),
    CHECK ((state = 'failed') = (failures > 0))
) STRICT, WITHOUT ROWID;

-- Nodes that have run before: until now, a window began behind the latest row of its table, and so everything up to there
-- counted as done.
INSERT INTO _node_windows (node_uid, first, last, state, run_id, failures, updated_at)
SELECT r.node_uid, -62135596800000000, p.latest, 'done', r.run_id, 0, r.started_at
FROM _runs AS r
JOIN (SELECT table_uid, max(max_time) AS latest FROM _progress GROUP BY table_uid) AS p ON p.table_uid = r.table_uid
WHERE r.run_id = (
    SELECT last.run_id FROM _runs AS last
    WHERE last.node_uid = r.node_uid AND last.status = 'ok'
    ORDER BY last.started_at DESC, last.run_id DESC LIMIT 1
);

-- Until when a run that has met a commit of the node keeps windows of backfills from claiming it: while somebody commits, the
-- row of the lease, which says the same of others, cannot be written. By the clock of the database.
CREATE TABLE IF NOT EXISTS datanode.lease_wants (
    node_uid     text   COLLATE "C" NOT NULL PRIMARY KEY,
    wanted_until bigint NOT NULL
);

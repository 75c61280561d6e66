-- The latest update of each producer. Its record is written among the runs when it ends: until then it is kept here as it
-- stays when nothing ever comes.
CREATE TABLE IF NOT EXISTS datanode.producer_updates (
    node_uid      text COLLATE "C" NOT NULL PRIMARY KEY REFERENCES datanode.nodes (uid),
    run_id        text COLLATE "C" NOT NULL UNIQUE,
    scheduler_uid text COLLATE "C" NOT NULL,
    sent_by       text NOT NULL,
    record        text NOT NULL
);

-- Backfills: what was asked for, a JSON document, and what was said of each since.
CREATE TABLE IF NOT EXISTS datanode.backfills (
    uid          text    COLLATE "C" NOT NULL PRIMARY KEY,
    node_uid     text    COLLATE "C" NOT NULL REFERENCES datanode.nodes (uid),
    table_uid    text    COLLATE "C" NOT NULL REFERENCES datanode.tables (uid),
    request      text    NOT NULL,
    control      text    COLLATE "C" NOT NULL CHECK (control IN ('go', 'pause', 'cancel')),
    -- One window at a time, in their order: the node reads what it has written.
    is_ordered   boolean NOT NULL,
    -- How often its commits have raised the epoch of the table.
    raised       bigint  NOT NULL CHECK (raised >= 0),
    -- Until when a process that works on it is believed to be there, by the clock of the database.
    worked_until bigint,
    created_at   bigint  NOT NULL
);

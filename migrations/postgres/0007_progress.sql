-- What a table holds per coordinate, kept by commits so that nothing ever scans a table for it.
CREATE TABLE IF NOT EXISTS datanode.progress (
    table_uid  text   COLLATE "C" NOT NULL REFERENCES datanode.tables (uid),
    -- JSON array of one value per identity dimension.
    coordinate text   COLLATE "C" NOT NULL,
    min_time   bigint NOT NULL,
    max_time   bigint NOT NULL,
    row_count  bigint NOT NULL CHECK (row_count > 0),
    PRIMARY KEY (table_uid, coordinate),
    CHECK (min_time <= max_time)
);

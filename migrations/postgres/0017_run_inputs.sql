-- Lineage: which frames a run read, in the order in which they were opened.
CREATE TABLE IF NOT EXISTS datanode.run_inputs (
    run_id    text   COLLATE "C" NOT NULL REFERENCES datanode.runs (run_id),
    position  bigint NOT NULL,
    key       text   COLLATE "C" NOT NULL,
    table_uid text   COLLATE "C" NOT NULL REFERENCES datanode.tables (uid),
    row_count bigint NOT NULL CHECK (row_count >= 0),
    digest    text   COLLATE "C" NOT NULL,
    PRIMARY KEY (run_id, position)
);

-- Which tables have changed, and at which revision last. A table that has gone keeps its row: hosts must hear of it.
CREATE TABLE IF NOT EXISTS datanode.search_marks (
    table_uid text   COLLATE "C" NOT NULL PRIMARY KEY,
    revision  bigint NOT NULL
);

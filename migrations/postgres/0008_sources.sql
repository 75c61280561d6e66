CREATE TABLE IF NOT EXISTS datanode.sources (
    name       text   COLLATE "C" NOT NULL PRIMARY KEY,
    definition text   NOT NULL,
    created_at bigint NOT NULL
);

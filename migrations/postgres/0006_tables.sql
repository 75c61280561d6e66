CREATE TABLE IF NOT EXISTS datanode.tables (
    uid           text   COLLATE "C" NOT NULL PRIMARY KEY,
    identifier    text   COLLATE "C" NOT NULL UNIQUE,
    physical_name text   COLLATE "C" NOT NULL UNIQUE,
    contract      text   NOT NULL,
    -- A commit that read an older epoch is refused.
    epoch         bigint NOT NULL DEFAULT 0 CHECK (epoch >= 0),
    created_at    bigint NOT NULL
);

-- Where the values of secrets are: a variable, a file, or this row, sealed by a key that is not in the database.
CREATE TABLE IF NOT EXISTS datanode.secrets (
    name       text   COLLATE "C" NOT NULL PRIMARY KEY,
    definition text   NOT NULL,
    set_at     bigint NOT NULL
);

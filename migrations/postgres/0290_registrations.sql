-- What clients of the compatible API say of a table beyond its contract: an identifier that is no name by the rules, say.
-- The document has the rest, as JSON.
CREATE TABLE IF NOT EXISTS datanode.registrations (
    table_uid  text COLLATE "C" NOT NULL PRIMARY KEY REFERENCES datanode.tables (uid),
    identifier text COLLATE "C" UNIQUE,
    document   text NOT NULL
);

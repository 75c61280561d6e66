-- How often a table was bound to another contract by a revision or a refresh. A snapshot that began before such a move
-- must not read the table afterwards: PostgreSQL would show it as it is now, and empty where its rows were rewritten.
ALTER TABLE datanode.tables ADD COLUMN IF NOT EXISTS revised bigint NOT NULL DEFAULT 0 CHECK (revised >= 0);

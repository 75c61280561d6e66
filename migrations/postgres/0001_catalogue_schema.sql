-- The catalogue of the host: components, tables, sources, nodes, runs. The migrator makes the schema, too, for its own
-- table. Times are microseconds since 1970-01-01T00:00:00Z, documents are JSON text that reads back byte for byte,
-- digests are 64 hexadecimal digits, as in the embedded database.
CREATE SCHEMA IF NOT EXISTS datanode;

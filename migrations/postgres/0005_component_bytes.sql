-- Apart from datanode.components, so that listing components never reads megabytes of code.
CREATE TABLE IF NOT EXISTS datanode.component_bytes (
    digest text  COLLATE "C" NOT NULL PRIMARY KEY REFERENCES datanode.components (digest),
    bytes  bytea NOT NULL
);

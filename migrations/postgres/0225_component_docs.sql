-- What authors have documented in their components. None: nobody has looked yet.
CREATE TABLE IF NOT EXISTS datanode.component_docs (
    digest text COLLATE "C" NOT NULL PRIMARY KEY REFERENCES datanode.components (digest) ON DELETE CASCADE,
    docs   text NOT NULL
);

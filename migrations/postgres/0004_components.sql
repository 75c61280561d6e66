CREATE TABLE IF NOT EXISTS datanode.components (
    digest      text    COLLATE "C" NOT NULL PRIMARY KEY CHECK (length(digest) = 64),
    name        text    COLLATE "C" NOT NULL,
    version     text    COLLATE "C" NOT NULL,
    manifest    text    NOT NULL,
    imports     text    NOT NULL,
    size        bigint  NOT NULL CHECK (size >= 0),
    enabled     boolean NOT NULL DEFAULT true,
    uploaded_at bigint  NOT NULL,
    -- One release, one content.
    UNIQUE (name, version)
);

-- The one data source that those clients are told of. Its uid is this catalogue's for ever: they keep it.
CREATE TABLE IF NOT EXISTS datanode.data_source (
    one integer NOT NULL PRIMARY KEY CHECK (one = 1),
    uid text COLLATE "C" NOT NULL
);

-- How often anything has changed that a text of a table is made of. Hosts keep what they have read, and ask for this number
-- before each search.
CREATE TABLE IF NOT EXISTS datanode.search_revision (
    one      integer NOT NULL PRIMARY KEY CHECK (one = 1),
    revision bigint  NOT NULL
);

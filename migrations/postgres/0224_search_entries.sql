-- What a model has made of the text of a table. It is looked at only while the text is still the same. Of a vector, numbers
-- of four bytes, the lowest byte first.
CREATE TABLE IF NOT EXISTS datanode.search_entries (
    table_uid    text   COLLATE "C" NOT NULL REFERENCES datanode.tables (uid) ON DELETE CASCADE,
    model_digest text   COLLATE "C" NOT NULL,
    text_digest  text   COLLATE "C" NOT NULL,
    text         text   NOT NULL,
    vector       bytea  NOT NULL,
    computed_at  bigint NOT NULL,
    PRIMARY KEY (table_uid, model_digest)
);

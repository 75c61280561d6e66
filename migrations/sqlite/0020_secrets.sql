-- Where the values of secrets are: a variable, a file, or this row, sealed by a key that is not in the database.
CREATE TABLE _secrets (
    name       TEXT    NOT NULL PRIMARY KEY,
    definition TEXT    NOT NULL,
    set_at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Arithmetic of decimals is that of floats: SQLite has no other, and one statement has one answer.
CREATE OR REPLACE FUNCTION datanode_sql.operand(value numeric) RETURNS double precision
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT value::double precision $$;

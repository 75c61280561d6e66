-- What arithmetic works with. A function for each type, for PostgreSQL knows by them which number it has.
CREATE OR REPLACE FUNCTION datanode_sql.operand(value bigint) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT value $$;

-- What arithmetic works with. A function for each type, for PostgreSQL knows by them which number it has.
CREATE OR REPLACE FUNCTION datanode_sql.operand(value double precision) RETURNS double precision
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT value $$;

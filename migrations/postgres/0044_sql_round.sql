-- Halves are rounded away from zero. From 2^52 on a float has no half.
CREATE OR REPLACE FUNCTION datanode_sql.round(value double precision, digits integer) RETURNS double precision
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $$ SELECT CASE
        WHEN abs(value) >= 4503599627370496 OR value = 'NaN' THEN value
        WHEN digits <= 0 THEN trunc(value + 0.5 * sign(value))
        WHEN abs(value) >= 1e15 THEN value
        ELSE pg_catalog.round(value::numeric, digits)::double precision
    END $$;

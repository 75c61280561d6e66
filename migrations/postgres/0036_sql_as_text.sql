-- A value as the text that every answer of the host has. Through the text of PostgreSQL, because this takes every type;
-- times are read and written in UTC whatever the session says.
CREATE OR REPLACE FUNCTION datanode_sql.as_text(value anyelement) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    AS $$ SELECT CASE
        WHEN pg_typeof(value) = 'timestamptz'::regtype THEN
            to_char(value::text::timestamptz AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
        WHEN pg_typeof(value) = 'timestamp'::regtype THEN
            to_char(value::text::timestamp, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
        WHEN pg_typeof(value) = 'date'::regtype THEN to_char(value::text::date, 'YYYY-MM-DD')
        WHEN pg_typeof(value) = 'double precision'::regtype AND value::text ~ '^-?[0-9]+$' THEN value::text || '.0'
        ELSE value::text
    END $$;

-- The other way, bounded alike.
CREATE OR REPLACE FUNCTION datanode_sql.replace(value text, old text, new text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
    AS $$ DECLARE
        found bigint;
    BEGIN
        IF old = '' THEN
            RETURN value;
        END IF;
        found := (octet_length(value) - octet_length(pg_catalog.replace(value, old, ''))) / octet_length(old);
        IF octet_length(value) + found * (octet_length(new) - octet_length(old)) > 4194304 THEN
            RAISE EXCEPTION 'a text is longer than 4194304 bytes' USING ERRCODE = 'program_limit_exceeded';
        END IF;
        RETURN pg_catalog.replace(value, old, new);
    END $$;

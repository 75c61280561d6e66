-- The one way by which texts become longer. 4 MiB is the bound of SQLite's connection, too: without it, a recursion of few
-- steps would take all memory of the server.
CREATE OR REPLACE FUNCTION datanode_sql.joined(a text, b text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
    AS $$ BEGIN
        IF octet_length(a) + octet_length(b) > 4194304 THEN
            RAISE EXCEPTION 'a text is longer than 4194304 bytes' USING ERRCODE = 'program_limit_exceeded';
        END IF;
        RETURN a || b;
    END $$;

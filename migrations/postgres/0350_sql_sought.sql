-- What a call looks for in a text: the pattern of LIKE, the characters of trim, the old text of replace. The call goes through
-- the text for each character of it and looks at no clock, so it is short. Not IMMUTABLE: then it would be called once for all
-- rows, and it is in being called that the server looks at the clock.
CREATE OR REPLACE FUNCTION datanode_sql.sought(value text) RETURNS text
    LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE
    AS $$ BEGIN
        IF octet_length(value) > 100 AND (octet_length(value) > 400 OR char_length(value) > 100) THEN
            RAISE EXCEPTION 'a call looks for more than 100 characters in a text'
                USING ERRCODE = 'program_limit_exceeded';
        END IF;
        RETURN value;
    END $$;

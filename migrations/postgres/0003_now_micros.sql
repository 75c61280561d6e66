-- The clock by which leases are judged: one for all hosts. Not the beginning of the transaction, which may have waited.
CREATE OR REPLACE FUNCTION datanode.now_micros() RETURNS bigint LANGUAGE sql VOLATILE
    AS $$ SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint $$;

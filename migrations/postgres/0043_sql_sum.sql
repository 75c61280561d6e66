-- The sum of integers is an integer, or an error when it is none of 64 bits.
CREATE OR REPLACE AGGREGATE datanode_sql.sum (bigint) (
    SFUNC = pg_catalog.int8pl, STYPE = bigint, COMBINEFUNC = pg_catalog.int8pl,
    MSFUNC = pg_catalog.int8pl, MINVFUNC = pg_catalog.int8mi, MSTYPE = bigint, PARALLEL = SAFE
);

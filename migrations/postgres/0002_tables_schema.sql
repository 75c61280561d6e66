-- The tables of users, by their physical names.
CREATE SCHEMA IF NOT EXISTS datanode_tables;

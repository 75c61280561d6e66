-- What SQL of users needs so that it answers here as it does on SQLite: functions, in front of PostgreSQL's own.
CREATE SCHEMA IF NOT EXISTS datanode_sql;

//! What tests share with the tasks of this repository: a PostgreSQL server of their own.

pub mod postgres;
pub mod shell;

//! PostgreSQL.
#![allow(dead_code, unused_imports)]
mod copy;
mod literal;
#[cfg(test)]
mod test_server;

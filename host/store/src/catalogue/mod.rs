//! What the catalogues of all databases decide alike: rules over what was read from them, and none of their SQL.

pub(crate) mod access;
pub(crate) mod audit;
pub(crate) mod backfill;
pub(crate) mod components;
pub(crate) mod extents;
pub(crate) mod foreign_keys;
pub(crate) mod ledger;
pub(crate) mod nodes;
pub(crate) mod reference;
pub(crate) mod registrations;
pub(crate) mod revision;
pub(crate) mod search;
pub(crate) mod stored;
pub(crate) mod tables;

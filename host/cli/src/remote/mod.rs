//! A server that is asked in the place of the host in this process.
//!
//! **One idea:** the server answers what this command would print ([`datanode_runtime::answers`] and the types of the
//! store), and so the lines that show it are the same. What differs is in two rooms: how it is asked, here; and which
//! question is which request, in [`crate::place`].

mod address;
mod answer;
mod arguments;
mod client;
mod connection;
mod events;
mod rows;
mod token;
mod upload;

pub(crate) use answer::failure_of;
pub(crate) use arguments::{RemoteArguments, URL, with_url};
pub(crate) use client::{Call, Server};
pub(crate) use events::{Begun, Ended, Listeners};
pub(crate) use rows::RemoteRows;

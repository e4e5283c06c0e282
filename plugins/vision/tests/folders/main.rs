//! Data sets in folders: every layout that is read, what is written, and every fault that folders have.

#![allow(clippy::unwrap_used, reason = "a failed helper fails its test")]

mod bad_files;
mod bad_lists;
mod layouts;
mod splits;
mod support;
mod written;

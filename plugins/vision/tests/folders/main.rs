//! Data sets in folders: every layout that is read, what is written, and every fault that folders have.

#![allow(clippy::unwrap_used, reason = "a failed helper fails its test")]

mod bad_files;
mod bad_lists;
mod layouts;
#[path = "../shared/data_folders.rs"]
mod shared;
mod splits;
mod support;
mod written;

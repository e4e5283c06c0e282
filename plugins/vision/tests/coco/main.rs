//! COCO folders: every layout that is read, what is written, every fault that files have, and scores of
//! strange input.

#![allow(clippy::unwrap_used, reason = "a failed step fails its test")]

mod bad;
mod layouts;
mod scores;
#[path = "../shared/data_folders.rs"]
mod shared;
mod support;
mod written;

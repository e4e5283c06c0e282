//! Reports of real searches over a toy task, in a real browser: what a reader sees, at every width, in
//! both themes, by mouse and keyboard, live, and with names that would break out of the page.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests may panic like the tests they serve"
)]

#[path = "../../../run/tests/search/support.rs"]
#[allow(dead_code, reason = "the search's own tests use the rest")]
mod support;

mod live;
mod outside;
mod pages;
mod runs;

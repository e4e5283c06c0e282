//! Reports of real searches over a toy task, in a real browser: what a reader sees, at every width, in
//! both themes, by mouse and keyboard, live, and with names that would break out of the page.

#[path = "../../../search/tests/search/support.rs"]
#[allow(dead_code, reason = "the search's own tests use the rest")]
mod support;

mod live;
mod outside;
mod pages;
mod runs;

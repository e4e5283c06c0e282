//! What the integration tests share: driving the binary, made-up libraries, reading a run.
//!
//! The tests use the program as a user does, through its command line and its files, and link
//! nothing of it: what they find out holds for the binary that is shipped. `reference_losses`
//! and `detection_losses` alone link plugin and host, to hold formulas of the one against the other.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "all of it is test code; where its preparations fail the test fails"
)]

pub mod foreign;
pub mod host;
pub mod run;

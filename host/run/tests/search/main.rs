//! Whole searches against stand-ins for the screening engine and the training loop.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests may panic like the tests they serve"
)]

mod confirmation;
mod failures;
mod golden;
mod resume;
mod sharing;
mod steady;
mod support;
mod switches;
mod writes;

//! The tests a candidate passes before it costs a training: what a screener has to answer, and the
//! funnel that asks it.

mod ahead;
mod answers;
mod early;
pub(crate) mod equivalence;
mod funnel;
pub(crate) mod record;
mod screener;

pub use early::EarlyStopper;
pub use equivalence::GradientKey;
pub use record::{Passed, ScreenRecord};
pub use screener::{Gain, Probe, Screener, Work};

pub(crate) use ahead::Ahead;
pub(crate) use answers::Answers;
pub(crate) use funnel::Funnel;

#[cfg(test)]
mod tests;

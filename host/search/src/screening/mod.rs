//! The tests a candidate passes before it costs a training: what a screener has to answer, and the
//! funnel that asks it.

mod ahead;
mod answers;
mod early;
mod equivalence;
mod funnel;
mod screener;

pub use early::EarlyStopper;
pub use equivalence::GradientKey;
pub use funnel::{Passed, ScreenRecord};
pub use screener::{Gain, Probe, Screener, Work};

pub(crate) use ahead::Ahead;
pub(crate) use answers::Answers;
pub(crate) use funnel::Funnel;

#[cfg(test)]
mod tests;

//! Loss graphs as formulas and as code: simplified, in LaTeX, MathML, PyTorch and Rust.
//!
//! A loss that was found is of use where networks are trained, which is seldom here. [`Loss`] is a loss
//! with all that must be known of it there, read from a loss file; [`render`] writes it in a [`Format`].
//! All formats say the same: the graph's value, on the inputs that the branch's
//! [`Convention`](autoloss_graph::Convention) describes.
//!
//! Names and provenance in a loss file may hold anything; in every format they stay text.

mod error;
mod escape;
mod format;
mod latex;
mod loss;
mod mathml;
mod pytorch;
mod rust;
mod simplify;
#[cfg(test)]
mod testing;
mod text;

pub use error::ExportError;
pub use format::{Format, Options, render};
pub use latex::latex;
pub use loss::{Branch, Loss};
pub use mathml::mathml;
pub use simplify::simplify;

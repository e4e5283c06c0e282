//! Loss graphs as formulas and as code: simplified, in LaTeX, MathML, PyTorch and Rust.

mod escape;
mod latex;
mod mathml;
mod notation;

pub use latex::latex;
pub use mathml::mathml;

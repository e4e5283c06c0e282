//! Loss graphs as formulas and as code: simplified, in LaTeX, MathML, PyTorch and Rust.

mod escape;
mod latex;
mod mathml;
mod notation;
mod simplify;
#[cfg(test)]
mod testing;

pub use latex::latex;
pub use mathml::mathml;
pub use simplify::simplify;

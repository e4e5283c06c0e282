//! Loss graphs as formulas and as code: simplified, in LaTeX, MathML, PyTorch and Rust.

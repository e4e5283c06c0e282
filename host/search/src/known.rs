//! The names of losses that people know already.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A loss as a multiple of one with a name.
///
/// ```
/// use autoloss_search::KnownAs;
///
/// let known = |factor| KnownAs { loss: "cross entropy".into(), factor };
/// assert_eq!(known(2.718).to_string(), "2.72 × cross entropy");
/// assert_eq!(known(0.001234).to_string(), "0.00123 × cross entropy");
/// assert_eq!(known(1.0 + 1e-6).to_string(), "cross entropy");
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KnownAs {
    /// The known loss's name.
    pub loss: String,
    /// The positive factor between the two, by their gradients.
    pub factor: f64,
}

impl fmt::Display for KnownAs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if (self.factor - 1.0).abs() >= 0.005 {
            // Three significant digits.
            let digits = (2.0 - self.factor.abs().log10().floor()).clamp(0.0, 12.0) as usize;
            write!(f, "{:.digits$} × ", self.factor)?;
        }
        f.write_str(&self.loss)
    }
}

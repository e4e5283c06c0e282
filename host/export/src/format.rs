//! The formats, by name, and what is written in each.

use crate::loss::Loss;
use crate::{ExportError, latex, mathml, pytorch, rust, text};
use autoloss_spec::UnknownName;
use std::fmt;
use std::str::FromStr;

/// What a loss is written as.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// A Python file with a module of PyTorch for each branch.
    Pytorch,
    /// A formula in LaTeX.
    Latex,
    /// Formulas in MathML.
    Mathml,
    /// A Rust file with a function on tch's tensors for each branch.
    Rust,
    /// A loss file with conventions.
    Json,
    /// Formulas in Unicode and the text form.
    Text,
}

impl Format {
    /// All of them.
    pub const ALL: [Format; 6] = [
        Format::Pytorch,
        Format::Latex,
        Format::Mathml,
        Format::Rust,
        Format::Json,
        Format::Text,
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Format::Pytorch => "pytorch",
            Format::Latex => "latex",
            Format::Mathml => "mathml",
            Format::Rust => "rust",
            Format::Json => "json",
            Format::Text => "text",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = ExportError;

    fn from_str(name: &str) -> Result<Self, ExportError> {
        let mut all = Self::ALL.into_iter();
        all.find(|format| format.name() == name).ok_or_else(|| {
            ExportError::Format(UnknownName::new("format", name, Self::ALL.map(Self::name)))
        })
    }
}

/// How a loss is written.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whether graphs are [simplified](crate::simplify) first.
    pub simplify: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { simplify: true }
    }
}

/// A loss in a format, ending with a newline.
///
/// ```
/// use autoloss_export::{Format, Loss, Options, render};
/// use autoloss_graph::LossFile;
/// use std::collections::BTreeMap;
///
/// let file = LossFile::from_json(
///     r#"{"schema": 1, "task": "t", "branches": {"cls": "neg(neg(mul(p, y)))"}, "conventions": {
///         "cls": {"inputs": [{"name": "p"}, {"name": "y"}], "activation": "softmax"}}}"#,
/// )?;
/// let loss = Loss::from_file(&file, &BTreeMap::new())?;
/// let latex = render(&loss, Format::Latex, &Options::default())?;
/// assert!(latex.contains(r"\ell_{\text{cls}} &= p \cdot y"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`ExportError::Inputs`] where no code can be written for the inputs of a branch.
pub fn render(loss: &Loss, format: Format, options: &Options) -> Result<String, ExportError> {
    let written = match options.simplify {
        true => loss.simplified(),
        false => loss.clone(),
    };
    Ok(match format {
        Format::Pytorch => pytorch::file(loss, &written)?,
        Format::Latex => latex::block(&written),
        Format::Mathml => mathml::block(&written),
        Format::Rust => rust::file(loss, &written),
        Format::Json => format!("{}\n", written.to_file().to_json_pretty()),
        Format::Text => text::listing(loss, &written),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::tests::{areas, dense, loss};
    use autoloss_graph::LossFile;
    use std::collections::BTreeMap;

    #[test]
    fn names_are_found() {
        for format in Format::ALL {
            assert_eq!(format.to_string().parse(), Ok(format));
        }
        let refused = "pdf".parse::<Format>().unwrap_err().to_string();
        assert!(refused.contains("'pdf'") && refused.contains("pytorch, latex"));
    }

    #[test]
    fn json_is_read_back() {
        let loss = loss(&[
            ("seg", "neg(neg(mul(y, log(yhat))))", dense()),
            ("reg", "add(1, neg(mul(i, inv(u))))", areas()),
        ]);
        let raw = render(&loss, Format::Json, &Options { simplify: false }).unwrap();
        let file = LossFile::from_json(&raw).unwrap();
        assert_eq!(Loss::from_file(&file, &BTreeMap::new()), Ok(loss.clone()));
        let simple = render(&loss, Format::Json, &Options::default()).unwrap();
        assert!(simple.contains(r#""mul(y, log(yhat))""#), "{simple}");
    }

    #[test]
    fn a_scale_has_its_row() {
        let mut loss = loss(&[("seg", "mul(y, yhat)", dense())]);
        let render = |loss: &Loss, format| render(loss, format, &Options::default()).unwrap();
        let bare = render(&loss, Format::Mathml);
        assert!(!bare.contains("trained"));
        for (scale, shown) in [
            (0.012_345_6, "0.01235"),
            (1234.5678, "1235"),
            (2.0, "2.000"),
        ] {
            for branch in loss.branches.values_mut() {
                branch.scale = scale;
            }
            let latex = render(&loss, Format::Latex);
            let row = format!("\\text{{trained: }} & {shown} \\cdot \\ell_{{\\text{{seg}}}}\n");
            assert!(latex.contains(&row), "{latex}");
            let mathml = render(&loss, Format::Mathml);
            assert!(
                mathml.contains(&format!("<mn>{shown}</mn><mo>·</mo><msub>")),
                "{mathml}"
            );
            assert!(
                mathml.contains(&format!("times {shown} in training")),
                "{mathml}"
            );
        }
    }

    #[test]
    fn formulas_of_several_branches_are_aligned() {
        let loss = loss(&[
            ("seg", "neg(mul(y, log(yhat)))", dense()),
            ("box_reg", "mul(i, inv(u))", areas()),
        ]);
        let [latex, mathml, text] = [Format::Latex, Format::Mathml, Format::Text]
            .map(|format| render(&loss, format, &Options::default()).unwrap());
        assert_eq!(
            latex,
            "\\begin{aligned}\n\\ell_{\\text{box\\_reg}} &= \\frac{i}{u} \\\\\n\
             \\ell_{\\text{seg}} &= -y \\cdot \\log\\left(\\hat{y}\\right)\n\\end{aligned}\n"
        );
        assert_eq!(mathml.matches("<math ").count(), 1);
        assert!(mathml.contains("<mtext>box_reg</mtext>"), "{mathml}");
        assert_eq!(
            text,
            "Loss of task voc_seg.\n\n\
             box_reg\n  formula  i/u\n  text     mul(i, inv(u))\n  inputs   i, u, e: areas of the \
             intersection, the union and the smallest enclosing box\n\n\
             seg\n  formula  −y·log(ŷ)\n  text     neg(mul(y, log(yhat)))\n  inputs   yhat: softmax of \
             the logits, y: target\n"
        );
    }
}

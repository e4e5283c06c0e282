//! Which losses are known by a name: those whose gradient at the probe has the direction of a reference
//! loss's, or of one of a small book's.

use crate::screen::TaskScreener;
use crate::{Result, Workbench};
use autoloss_graph::{Limits, LossGraph, Signature};
use autoloss_search::KnownAs;
use autoloss_spec::{Activation, BranchInfo};
use std::collections::BTreeMap;

/// The least cosine between gradients of the same direction; rounding takes less.
const SAME: f64 = 0.999_99;

/// Losses that most have heard of, by the activation that they are for, over prediction P and target T.
const BOOK: [(&[Activation], &str, &str); 4] = [
    (
        &[Activation::Softmax, Activation::Sigmoid],
        "focal loss, γ = 2",
        "neg(mul(T, mul(square(add(1, neg(P))), log(P))))",
    ),
    (
        &[
            Activation::Softmax,
            Activation::Sigmoid,
            Activation::Identity,
        ],
        "squared error",
        "square(add(P, neg(T)))",
    ),
    (
        &[
            Activation::Softmax,
            Activation::Sigmoid,
            Activation::Identity,
        ],
        "absolute error",
        "abs(add(P, neg(T)))",
    ),
    (
        &[Activation::Softmax, Activation::Sigmoid],
        "cross entropy",
        "neg(mul(T, log(P)))",
    ),
];

/// The known losses of every searched branch, with their gradients at the screener's probe.
pub struct KnownLosses {
    branches: Vec<(String, Signature, Vec<Known>)>,
    limits: Limits,
}

struct Known {
    title: String,
    gradient: Vec<f32>,
}

impl KnownLosses {
    /// The reference losses with a formula, then the book.
    ///
    /// # Errors
    /// Whatever libtorch says.
    pub fn new(workbench: &Workbench, screener: &mut TaskScreener) -> Result<Self> {
        let limits = Limits::default();
        let mut branches = Vec::new();
        for (index, branch) in workbench.searched().enumerate() {
            let signatures = workbench.signatures();
            let found = signatures
                .iter()
                .find(|(name, _)| name.as_str() == branch.name);
            let Some((_, signature)) = found else {
                continue;
            };
            let mut known: Vec<Known> = Vec::new();
            for (title, text) in formulas(workbench, branch) {
                let Ok(graph) = LossGraph::parse(&text, signature, &limits) else {
                    continue;
                };
                let gradient = screener.gradient(index, &graph)?;
                if gradient.iter().all(|value| value.is_finite()) {
                    known.push(Known { title, gradient });
                }
            }
            branches.push((branch.name.clone(), signature.clone(), known));
        }
        Ok(Self { branches, limits })
    }

    /// What each branch's loss is known as; without those that are new.
    ///
    /// # Errors
    /// Whatever libtorch says.
    pub fn of(
        &self,
        screener: &mut TaskScreener,
        losses: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, KnownAs>> {
        let mut names = BTreeMap::new();
        for (index, (branch, signature, known)) in self.branches.iter().enumerate() {
            let text = losses.get(branch).map_or("", String::as_str);
            let Ok(graph) = LossGraph::parse(text, signature, &self.limits) else {
                continue;
            };
            let gradient = screener.gradient(index, &graph)?;
            let found = known.iter().find_map(|known| {
                let factor = factor(&gradient, &known.gradient)?;
                let loss = known.title.clone();
                Some(KnownAs { loss, factor })
            });
            names.extend(found.map(|found| (branch.clone(), found)));
        }
        Ok(names)
    }
}

/// A loss of a branch that is known by a name.
#[derive(Clone, Debug, PartialEq)]
pub struct KnownFormula {
    /// The branch.
    pub branch: String,
    /// The name.
    pub title: String,
    /// Text form.
    pub formula: String,
}

/// The losses that are known by a name and have a formula: the reference losses, then the book's.
pub fn known_formulas(workbench: &Workbench) -> Vec<KnownFormula> {
    let of = |branch: &BranchInfo| {
        let known = |(title, formula)| KnownFormula {
            branch: branch.name.clone(),
            title,
            formula,
        };
        let formulas = formulas(workbench, branch).into_iter();
        formulas.map(known).collect::<Vec<_>>()
    };
    workbench.searched().flat_map(of).collect()
}

fn formulas(workbench: &Workbench, branch: &BranchInfo) -> Vec<(String, String)> {
    let references = workbench.info().reference_losses.iter();
    let references = references.filter_map(|loss| {
        let formula = loss.formulas.get(&branch.name)?;
        Some((loss.title.clone(), formula.clone()))
    });
    let mut formulas: Vec<(String, String)> = Vec::new();
    for (title, text) in references.chain(book(branch)) {
        if formulas.iter().all(|known| known.0 != title) {
            formulas.push((title, text));
        }
    }
    formulas
}

/// The book's losses for a branch with one prediction and one target.
fn book(branch: &BranchInfo) -> Vec<(String, String)> {
    let [prediction, target] = &branch.inputs[..] else {
        return Vec::new();
    };
    if !prediction.prediction || target.prediction {
        return Vec::new();
    }
    let entries = BOOK
        .iter()
        .filter(|entry| entry.0.contains(&branch.activation));
    let text = |formula: &str| -> String {
        let word = |letter| match letter {
            'P' => prediction.name.clone(),
            'T' => target.name.clone(),
            other => String::from(other),
        };
        formula.chars().map(word).collect()
    };
    entries
        .map(|(_, title, formula)| ((*title).to_owned(), text(formula)))
        .collect()
}

/// |a| / |b| where both point the same way.
fn factor(a: &[f32], b: &[f32]) -> Option<f64> {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        let products = a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b));
        products.sum()
    };
    let (a, b, both) = (dot(a, a).sqrt(), dot(b, b).sqrt(), dot(a, b));
    (both >= SAME * a * b && a > 0.0 && b > 0.0).then(|| a / b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use autoloss_spec::InputInfo;

    #[test]
    fn one_direction_has_a_factor_and_others_have_none() {
        let near = |found: Option<f64>, expected: f64| (found.unwrap() - expected).abs() < 1e-6;
        assert!(near(factor(&[3.0, -6.0], &[1.0, -2.0]), 3.0));
        assert_eq!(factor(&[-3.0, 6.0], &[1.0, -2.0]), None);
        assert_eq!(factor(&[3.0, -6.1], &[1.0, -2.0]), None);
        assert_eq!(factor(&[0.0, 0.0], &[1.0, -2.0]), None);
        assert_eq!(factor(&[f32::NAN, 0.0], &[1.0, -2.0]), None);
    }

    #[test]
    fn the_book_is_written_over_the_inputs_of_a_branch() {
        let branch = BranchInfo::new("b", Activation::Softmax, "s")
            .inputs([InputInfo::prediction("pred"), InputInfo::target("truth")]);
        let signature = branch.signature().unwrap();
        let written = book(&branch);
        assert_eq!(written.len(), BOOK.len());
        for (title, text) in written {
            LossGraph::parse(&text, &signature, &Limits::default()).expect(&title);
        }
        let identity = BranchInfo::new("b", Activation::Identity, "s").inputs(branch.inputs);
        assert_eq!(book(&identity).len(), 2);
        let alone =
            BranchInfo::new("b", Activation::Softmax, "s").inputs([InputInfo::prediction("pred")]);
        assert!(book(&alone).is_empty());
    }
}

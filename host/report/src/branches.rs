//! A run's branches: the graphs of loss texts, and formulas to read. A text that is no graph of a searched
//! branch (a loss the task computes itself, or one held by name) is shown as it stands.
//!
//! Formulas are simplified, which takes a while for a large graph and always comes to the same, so they are
//! remembered for a page that is made anew every second.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use autoloss_graph::{Limits, LossGraph, Signature};
use autoloss_search::RunHeader;
use serde::Serialize;

/// References may be larger than what a search may find.
const LIMITS: Limits = Limits {
    max_nodes: 4096,
    max_depth: 256,
    max_tree_size: 10_000,
};

/// The signatures of the branches, searched ones first.
pub(crate) struct Branches {
    searched: Vec<(String, Signature)>,
    held: BTreeMap<String, Signature>,
    known: Known,
}

/// Formulas made before, by branch and text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known(Rc<RefCell<HashMap<(String, String), Formula>>>);

/// A loss of one branch in the forms a reader may want.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Formula {
    pub(crate) branch: String,
    /// The form of loss files.
    pub(crate) text: String,
    /// One line of mathematics, simplified.
    pub(crate) formula: String,
    /// The same as MathML, where the text is a graph.
    #[serde(skip)]
    pub(crate) mathml: Option<String>,
}

impl Branches {
    /// The branches of one run; what is known must come from the same run.
    pub(crate) fn new(header: &RunHeader, known: &Known) -> Self {
        let branches = header.task.branches.iter();
        let conventions = header.task.conventions.iter();
        Self {
            searched: branches
                .map(|branch| (branch.name.to_string(), branch.signature.clone()))
                .collect(),
            held: conventions
                .map(|(name, convention)| (name.clone(), convention.inputs.clone()))
                .collect(),
            known: known.clone(),
        }
    }

    /// The searched branches in order.
    pub(crate) fn searched(&self) -> &[(String, Signature)] {
        &self.searched
    }

    /// The graph of a text, where it is one.
    pub(crate) fn graph(&self, branch: &str, text: &str) -> Option<(LossGraph, &Signature)> {
        let signature = self.signature(branch)?;
        let graph = LossGraph::parse(text, signature, &LIMITS).ok()?;
        Some((graph, signature))
    }

    /// The formulas of a whole loss, searched branches first.
    pub(crate) fn formulas(&self, losses: &BTreeMap<String, String>) -> Vec<Formula> {
        let order = |name: &str| self.searched.iter().position(|(known, _)| known == name);
        let mut formulas: Vec<Formula> = losses
            .iter()
            .map(|(branch, text)| self.formula(branch, text))
            .collect();
        formulas.sort_by_key(|formula| order(&formula.branch).unwrap_or(usize::MAX));
        formulas
    }

    /// The formula of one branch.
    pub(crate) fn formula(&self, branch: &str, text: &str) -> Formula {
        let key = (branch.to_owned(), text.to_owned());
        let known = self.known.0.borrow().get(&key).cloned();
        known.unwrap_or_else(|| {
            let formula = self.written(branch, text);
            self.known.0.borrow_mut().insert(key, formula.clone());
            formula
        })
    }

    fn written(&self, branch: &str, text: &str) -> Formula {
        let (formula, mathml) = match self.graph(branch, text) {
            Some((graph, signature)) => {
                let (line, markup) = written(&graph, signature);
                (line, Some(markup))
            }
            None => (text.to_owned(), None),
        };
        Formula {
            branch: branch.to_owned(),
            text: text.to_owned(),
            formula,
            mathml,
        }
    }

    fn signature(&self, branch: &str) -> Option<&Signature> {
        let known = self.searched.iter().find(|(name, _)| name == branch);
        known
            .map(|(_, signature)| signature)
            .or_else(|| self.held.get(branch))
    }
}

/// A graph as a line of mathematics and as markup, in which names are escaped.
fn written(graph: &LossGraph, signature: &Signature) -> (String, String) {
    let simple = autoloss_export::simplify(graph, signature);
    let line = simple.formula(signature).to_string();
    (line, autoloss_export::mathml(&simple, signature))
}

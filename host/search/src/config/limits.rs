//! Where a search ends, and what happens to its best losses afterwards.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::violation::Checker;

/// Section `[budget]`. At least one limit must be set; the first one reached ends the search.
/// A configuration without the section searches for an hour.
#[derive(Copy, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Budget {
    /// Candidates explored, whatever their outcome; at least 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_explored: Option<u64>,
    /// Proxy evaluations, whatever their outcome; at least 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_proxies: Option<u64>,
    /// Wall-clock seconds of all sessions of the run together; above 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_seconds: Option<f64>,
    /// Candidates in a row that cannot be evaluated, because their plugin or their worker fails, before the
    /// search ends with the last one's reason; at least 1. Default 20.
    pub max_failures: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            max_explored: None,
            max_proxies: None,
            max_seconds: None,
            max_failures: 20,
        }
    }
}

impl Budget {
    pub(super) fn check(&self, check: &mut Checker) {
        let any =
            self.max_explored.is_some() || self.max_proxies.is_some() || self.max_seconds.is_some();
        check.holds(
            "budget",
            any,
            "must set max_explored, max_proxies or max_seconds, or the search would never end",
        );
        if let Some(explored) = self.max_explored {
            check.range("budget.max_explored", explored, 1..=i64::MAX as u64);
        }
        if let Some(proxies) = self.max_proxies {
            check.range("budget.max_proxies", proxies, 1..=i64::MAX as u64);
        }
        if let Some(seconds) = self.max_seconds {
            check.positive("budget.max_seconds", seconds, 1e9);
        }
        check.range(
            "budget.max_failures",
            self.max_failures,
            1..=i64::MAX as u64,
        );
    }
}

/// Section `[confirmation]`: scores of short trainings are noisy and the best of many is lucky, so
/// the best are measured again with other seeds before anything is reported (as AutoML-Zero does).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Confirmation {
    /// Trainings of each loss, each with its own seed, `1..=1000`. Default 3.
    pub seeds: usize,
    /// How many of the best losses are measured again, `0..=1000`; 0 turns it off. Default 3.
    pub top: usize,
    /// Split that the search never saw. Default `"selection"`.
    pub split: String,
}

impl Default for Confirmation {
    fn default() -> Self {
        Self {
            seeds: 3,
            top: 3,
            split: "selection".into(),
        }
    }
}

impl Confirmation {
    pub(super) fn check(&self, check: &mut Checker, searched_split: &str) {
        check.range("confirmation.seeds", self.seeds, 1..=1000);
        check.range("confirmation.top", self.top, 0..=1000);
        check.holds(
            "confirmation.split",
            !self.split.is_empty() && self.split != searched_split,
            format_args!(
                "is {:?} but must name a split other than proxy.split, on which the search chose",
                self.split
            ),
        );
    }
}

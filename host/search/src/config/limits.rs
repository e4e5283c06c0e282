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
    /// Wall-clock seconds of all sessions of the run together, confirmation and final table included as far as they
    /// leave half of them for searching; above 0.
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
///
/// The best are halved: in a round each that is left is trained with new seeds, one in the first round and twice as many
/// in each further one, and the half with the better means goes on (sequential halving; Karnin, Koren and Somekh, ICML
/// 2013).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Confirmation {
    /// Trainings of each row of the final table, `1..=1000`, with seeds that chose nothing, the same for all rows.
    /// Fewer than six cannot establish a difference at 0.05. Default 6.
    pub seeds: usize,
    /// How many of the best losses are measured again at first, `0..=1000`; 0 turns everything after the search
    /// off. Default 8.
    pub top: usize,
    /// Least distance between the gradients of two losses that are measured again, as in `equivalence.near`, so that
    /// those are not spellings of one idea; of two that are closer the one with the better score is. 0 where closeness
    /// does not count, as in `equivalence.mode = "paper"`. Default 0.15, ours.
    pub apart: f64,
    /// How many of the task's reference losses are rows of the final table, in the task's order, `0..=1000`.
    /// Default 1.
    pub references: usize,
    /// Whether the median of the accepted random losses is a row of the final table. Default false.
    pub random: bool,
    /// Split that the search never saw. Default `"selection"`.
    pub split: String,
}

impl Default for Confirmation {
    fn default() -> Self {
        Self {
            seeds: 6,
            top: 8,
            apart: 0.15,
            references: 1,
            random: false,
            split: "selection".into(),
        }
    }
}

impl Confirmation {
    pub(super) fn check(&self, check: &mut Checker, searched_split: &str) {
        check.range("confirmation.seeds", self.seeds, 1..=1000);
        check.range("confirmation.top", self.top, 0..=1000);
        check.range("confirmation.apart", self.apart, 0.0..=2.0);
        check.range("confirmation.references", self.references, 0..=1000);
        check.holds(
            "confirmation.split",
            !self.split.is_empty() && self.split != searched_split,
            format_args!(
                "is {:?} but must name a split other than proxy.split, on which the search chose",
                self.split
            ),
        );
    }

    /// The trainings of all rounds of halving.
    #[must_use]
    pub fn trainings(&self) -> usize {
        let rounds = self.rounds().into_iter();
        rounds.map(|(losses, seeds)| losses * seeds).sum()
    }

    /// The rounds of halving: how many losses each has, and how many new seeds every one of them gets.
    #[must_use]
    pub fn rounds(&self) -> Vec<(usize, usize)> {
        let mut rounds = Vec::new();
        let (mut losses, mut seeds) = (self.top, 1);
        while losses > 0 {
            rounds.push((losses, seeds));
            if losses <= 2 {
                break;
            }
            losses = losses.div_ceil(2);
            seeds *= 2;
        }
        rounds
    }
}

/// Section `[promotion]`: a second stage. The best losses of the confirmation are trained on another network, or
/// longer, or on larger images; what is best there is reported, beside what the first reference loss scores there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PromotionConfig {
    /// When there is a second stage. Default `"auto"`.
    pub mode: PromotionMode,
    /// The network that is trained; with an empty name there is no second stage. Default none.
    pub network: String,
    /// The weights that it starts from: a file, or the name of one where weights are searched for. Default none.
    pub weights: String,
    /// How many of the best losses are trained, `1..=1000`. Default 4.
    pub top: usize,
    /// Trainings of each, each with its own seed, `1..=1000`. Default 2.
    pub seeds: usize,
    /// Settings of this training as `"KEY=VALUE"`, as with `--set`, over the search's own.
    pub set: Vec<String>,
    /// Kendall's τ between how the proxy and this training rank losses, as `"SCORE=TAU"`: what
    /// `autoloss-host fidelity` measured.
    pub fidelity: Vec<String>,
}

/// When a search has a second stage.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PromotionMode {
    /// Where the proxy is known to rank the target score badly: its τ in `fidelity` is below 0.4.
    #[default]
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

/// Below this τ a proxy's ranking is not to be relied on alone.
const RELIABLE: f64 = 0.4;

impl Default for PromotionConfig {
    fn default() -> Self {
        Self {
            mode: PromotionMode::Auto,
            network: String::new(),
            weights: String::new(),
            top: 4,
            seeds: 2,
            set: Vec::new(),
            fidelity: Vec::new(),
        }
    }
}

impl PromotionConfig {
    pub(super) fn check(&self, check: &mut Checker) {
        check.range("promotion.top", self.top, 1..=1000);
        check.range("promotion.seeds", self.seeds, 1..=1000);
        let pairs = |list: &[String]| list.iter().all(|pair| pair.contains('='));
        check.holds("promotion.set", pairs(&self.set), "must be KEY=VALUE each");
        let taus = self.fidelity.iter().all(|pair| tau(pair).is_some());
        check.holds(
            "promotion.fidelity",
            taus,
            "must be SCORE=TAU each, τ from -1 to 1",
        );
        check.holds(
            "promotion.network",
            self.mode != PromotionMode::On || !self.network.is_empty(),
            "must name a network, since promotion.mode is \"on\"",
        );
    }

    /// The τ that is known of a score.
    #[must_use]
    pub fn tau(&self, score: &str) -> Option<f64> {
        let known = self.fidelity.iter().filter_map(|pair| tau(pair));
        known
            .filter(|(name, _)| *name == score)
            .map(|(_, tau)| tau)
            .next_back()
    }

    /// Whether the proxy is known not to rank a score reliably.
    #[must_use]
    pub fn is_doubtful(&self, score: &str) -> bool {
        self.tau(score).is_some_and(|tau| tau < RELIABLE)
    }

    /// Whether a search for a score has a second stage.
    #[must_use]
    pub fn is_on(&self, score: &str) -> bool {
        let wanted = match self.mode {
            PromotionMode::Auto => self.is_doubtful(score),
            PromotionMode::On => true,
            PromotionMode::Off => false,
        };
        wanted && !self.network.is_empty()
    }
}

fn tau(pair: &str) -> Option<(&str, f64)> {
    let (score, tau) = pair.split_once('=')?;
    let tau: f64 = tau.trim().parse().ok()?;
    (-1.0..=1.0).contains(&tau).then_some((score.trim(), tau))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_round_has_half_the_losses_and_twice_the_seeds() {
        let rounds = |top| {
            let confirmation = Confirmation {
                top,
                ..Confirmation::default()
            };
            confirmation.rounds()
        };
        assert_eq!(rounds(8), [(8, 1), (4, 2), (2, 4)]);
        assert_eq!(rounds(5), [(5, 1), (3, 2), (2, 4)]);
        assert_eq!(rounds(2), [(2, 1)]);
        assert_eq!(rounds(1), [(1, 1)]);
        assert_eq!(rounds(0), []);
    }

    #[test]
    fn a_doubtful_score_turns_the_second_stage_on_by_itself() {
        let mut promotion = PromotionConfig {
            network: "real".into(),
            fidelity: vec!["mIoU=0.7".into(), "BF1 = 0.1".into()],
            ..PromotionConfig::default()
        };
        let on = |promotion: &PromotionConfig| {
            ["mIoU", "BF1", "gAcc"].map(|score| promotion.is_on(score))
        };
        assert_eq!(on(&promotion), [false, true, false]);
        promotion.mode = PromotionMode::On;
        assert_eq!(on(&promotion), [true; 3]);
        promotion.mode = PromotionMode::Off;
        assert_eq!(on(&promotion), [false; 3]);
        (promotion.mode, promotion.network) = (PromotionMode::Auto, String::new());
        assert_eq!(on(&promotion), [false; 3]);
        assert!(promotion.is_doubtful("BF1"));
    }
}

use std::cell::Cell;

use autoloss_graph::{Convention, Limits, LossGraph, Signature};
use autoloss_spec::{Activation, Optimizer};

use super::answers::Known;
use super::funnel::Decision;
use super::{Answers, Funnel, Gain, Probe, Screener};
use crate::candidate::Origin;
use crate::candidate::Proposal;
use crate::config::SearchConfig;
use crate::fault::Fault;
use crate::id::CandidateId;
use crate::outcome::Outcome;
use crate::task::TaskSpec;
use crate::timing::StageTimes;

/// Answers with what it is told to, and counts.
struct Scripted {
    probe: Probe,
    gain: f64,
    probes: Cell<usize>,
    rejections: Cell<usize>,
}

impl Scripted {
    fn new(norms: &[f64], gain: f64) -> Self {
        Self {
            probe: Probe {
                losses: vec![0.0; norms.len()],
                norms: norms.to_vec(),
                alignments: norms.iter().map(|norm| -norm).collect(),
                sketch: Vec::new(),
                rounding_scale: 1e-9,
            },
            gain,
            probes: Cell::new(0),
            rejections: Cell::new(0),
        }
    }

    fn calls(&self) -> (usize, usize) {
        (self.probes.get(), self.rejections.get())
    }
}

impl Screener for Scripted {
    fn probe(&mut self, _: usize, _: &LossGraph) -> Result<Probe, Fault> {
        self.probes.set(self.probes.get() + 1);
        Ok(self.probe.clone())
    }

    fn reject(&mut self, _: usize, _: &LossGraph) -> Result<Gain, Fault> {
        self.rejections.set(self.rejections.get() + 1);
        if self.gain < 0.0 {
            return Err(Fault::Failed("the metric panicked".into()));
        }
        Ok(Gain {
            gain: self.gain,
            initial: 0.0,
            reached: self.gain,
            steps: 500,
        })
    }
}

fn funnel_with(branches: usize, config: &SearchConfig) -> Funnel {
    Funnel::new(config, &TaskSpec::toy(branches))
}

fn funnel(branches: usize) -> Funnel {
    funnel_with(branches, &SearchConfig::default())
}

fn proposal(id: u64, losses: &[&str]) -> Proposal {
    let signature = Signature::dense();
    Proposal {
        id: CandidateId(id),
        child: CandidateId(id),
        parent: None,
        graphs: losses
            .iter()
            .map(|text| LossGraph::parse(text, &signature, &Limits::default()).unwrap())
            .collect(),
        origins: vec![Origin::Fresh; losses.len()],
        known: 0,
    }
}

fn try_screen(
    funnel: &mut Funnel,
    proposal: &Proposal,
    screener: &mut Scripted,
) -> Result<Decision, Fault> {
    let mut answers = Answers {
        known: &mut Known::default(),
        screener,
    };
    let mut tested = funnel.test(proposal.clone(), StageTimes::default());
    funnel.screen(&mut tested, &mut answers)
}

fn screen(funnel: &mut Funnel, proposal: &Proposal, screener: &mut Scripted) -> Decision {
    try_screen(funnel, proposal, screener).unwrap()
}

/// The outcome that one of its branches decided.
fn rejected(decision: &Decision) -> &Outcome {
    assert!(decision.branch.is_some(), "not rejected: {decision:?}");
    decision.outcome.as_ref().unwrap()
}

const CE: &str = "neg(mul(y, log(yhat)))";

#[test]
fn structure_costs_no_probe() {
    let (mut funnel, mut screener) = (funnel(1), Scripted::new(&[1.0], 0.9));
    let screening = screen(&mut funnel, &proposal(0, &["log(y)"]), &mut screener);
    assert!(matches!(rejected(&screening), Outcome::Static { .. }));
    assert_eq!(screener.calls(), (0, 0));
    assert!(screening.screens.is_empty() && screening.canonical.is_none());
}

#[test]
fn the_probe_saves_the_protocol_where_the_gradient_is_useless() {
    for (norms, expected) in [
        (vec![1e-10, 1e-12], Outcome::ZeroGradient),
        (vec![1.0, f64::NAN], Outcome::NonFinite { step: None }),
        (vec![1.0, f64::INFINITY], Outcome::NonFinite { step: None }),
    ] {
        let (mut funnel, mut screener) = (funnel(1), Scripted::new(&norms, 0.9));
        let screening = screen(&mut funnel, &proposal(0, &[CE]), &mut screener);
        assert_eq!(rejected(&screening), &expected);
        assert_eq!(screener.calls(), (1, 0));
    }
}

#[test]
fn one_sample_with_a_gradient_is_enough() {
    let (mut funnel, mut screener) = (funnel(1), Scripted::new(&[0.0, 1.0], 0.9));
    let screening = screen(&mut funnel, &proposal(0, &[CE]), &mut screener);
    assert_eq!(screening.outcome, None);
    assert_eq!(screener.calls(), (1, 1));
}

#[test]
fn a_rejected_form_is_known_by_form_and_by_gradient() {
    let (mut funnel, mut screener) = (funnel(1), Scripted::new(&[1.0], 0.1));
    let first = screen(&mut funnel, &proposal(4, &[CE]), &mut screener);
    assert_eq!(rejected(&first), &Outcome::Rejected { gain: 0.1 });
    let of = CandidateId(4);
    let swapped = screen(
        &mut funnel,
        &proposal(5, &["neg(mul(log(yhat), y))"]),
        &mut screener,
    );
    assert_eq!(rejected(&swapped), &Outcome::Duplicate { of });
    assert!(swapped.screens.is_empty());
    assert_eq!(screener.calls(), (1, 1));
    let other = screen(
        &mut funnel,
        &proposal(6, &["mul(y, exp(yhat))"]),
        &mut screener,
    );
    assert_eq!(rejected(&other), &Outcome::Equivalent { of });
    assert_eq!(screener.calls(), (2, 1));
    // The equivalent form itself is now known, as the same original.
    let again = screen(
        &mut funnel,
        &proposal(7, &["mul(exp(yhat), y)"]),
        &mut screener,
    );
    assert_eq!(rejected(&again), &Outcome::Duplicate { of });
}

#[test]
fn what_is_restored_answers_like_what_was_lived_through() {
    let (mut lived, mut screener) = (funnel(1), Scripted::new(&[1.0], 0.1));
    let first = screen(&mut lived, &proposal(4, &[CE]), &mut screener);
    let mut restored = funnel(1);
    for entry in &first.screens {
        restored.remember(entry);
    }
    let again = proposal(9, &["mul(y, exp(yhat))"]);
    assert_eq!(
        screen(&mut restored, &again, &mut screener).outcome,
        screen(&mut lived, &again, &mut screener).outcome
    );
}

#[test]
fn a_gain_that_is_no_number_does_not_pass() {
    let (mut funnel, mut screener) = (funnel(1), Scripted::new(&[1.0], f64::NAN));
    let screening = screen(&mut funnel, &proposal(0, &[CE]), &mut screener);
    assert_eq!(
        rejected(&screening),
        &Outcome::NonFinite { step: Some(500) }
    );
}

#[test]
fn every_branch_is_screened_even_behind_one_that_failed() {
    let (mut funnel, mut screener) = (funnel(3), Scripted::new(&[1.0], 0.9));
    let losses = proposal(0, &[CE, "log(y)", "mul(y, exp(yhat))"]);
    let screening = screen(&mut funnel, &losses, &mut screener);
    assert_eq!(screening.branch, Some(1));
    assert_eq!(screening.passed, 0b101);
    assert_eq!(screener.calls(), (2, 2));
}

#[test]
fn equal_losses_of_different_branches_are_different_losses() {
    // Norms would make the swapped loss equivalent, so only forms are compared here.
    let mut config = SearchConfig::default();
    config.equivalence.enabled = false;
    let (mut funnel, mut screener) = (funnel_with(2, &config), Scripted::new(&[1.0], 0.9));
    let other = "mul(y, exp(yhat))";
    let first = screen(&mut funnel, &proposal(0, &[CE, other]), &mut screener);
    assert_eq!(first.outcome, None);
    let swapped = screen(&mut funnel, &proposal(1, &[other, CE]), &mut screener);
    assert_eq!(swapped.outcome, None);
    let again = screen(&mut funnel, &proposal(2, &[CE, other]), &mut screener);
    let of = CandidateId(0);
    assert_eq!(again.outcome, Some(Outcome::Duplicate { of }));
    assert_eq!(again.branch, None);
}

#[test]
fn a_failed_evaluation_is_forgotten() {
    let (mut funnel, mut screener) = (funnel(1), Scripted::new(&[1.0], 0.9));
    let first = screen(&mut funnel, &proposal(0, &[CE]), &mut screener);
    assert_eq!(first.outcome, None);
    funnel.evaluated.forget(CandidateId(0));
    let second = screen(&mut funnel, &proposal(1, &[CE]), &mut screener);
    assert_eq!(second.outcome, None);
    assert_eq!(screener.calls(), (1, 1), "its screens are still known");
}

#[test]
fn a_probe_without_samples_is_the_screeners_fault() {
    let (mut funnel, mut screener) = (funnel(1), Scripted::new(&[], 0.9));
    let error = try_screen(&mut funnel, &proposal(0, &[CE]), &mut screener).unwrap_err();
    assert!(
        matches!(&error, Fault::Fatal(what) if what.contains("0 losses, 0 norms and 0 alignments")),
        "{error}"
    );
}

#[test]
fn a_screen_that_fails_is_an_outcome_and_is_made_again_for_the_next() {
    let (mut funnel, mut screener) = (funnel(1), Scripted::new(&[1.0], -1.0));
    let failed = screen(&mut funnel, &proposal(0, &[CE]), &mut screener);
    let reason = "the metric panicked".into();
    assert_eq!(rejected(&failed), &Outcome::Failed { reason });
    assert!(failed.screens.is_empty());
    screener.gain = 0.9;
    let again = screen(&mut funnel, &proposal(1, &[CE]), &mut screener);
    assert_eq!((again.outcome, again.passed), (None, 1));
}

#[test]
fn a_factor_counts_where_anything_else_is_added_or_clipped() {
    let mut config = SearchConfig::default();
    config.proxy.budget.optimizer = Optimizer::Adam;
    config.normalised = false;
    let free = |config: &SearchConfig, task: &TaskSpec| {
        let funnel = Funnel::new(config, task);
        funnel.any_scale.iter().all(|free| *free)
    };
    let alone = TaskSpec::toy(1);
    assert!(free(&config, &alone));
    assert!(!free(&config, &TaskSpec::toy(2)));
    // A frozen branch is not searched, and its loss is added all the same.
    let mut beside_frozen = alone.clone();
    for branch in ["b0", "frozen"] {
        let convention = Convention {
            inputs: Signature::dense(),
            activation: Activation::Softmax,
            void_label: None,
        };
        beside_frozen.conventions.insert(branch.into(), convention);
    }
    assert!(!free(&config, &beside_frozen));
    config.proxy.budget.clip_norm = Some(1.0);
    assert!(!free(&config, &alone));
    config.proxy.budget.clip_norm = None;
    config.proxy.budget.optimizer = Optimizer::Sgd;
    assert!(!free(&config, &alone));
    // What is trained at one scale has no factor of its own.
    config.normalised = true;
    let mut scaled = TaskSpec::toy(2);
    assert!(!free(&config, &scaled));
    scaled
        .branches
        .iter_mut()
        .for_each(|branch| branch.scaled = true);
    assert!(free(&config, &scaled));
}

#[test]
fn a_gradient_close_to_that_of_an_evaluated_loss_shares_its_outcome() {
    let mut screener = Scripted::new(&[1.0], 0.9);
    let losses = [
        CE,
        "square(add(y, neg(yhat)))",
        "neg(mul(y, yhat))",
        "exp(mul(y, neg(yhat)))",
    ];
    let mut outcomes = |config: &SearchConfig| {
        let mut funnel = funnel_with(1, config);
        let sketches = [[1.0, -0.5], [1.04, -0.46], [1.08, -0.42], [1.3, -0.5]];
        let each = losses.iter().zip(sketches).enumerate();
        let outcomes = each.map(|(id, (loss, sketch))| {
            screener.probe.sketch = sketch.to_vec();
            screen(&mut funnel, &proposal(id as u64, &[loss]), &mut screener).outcome
        });
        outcomes.collect::<Vec<_>>()
    };
    let mut config = SearchConfig::default();
    let near = Some(Outcome::Near { of: CandidateId(0) });
    // The third is close to the second, which was not evaluated itself.
    assert_eq!(outcomes(&config), [None, near, None, None]);
    config.equivalence.near = 0.0;
    assert_eq!(outcomes(&config), [None, None, None, None]);
}

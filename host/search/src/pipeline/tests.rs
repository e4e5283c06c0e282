use std::cell::Cell;

use autoloss_graph::{BranchName, Limits};

use super::*;
use crate::ahead::Ahead;
use crate::propose::Origin;
use crate::screening::Screener;
use crate::task::BranchSpec;

/// Answers with what it is told to, and counts.
struct Scripted {
    probe: Probe,
    rejection: Rejection,
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
                rounding_scale: 1e-9,
            },
            rejection: Rejection::Finished {
                gain,
                initial: 0.0,
                reached: gain,
                steps: 500,
            },
            probes: Cell::new(0),
            rejections: Cell::new(0),
        }
    }

    fn calls(&self) -> (usize, usize) {
        (self.probes.get(), self.rejections.get())
    }
}

impl Screener for Scripted {
    fn probe(&mut self, _: usize, _: &LossGraph) -> Result<Probe, BackendError> {
        self.probes.set(self.probes.get() + 1);
        Ok(self.probe.clone())
    }

    fn reject(&mut self, _: usize, _: &LossGraph) -> Result<Rejection, BackendError> {
        self.rejections.set(self.rejections.get() + 1);
        Ok(self.rejection)
    }
}

fn funnel(branches: usize) -> Funnel {
    let task = TaskSpec {
        task: "toy".into(),
        network: "net".into(),
        branches: (0..branches)
            .map(|index| BranchSpec {
                name: BranchName::new(format!("b{index}")).unwrap(),
                signature: Signature::dense(),
            })
            .collect(),
        conventions: Default::default(),
    };
    Funnel::new(&SearchConfig::default(), &task)
}

fn draft(id: u64, losses: &[&str]) -> Draft {
    let signature = Signature::dense();
    Draft {
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
    draft: &Draft,
    screener: &mut Scripted,
) -> Result<Screening, BackendError> {
    let mut source = Source {
        ahead: &mut Ahead::default(),
        screener,
    };
    funnel.screen(draft, &mut source, &mut StageTimes::default())
}

fn screen(funnel: &mut Funnel, draft: &Draft, screener: &mut Scripted) -> Screening {
    try_screen(funnel, draft, screener).unwrap()
}

fn rejected(screening: &Screening) -> &Verdict {
    match &screening.decision {
        Decision::Rejected { verdict, .. } => verdict,
        other => panic!("not rejected: {other:?}"),
    }
}

const CE: &str = "neg(mul(y, log(yhat)))";

#[test]
fn structure_costs_no_probe() {
    let (mut funnel, mut screener) = (funnel(1), Scripted::new(&[1.0], 0.9));
    let screening = screen(&mut funnel, &draft(0, &["log(y)"]), &mut screener);
    assert!(matches!(rejected(&screening), Verdict::Static { .. }));
    assert_eq!(screener.calls(), (0, 0));
    assert!(screening.entries.is_empty() && screening.canonical.is_none());
}

#[test]
fn the_probe_saves_the_protocol_where_the_gradient_is_useless() {
    for (norms, expected) in [
        (vec![1e-10, 1e-12], Verdict::ZeroGradient),
        (vec![1.0, f64::NAN], Verdict::NonFinite { step: None }),
        (vec![1.0, f64::INFINITY], Verdict::NonFinite { step: None }),
    ] {
        let (mut funnel, mut screener) = (funnel(1), Scripted::new(&norms, 0.9));
        let screening = screen(&mut funnel, &draft(0, &[CE]), &mut screener);
        assert_eq!(rejected(&screening), &expected);
        assert_eq!(screener.calls(), (1, 0));
    }
}

#[test]
fn one_sample_with_a_gradient_is_enough() {
    let (mut funnel, mut screener) = (funnel(1), Scripted::new(&[0.0, 1.0], 0.9));
    let screening = screen(&mut funnel, &draft(0, &[CE]), &mut screener);
    assert_eq!(screening.decision, Decision::New);
    assert_eq!(screener.calls(), (1, 1));
}

#[test]
fn a_rejected_form_is_known_by_form_and_by_gradient() {
    let (mut funnel, mut screener) = (funnel(1), Scripted::new(&[1.0], 0.1));
    let first = screen(&mut funnel, &draft(4, &[CE]), &mut screener);
    assert_eq!(rejected(&first), &Verdict::Rejected { gain: 0.1 });
    let of = CandidateId(4);
    let swapped = screen(
        &mut funnel,
        &draft(5, &["neg(mul(log(yhat), y))"]),
        &mut screener,
    );
    assert_eq!(rejected(&swapped), &Verdict::Duplicate { of });
    assert!(swapped.entries.is_empty());
    assert_eq!(screener.calls(), (1, 1));
    let other = screen(
        &mut funnel,
        &draft(6, &["mul(y, exp(yhat))"]),
        &mut screener,
    );
    assert_eq!(rejected(&other), &Verdict::Equivalent { of });
    assert_eq!(screener.calls(), (2, 1));
    // The equivalent form itself is now known, as the same original.
    let again = screen(
        &mut funnel,
        &draft(7, &["mul(exp(yhat), y)"]),
        &mut screener,
    );
    assert_eq!(rejected(&again), &Verdict::Duplicate { of });
}

#[test]
fn what_is_restored_answers_like_what_was_lived_through() {
    let (mut lived, mut screener) = (funnel(1), Scripted::new(&[1.0], 0.1));
    let first = screen(&mut lived, &draft(4, &[CE]), &mut screener);
    let mut restored = funnel(1);
    for entry in &first.entries {
        restored.restore(entry);
    }
    let again = draft(9, &["mul(y, exp(yhat))"]);
    assert_eq!(
        screen(&mut restored, &again, &mut screener).decision,
        screen(&mut lived, &again, &mut screener).decision
    );
}

#[test]
fn a_gain_that_is_no_number_does_not_pass() {
    let (mut funnel, mut screener) = (funnel(1), Scripted::new(&[1.0], f64::NAN));
    let screening = screen(&mut funnel, &draft(0, &[CE]), &mut screener);
    assert_eq!(
        rejected(&screening),
        &Verdict::NonFinite { step: Some(500) }
    );
}

#[test]
fn every_branch_is_screened_even_behind_one_that_failed() {
    let (mut funnel, mut screener) = (funnel(3), Scripted::new(&[1.0], 0.9));
    let losses = draft(0, &[CE, "log(y)", "mul(y, exp(yhat))"]);
    let screening = screen(&mut funnel, &losses, &mut screener);
    assert!(matches!(
        screening.decision,
        Decision::Rejected { branch: 1, .. }
    ));
    assert_eq!(screening.passed, 0b101);
    assert_eq!(screener.calls(), (2, 2));
}

#[test]
fn equal_losses_of_different_branches_are_different_losses() {
    let (mut funnel, mut screener) = (funnel(2), Scripted::new(&[1.0], 0.9));
    screener.probe.norms = vec![1.0];
    let other = "mul(y, exp(yhat))";
    let first = screen(&mut funnel, &draft(0, &[CE, other]), &mut screener);
    assert_eq!(first.decision, Decision::New);
    // Norms would make the swapped loss equivalent, so only forms are compared here.
    funnel.equivalence.enabled = false;
    let swapped = screen(&mut funnel, &draft(1, &[other, CE]), &mut screener);
    assert_eq!(swapped.decision, Decision::New);
    let again = screen(&mut funnel, &draft(2, &[CE, other]), &mut screener);
    let of = CandidateId(0);
    assert_eq!(again.decision, Decision::Known(Verdict::Duplicate { of }));
}

#[test]
fn a_failed_evaluation_is_forgotten() {
    let (mut funnel, mut screener) = (funnel(1), Scripted::new(&[1.0], 0.9));
    let first = screen(&mut funnel, &draft(0, &[CE]), &mut screener);
    assert_eq!(first.decision, Decision::New);
    funnel.judged.forget(CandidateId(0));
    let second = screen(&mut funnel, &draft(1, &[CE]), &mut screener);
    assert_eq!(second.decision, Decision::New);
    assert_eq!(screener.calls(), (1, 1), "its screens are still known");
}

#[test]
fn a_probe_without_samples_is_the_screeners_fault() {
    let (mut funnel, mut screener) = (funnel(1), Scripted::new(&[], 0.9));
    let error = try_screen(&mut funnel, &draft(0, &[CE]), &mut screener).unwrap_err();
    assert!(error.what.contains("0 losses, 0 norms and 0 alignments"));
}

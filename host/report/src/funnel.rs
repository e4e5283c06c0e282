//! Where candidates ended: the stages of the pipeline, what each let through, and what each cost.

use autoloss_run::Tally;
use autoloss_search::{OutcomeKind, Stage};
use serde::Serialize;

/// One stage of the pipeline.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Step {
    pub(crate) stage: Stage,
    pub(crate) title: &'static str,
    /// Candidates that reached it.
    pub(crate) entered: u64,
    /// Candidates that went on.
    pub(crate) passed: u64,
    /// What ended here, by outcome.
    pub(crate) ended: Ended,
    pub(crate) seconds: f64,
}

/// Outcomes with their counts.
type Ended = Vec<(&'static str, u64)>;

/// The stages in order; the last lets through what was scored.
pub(crate) fn of(tally: &Tally) -> Vec<Step> {
    let mut entered = tally.counts.explored();
    let times = tally.counts.times();
    let step = |(stage, title, ended): (Stage, &'static str, Ended)| {
        let lost: u64 = ended.iter().map(|(_, count)| count).sum();
        let passed = entered.saturating_sub(lost);
        let step = Step {
            stage,
            title,
            entered,
            passed,
            ended,
            seconds: times.seconds(stage),
        };
        entered = passed;
        step
    };
    stages(tally).into_iter().map(step).collect()
}

/// Each stage, what passing it means, and what ended there.
fn stages(tally: &Tally) -> [(Stage, &'static str, Ended); 6] {
    use OutcomeKind as K;
    let count = |kind| tally.counts.of(kind);
    let late = tally.non_finite_in_protocol;
    let early = count(K::NonFinite).saturating_sub(late);
    let plain = |kinds: &[OutcomeKind]| {
        kinds
            .iter()
            .map(|kind| (kind.code(), count(*kind)))
            .collect()
    };
    [
        (Stage::Generate, "drawn or mutated", Vec::new()),
        (Stage::Static, "structure can train", plain(&[K::Static])),
        (Stage::Canonical, "not seen before", plain(&[K::Duplicate])),
        (
            Stage::Probe,
            "gradient usable and new",
            vec![
                (K::NonFinite.code(), early),
                (K::ZeroGradient.code(), count(K::ZeroGradient)),
                (K::Equivalent.code(), count(K::Equivalent)),
            ],
        ),
        (
            Stage::Reject,
            "predictions get better",
            vec![
                (K::NonFinite.code(), late),
                (K::Rejected.code(), count(K::Rejected)),
                (K::Near.code(), count(K::Near)),
            ],
        ),
        (
            Stage::Evaluate,
            "trained and scored",
            plain(&[K::InvalidTraining, K::StoppedEarly, K::Failed]),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use autoloss_search::StageTimes;

    #[test]
    fn every_candidate_ends_in_one_stage() {
        let mut tally = Tally::default();
        for (at, &kind) in OutcomeKind::ALL.iter().enumerate() {
            tally
                .counts
                .add(kind, at as u64 + 1, &StageTimes::default());
        }
        tally.non_finite_in_protocol = 2;
        let steps = of(&tally);
        assert_eq!(steps[0].entered, tally.counts.explored());
        assert!(
            steps
                .windows(2)
                .all(|pair| pair[0].passed == pair[1].entered)
        );
        assert_eq!(steps[5].passed, tally.counts.of(OutcomeKind::Scored));
        let non_finite = |step: &Step| step.ended[0].1;
        assert_eq!(
            non_finite(&steps[3]) + non_finite(&steps[4]),
            tally.counts.of(OutcomeKind::NonFinite)
        );
        let empty = of(&Tally::default());
        assert!(
            empty
                .iter()
                .all(|step| step.entered == 0 && step.passed == 0)
        );
    }
}

//! Proxy evaluations: a training with one look at the network on its way, and its score.

use crate::network::Network;
use crate::screen::backend;
use crate::trainer::{Ending, Step, Trained};
use crate::workbench::Workbench;
use crate::{Result, TrainError};
use autoloss_plugin_api::Split;
use autoloss_search::{
    BackendError, EvaluationOutcome, EvaluationRequest, EvaluationVerdict, Evaluator, Look,
};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

impl Evaluator for Workbench {
    fn evaluate(&mut self, request: &EvaluationRequest) -> Result<EvaluationOutcome, BackendError> {
        evaluate(self, request).map_err(backend)
    }
}

/// A look that was taken.
#[derive(Default)]
struct Seen {
    score: Option<f64>,
    took: Duration,
}

fn evaluate(workbench: &Workbench, request: &EvaluationRequest) -> Result<EvaluationOutcome> {
    let split = request.split.parse()?;
    let started = Instant::now();
    let mut seen = Seen::default();
    let (network, trained) = train(workbench, request, split, &mut seen)?;
    let train_seconds = (started.elapsed() - seen.took).as_secs_f64();
    let started = Instant::now();
    let verdict = verdict(workbench, request, split, &network, &trained)?;
    Ok(EvaluationOutcome {
        verdict,
        steps: trained.steps,
        train_seconds,
        eval_seconds: (started.elapsed() + seen.took).as_secs_f64(),
        final_loss: trained.final_loss,
        look: seen.score,
    })
}

fn train(
    workbench: &Workbench,
    request: &EvaluationRequest,
    split: Split,
    seen: &mut Seen,
) -> Result<(Network, Trained)> {
    let losses = workbench.losses(&request.losses)?;
    let mut watch = |step: Step, network: &Network| match request.look {
        Some(look) if look.step == step.done => {
            let started = Instant::now();
            seen.score = workbench.score_of(network, split, look.images)?;
            seen.took = started.elapsed();
            Ok(goes_on(look, seen.score))
        }
        _ => Ok(ControlFlow::Continue(())),
    };
    let (budget, seed) = (&request.budget, request.seed);
    workbench.train_until(&losses, budget, seed, request.stop_invalid, &mut watch)
}

/// What a look decides. Without a score there, which is the data's doing, the training goes on.
fn goes_on(look: Look, score: Option<f64>) -> ControlFlow<()> {
    match look.least {
        Some(least) if score.is_some_and(|score| score.is_nan() || score < least) => {
            ControlFlow::Break(())
        }
        _ => ControlFlow::Continue(()),
    }
}

fn verdict(
    workbench: &Workbench,
    request: &EvaluationRequest,
    split: Split,
    network: &Network,
    trained: &Trained,
) -> Result<EvaluationVerdict> {
    if let Ending::Invalid(step) = trained.ending {
        return Ok(EvaluationVerdict::InvalidTraining { step });
    }
    if trained.steps < request.budget.steps {
        return Ok(EvaluationVerdict::StoppedEarly {
            step: trained.steps.saturating_sub(1),
        });
    }
    let metrics = workbench.judge(network, split, request.budget.eval_images)?;
    let target = workbench.score();
    match metrics.get(target) {
        Some(&score) => Ok(EvaluationVerdict::Scored { score, metrics }),
        // It would be so for every other loss.
        None => Err(TrainError::Undefined {
            score: target.to_owned(),
            split: request.split.clone(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_scores_less_is_given_up() {
        let look = |least| Look {
            step: 10,
            images: 5,
            least,
        };
        assert!(goes_on(look(Some(0.3)), Some(0.3)).is_continue());
        assert!(goes_on(look(Some(0.3)), Some(0.29)).is_break());
        assert!(goes_on(look(Some(0.3)), Some(f64::NAN)).is_break());
        assert!(goes_on(look(Some(0.3)), None).is_continue());
        assert!(goes_on(look(None), None).is_continue());
    }
}

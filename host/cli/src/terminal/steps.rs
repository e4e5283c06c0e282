//! The progress of one training.

use crate::terminal::bar::{Display, Lines, clock};
use crate::terminal::line::Part;
use autoloss_search::TrainingBudget;
use autoloss_train::Step;
use std::time::Instant;

/// Watches a training.
pub(crate) struct StepProgress {
    display: Display,
    what: String,
    first: usize,
    steps: usize,
    batch: usize,
    started: Instant,
}

impl StepProgress {
    /// A training called `what` that begins after `first` steps of its budget.
    pub(crate) fn new(what: &str, first: usize, budget: &TrainingBudget) -> Self {
        Self {
            display: Display::new(budget.steps as u64),
            what: what.to_owned(),
            first,
            steps: budget.steps,
            batch: budget.batch_size,
            started: Instant::now(),
        }
    }

    /// A step was made.
    pub(crate) fn step(&mut self, step: Step) {
        let seconds = self.started.elapsed().as_secs_f64();
        let each = seconds / step.done.saturating_sub(self.first).max(1) as f64;
        let (what, steps, batch) = (&self.what, self.steps, self.batch);
        self.display
            .draw(step.done as u64, || lines(what, step, each, steps, batch));
    }

    /// Takes it off the screen.
    pub(crate) fn finish(&self) {
        self.display.finish();
    }
}

/// `each` is the time of a step.
fn lines(what: &str, step: Step, each: f64, steps: usize, batch: usize) -> Lines {
    let left = clock(each * steps.saturating_sub(step.done) as f64);
    let rate = batch as f64 / each.max(1e-9);
    let headline = vec![
        Part::new(1, format!("{left} left")),
        Part::new(0, format!("step {} of {steps}", step.done)),
        Part::new(2, format!("loss {:.4}", step.loss)),
        Part::new(4, format!("rate {:.1e}", step.learning_rate)),
        Part::new(3, format!("{rate:.0} images/s")),
    ];
    [headline, vec![Part::new(0, what.to_owned())]]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::bar::compose;

    #[test]
    fn parts_are_left_out_by_rank() {
        let step = Step {
            done: 40,
            loss: 0.25,
            learning_rate: 0.001,
            interrupted: false,
        };
        let at = |columns| {
            let (_, [first, second]) = compose(lines("ce, seed 3", step, 0.5, 100, 8), columns);
            format!("{first}\n{second}")
        };
        assert_eq!(
            at(79),
            "0:30 left  step 40 of 100  loss 0.2500  rate 1.0e-3  16 images/s\nce, seed 3"
        );
        assert_eq!(at(39), "0:30 left  step 40 of 100  loss 0.2500\nce, seed 3");
        assert_eq!(at(19), "step 40 of 100\nce, seed 3");
    }
}

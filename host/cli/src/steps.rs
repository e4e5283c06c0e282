//! The progress bar of one training.

use crate::progress::{LINE_EVERY, clock, shown, visible_bar};
use autoloss_search::ProxyBudget;
use autoloss_train::Step;
use indicatif::ProgressBar;
use std::time::Instant;

/// Shows a training as it goes: a bar on a terminal, a line now and then in a log file.
pub(crate) struct StepProgress {
    bar: Option<ProgressBar>,
    what: String,
    first: usize,
    steps: usize,
    batch: usize,
    started: Instant,
    lined: Instant,
}

impl StepProgress {
    /// A training called `what` that begins after `first` steps of its budget.
    pub(crate) fn new(what: &str, first: usize, budget: &ProxyBudget) -> Self {
        Self {
            bar: visible_bar(budget.steps as u64),
            what: what.to_owned(),
            first,
            steps: budget.steps,
            batch: budget.batch_size,
            started: Instant::now(),
            lined: Instant::now(),
        }
    }

    /// A step was made.
    pub(crate) fn step(&mut self, step: Step) {
        if let Some(bar) = &self.bar {
            bar.set_position(step.done as u64);
            bar.set_prefix(self.headline(step));
            bar.set_message(self.what.clone());
        } else if shown() && self.lined.elapsed() >= LINE_EVERY {
            self.lined = Instant::now();
            eprintln!("{} | {}", self.headline(step), self.what);
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn headline(&self, step: Step) -> String {
        let seconds = self.started.elapsed().as_secs_f64();
        let each = seconds / step.done.saturating_sub(self.first).max(1) as f64;
        format!(
            "{} left  step {} of {}  loss {:.4}  rate {:.1e}  {:.0} images/s",
            clock(each * self.steps.saturating_sub(step.done) as f64),
            step.done,
            self.steps,
            step.loss,
            step.learning_rate,
            self.batch as f64 / each.max(1e-9)
        )
    }
}

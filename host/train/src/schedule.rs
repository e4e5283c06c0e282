//! Learning-rate schedules.

use autoloss_search::{Schedule, TrainingBudget};

/// The learning rate of a step (from 0) of a training of `budget.steps`: a linear warm-up, then the
/// schedule over the rest.
///
/// ```
/// use autoloss_search::{TrainingBudget, Schedule};
///
/// let mut budget = TrainingBudget::default();
/// (budget.steps, budget.warmup_steps) = (110, 10);
/// (budget.learning_rate, budget.schedule) = (1.0, Schedule::Cosine);
/// assert_eq!(autoloss_train::learning_rate(&budget, 4), 0.5);
/// assert_eq!(autoloss_train::learning_rate(&budget, 10), 1.0);
/// assert!((autoloss_train::learning_rate(&budget, 60) - 0.5).abs() < 1e-12);
/// ```
pub fn learning_rate(budget: &TrainingBudget, step: usize) -> f64 {
    let peak = budget.learning_rate;
    if step < budget.warmup_steps {
        return peak * (step + 1) as f64 / budget.warmup_steps as f64;
    }
    let rest = budget.steps.saturating_sub(budget.warmup_steps).max(1);
    let done = (step - budget.warmup_steps) as f64 / rest as f64;
    peak * match budget.schedule {
        Schedule::Constant => 1.0,
        Schedule::Poly => (1.0 - done).max(0.0).powf(0.9),
        Schedule::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * done.min(1.0)).cos()),
    }
}

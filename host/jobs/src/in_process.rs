//! Jobs of this process, one at a time.

use std::collections::VecDeque;
use std::time::Instant;

use autoloss_search::{Evaluator, Executor, Finished, Job, Ticket};

/// Runs jobs through an evaluator, one after the other, on the thread that waits for them. libtorch's
/// random generator belongs to the process, so one process trains one network at a time.
///
/// ```
/// use autoloss_jobs::InProcess;
/// use autoloss_search::*;
///
/// struct Trainer;
/// impl Evaluator for Trainer {
///     fn evaluate(&mut self, job: &Job) -> Result<Evaluation, Fault> {
///         Ok(Evaluation::scored(1.0 / job.seed as f64, Default::default()))
///     }
/// }
/// let mut trainer = Trainer;
/// let mut executor = InProcess::new(&mut trainer);
/// let mut job = Job {
///     task: "toy".into(),
///     network: "net".into(),
///     run_spec: String::new(),
///     losses: Default::default(),
///     budget: Default::default(),
///     seed: 2,
///     split: "reward".into(),
///     stop_invalid: true,
///     pruning: None,
///     keep: None,
///     checkpoints: None,
/// };
/// executor.submit(Ticket(7), &job);
/// job.seed = 4;
/// executor.submit(Ticket(8), &job);
/// executor.cancel(Ticket(7));
/// let (ticket, evaluation) = executor.wait(None).unwrap();
/// assert_eq!((ticket, evaluation?.fitness()), (Ticket(8), Fitness::new(0.25)));
/// assert!(executor.wait(None).is_none());
/// # Ok::<(), Fault>(())
/// ```
pub struct InProcess<'a> {
    evaluator: &'a mut dyn Evaluator,
    open: VecDeque<(Ticket, Job)>,
}

impl<'a> InProcess<'a> {
    /// An executor without jobs.
    #[must_use]
    pub fn new(evaluator: &'a mut dyn Evaluator) -> Self {
        Self {
            evaluator,
            open: VecDeque::new(),
        }
    }
}

impl Executor for InProcess<'_> {
    fn capacity(&self) -> usize {
        1
    }

    fn submit(&mut self, ticket: Ticket, job: &Job) {
        self.open.push_back((ticket, job.clone()));
    }

    /// Runs the oldest open job. A training that has begun ends whatever the deadline is.
    fn wait(&mut self, deadline: Option<Instant>) -> Option<Finished> {
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return None;
        }
        let (ticket, job) = self.open.pop_front()?;
        Some((ticket, self.evaluator.evaluate(&job)))
    }

    fn cancel(&mut self, ticket: Ticket) {
        self.open.retain(|(open, _)| *open != ticket);
    }
}

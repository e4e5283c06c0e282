//! The progress of trainings in worker processes.

use crate::terminal::bar::{Display, Lines};
use crate::terminal::line::Part;
use autoloss_jobs::{Doing, WorkerStatus};
use autoloss_search::Ticket;
use std::time::Duration;

/// How often workers are looked at.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Watches a pool.
pub(crate) struct PoolProgress {
    display: Display,
}

impl PoolProgress {
    /// Nothing yet.
    pub(crate) fn new() -> Self {
        Self {
            display: Display::new(1000),
        }
    }

    /// Shows how many have ended, of how many where that is known, and what each worker does; `name` names jobs.
    pub(crate) fn draw(
        &mut self,
        (done, of): (usize, Option<usize>),
        workers: &[WorkerStatus],
        name: &dyn Fn(Ticket) -> String,
    ) {
        let share = of.map_or(0.0, |of| done as f64 / of.max(1) as f64);
        self.display
            .draw((1000.0 * share) as u64, || lines((done, of), workers, name));
    }

    /// Takes it off the screen.
    pub(crate) fn finish(&self) {
        self.display.finish();
    }
}

/// How many are busy, and how many were replaced; the first is of this rank.
pub(crate) fn summary(workers: &[WorkerStatus], rank: u8) -> Vec<Part> {
    let busy = |worker: &&WorkerStatus| matches!(worker.doing, Doing::Running { .. });
    let count = workers.iter().filter(busy).count();
    let replaced: u64 = workers.iter().map(|worker| worker.restarts).sum();
    let busy = Part::new(rank, format!("{count} of {} workers busy", workers.len()));
    let replaced = (replaced > 0).then(|| Part::new(1, format!("{replaced} replaced")));
    std::iter::once(busy).chain(replaced).collect()
}

/// What one does, and for how long already.
pub(crate) fn doing(worker: &WorkerStatus) -> Part {
    let doing = match &worker.doing {
        Doing::Starting => "starts".to_owned(),
        Doing::Idle => "idle".to_owned(),
        Doing::Running { of: 0, .. } => "trains".to_owned(),
        Doing::Running { done, of, .. } => format!("{} %", 100 * done / of),
    };
    let seconds = worker.since.elapsed().as_secs();
    Part::new(8, format!("[{}] {doing} {seconds} s", worker.number))
}

fn lines(
    (done, of): (usize, Option<usize>),
    workers: &[WorkerStatus],
    name: &dyn Fn(Ticket) -> String,
) -> Lines {
    let done = match of {
        Some(of) => format!("{done} of {of} trainings"),
        None => format!("{done} trainings"),
    };
    let mut first = vec![Part::new(0, done)];
    first.extend(summary(workers, 2));
    let second = workers.iter().enumerate().map(|(rank, worker)| {
        let doing = match &worker.doing {
            Doing::Starting => "starting".to_owned(),
            Doing::Idle => "idle".to_owned(),
            Doing::Running { ticket, of: 0, .. } => name(*ticket),
            Doing::Running { ticket, done, of } => {
                format!("{} {} %", name(*ticket), 100 * done / of)
            }
        };
        let rank = u8::try_from(rank).unwrap_or(u8::MAX);
        Part::new(rank, format!("[{}] {doing}", worker.number))
    });
    [first, second.collect()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::line::whole;
    use std::time::Instant;

    #[test]
    fn every_worker_is_shown() {
        let worker = |number, doing, restarts| WorkerStatus {
            number,
            process: Some(7),
            doing,
            since: Instant::now(),
            restarts,
            lost: None,
        };
        let running = |done, of| Doing::Running {
            ticket: Ticket(4),
            done,
            of,
        };
        let workers = [
            worker(0, running(175, 700), 2),
            worker(1, Doing::Idle, 0),
            worker(2, Doing::Starting, 1),
            worker(3, running(0, 0), 0),
        ];
        let [first, second] = lines((3, Some(12)), &workers, &|ticket| {
            format!("loss {}", ticket.0)
        });
        assert_eq!(
            whole(&first),
            "3 of 12 trainings  2 of 4 workers busy  3 replaced"
        );
        assert_eq!(
            whole(&second),
            "[0] loss 4 25 %  [1] idle  [2] starting  [3] loss 4"
        );
    }
}

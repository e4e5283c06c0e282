//! What a finished search comes to: the loss that is best on a split the search never saw, beside what it
//! is compared with on the test split.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use crate::comparison::{Contender, Row, noise_floor};
use crate::error::SearchError;
use crate::evaluation::{Confirmed, Evaluation, Executor, Halt, Job, run_jobs};
use crate::journal::Journal;
use crate::observer::{Event, Observer};
use crate::search::Search;

/// What the chosen loss is compared with, and on what.
#[derive(Clone, Debug, Default)]
pub struct FinalTable {
    /// Split that decides nothing else.
    pub split: String,
    /// Name of the target score.
    pub score: String,
    /// Name of the chosen loss's row, which comes first.
    pub found: String,
    /// Losses of the branches that are not searched, by branch.
    pub fixed: BTreeMap<String, String>,
    /// The other rows.
    pub others: Vec<Contender>,
}

impl FinalTable {
    /// The name of the row with these losses.
    #[must_use]
    pub fn name(&self, losses: &BTreeMap<String, String>) -> &str {
        let row = self.others.iter().find(|row| row.losses == *losses);
        row.map_or(&self.found, |row| &row.name)
    }
}

/// What a finished search comes to.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Conclusion {
    /// The loss with the best mean on the selection split; absent where none trained with every seed.
    pub chosen: Option<Confirmed>,
    /// The final table; empty without a chosen loss.
    pub rows: Vec<Row>,
    /// Standard deviation of the target score between seeds.
    pub noise_floor: Option<f64>,
}

impl<J: Journal> Search<J> {
    /// Measures the best losses again, and compares the best of them on the table's split, under the
    /// search's own budget, on all samples, with the same seeds for every row. Nothing where `stop` was
    /// raised before the end.
    ///
    /// # Errors
    ///
    /// As [`confirm`](Self::confirm).
    pub fn conclude(
        &mut self,
        table: &FinalTable,
        executor: &mut dyn Executor,
        observer: &mut dyn Observer,
        stop: &AtomicBool,
    ) -> Result<Option<Conclusion>, SearchError> {
        let Some(confirmed) = self.confirm(executor, observer, stop)? else {
            return Ok(None);
        };
        let chosen = confirmed.into_iter().find(|loss| loss.mean().is_some());
        let Some(chosen) = chosen else {
            return Ok(Some(Conclusion {
                chosen: None,
                rows: Vec::new(),
                noise_floor: None,
            }));
        };
        let mut losses = chosen.loss.losses.clone();
        losses.extend(table.fixed.clone());
        let mut contenders = vec![Contender {
            name: table.found.clone(),
            losses,
        }];
        contenders.extend(table.others.iter().cloned());
        let rows = self.compare(table, &contenders, executor, observer, stop)?;
        Ok(rows.map(|rows| Conclusion {
            noise_floor: noise_floor(&rows, &table.score),
            chosen: Some(chosen),
            rows,
        }))
    }

    fn compare(
        &self,
        table: &FinalTable,
        contenders: &[Contender],
        executor: &mut dyn Executor,
        observer: &mut dyn Observer,
        stop: &AtomicBool,
    ) -> Result<Option<Vec<Row>>, SearchError> {
        let mut budget = self.config.proxy.budget.clone();
        budget.eval_images = 0;
        let seeds = self.confirmation_seeds();
        let jobs: Vec<(&Contender, Job)> = contenders
            .iter()
            .flat_map(|contender| seeds.iter().map(move |&seed| (contender, seed)))
            .map(|(contender, seed)| {
                let job = Job {
                    task: self.task.task.clone(),
                    network: self.task.network.clone(),
                    run_spec: self.run_spec.clone(),
                    losses: contender.losses.clone(),
                    budget: budget.clone(),
                    seed,
                    split: table.split.clone(),
                    stop_invalid: true,
                    pruning: None,
                };
                (contender, job)
            })
            .collect();
        let mut ended: Vec<Option<Evaluation>> = vec![None; jobs.len()];
        let finished = |index: usize, evaluation: Evaluation| {
            let (contender, job) = &jobs[index];
            observer.observe(&Event::Compared {
                name: &contender.name,
                job,
                evaluation: &evaluation,
                last: (index + 1).is_multiple_of(seeds.len()),
            });
            ended[index] = Some(evaluation);
            Ok::<(), SearchError>(())
        };
        let open: Vec<&Job> = jobs.iter().map(|(_, job)| job).collect();
        match run_jobs(&open, executor, stop, |_| (), finished) {
            Ok(()) => {}
            Err(Halt::Interrupted) => return Ok(None),
            Err(Halt::Caller(error)) => return Err(error),
            Err(Halt::Fatal { job, reason }) => {
                let name = jobs[job].0.name.clone();
                return Err(SearchError::Comparison { name, reason });
            }
        }
        let scores = |evaluation: Evaluation| {
            let scored = evaluation.fitness().is_some();
            scored.then_some(evaluation.metrics)
        };
        let mut ended = ended.into_iter().flatten().map(scores);
        let row = |contender: &Contender| contender.row(ended.by_ref().take(seeds.len()).collect());
        Ok(Some(contenders.iter().map(row).collect()))
    }
}

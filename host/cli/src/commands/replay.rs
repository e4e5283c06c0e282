//! `replay`: what a search did, in the order in which its trainings were settled, and whether it follows from what the run
//! holds.

use std::fmt::Write;

use anyhow::{Result, bail};
use autoloss_run::{Run, Verification};
use autoloss_search::{CandidateId, CandidateRecord, EvaluationRecord, Purpose};
use serde::Serialize;

use crate::Outcome;
use crate::args::ReplayArgs;
use crate::terminal::bar::clock;
use crate::terminal::{output, table};

/// A training of the search.
#[derive(Serialize)]
struct Settled {
    candidate: CandidateId,
    /// The first candidate that was proposed with its outcome known.
    settled_before: CandidateId,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<f64>,
    /// The best score by then.
    #[serde(skip_serializing_if = "Option::is_none")]
    best: Option<f64>,
    /// Seconds of the run when it was settled, and of its training with its evaluation.
    elapsed: f64,
    seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    worker: Option<usize>,
}

/// All that is printed.
#[derive(Serialize)]
struct Replay {
    trainings: Vec<Settled>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verification: Option<Verification>,
}

/// Prints it.
pub(crate) fn run(args: &ReplayArgs) -> Result<Outcome> {
    let run = Run::open(&args.run)?;
    let verification = args.verify.then(|| Verification::of(&run.reader));
    let replay = Replay {
        trainings: trainings(&run)?,
        verification: verification.transpose()?,
    };
    match args.json {
        true => output::json(&replay)?,
        false => output::print(&replay.text(&run.summary.score)?)?,
    }
    match &replay.verification {
        Some(verification) if !verification.is_sound() => bail!(
            "the run in {} is not what its search proposes: it was written by another version of the program, or changed \
             afterwards",
            args.run.display()
        ),
        _ => Ok(Outcome::Done),
    }
}

fn trainings(run: &Run) -> Result<Vec<Settled>> {
    let mut settled: Vec<CandidateRecord> = Vec::new();
    run.reader.for_each_candidate(|record| {
        if record.outcome.kind().evaluated() {
            settled.push(record);
        }
    })?;
    let before = |record: &CandidateRecord| {
        let next = CandidateId(record.id.0 + 1);
        record.late.map_or(next, |late| late.before)
    };
    settled.sort_by_key(|record| (before(record), record.late, record.id));
    let evaluations = run.reader.evaluations(Purpose::Search)?;
    let worker = |id: CandidateId| {
        let of = |record: &EvaluationRecord| record.key.candidate.cmp(&id);
        let place = evaluations.binary_search_by(of).ok()?;
        evaluations[place].evaluation.worker
    };
    let mut best: Option<f64> = None;
    let row = |record: CandidateRecord| {
        let score = record.fitness.map(autoloss_search::Fitness::score);
        best = score.map_or(best, |score| {
            Some(best.map_or(score, |best| best.max(score)))
        });
        Settled {
            candidate: record.id,
            settled_before: before(&record),
            outcome: record.outcome.kind().code(),
            score,
            best,
            elapsed: record.elapsed,
            seconds: record.times.seconds(autoloss_search::Stage::Evaluate),
            worker: worker(record.id),
        }
    };
    Ok(settled.into_iter().map(row).collect())
}

impl Replay {
    fn text(&self, score: &str) -> Result<String> {
        let mut text = String::new();
        let number =
            |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.4}"));
        let rows = self.trainings.iter().map(|settled| {
            vec![
                settled.candidate.to_string(),
                settled.settled_before.to_string(),
                settled.outcome.to_owned(),
                number(settled.score),
                number(settled.best),
                clock(settled.elapsed),
                format!("{:.1} s", settled.seconds),
                settled
                    .worker
                    .map_or("–".to_owned(), |worker| worker.to_string()),
            ]
        });
        let best = format!("best {score}");
        let header = [
            "candidate",
            "settled before",
            "outcome",
            score,
            &best,
            "at",
            "training",
            "worker",
        ];
        writeln!(text, "{}", table::numbers(&header, rows))?;
        if let Some(verification) = &self.verification {
            verified(verification, &mut text)?;
        }
        Ok(text)
    }
}

fn verified(verification: &Verification, text: &mut String) -> Result<()> {
    let Verification {
        explored,
        open,
        different,
        ..
    } = verification;
    match different {
        0 => writeln!(
            text,
            "each of the {explored} candidates is what the search proposes after all that was settled before it"
        )?,
        _ => writeln!(
            text,
            "{different} of {explored} candidates are not what the search proposes in their place:"
        )?,
    }
    for deviation in &verification.deviations {
        writeln!(
            text,
            "  candidate {}: {} {}, stored {}",
            deviation.candidate, deviation.what, deviation.proposed, deviation.stored
        )?;
    }
    if *open > 0 {
        writeln!(text, "{open} of them wait for a training")?;
    }
    for (ids, what) in [
        (
            &verification.without_training,
            "have a score but no training",
        ),
        (
            &verification.stray_trainings,
            "have a training that nothing asked for",
        ),
    ] {
        if !ids.is_empty() {
            let ids: Vec<String> = ids.iter().map(CandidateId::to_string).collect();
            writeln!(text, "candidates {} {what}", ids.join(", "))?;
        }
    }
    Ok(())
}

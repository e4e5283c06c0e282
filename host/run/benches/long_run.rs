//! A run of millions of candidates: how large its folder gets, how much memory the host takes, how long it is written and
//! read. Screens and trainings are hashes; the strategy, the state and the run folder are a search's own.
//!
//! `cargo bench -p autoloss-run --bench long_run -- [CANDIDATES] [FOLDER]`, by default ten million in a folder that is
//! removed; time `autoloss-host report FOLDER` on one that is kept.

#![allow(clippy::unwrap_used, reason = "a failure ends the bench")]

mod shared;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use autoloss_graph::hash::finalize;
use autoloss_graph::{LossGraph, Signature};
use autoloss_run::{RunReader, Store};
use autoloss_search::*;
use shared::task;

/// What becomes of a loss that passes the static checks follows from its form: with these shares, as a search of 45 minutes
/// on `voc_seg` had them.
const ZERO: u64 = 40;
const EQUIVALENT: u64 = 240;
const REJECTED: u64 = 840;
const ALL: u64 = 1000;

/// So many projections of a gradient are asked for.
struct Hashes(usize);

fn hash(graph: &LossGraph) -> u64 {
    let form = graph.training_form(&Signature::dense()).structural_hash();
    finalize(form)
}

impl Screener for Hashes {
    fn probe(&mut self, _: usize, graph: &LossGraph) -> Result<Probe, Fault> {
        let hash = hash(graph);
        let norm = f64::from(u8::from(hash % ALL >= ZERO));
        // Equivalent ones have one of a hundred directions.
        let direction = match hash % ALL < EQUIVALENT {
            true => hash % 100,
            false => hash,
        };
        let part = |n: u32| {
            let bits = direction
                .rotate_left(4 * n)
                .wrapping_mul(0x9e37_79b9_7f4a_7c15);
            (bits as i32 as f64) / f64::from(i32::MAX)
        };
        Ok(Probe {
            losses: vec![1.0; 2],
            norms: vec![norm; 2],
            alignments: vec![-0.5 * norm; 2],
            sketch: (0..self.0 as u32).map(|n| part(n) * norm).collect(),
            rounding_scale: 1e-12,
        })
    }

    fn reject(&mut self, _: usize, graph: &LossGraph) -> Result<Gain, Fault> {
        let gain = f64::from(u8::from(hash(graph) % ALL >= REJECTED));
        Ok(Gain {
            gain,
            initial: 0.0,
            reached: gain,
            steps: 500,
        })
    }
}

#[derive(Default)]
struct AtOnce(VecDeque<(Ticket, Job)>);

impl Executor for AtOnce {
    fn capacity(&self) -> usize {
        1
    }

    fn submit(&mut self, ticket: Ticket, job: &Job) {
        self.0.push_back((ticket, job.clone()));
    }

    fn wait(&mut self, _: Option<Instant>) -> Option<Finished> {
        let (ticket, job) = self.0.pop_front()?;
        let losses = job.losses.values().flat_map(|text| text.bytes());
        let mixed = losses.fold(job.seed, |hash, byte| {
            (hash.rotate_left(5) ^ u64::from(byte)).wrapping_mul(0x517c_c1b7_2722_0a95)
        });
        let score = (mixed >> 40) as f64 / (1u64 << 24) as f64;
        let names = ["mIoU", "FWIoU", "gAcc", "mAcc", "BIoU", "BF1"];
        let scores = names.iter().map(|name| ((*name).to_owned(), score));
        Some((ticket, Ok(Evaluation::scored(score, scores.collect()))))
    }

    fn cancel(&mut self, ticket: Ticket) {
        self.0.retain(|(open, _)| *open != ticket);
    }
}

fn bytes(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap();
    entries
        .map(|entry| {
            let entry = entry.unwrap();
            match entry.file_type().unwrap().is_dir() {
                true => bytes(&entry.path()),
                false => entry.metadata().unwrap().len(),
            }
        })
        .sum()
}

/// The most memory that this process has had, in MiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.unwrap().trim().trim_end_matches(" kB");
    kilobytes.parse::<u64>().unwrap() >> 10
}

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|word| word != "--bench");
    let explored = arguments
        .next()
        .map_or(10_000_000, |word| word.parse().unwrap());
    let place = tempfile::tempdir().unwrap();
    let folder = arguments
        .next()
        .map_or_else(|| place.path().join("run"), PathBuf::from);
    let mut config = SearchConfig::default();
    config.budget.max_seconds = None;
    config.budget.max_explored = Some(explored);
    let mut screener = Hashes(config.equivalence.sketched());
    let store = Store::create(&folder).unwrap();
    let mut search = Search::new(task(), config, Provenance::default(), store).unwrap();
    let begun = Instant::now();
    let stop = AtomicBool::new(false);
    let mut executor = AtOnce::default();
    let summary = search.run(&mut screener, &mut executor, &mut (), &stop);
    let counts = summary.unwrap().counts;
    drop(search);
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{explored} explored, {} trained, in {seconds:.0} s ({:.0} a second); run folder {} MB; at most {} MiB of memory",
        counts.proxies(),
        explored as f64 / seconds,
        bytes(&folder) / 1_000_000,
        peak()
    );
    let begun = Instant::now();
    let store = Store::open(&folder).unwrap();
    Search::resume(&task(), None, store).unwrap();
    println!(
        "read again for going on in {:.0} s; at most {} MiB",
        begun.elapsed().as_secs_f64(),
        peak()
    );
    let begun = Instant::now();
    let mut lines = 0;
    let reader = RunReader::open(&folder).unwrap();
    reader.for_each_candidate(|_| lines += 1).unwrap();
    println!(
        "{lines} candidates visited in {:.0} s",
        begun.elapsed().as_secs_f64()
    );
}

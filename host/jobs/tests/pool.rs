//! Worker processes that misbehave in every way, and a pool that goes on. This program is its own worker, so it has
//! no harness that would speak on standard output.

#![allow(unsafe_code, reason = "a worker that dies by a signal")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a failure is a failed test"
)]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use autoloss_jobs::protocol::{Hello, Opening, PROTOCOL};
use autoloss_jobs::worker::{Trainer, serve};
use autoloss_jobs::{Doing, Limits, ProcessPool};
use autoloss_search::{Evaluation, Executor, Fault, Fitness, Job, Outcome, Ticket};
use libtest_mimic::{Arguments, Trial};

const WORKER: &str = "AUTOLOSS_TEST_WORKER";

fn main() {
    if let Ok(kind) = std::env::var(WORKER) {
        be_a_worker(&kind);
    }
    let tests: [(&str, fn()); 13] = [
        ("jobs_come_back_from_several_workers", jobs_come_back),
        (
            "a_lost_worker_is_replaced_and_its_job_tried_again",
            tried_again,
        ),
        (
            "a_job_that_always_kills_fails_with_the_last_words",
            always_kills,
        ),
        ("streams_break_at_any_message", broken_streams),
        ("nonsense_ends_a_worker", nonsense),
        ("a_stopped_worker_is_silent_and_killed", silent),
        ("memory_and_time_are_limited", limited),
        ("cancelled_jobs_come_back_as_interrupted", cancelled),
        ("the_stop_flag_cancels_everything", stopped),
        ("a_deaf_worker_is_killed_when_stopped", deaf_and_stopped),
        ("workers_that_do_not_begin_end_it", none_begins),
        ("another_protocol_and_a_refused_spec_end_it", refused),
        ("dropping_the_pool_leaves_no_process", no_process_stays),
    ];
    let trials = tests.map(|(name, test)| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    });
    libtest_mimic::run(&Arguments::from_args(), trials.into()).exit();
}

/// What a worker does with a job is its loss's text.
struct Actor {
    stop: Arc<AtomicBool>,
    /// The first worker of a place; its replacements do what they are told.
    first: bool,
}

impl Trainer for Actor {
    fn train(
        &mut self,
        job: &Job,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Evaluation, Fault> {
        let text = job.losses["b"].as_str();
        let text = match text.strip_prefix("first:") {
            Some(rest) if self.first => rest,
            Some(_) => "score",
            None => text,
        };
        eprintln!("now {text}");
        progress(1, 2);
        match text {
            "score" => {}
            // SAFETY: ends this process, which is what it is there for.
            // Rust's own handler, for overflowing stacks, would return.
            "segv" => unsafe {
                libc::signal(libc::SIGSEGV, libc::SIG_DFL);
                libc::raise(libc::SIGSEGV);
            },
            // SAFETY: as above; it is killed from outside.
            "freeze" => unsafe { _ = libc::raise(libc::SIGSTOP) },
            "exit" => std::process::exit(3),
            "garbage" => println!("\u{1}\u{2} this is a progress bar"),
            "half" => {
                print!("{{\"ended\":{{\"tick");
                let _ = std::io::stdout().flush();
                std::process::exit(0);
            }
            "foreign" => println!("{{\"faulted\":{{\"ticket\":99,\"fault\":\"interrupted\"}}}}"),
            "eat" => {
                let mut eaten = vec![1u8; 400 << 20];
                eaten.iter_mut().step_by(4096).for_each(|byte| *byte += 1);
                std::thread::sleep(Duration::from_secs(60));
                drop(eaten);
            }
            "deaf" => std::thread::sleep(Duration::from_secs(60)),
            "wait" => {
                while !self.stop.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(5));
                }
                return Err(Fault::Interrupted);
            }
            "fail" => return Err(Fault::Failed("this loss has no gradient".into())),
            other => return Err(Fault::Fatal(format!("what is {other}?"))),
        }
        let score = job.seed as f64 / 1000.0;
        Ok(Evaluation::scored(score, BTreeMap::new()))
    }
}

/// A stream that breaks at the n-th message.
struct Breaking<S> {
    stream: S,
    /// Messages until then; none where it never does.
    left: Option<usize>,
}

impl<S> Breaking<S> {
    /// The stream of a worker of this kind, which may be `read:N` or `write:N`.
    fn of(stream: S, kind: &str, way: &str) -> Self {
        let number = kind
            .strip_prefix(way)
            .and_then(|rest| rest.strip_prefix(':'));
        let left = number.map(|number| number.parse().unwrap());
        Self { stream, left }
    }

    fn count(&mut self) -> std::io::Result<()> {
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(1);
            if *left == 0 {
                return Err(std::io::Error::other("the wire was cut"));
            }
        }
        Ok(())
    }
}

impl<S: Write> Write for Breaking<S> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.count()?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.stream.flush()
    }
}

impl<S: Read> Read for Breaking<S> {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        self.count()?;
        self.stream.read(bytes)
    }
}

fn be_a_worker(kind: &str) -> ! {
    let stop = Arc::new(AtomicBool::new(false));
    let first = kind == "first";
    if kind == "broken" {
        eprintln!("error while loading shared libraries: libtorch.so");
        std::process::exit(127);
    }
    let hello = Hello {
        protocol: PROTOCOL + u32::from(kind == "newer"),
        version: "0".into(),
    };
    let flag = Arc::clone(&stop);
    let served = serve(
        std::io::BufReader::new(Breaking::of(std::io::stdin(), kind, "read")),
        Breaking::of(std::io::stdout(), kind, "write"),
        hello,
        &stop,
        |_| std::process::exit(0),
        &mut move |opening| match opening.spec.as_str() {
            Some("good") => Ok(Box::new(Actor {
                stop: Arc::clone(&flag),
                first,
            })),
            _ => Err("there is no such data".into()),
        },
    );
    std::process::exit(i32::from(served.is_err()));
}

fn quick() -> Limits {
    Limits {
        start: Duration::from_secs(30),
        silence: Duration::from_secs(2),
        job: None,
        memory: None,
        tries: 3,
    }
}

/// A pool whose workers are of a kind; only the first of each place is `first`, or breaks at a message.
fn pool_of(workers: usize, kind: &str, limits: Limits) -> (ProcessPool, Arc<AtomicBool>) {
    let stop = Arc::new(AtomicBool::new(false));
    let begun = AtomicBool::new(false);
    let kind = kind.to_owned();
    let once = kind == "first" || kind.contains(':');
    let make = move |_| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let later = once && begun.swap(true, Ordering::Relaxed);
        command.env(WORKER, if later { "later" } else { &kind });
        command
    };
    let pool = ProcessPool::new(workers, Box::new(make), limits, Arc::clone(&stop));
    pool.open(Opening {
        key: "spec".into(),
        spec: "good".into(),
    });
    (pool, stop)
}

fn job(text: &str, seed: u64) -> Job {
    Job {
        task: "toy".into(),
        network: "net".into(),
        run_spec: "spec".into(),
        losses: BTreeMap::from([("b".to_owned(), text.to_owned())]),
        budget: Default::default(),
        seed,
        split: "reward".into(),
        stop_invalid: true,
        pruning: None,
        keep: None,
        checkpoints: None,
    }
}

fn soon() -> Option<Instant> {
    Some(Instant::now() + Duration::from_secs(60))
}

/// What comes of one job.
#[track_caller]
fn outcome(pool: &mut ProcessPool, text: &str) -> Result<Evaluation, Fault> {
    pool.submit(Ticket(1), &job(text, 500));
    let (ticket, result) = pool.wait(soon()).expect("it ends");
    assert_eq!(ticket, Ticket(1));
    result
}

#[track_caller]
fn failure(result: Result<Evaluation, Fault>) -> String {
    match result {
        Err(Fault::Failed(reason)) => reason,
        // That of a lost worker tells which, and how long it was at it.
        Ok(Evaluation {
            outcome: Outcome::Failed { reason },
            worker: Some(_),
            ..
        }) => reason,
        other => panic!("{other:?}"),
    }
}

/// Waits until the first worker runs a job.
fn until_running(pool: &ProcessPool) {
    while !matches!(
        pool.status().first().map(|worker| &worker.doing),
        Some(Doing::Running { done: 1, .. })
    ) {
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn jobs_come_back() {
    let (mut pool, _) = pool_of(3, "plain", quick());
    assert_eq!(pool.capacity(), 4);
    assert!(pool.wait(None).is_none());
    for seed in 0..20 {
        pool.submit(Ticket(seed), &job("score", seed));
    }
    let mut seen = BTreeMap::new();
    while let Some((ticket, result)) = pool.wait(soon()) {
        seen.insert(ticket.0, result.unwrap().fitness());
    }
    let expected = (0..20).map(|seed| (seed, Fitness::new(seed as f64 / 1000.0)));
    assert_eq!(seen, expected.collect());
    assert_eq!(
        failure(outcome(&mut pool, "fail")),
        "this loss has no gradient"
    );
    assert!(matches!(outcome(&mut pool, "odd"), Err(Fault::Fatal(_))));
    assert!(pool.status().iter().all(|worker| worker.restarts == 0));
}

fn tried_again() {
    for text in [
        "first:segv",
        "first:exit",
        "first:half",
        "first:garbage",
        "first:foreign",
    ] {
        let (mut pool, _) = pool_of(1, "first", quick());
        let fitness = outcome(&mut pool, text).unwrap().fitness();
        assert_eq!(fitness, Fitness::new(0.5), "{text}");
        let status = pool.status();
        assert_eq!(status[0].restarts, 1, "{text}: {status:?}");
    }
}

/// The n-th message that a worker reads or writes breaks its stream, for every n until none does: no job is lost.
fn broken_streams() {
    for way in ["read", "write"] {
        for number in 1.. {
            let (mut pool, _) = pool_of(1, &format!("{way}:{number}"), quick());
            for seed in 0..3 {
                pool.submit(Ticket(seed), &job("score", seed));
            }
            let mut seen = BTreeMap::new();
            while let Some((ticket, result)) = pool.wait(soon()) {
                seen.insert(ticket.0, result.unwrap().fitness());
            }
            let expected = (0..3).map(|seed| (seed, Fitness::new(seed as f64 / 1000.0)));
            assert_eq!(seen, expected.collect(), "{way} {number}");
            if pool.status()[0].restarts == 0 {
                assert!(number > 3, "{way} {number}");
                break;
            }
        }
    }
}

fn always_kills() {
    let (mut pool, _) = pool_of(2, "plain", quick());
    let reason = failure(outcome(&mut pool, "segv"));
    for part in ["3 workers", "SIGSEGV", "at most", "MiB", "now segv"] {
        assert!(reason.contains(part), "{reason}");
    }
    // Nobody else is harmed.
    assert!(outcome(&mut pool, "score").is_ok());
    assert!(failure(outcome(&mut pool, "exit")).contains("ended with code 3"));
}

fn nonsense() {
    let limits = Limits {
        tries: 1,
        ..quick()
    };
    let (mut pool, _) = pool_of(1, "plain", limits);
    let reason = failure(outcome(&mut pool, "garbage"));
    assert!(reason.contains("this is a progress bar"), "{reason}");
    let reason = failure(outcome(&mut pool, "half"));
    assert!(reason.contains("cut off"), "{reason}");
    let reason = failure(outcome(&mut pool, "foreign"));
    assert!(reason.contains("a job that it did not have"), "{reason}");
    assert!(outcome(&mut pool, "score").is_ok());
}

fn silent() {
    let limits = Limits {
        tries: 1,
        ..quick()
    };
    let (mut pool, _) = pool_of(1, "plain", limits);
    let reason = failure(outcome(&mut pool, "freeze"));
    assert!(reason.contains("silent for 2 s"), "{reason}");
    assert!(outcome(&mut pool, "score").is_ok());
}

fn limited() {
    let limits = Limits {
        tries: 1,
        memory: Some(300 << 20),
        job: Some(Duration::from_secs(3)),
        ..quick()
    };
    let (mut pool, _) = pool_of(1, "plain", limits);
    let reason = failure(outcome(&mut pool, "eat"));
    assert!(reason.contains("may use 300"), "{reason}");
    let reason = failure(outcome(&mut pool, "deaf"));
    assert!(reason.contains("more than 3 s"), "{reason}");
}

fn cancelled() {
    let (mut pool, _) = pool_of(1, "plain", quick());
    pool.submit(Ticket(1), &job("wait", 0));
    pool.submit(Ticket(2), &job("score", 0));
    until_running(&pool);
    assert!(pool.wait(Some(Instant::now())).is_none());
    pool.cancel(Ticket(2));
    assert_eq!(
        pool.wait(soon()),
        Some((Ticket(2), Err(Fault::Interrupted)))
    );
    pool.cancel(Ticket(1));
    assert_eq!(
        pool.wait(soon()),
        Some((Ticket(1), Err(Fault::Interrupted)))
    );
    assert!(outcome(&mut pool, "score").is_ok());
    assert_eq!(pool.status()[0].restarts, 0);
}

fn stopped() {
    let (mut pool, stop) = pool_of(2, "plain", quick());
    for ticket in 0..4 {
        pool.submit(Ticket(ticket), &job("wait", 0));
    }
    stop.store(true, Ordering::Relaxed);
    for _ in 0..4 {
        let (_, result) = pool.wait(soon()).unwrap();
        assert_eq!(result, Err(Fault::Interrupted));
    }
}

fn deaf_and_stopped() {
    let (mut pool, stop) = pool_of(1, "plain", quick());
    pool.submit(Ticket(1), &job("deaf", 0));
    until_running(&pool);
    stop.store(true, Ordering::Relaxed);
    // It sleeps for a minute.
    let end = Some(Instant::now() + Duration::from_secs(40));
    assert_eq!(pool.wait(end), Some((Ticket(1), Err(Fault::Interrupted))));
}

fn none_begins() {
    let (mut pool, _) = pool_of(2, "broken", quick());
    match outcome(&mut pool, "score") {
        Err(Fault::Fatal(reason)) => {
            assert!(
                reason.contains("libtorch.so") && reason.contains("code 127"),
                "{reason}"
            );
        }
        other => panic!("{other:?}"),
    }
}

fn refused() {
    let (mut pool, _) = pool_of(1, "newer", quick());
    match outcome(&mut pool, "score") {
        Err(Fault::Fatal(reason)) => assert!(reason.contains("of one release"), "{reason}"),
        other => panic!("{other:?}"),
    }
    let (mut pool, _) = pool_of(1, "plain", quick());
    pool.open(Opening {
        key: "other".into(),
        spec: "bad".into(),
    });
    match outcome(&mut pool, "score") {
        Err(Fault::Fatal(reason)) => assert_eq!(reason, "there is no such data"),
        other => panic!("{other:?}"),
    }
}

fn no_process_stays() {
    let (mut pool, _) = pool_of(2, "plain", quick());
    assert!(outcome(&mut pool, "score").is_ok());
    pool.submit(Ticket(5), &job("deaf", 0));
    let processes: Vec<u32> = pool
        .status()
        .iter()
        .filter_map(|worker| worker.process)
        .collect();
    assert_eq!(processes.len(), 2);
    drop(pool);
    for process in processes {
        assert!(!std::path::Path::new(&format!("/proc/{process}")).exists());
    }
}

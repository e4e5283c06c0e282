//! Run folders: finished, hostile, empty, without scores, huge.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use autoloss_jobs::InProcess;
use autoloss_run::{RunReader, RunSpec, Store};
use autoloss_search::*;
use serde_json::json;

use crate::support;

/// Text that would be markup, end its element, reorder the line, or run off the page.
pub(crate) const HOSTILE: &str = "<script>window.hacked=1</script><img src=x onerror=window.hacked=1>\"'&amp;]]></script>--><b>\u{202e}\u{2028}";

/// Long, and without a place to break.
pub(crate) fn long() -> String {
    "W".repeat(3000)
}

/// Scores each loss by how it was made, with metrics of given names.
struct Trainer {
    metrics: Vec<String>,
    error: String,
    scores: bool,
}

impl Evaluator for Trainer {
    fn evaluate(&mut self, job: &Job) -> Result<Evaluation, Fault> {
        let found = support::evaluation(job);
        let ended = match (&found.outcome, self.scores) {
            (Outcome::Scored { fitness }, true) => {
                let score = fitness.score();
                let value = |(at, name): (usize, &String)| (name.clone(), score / (at + 1) as f64);
                Evaluation::scored(score, self.metrics.iter().enumerate().map(value).collect())
            }
            (Outcome::InvalidTraining { .. }, true) => Evaluation::of(found.outcome),
            _ => Evaluation::failed(self.error.clone()),
        };
        Ok(Evaluation {
            outcome: ended.outcome,
            metrics: ended.metrics,
            ..found
        })
    }
}

/// How a run is made.
pub(crate) struct Recipe {
    pub(crate) name: String,
    pub(crate) metrics: Vec<String>,
    pub(crate) branches: usize,
    pub(crate) explored: u64,
    pub(crate) random: bool,
    pub(crate) scores: bool,
    /// Whether it ends with its final table.
    pub(crate) finished: bool,
}

impl Recipe {
    pub(crate) fn plain(branches: usize, explored: u64) -> Self {
        Self {
            name: "toy".into(),
            metrics: ["mIoU", "BF1", "gAcc"].map(String::from).to_vec(),
            branches,
            explored,
            random: false,
            scores: true,
            finished: true,
        }
    }

    /// Runs a search in a new folder.
    pub(crate) fn run(&self, folder: &Path) {
        let mut search = self.begin(folder);
        self.go_on(&mut search);
        if self.finished {
            self.finish(&mut search, folder);
        }
    }

    pub(crate) fn begin(&self, folder: &Path) -> Search<Store> {
        let mut config = support::config(self.explored);
        if self.random {
            config.evolution.strategy = SearchMethod::Random;
        }
        config.budget.max_failures = self.explored;
        let mut task = support::task(self.branches);
        task.task = self.name.clone();
        let identity = || self.name.clone();
        let provenance = Provenance {
            plugins: vec![PluginIdentity {
                name: identity(),
                version: identity(),
                sha256: "0123456789abcdef".repeat(4),
            }],
            versions: BTreeMap::from([(identity(), identity())]),
        };
        let spec = RunSpec {
            score: self.metrics[0].clone(),
            ..RunSpec::default()
        };
        let store = Store::create(folder).unwrap().with_spec(spec);
        Search::new(task, config, provenance, store).unwrap()
    }

    pub(crate) fn go_on(&self, search: &mut Search<Store>) {
        let mut engine = support::FakeEngine::default();
        let stop = AtomicBool::new(false);
        search
            .run(
                &mut engine,
                &mut InProcess::new(&mut self.trainer()),
                &mut (),
                &stop,
            )
            .unwrap();
    }

    fn trainer(&self) -> Trainer {
        Trainer {
            metrics: self.metrics.clone(),
            error: self.name.clone(),
            scores: self.scores,
        }
    }

    /// Confirms the best and writes a final table in which the target rose and the second metric collapsed.
    fn finish(&self, search: &mut Search<Store>, folder: &Path) {
        let stop = AtomicBool::new(false);
        let confirmed = search
            .confirm(
                None,
                &mut InProcess::new(&mut self.trainer()),
                &mut (),
                &stop,
            )
            .unwrap()
            .unwrap();
        let best = &confirmed[0].loss;
        let row = |name: &str, losses: &BTreeMap<String, String>, target: f64, other: f64| {
            let scores = (0..6).map(|seed| {
                let noise = 0.004 * f64::from(seed);
                let value = |(at, metric): (usize, &String)| {
                    (metric.clone(), if at == 1 { other } else { target } + noise)
                };
                self.metrics
                    .iter()
                    .enumerate()
                    .map(value)
                    .collect::<BTreeMap<_, _>>()
            });
            json!({ "name": name, "losses": losses, "scores": scores.collect::<Vec<_>>() })
        };
        let texts = ["neg(mul(y, log(yhat)))", "neg(mul(i, inv(u)))"];
        let reference: BTreeMap<String, String> = (0..self.branches)
            .map(|at| (format!("b{at}"), texts[at.min(1)].to_owned()))
            .collect();
        let counts = search.journal().reader().counts().unwrap();
        let findings = json!({
            "explored": counts.explored(),
            "store_seconds": 0.25,
            "score": self.metrics[0],
            "best": { "candidate": best.id.to_string(), "losses": best.losses, "search_score": best.fitness },
            "random_accepted_median": 0.25,
            "noise_floor": 0.01,
            "test": [
                row("found", &best.losses, 0.62, 0.11),
                row(&format!("reference {}", self.name), &reference, 0.51, 0.48),
                row("median random", &best.losses, 0.2, 0.1),
            ],
        });
        std::fs::write(folder.join("final.json"), findings.to_string()).unwrap();
    }
}

/// Example pictures as the host leaves them.
pub(crate) fn pictures(folder: &Path, name: &str) {
    let folder = folder.join("pictures");
    std::fs::create_dir(&folder).unwrap();
    for file in ["12-0.png", "12-1.png"] {
        let mut encoder = png::Encoder::new(File::create(folder.join(file)).unwrap(), 32, 32);
        encoder.set_color(png::ColorType::Grayscale);
        let pixels: Vec<u8> = (0..32 * 32).map(|at| (at / 4) as u8).collect();
        encoder
            .write_header()
            .unwrap()
            .write_image_data(&pixels)
            .unwrap();
    }
    let row = |sample: u32| {
        let files = json!(["12-0.png", "12-1.png", null]);
        json!({ "sample": sample, "files": files, "captions": [name, "", format!("says {sample}")] })
    };
    let index = json!({
        "split": name,
        "columns": ["input", name, "found"],
        "rows": [row(12), row(40)],
    });
    std::fs::write(folder.join("index.json"), index.to_string()).unwrap();
}

/// A run of so many candidates: a real one whose rows are repeated with later numbers.
pub(crate) fn repeated(folder: &Path, candidates: u64) {
    Recipe {
        finished: false,
        ..Recipe::plain(1, 3000)
    }
    .run(folder);
    let connection = rusqlite::Connection::open(folder.join("run.db")).unwrap();
    connection
        .execute_batch("PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY; DROP INDEX candidates_joined; DROP INDEX candidates_scored;")
        .unwrap();
    loop {
        let known: i64 = connection
            .query_row("SELECT max(id) + 1 FROM candidates", [], |row| row.get(0))
            .unwrap();
        let known = known as u64;
        if known >= candidates {
            break;
        }
        let more = known.min(candidates - known);
        connection
            .execute_batch(&format!(
                "BEGIN;
                 INSERT INTO candidates SELECT id + {known}, child + {known}, parent + {known}, origins, losses,
                    canonical, gradient_key, verdict, detail, branch, passed, equivalent_of + {known}, score, joined,
                    ends_child, generate_ns, static_ns, canonical_ns, probe_ns, reject_ns, evaluate_ns,
                    elapsed + {known} / 1000.0, settled_before + {known},
                    settled_order + {known}
                    FROM candidates WHERE id < {more};
                 INSERT INTO evaluations (candidate, purpose, seed, split, losses, verdict, detail, score, metrics,
                    steps, train_seconds, eval_seconds, final_loss, elapsed, look)
                    SELECT candidate + {known}, purpose, seed, split, losses, verdict, detail, score, metrics, steps,
                    train_seconds, eval_seconds, final_loss, elapsed + {known} / 1000.0, look
                    FROM evaluations WHERE candidate < {more} AND purpose = 'search';
                 COMMIT;"
            ))
            .unwrap();
    }
    connection
        .execute_batch(
            "CREATE INDEX candidates_joined ON candidates (id) WHERE joined = 1;
             CREATE INDEX candidates_scored ON candidates (score DESC, id) WHERE verdict = 'scored';",
        )
        .unwrap();
    drop(connection);
    let counts = RunReader::open(folder).unwrap().counts().unwrap();
    assert_eq!(counts.explored(), candidates);
}

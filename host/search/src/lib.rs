//! Search over loss graphs: proposes candidate losses, sends each through a funnel of tests of
//! rising cost, has the survivors evaluated by short trainings, and writes everything into a run
//! folder from which the search can go on.
//!
//! The method is that of AutoLoss-Zero (arXiv 2103.14026). This crate is pure: it knows neither
//! tensors nor plugins and reaches them through two traits only, [`Screener`] (a graph's gradient
//! and the loss-rejection protocol) and [`Evaluator`] (proxy trainings), so that the whole search,
//! with its store, is tested in seconds. [`Observer`] is told what happens.
//!
//! Three properties are kept by design, and tested:
//! - *Deterministic*: a seed decides the run. Random numbers are counter-based, one stream for each
//!   candidate, so no generator state exists.
//! - *Resumable*: the state is a function of what is stored. A run that was stopped or killed goes
//!   on as if it had not been.
//! - *Accounted*: every candidate has one [`Verdict`], its lineage, and the time of every stage.
//!
//! Begin with [`Search`]; [`SearchConfig`] lists every knob.

mod ahead;
mod branch_verdict;
mod config;
mod confirm;
mod counts;
mod early;
mod equivalence;
mod error;
mod evaluation;
mod jobs;
mod looks;
mod observer;
mod pipeline;
mod population;
mod propose;
mod screening;
mod search;
mod spread;
mod state;
pub mod store;
mod stream;
mod summary;
mod task;
mod timing;
mod verdict;

pub use autoloss_spec::{MemoryFormat, Optimizer, Precision, Schedule, TrainingBudget};
pub use branch_verdict::BranchVerdict;
pub use config::{
    Budget, ConfigBuilder, ConfigError, ConfigKey, Confirmation, EarlyStopping, EquivalenceConfig,
    EvolutionConfig, KeyKind, Place, ProxyConfig, PruningConfig, RetrainConfig, ScreeningConfig,
    ScreeningEngine, ScreeningMode, SearchConfig, SearchMethod, Violation, flatten,
};
pub use confirm::Confirmed;
pub use counts::Counts;
pub use early::EarlyStopper;
pub use equivalence::GradientKey;
pub use error::SearchError;
pub use evaluation::{EvaluationOutcome, EvaluationRequest, EvaluationVerdict, Evaluator, Look};
pub use observer::{Event, Observer};
pub use propose::Origin;
pub use screening::{BackendError, Probe, Rejection, Screener, Timed, Work};
pub use search::Search;
pub use spread::mean_and_deviation;
pub use store::{PluginIdentity, Provenance, Store};
pub use summary::{EndReason, Summary};
pub use task::{BranchSpec, MAX_BRANCHES, TaskSpec};
pub use timing::{Stage, StageTimes};
pub use verdict::{CandidateId, Verdict, VerdictKind};

//! Search over loss graphs: proposes candidate losses, sends each through a funnel of tests of
//! rising cost, has the survivors evaluated by short trainings, and writes everything into a
//! journal from which the search can go on.
//!
//! The method is that of AutoLoss-Zero (arXiv 2103.14026). This crate is pure: it knows no tensors, no
//! files and no threads, and reaches them through traits: [`Screener`] (a graph's gradient and the
//! loss-rejection protocol), [`Executor`] (trainings), [`Journal`] (what is written down). Where
//! candidates come from is a [`Strategy`]. [`Observer`] is told what happens.
//!
//! Three properties are kept by design, and tested:
//! - *Deterministic*: a seed decides the run. Random numbers are counter-based, one stream for each
//!   candidate, so no generator state exists.
//! - *Resumable*: the state is a function of what is stored. A run that was stopped or killed goes
//!   on as if it had not been.
//! - *Accounted*: every candidate has one [`Outcome`], its lineage, and the time of every stage.
//!
//! Begin with [`Search`]; [`SearchConfig`] lists every knob.

mod candidate;
mod comparison;
mod conclusion;
mod config;
mod counts;
mod error;
mod evaluation;
mod fault;
mod fitness;
mod id;
mod journal;
mod known;
mod observer;
mod outcome;
mod paired;
mod provenance;
mod random;
mod ranking;
mod screening;
mod search;
mod state;
mod statistics;
mod strategy;
mod summary;
mod task;
mod timing;
mod verify;

pub use autoloss_spec::{MemoryFormat, Optimizer, Precision, Schedule, TrainingBudget};
pub use candidate::{
    BestLoss, CandidateRecord, OpenCandidate, Origin, Parent, Proposal, Screened, Settled,
    SettledLate,
};
pub use comparison::{Contender, Row, Scores, Standing, noise_floor};
pub use conclusion::{Conclusion, FinalTable, Promoted, SecondStage};
pub use config::{
    Budget, ConfigBuilder, ConfigError, ConfigKey, Confirmation, Difference, EarlyStopping,
    EquivalenceConfig, EquivalenceMode, EvolutionConfig, KeyKind, Place, PoolConfig,
    PromotionConfig, PromotionMode, ProxyConfig, PruningConfig, RetrainConfig, ScreeningConfig,
    ScreeningEngine, ScreeningMode, SearchConfig, SearchMethod, Violation, difference, flatten,
};
pub use counts::Counts;
pub use error::SearchError;
pub use evaluation::{
    Checkpoints, Confirmed, Evaluation, Evaluator, Executor, Finished, Job, PruningRule, Ticket,
};
pub use fault::Fault;
pub use fitness::Fitness;
pub use id::CandidateId;
pub use journal::{
    Entry, EvaluationKey, EvaluationRecord, Journal, JournalError, Purpose, RunHeader,
};
pub use known::KnownAs;
pub use observer::{Event, Observer};
pub use outcome::{Outcome, OutcomeKind};
pub use paired::Paired;
pub use provenance::{PluginIdentity, Provenance};
pub use random::{Draws, stream};
pub use ranking::{Correlation, RankAgreement};
pub use screening::{EarlyStopper, Gain, GradientKey, Passed, Probe, ScreenRecord, Screener, Work};
pub use search::Search;
pub use statistics::{mean_and_deviation, quantiles, welch};
pub use strategy::{Evolution, Next, RandomSearch, Strategy};
pub use summary::{EndReason, Summary};
pub use task::{BranchSpec, MAX_BRANCHES, TaskSpec};
pub use timing::{Stage, StageTimes, Timed};
pub use verify::{Deviation, Verified, verify};

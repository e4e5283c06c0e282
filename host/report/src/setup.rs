//! What a run was made with: all that has to be known to repeat it.

use std::collections::BTreeMap;

use autoloss_search::{PluginIdentity, SearchMethod};
use serde::Serialize;

use crate::error::ReportError;
use crate::source::Source;

/// How the run was set up.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Setup {
    pub(crate) config: String,
    pub(crate) plugins: Vec<PluginIdentity>,
    pub(crate) versions: BTreeMap<String, String>,
    pub(crate) seed: u64,
    /// Seeds of the final table's trainings, first and last.
    pub(crate) final_seeds: Option<(u64, u64)>,
    pub(crate) random: bool,
    /// Start, in seconds since 1970, and length of each session.
    pub(crate) sessions: Vec<(u64, f64)>,
}

pub(crate) fn read(source: &Source) -> Result<Setup, ReportError> {
    let config = &source.header.config;
    let trainings = source
        .findings
        .iter()
        .flat_map(|found| &found.test)
        .map(|row| row.scores.len() as u64)
        .max();
    let sessions = source.reader.sessions()?;
    Ok(Setup {
        // A stored configuration was written as TOML before.
        config: config.to_toml().unwrap_or_else(|error| error.to_string()),
        plugins: source.header.provenance.plugins.clone(),
        versions: source.header.provenance.versions.clone(),
        seed: config.seed,
        final_seeds: trainings.filter(|count| *count > 0).map(|count| {
            (
                config.seed.saturating_add(1),
                config.seed.saturating_add(count),
            )
        }),
        random: config.evolution.strategy == SearchMethod::Random,
        sessions: sessions
            .into_iter()
            .map(|session| (session.started, session.seconds))
            .collect(),
    })
}

//! A report's content, read from a run folder.

use std::path::{Path, PathBuf};

use autoloss_run::{Second, Tally};
use serde::Serialize;

use crate::branches::Known;
use crate::comparison::{self, Comparison};
use crate::costs::{self, Costs};
use crate::curve::{self, Curve};
use crate::error::ReportError;
use crate::funnel::{self, Step};
use crate::lineage::{self, Ancestor};
use crate::losses::{self, Loss};
use crate::pictures::{self, Pictures};
use crate::setup::{self, Setup};
use crate::shape::{self, Shape};
use crate::source::Source;
use crate::summary::{self, Summary};
use crate::workers::{self, Workers};

/// What a report shows.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// A run whose curve is drawn beside this one's; none: a random search beside the run folder, where
    /// there is one of the same task, network, score and proxy training.
    pub beside: Option<PathBuf>,
    /// How many of the best losses are listed.
    pub best: usize,
    /// Most bytes of pictures that go into the page, before their coding as text.
    pub picture_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            beside: None,
            best: 10,
            picture_bytes: 2 << 20,
        }
    }
}

/// Everything a report says.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Content {
    pub(crate) summary: Summary,
    pub(crate) best: Vec<Loss>,
    pub(crate) comparison: Option<Comparison>,
    pub(crate) second: Vec<Second>,
    pub(crate) curves: Vec<Curve>,
    pub(crate) funnel: Vec<Step>,
    pub(crate) lineage: Vec<Ancestor>,
    pub(crate) shapes: Vec<Shape>,
    #[serde(skip)]
    pub(crate) pictures: Option<Pictures>,
    pub(crate) setup: Setup,
    pub(crate) costs: Costs,
    pub(crate) workers: Workers,
}

/// What is kept from one reading of a run to the next, so that a page that follows a run counts only what
/// is new.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// When the run was started; another run in its place is read afresh.
    created: Option<u64>,
    tally: Tally,
    formulas: Known,
    /// The run beside it, once it was looked for.
    beside: Option<Option<PathBuf>>,
    beside_tally: Tally,
}

impl Memory {
    /// Opens a run, and brings the tally up to date.
    fn source(&mut self, run: &Path) -> Result<Source, ReportError> {
        let mut source = Source::open(run, &self.formulas)?;
        if self.created != Some(source.header.created) {
            *self = Self {
                created: Some(source.header.created),
                ..Self::default()
            };
            source = Source::open(run, &self.formulas)?;
        }
        source.reader.update(&mut self.tally)?;
        Ok(source)
    }
}

impl Content {
    /// Reads it.
    pub(crate) fn read(
        run: &Path,
        options: &Options,
        memory: &mut Memory,
    ) -> Result<Self, ReportError> {
        let source = memory.source(run)?;
        let best = source.best()?;
        let losses = losses::read(&source, best, options.best)?;
        let comparison = comparison::read(&source, best)?;
        let chosen = losses.iter().find(|loss| loss.chosen);
        let mut summary = summary::read(&source, &memory.tally, &losses, comparison.as_ref())?;
        let pictures = pictures::read(run, options.picture_bytes, &mut summary.notes);
        Ok(Self {
            curves: curves(&source, options, memory, &mut summary)?,
            funnel: funnel::of(&memory.tally),
            lineage: lineage::read(&source, best)?,
            shapes: chosen
                .map(|loss| shape::of(&source.branches, loss, comparison.as_ref()))
                .unwrap_or_default(),
            setup: setup::read(&source)?,
            costs: costs::read(&source, &memory.tally)?,
            workers: workers::read(&source)?,
            pictures,
            summary,
            best: losses,
            comparison,
            second: source
                .findings
                .as_ref()
                .map(|found| found.second.clone())
                .unwrap_or_default(),
        })
    }
}

/// The run's own curve, and that of the run beside it.
fn curves(
    source: &Source,
    options: &Options,
    memory: &mut Memory,
    summary: &mut Summary,
) -> Result<Vec<Curve>, ReportError> {
    let mut curves = vec![curve::read(source, summary.explored, summary.seconds)?];
    curves.extend(beside(source, options, memory, &mut summary.notes)?);
    Ok(curves)
}

/// The curve of the run beside a run, where there is one.
fn beside(
    source: &Source,
    options: &Options,
    memory: &mut Memory,
    notes: &mut Vec<String>,
) -> Result<Option<Curve>, ReportError> {
    let known = memory.beside.take();
    let other = match &known {
        Some(None) => None,
        Some(Some(folder)) => Some(Source::open(folder, &Known::default())?),
        None => source.beside(options.beside.as_deref())?,
    };
    memory.beside = Some(
        other
            .as_ref()
            .map(|other| other.reader.folder().to_path_buf()),
    );
    let Some(other) = other else {
        return Ok(None);
    };
    if !source.is_comparable(&other) {
        notes.push(format!(
            "The run {} beside this one has another task, network, score or proxy training: their curves \
             do not mean the same.",
            other.name()
        ));
    }
    let tally = &mut memory.beside_tally;
    other.reader.update(tally)?;
    curve::read(&other, tally.counts.explored(), tally.elapsed).map(Some)
}

//! `export`: a loss as a formula, as code, or as a file that needs no plugin.

use crate::Outcome;
use crate::loss_input::{self, NoLoss, read_text};
use crate::terminal::{logging, output};
use anyhow::{Context, Result, bail};
use autoloss_export::{Format, Loss, Options, render};
use autoloss_graph::{Convention, LossFile};
use autoloss_plugin_api::TaskInfo;
use autoloss_train::plugin::Registry;
use autoloss_train::{conventions_of, reference_texts};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The loss that a search leaves in its run folder.
const BEST: &str = "best.json";

/// Options of `export`.
#[derive(Args, Clone, Debug)]
pub(crate) struct ExportArgs {
    /// Loss file, or run folder for the loss it found; with a plugin also the name of a reference loss, or a
    /// formula where the task has one branch
    loss: String,
    /// What it is written as
    #[arg(long, value_name = "FORMAT", default_value = "pytorch", value_parser = format())]
    format: Format,
    /// Write the graph as it was found, instead of simplified
    #[arg(long)]
    raw: bool,
    /// Write into this file instead of standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Plugin library, for losses that are not in a file, or in one that does not say what its inputs are
    /// (repeatable)
    #[arg(long = "plugin", value_name = "FILE")]
    plugins: Vec<PathBuf>,
    /// Task, where the plugins offer several
    #[arg(long, value_name = "NAME")]
    task: Option<String>,
    /// Results as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

fn format() -> impl TypedValueParser<Value = Format> {
    PossibleValuesParser::new(Format::ALL.map(Format::name)).try_map(|name| name.parse::<Format>())
}

/// Reads, renders, writes.
pub(crate) fn run(args: &ExportArgs) -> Result<Outcome> {
    let task = task(args)?;
    let conventions = match &task {
        Some(task) => conventions_of(task)?,
        None => BTreeMap::new(),
    };
    let file = file(args, task.as_ref(), &conventions)?;
    let loss = Loss::from_file(&file, &conventions).with_context(|| args.loss.clone())?;
    let options = Options {
        simplify: !args.raw,
    };
    let text = render(&loss, args.format, &options).with_context(|| args.loss.clone())?;
    match &args.out {
        Some(path) => {
            std::fs::write(path, &text)
                .with_context(|| format!("cannot write {}", path.display()))?;
            logging::line(&format!("written to {}", path.display()));
        }
        None if args.json => {
            let whole = serde_json::json!({ "format": args.format.name(), "text": text });
            output::json(&whole)?;
        }
        None => output::print(&text)?,
    }
    Ok(Outcome::Done)
}

/// What the plugins say of the task, where some are named.
fn task(args: &ExportArgs) -> Result<Option<TaskInfo>> {
    if args.plugins.is_empty() {
        return Ok(None);
    }
    let registry = Registry::load(&args.plugins)?;
    let (_, info) = registry.task(args.task.as_deref())?;
    Ok(Some(info))
}

/// The loss as a file: one on disk, the best of a run folder, or what the task knows by this name.
fn file(
    args: &ExportArgs,
    task: Option<&TaskInfo>,
    conventions: &BTreeMap<String, Convention>,
) -> Result<LossFile> {
    if let Some(task) = task {
        if let Some(texts) = reference_texts(task, &args.loss) {
            let mut file = LossFile::new(&task.name, texts);
            file.name = Some(args.loss.clone());
            return Ok(file);
        }
        if loss_input::is_formula(&args.loss) {
            let branches = conventions.keys().map(String::as_str);
            let texts = loss_input::formula(&task.name, branches, &args.loss)?;
            return Ok(LossFile::new(&task.name, texts));
        }
    }
    let path = path(&args.loss)?;
    let text = read_text(&path).map_err(|error| match task {
        Some(task) => NoLoss::new(task, &args.loss, error).into(),
        None => anyhow::Error::new(error).context(format!(
            "cannot read the loss file {} (reference losses and formulas need the --plugin that knows them)",
            args.loss
        )),
    })?;
    LossFile::from_json(&text).with_context(|| path.display().to_string())
}

fn path(named: &str) -> Result<PathBuf> {
    let path = Path::new(named);
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    let best = path.join(BEST);
    if !best.exists() {
        bail!(
            "{named} holds no {BEST}: a search writes it at its end; until then the best losses lie in {named}/best"
        );
    }
    Ok(best)
}

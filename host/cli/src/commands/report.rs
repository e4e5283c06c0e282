//! `report`: a run as a page, as JSON, as events for TensorBoard; served while the run goes on.

use crate::terminal::{logging, output};
use crate::{Outcome, interrupt};
use anyhow::Result;
use autoloss_report::{Options, Report, tensorboard, watch};
use clap::Args;
use std::path::{Path, PathBuf};

/// Name of the page in a run folder.
const FILE: &str = "report.html";

/// Options of `report`.
#[derive(Args, Clone, Debug)]
pub(crate) struct ReportArgs {
    /// Run folder
    run: PathBuf,
    /// File of the page [default: report.html in the run folder]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Run whose curve is drawn beside this one's [default: a random search beside it, where there is one]
    #[arg(long, value_name = "RUN")]
    beside: Option<PathBuf>,
    /// Serve the page on this machine, up to date while the run goes on
    #[arg(long, conflicts_with_all = ["out", "json"])]
    watch: bool,
    /// Port of the served page; 0 for any that is free
    #[arg(long, value_name = "N", default_value_t = 7878, requires = "watch")]
    port: u16,
    /// Also write events for TensorBoard [default folder: tensorboard in the run folder]
    #[arg(long, value_name = "DIR", num_args = 0..=1)]
    tensorboard: Option<Option<PathBuf>>,
    /// The page's data as JSON, and the page only where --out names it
    #[arg(long)]
    json: bool,
}

/// Reads the run, writes or serves.
pub(crate) fn run(args: &ReportArgs) -> Result<Outcome> {
    let mut options = Options::default();
    options.beside.clone_from(&args.beside);
    if let Some(folder) = &args.tensorboard {
        let folder = folder
            .clone()
            .unwrap_or_else(|| args.run.join("tensorboard"));
        let file = tensorboard::write(&args.run, &folder)?;
        logging::line(&format!("events are in {}", file.display()));
    }
    if args.watch {
        let stop = interrupt::watched()?.stop;
        watch::serve(&args.run, &options, args.port, &stop, |address| {
            logging::line(&format!(
                "the report is at http://{address}/ (Ctrl-C ends it)"
            ));
        })?;
        return Ok(Outcome::Done);
    }
    let report = Report::read(&args.run, &options)?;
    let path = args.out.clone().unwrap_or_else(|| args.run.join(FILE));
    if args.json {
        output::json(&report.json())?;
    }
    if !args.json || args.out.is_some() {
        report.write(&path)?;
        logging::line(&format!("written to {}", path.display()));
    }
    Ok(Outcome::Done)
}

/// The page of a run that has just ended, in its folder. That it cannot be made costs nothing else.
pub(crate) fn leave(run: &Path) {
    let path = run.join(FILE);
    let written = Report::read(run, &Options::default()).and_then(|report| report.write(&path));
    match written {
        Ok(()) => logging::line(&format!("report: {}", path.display())),
        Err(error) => tracing::warn!("no report was written: {error}"),
    }
}

//! `write-data`: a task's data as a folder of the layout that it reads.
//!
//! The task writes, since only it knows the layout; what is embedded or generated can then be looked at,
//! changed, and given to other programs.

use crate::Outcome;
use crate::args::WriteDataArgs;
use crate::session::{Session, absolute};
use crate::terminal::output;
use anyhow::{Context, Result};

/// Opens the task, lets it write, says what is there.
pub(crate) fn run(args: &WriteDataArgs) -> Result<Outcome> {
    let session = Session::open(&args.task, |_| Ok(()))?;
    let folder = absolute(&args.folder);
    let written = session.workbench.write_data(&folder);
    let written =
        written.with_context(|| format!("cannot write data into {}", folder.display()))?;
    if args.task.json {
        output::json(&serde_json::json!({ "folder": folder, "written": written }))?;
    } else {
        output::print(&format!("{written}\n--data {}", folder.display()))?;
    }
    Ok(Outcome::Done)
}

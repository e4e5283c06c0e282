//! A run as an event file for TensorBoard: the search's scores, its pace and its verdicts over explored
//! candidates as the step, and the best loss as text. The wall time of an event is the run's start plus the
//! seconds that the run had taken, so that pauses between sessions do not show.
//!
//! The format is three protobuf messages in a framing with checksums. The crates that write it are no longer
//! kept, so the few messages are declared here for prost, which does the coding.

mod record;

use std::path::{Path, PathBuf};

use autoloss_graph::hash::{FNV_START, fnv1a};
use autoloss_search::OutcomeKind;
use record::{Event, Value};

use crate::branches::Known;
use crate::curve::{Point, Whole};
use crate::error::ReportError;
use crate::number;
use crate::source::Source;

/// Points of pace and verdicts.
const POINTS: u64 = 200;

/// Writes the events of a run into a folder of the run's name in a folder, and returns the file's path. Each export is a
/// new file, which a TensorBoard that is open goes on with; those before it are removed.
///
/// # Errors
///
/// [`ReportError::Store`] where the run cannot be read, [`ReportError::Write`].
///
/// ```
/// use autoloss_report::{ReportError, tensorboard};
///
/// let nothing = tempfile::tempdir().unwrap();
/// let refused = tensorboard::write(nothing.path(), &nothing.path().join("events"));
/// assert!(matches!(refused, Err(ReportError::Store(_))));
/// ```
pub fn write(run: &Path, folder: &Path) -> Result<PathBuf, ReportError> {
    let source = Source::open(run, &Known::default())?;
    let created = source.header.created;
    let failed = |error: std::io::Error| ReportError::write(folder, error);
    let whole = std::path::absolute(run).map_err(failed)?;
    let place = fnv1a(FNV_START, whole.as_os_str().as_encoded_bytes());
    let end = format!(".{place:016x}.autoloss");
    let name = whole.file_name().unwrap_or_default().to_os_string();
    let mut own = folder.join(&name);
    let of_another = |entry: std::fs::DirEntry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        name.ends_with(".autoloss") && !name.ends_with(&end)
    };
    // Two runs may have one name in different folders, and TensorBoard takes a folder for one run.
    if let Ok(mut entries) = std::fs::read_dir(&own)
        && entries.any(|entry| entry.is_ok_and(of_another))
    {
        let mut name = name;
        name.push(format!("-{:08x}", place as u32));
        own = folder.join(name);
    }
    std::fs::create_dir_all(&own).map_err(failed)?;
    let begin = format!("events.out.tfevents.{created}.");
    let earlier = std::fs::read_dir(&own)
        .map_err(failed)?
        .filter_map(|entry| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            let number = name.strip_prefix(&begin)?.strip_suffix(&end)?;
            Some((number.parse::<u64>().ok()?, name))
        });
    let earlier: Vec<(u64, String)> = earlier.collect();
    let number = earlier.iter().map(|(number, _)| number + 1).max();
    let name = format!("{begin}{:06}{end}", number.unwrap_or_default());
    let (path, temporary) = (own.join(&name), own.join(format!(".{name}.tmp")));
    let mut bytes = Vec::new();
    record::append(&mut bytes, &Event::version(created as f64));
    for event in events(&source)? {
        record::append(&mut bytes, &event);
    }
    let written =
        std::fs::write(&temporary, bytes).and_then(|()| std::fs::rename(&temporary, &path));
    written.map_err(|error| ReportError::write(&path, error))?;
    for (_, name) in earlier {
        // One that stays is read twice, which shows nothing twice.
        let _ = std::fs::remove_file(own.join(name));
    }
    Ok(path)
}

/// All events in the order of their steps.
fn events(source: &Source) -> Result<Vec<Event>, ReportError> {
    let start = source.header.created as f64;
    let mut events = Vec::new();
    let mut scalar = |tag: &str, explored: u64, elapsed: f64, value: f64| {
        let value = Value::scalar(tag, value as f32);
        events.push(Event::new(start + elapsed, explored, value));
    };
    let whole = Whole::read(source)?;
    let curves: [(&str, Vec<Point>); 3] = [
        ("search/best", whole.best()),
        ("search/running median", whole.median()),
        ("search/score", whole.scores),
    ];
    for (tag, points) in &curves {
        for (explored, elapsed, score) in points {
            scalar(tag, *explored, *elapsed, *score);
        }
    }
    let pace = source.reader.pace(POINTS)?;
    for pair in pace.windows(2) {
        let ((before, since), (explored, elapsed)) = (pair[0], pair[1]);
        if elapsed > since {
            let candidates = (explored - before) as f64;
            scalar(
                "pace/explored per second",
                explored,
                elapsed,
                candidates / (elapsed - since),
            );
        }
    }
    outcomes(source, &pace, &mut scalar)?;
    if let Some((step, elapsed)) = pace.last() {
        let text = Value::text("best loss", best(source)?);
        events.push(Event::new(start + elapsed, *step, text));
    }
    events.sort_by_key(Event::step);
    Ok(events)
}

/// Candidates of each outcome so far.
fn outcomes(
    source: &Source,
    pace: &[(u64, f64)],
    scalar: &mut impl FnMut(&str, u64, f64, f64),
) -> Result<(), ReportError> {
    let Some((last, _)) = pace.last().copied() else {
        return Ok(());
    };
    let stretch = last.div_ceil(POINTS).max(1);
    let found = source.reader.outcomes(stretch)?;
    for &kind in OutcomeKind::ALL {
        let mut total = 0;
        for (number, _, count) in found.iter().filter(|(_, known, _)| *known == kind) {
            total += count;
            let explored = ((number + 1) * stretch).min(last);
            let at = pace.partition_point(|point| point.0 < explored);
            let elapsed = pace.get(at).map_or(0.0, |point| point.1);
            scalar(
                &format!("verdicts/{}", kind.code()),
                explored,
                elapsed,
                total as f64,
            );
        }
    }
    Ok(())
}

/// The best loss in Markdown.
fn best(source: &Source) -> Result<String, ReportError> {
    let Some(id) = source.best()? else {
        return Ok("No loss has a score yet.".to_owned());
    };
    let record = source.reader.candidate(id)?;
    let score = record
        .fitness
        .map_or_else(|| "–".to_owned(), |fitness| number::value(fitness.score()));
    let mut text = format!(
        "candidate {id}, {} {score} in the search\n",
        number::shown(&source.score)
    );
    for formula in source.branches.formulas(&record.losses) {
        text.push_str(&format!(
            "\n* {}: `{}`\n\n        {}\n",
            formula.branch, formula.formula, formula.text
        ));
    }
    Ok(text)
}

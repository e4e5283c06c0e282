//! `diff`: in what two runs differ, first what they were told, then what came of it.
//!
//! Both halves are values before they are text, so that `--json` says the same as the tables.

mod results;
mod settings;

use crate::Outcome;
use crate::args::DiffArgs;
use crate::terminal::{output, table};
use anyhow::Result;
use autoloss_run::Run;
use results::Results;
use serde::Serialize;
use settings::Settings;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Two of something: the first run's and the second's.
type Pair<T> = [T; 2];

/// What is shown of a value that a run lacks.
const ABSENT: &str = "–";

#[derive(Serialize)]
struct Difference {
    runs: Pair<PathBuf>,
    settings: Settings,
    results: Results,
}

/// Reads both runs and prints.
pub(crate) fn run(args: &DiffArgs) -> Result<Outcome> {
    let runs = [Run::open(&args.first)?, Run::open(&args.second)?];
    let difference = Difference {
        runs: [args.first.clone(), args.second.clone()],
        settings: Settings::between(&runs)?,
        results: Results::of(&runs)?,
    };
    if args.json {
        output::json(&difference)?;
    } else {
        output::print(&difference.text()?)?;
    }
    Ok(Outcome::Done)
}

impl Difference {
    fn text(&self) -> Result<String> {
        let names = names(&self.runs);
        let mut text = String::new();
        let settings = self.settings.rows();
        if settings.is_empty() {
            writeln!(text, "both runs were told the same")?;
        } else {
            let header = ["setting", &names[0], &names[1]];
            writeln!(text, "{}", table::plain(&header, settings))?;
        }
        let header = ["result", &names[0], &names[1]];
        writeln!(text, "\n{}", table::numbers(&header, self.results.rows()))?;
        let trained = self.results.trained();
        if !trained.is_empty() {
            let header = ["trained again", "score", &names[0], &names[1], "p"];
            writeln!(text, "\n{}", table::plain(&header, trained))?;
            writeln!(
                text,
                "mean ± standard deviation over seeds; p of Welch's t-test, two-sided"
            )?;
        }
        for (name, loss) in names.iter().zip(self.results.best()) {
            let loss = loss.unwrap_or_else(|| ABSENT.to_owned());
            writeln!(text, "\nbest of {name}: {loss}")?;
        }
        text += &self.results.common_text();
        Ok(text)
    }
}

/// What the columns are called: the folders' names, or where these are equal the whole paths.
fn names(runs: &Pair<PathBuf>) -> Pair<String> {
    let short = |path: &Path| {
        let name = path.file_name().unwrap_or(path.as_os_str());
        name.to_string_lossy().into_owned()
    };
    let [first, second] = [short(&runs[0]), short(&runs[1])];
    if first == second {
        return [&runs[0], &runs[1]].map(|path| path.display().to_string());
    }
    [first, second]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_called_by_the_shortest_names_that_differ() {
        let names = |first: &str, second: &str| names(&[first.into(), second.into()]);
        assert_eq!(names("runs/a", "runs/b"), ["a", "b"]);
        assert_eq!(names("x/run", "y/run"), ["x/run", "y/run"]);
    }

    #[test]
    fn a_difference_is_shown_in_tables() {
        let difference = Difference {
            runs: ["runs/a".into(), "runs/b".into()],
            settings: settings::tests::example(),
            results: results::tests::example(),
        };
        insta::assert_snapshot!(difference.text().unwrap());
    }
}

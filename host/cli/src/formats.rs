//! A comparison as text, Markdown, CSV and JSON.

use crate::session::Session;
use crate::terminal::{output, table};
use anyhow::{Context, Result};
use autoloss_plugin_api::Split;
use autoloss_search::{Paired, Row, TrainingBudget};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Pairs of trainings below which no difference can be established at 0.05.
const FEWEST_PAIRS: usize = 6;

/// Draws a table of a header and rows.
type Table<'a> = &'a dyn Fn(&[&str], Vec<Vec<String>>) -> String;

/// What was compared, and how.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Comparison {
    task: String,
    network: String,
    data: Option<PathBuf>,
    split: Split,
    /// None where a finished network was scored.
    budget: Option<TrainingBudget>,
    seeds: Vec<u64>,
    /// Losses of branches that are not searched.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    held: BTreeMap<String, String>,
    scores: Vec<String>,
    /// The score whose differences are shown.
    target: String,
    /// The first is what the others are held against.
    rows: Vec<Row>,
}

/// A table's form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For the terminal
    Text,
    /// For a document
    Markdown,
    /// One line for each loss and score
    Csv,
    /// Everything
    Json,
}

/// A score of a row.
#[derive(Serialize)]
struct Line<'a> {
    loss: &'a str,
    score: &'a str,
    mean: Option<f64>,
    deviation: Option<f64>,
    seeds: usize,
    /// Mean difference from the first row, seed by seed.
    difference: Option<f64>,
    /// Lower end of its 95 % interval.
    low: Option<f64>,
    /// Upper end.
    high: Option<f64>,
    /// Two-sided p-value of the sign-flip test.
    p_value: Option<f64>,
}

impl Comparison {
    /// Rows measured in a session; `budget` is what each was trained with.
    pub(crate) fn new(
        session: &Session,
        split: Split,
        budget: Option<&TrainingBudget>,
        seeds: Vec<u64>,
        rows: Vec<Row>,
    ) -> Self {
        let workbench = &session.workbench;
        Self {
            task: workbench.info().name.clone(),
            network: workbench.network().name.clone(),
            data: session.spec.data.clone(),
            split,
            budget: budget.cloned(),
            seeds,
            held: workbench.fixed().clone(),
            scores: workbench.scores(),
            target: workbench.score().to_owned(),
            rows,
        }
    }

    /// The comparison in a form.
    pub(crate) fn render(&self, format: Format) -> Result<String> {
        match format {
            Format::Text => Ok(self.with_notes(&|header, cells| table::numbers(header, cells))),
            Format::Markdown => {
                Ok(self
                    .with_notes(&|header, cells| format!("{}\n", table::markdown(header, cells))))
            }
            Format::Csv => self.csv(),
            Format::Json => self.json(),
        }
    }

    /// Prints it as JSON, or else in another form.
    pub(crate) fn print(&self, json: bool, otherwise: Format) -> Result<()> {
        let format = if json { Format::Json } else { otherwise };
        output::print(&self.render(format)?)
    }

    /// Writes every form into a folder, as `comparison.md` and so on.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        for (format, name) in [
            (Format::Text, "comparison.txt"),
            (Format::Markdown, "comparison.md"),
            (Format::Csv, "comparison.csv"),
            (Format::Json, "comparison.json"),
        ] {
            let path = folder.join(name);
            std::fs::write(&path, self.render(format)?)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }

    fn header(&self) -> Vec<&str> {
        let scores = self.scores.iter().map(String::as_str);
        std::iter::once("loss").chain(scores).collect()
    }

    fn cells(&self) -> Vec<Vec<String>> {
        let row = |row: &Row| {
            let cells = self.scores.iter().map(|score| self.cell(row, score));
            std::iter::once(row.name.clone()).chain(cells).collect()
        };
        self.rows.iter().map(row).collect()
    }

    fn cell(&self, row: &Row, score: &str) -> String {
        let Some((mean, deviation)) = row.summary(score) else {
            // A training that failed has none at all; else the data does not define this one.
            let failed = row.scores.iter().any(Option::is_none);
            return if failed { "invalid" } else { "–" }.to_owned();
        };
        if row.scores.len() == 1 {
            return format!("{mean:.3}");
        }
        let differs = self.paired(row, score).is_some_and(|p| p.is_significant());
        let mark = if differs { "*" } else { "" };
        format!("{mean:.3} ± {deviation:.3}{mark}")
    }

    fn paired(&self, row: &Row, score: &str) -> Option<Paired> {
        let first = self.rows.first()?;
        if std::ptr::eq(first, row) {
            return None;
        }
        row.paired(first, score)
    }

    /// How every row differs from the first in the target score.
    fn differences(&self) -> Vec<Vec<String>> {
        let cells = |row: &Row| {
            let paired = self.paired(row, &self.target)?;
            Some(vec![
                row.name.clone(),
                format!("{:+.3}", paired.difference),
                format!("{:+.3} to {:+.3}", paired.low, paired.high),
                format!("{:.3}", paired.p_value),
            ])
        };
        self.rows.iter().filter_map(cells).collect()
    }

    fn with_notes(&self, table: Table<'_>) -> String {
        let mut text = table(&self.header(), self.cells());
        text += &format!("\n{} split, network {}", self.split, self.network);
        if let Some(budget) = &self.budget {
            text += &format!(", {} steps of {} images", budget.steps, budget.batch_size);
        }
        if let Some(data) = &self.data {
            text += &format!(", data {}", data.display());
        }
        if self.seeds.len() > 1 {
            text += &format!(
                "; mean ± standard deviation over {} seeds, the same for every loss",
                self.seeds.len()
            );
        }
        for (branch, loss) in &self.held {
            text += &format!("\nfrozen: {branch} at {loss}");
        }
        text += "\n";
        let differences = self.differences();
        if let (Some(first), false) = (self.rows.first(), differences.is_empty()) {
            let from = format!("{} less {}", self.target, first.name);
            let header = ["loss", &from, "95 % interval", "p"];
            text += &format!("\n{}", table(&header, differences));
            text += "\nseed by seed: bootstrap interval of the mean, two-sided p of the sign-flip test (* below 0.05)";
            if self.seeds.len() < FEWEST_PAIRS {
                text += &format!("; fewer than {FEWEST_PAIRS} seeds cannot establish a difference");
            }
            text += &format!("\n{} losses were compared\n", self.rows.len());
        }
        text
    }

    fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        self.rows.iter().flat_map(move |row| {
            self.scores.iter().map(move |score| {
                let summary = row.summary(score);
                let paired = self.paired(row, score);
                Line {
                    loss: &row.name,
                    score,
                    mean: summary.map(|(mean, _)| mean),
                    deviation: summary.map(|(_, deviation)| deviation),
                    seeds: row.scores.len(),
                    difference: paired.map(|paired| paired.difference),
                    low: paired.map(|paired| paired.low),
                    high: paired.map(|paired| paired.high),
                    p_value: paired.map(|paired| paired.p_value),
                }
            })
        })
    }

    fn csv(&self) -> Result<String> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        for line in self.lines() {
            writer.serialize(line)?;
        }
        Ok(String::from_utf8(writer.into_inner()?)?)
    }

    fn json(&self) -> Result<String> {
        #[derive(Serialize)]
        struct Whole<'a> {
            #[serde(flatten)]
            comparison: &'a Comparison,
            summary: Vec<Line<'a>>,
        }
        let summary = self.lines().collect();
        let whole = Whole {
            comparison: self,
            summary,
        };
        Ok(serde_json::to_string_pretty(&whole)? + "\n")
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use autoloss_search::Scores;

    pub(crate) fn row(name: &str, values: &[Option<f64>]) -> Row {
        let scores = |value: &Option<f64>| value.map(|value| Scores::from([("m".into(), value)]));
        Row {
            name: name.into(),
            losses: BTreeMap::new(),
            scores: values.iter().map(scores).collect(),
        }
    }

    fn comparison() -> Comparison {
        Comparison {
            task: "t".into(),
            network: "net".into(),
            data: None,
            split: Split::Test,
            budget: Some(TrainingBudget::default()),
            seeds: (0..6).collect(),
            held: BTreeMap::from([("b".into(), "@l1".into())]),
            scores: vec!["m".into()],
            target: "m".into(),
            rows: vec![
                row("ce", &[0.61, 0.62, 0.60, 0.61, 0.62, 0.60].map(Some)),
                row(
                    "a \"b\", c",
                    &[0.64, 0.66, 0.65, 0.65, 0.65, 0.65].map(Some),
                ),
                row("same", &[0.61, 0.63, 0.60, 0.60, 0.62, 0.60].map(Some)),
                row("lost", &[Some(0.61), None, Some(0.6), None, None, None]),
            ],
        }
    }

    #[test]
    fn differences_are_marked_and_lost_trainings_said() {
        let text = comparison().render(Format::Markdown).unwrap();
        assert!(text.contains("0.610 ± 0.009 |"), "{text}");
        assert!(text.contains("0.650 ± 0.006* |"), "{text}");
        assert!(text.contains("0.610 ± 0.013 |"), "{text}");
        assert!(text.contains("invalid"), "{text}");
        assert!(text.contains("m less ce"), "{text}");
        assert!(
            text.contains(" +0.040 |") && text.contains("| 0.031 |"),
            "{text}"
        );
        assert!(text.contains("\nfrozen: b at @l1"), "{text}");
        assert!(text.contains("\n4 losses were compared\n"), "{text}");
        assert!(!text.contains("cannot establish"), "{text}");
    }

    #[test]
    fn three_seeds_mark_nothing_and_say_so() {
        let mut comparison = comparison();
        comparison.seeds.truncate(3);
        for row in &mut comparison.rows {
            row.scores.truncate(3);
        }
        let text = comparison.render(Format::Text).unwrap();
        assert!(!text.contains("0.006*") && text.contains("0.250"), "{text}");
        assert!(
            text.contains("fewer than 6 seeds cannot establish a difference"),
            "{text}"
        );
    }

    #[test]
    fn what_the_data_does_not_define_is_a_dash() {
        let mut comparison = comparison();
        comparison.scores.push("of large ones".into());
        let text = comparison.render(Format::Csv).unwrap();
        assert!(text.contains("ce,of large ones,,"), "{text}");
        let text = comparison.render(Format::Markdown).unwrap();
        assert_eq!(text.matches(" – ").count(), 3, "{text}");
    }

    #[test]
    fn csv_has_a_line_for_each_loss_and_score() {
        let text = comparison().render(Format::Csv).unwrap();
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let records: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        assert_eq!(records.len(), 4);
        assert_eq!(&records[1][0], "a \"b\", c");
        assert_eq!(records[1][8].parse::<f64>().unwrap(), 2.0 / 64.0);
        assert!((records[1][5].parse::<f64>().unwrap() - 0.04).abs() < 1e-9);
        assert_eq!((&records[0][8], &records[3][2]), ("", ""));
    }

    #[test]
    fn json_holds_every_value() {
        let text = comparison().render(Format::Json).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["rows"][1]["scores"][2]["m"], 0.65);
        assert_eq!(value["summary"][0]["loss"], "ce");
    }
}

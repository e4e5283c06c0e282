//! `final.json`, which a finished search leaves in its run folder: the chosen loss and the final table.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use autoloss_graph::{LossFile, LossGraph};
use autoloss_search::{
    BestLoss, Conclusion, Confirmed, FinalTable, Fitness, KnownAs, OutcomeKind, Promoted, Row,
    RunHeader, Summary, mean_and_deviation,
};
use serde::{Deserialize, Serialize};

use crate::error::StoreError;
use crate::files::{read_json, write_json, write_loss_file};
use crate::store::Store;

const FILE: &str = "final.json";

/// What a finished search found. Fields that a file of another version lacks have their defaults.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Findings {
    /// The run folder, as the search named it.
    pub run: PathBuf,
    /// Candidates explored.
    pub explored: u64,
    /// Candidates that were to be trained with.
    pub proxies: u64,
    /// How many candidates had each outcome, by code name.
    pub verdicts: BTreeMap<String, u64>,
    /// Seconds of searching, over all sessions.
    pub search_seconds: f64,
    /// Seconds of these spent writing the run folder.
    pub store_seconds: f64,
    /// Name of the target score.
    pub score: Option<String>,
    /// The chosen loss; absent where none trained with every seed, or none was asked for.
    pub best: Option<Found>,
    /// The best loss of the search that nobody knows by a name; absent where all of the best are known, or
    /// none was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best_new: Option<Found>,
    /// What branches of the best losses are known as, by the candidate's number.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub known: BTreeMap<u64, BTreeMap<String, KnownAs>>,
    /// Target score of the median among the random losses that were accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub random_accepted_median: Option<f64>,
    /// The final table: the chosen loss first, then what it is compared with.
    pub test: Vec<Row>,
    /// The seeds of its trainings; empty in a file of an earlier version.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub seeds: Vec<u64>,
    /// The second stage, best first; empty without one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub second: Vec<Second>,
    /// Standard deviation of the target score between seeds: the root of the rows' mean variance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub noise_floor: Option<f64>,
}

impl Findings {
    /// The reference loss that is above all losses of the search in the second stage, where there is one: what the
    /// proxy found does not hold there.
    #[must_use]
    pub fn above_all(&self) -> Option<&str> {
        let best = self.second.iter().find(|row| !row.reference)?;
        let theirs = self.second.iter().find(|row| row.reference)?;
        (best.mean() < theirs.mean()).then_some(theirs.name.as_str())
    }

    /// The first sentence about a found loss: how it stands in the second stage, where it does not hold there, then
    /// on the proxy.
    #[must_use]
    pub fn verdict(&self, on_the_proxy: &str) -> String {
        match self.above_all() {
            None => on_the_proxy.to_owned(),
            Some(name) => format!(
                "No loss of the search holds in the second stage: {name} is above all of them there. On the proxy: \
                 {on_the_proxy}"
            ),
        }
    }
}

/// A loss in the second stage.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Second {
    /// The candidate's number, or a reference loss's name.
    pub name: String,
    /// Whether it is a reference loss.
    pub reference: bool,
    /// Text form of each branch's loss.
    pub losses: BTreeMap<String, String>,
    /// Target score of each seed on the selection split; absent where the training ended without.
    pub scores: Vec<Option<f64>>,
    /// Mean of its target score on the proxy, over the confirmation's seeds.
    pub proxy: Option<f64>,
}

impl Second {
    /// Mean of the scores; none where a training ended without one.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        let scores: Option<Vec<f64>> = self.scores.iter().copied().collect();
        mean_and_deviation(&scores?).map(|(mean, _)| mean)
    }
}

/// The loss that was chosen on the selection split.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Found {
    /// Its candidate's number.
    pub candidate: String,
    /// Text form of each searched branch's graph, by branch.
    pub losses: BTreeMap<String, String>,
    /// The same, canonical, as formulas for people.
    pub formulas: BTreeMap<String, String>,
    /// What the loss of a branch is known as; without those that are new.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub known: BTreeMap<String, KnownAs>,
    /// What the loss of a branch is multiplied by in training; without those that are not.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub scales: BTreeMap<String, f64>,
    /// Its target score in the search.
    pub search_score: Option<f64>,
    /// Mean and standard deviation of its target score on the selection split.
    pub selection: Option<(f64, f64)>,
    /// The loss file.
    pub file: PathBuf,
}

impl Findings {
    /// What a search that has ended found, before anything is measured again.
    ///
    /// # Errors
    /// What the database says.
    pub fn of_search(store: &Store, summary: &Summary, score: &str) -> Result<Self, StoreError> {
        let counts = &summary.counts;
        let kinds = OutcomeKind::ALL.iter().map(|&kind| (kind, counts.of(kind)));
        let met = kinds.filter(|(_, count)| *count > 0);
        let median = store.reader().random_median()?;
        Ok(Self {
            run: store.folder().to_owned(),
            explored: counts.explored(),
            proxies: counts.proxies(),
            verdicts: met
                .map(|(kind, count)| (kind.code().to_owned(), count))
                .collect(),
            search_seconds: summary.elapsed_seconds,
            store_seconds: summary.writing_seconds,
            score: Some(score.to_owned()),
            random_accepted_median: median.map(|(fitness, _)| fitness.score()),
            ..Self::default()
        })
    }

    /// Takes in the best loss of the search and writes it as `best.json`: what is there should nothing be measured again.
    ///
    /// # Errors
    /// What the disk says, or a loss that cannot be read.
    pub fn best_of_search(
        &mut self,
        store: &Store,
        loss: &BestLoss,
        table: &FinalTable,
    ) -> Result<(), StoreError> {
        self.best = Some(Found::new(store, loss, None, table, "best.json")?);
        Ok(())
    }

    /// Takes in what the search came to, and writes the chosen loss as `best.json`, and the best new one, where
    /// it is another, as `best_new.json`.
    ///
    /// # Errors
    /// What the disk says, or a chosen loss that cannot be read.
    pub fn conclude(
        &mut self,
        store: &Store,
        conclusion: Conclusion,
        table: &FinalTable,
    ) -> Result<(), StoreError> {
        let selection = |loss: &Confirmed| {
            let mean = loss.mean()?;
            Some((mean, loss.deviation().unwrap_or(0.0)))
        };
        if let Some(chosen) = &conclusion.chosen {
            let measured = selection(chosen);
            let best = Found::new(store, &chosen.loss, measured, table, "best.json")?;
            self.best_new = match &conclusion.new {
                Some(new) if new.loss.id == chosen.loss.id => Some(best.clone()),
                Some(new) => {
                    let (measured, name) = (selection(new), "best_new.json");
                    Some(Found::new(store, &new.loss, measured, table, name)?)
                }
                None => None,
            };
            self.best = Some(best);
        }
        let proxy = |promoted: &Promoted| {
            let id = promoted.candidate?;
            let mut confirmed = conclusion.confirmed.iter();
            confirmed.find(|loss| loss.loss.id == id)?.mean()
        };
        let second = conclusion.second.iter().map(|promoted| Second {
            name: promoted.name.clone(),
            reference: promoted.candidate.is_none(),
            losses: promoted.losses.clone(),
            scores: promoted
                .evaluations
                .iter()
                .map(|evaluation| evaluation.fitness().map(Fitness::score))
                .collect(),
            proxy: proxy(promoted),
        });
        self.second = second.collect();
        self.seeds = conclusion.seeds;
        let known = table.known.iter().filter(|(_, names)| !names.is_empty());
        self.known = known.map(|(id, names)| (id.0, names.clone())).collect();
        self.test = conclusion.rows;
        self.noise_floor = conclusion.noise_floor;
        Ok(())
    }

    /// Writes the file into a run folder.
    ///
    /// # Errors
    /// What the disk says.
    pub fn write(&self, folder: &Path) -> Result<(), StoreError> {
        write_json(&folder.join(FILE), self)
    }

    /// Reads the file of a run folder, where there is one.
    ///
    /// # Errors
    /// [`StoreError::DamagedFile`], or what the disk says.
    pub fn read(folder: &Path) -> Result<Option<Self>, StoreError> {
        read_json(&folder.join(FILE))
    }
}

impl Found {
    fn new(
        store: &Store,
        loss: &BestLoss,
        selection: Option<(f64, f64)>,
        table: &FinalTable,
        name: &str,
    ) -> Result<Self, StoreError> {
        let header = store.reader().header()?;
        let known = table.known.get(&loss.id).cloned().unwrap_or_default();
        let file = loss_file(store.folder(), &header, loss, selection, table);
        let path = store.folder().join(name);
        write_loss_file(&path, &file)?;
        Ok(Self {
            candidate: loss.id.to_string(),
            losses: loss.losses.clone(),
            formulas: formulas(store.folder(), &header, &loss.losses)?,
            known,
            scales: table.scales.get(&loss.id).cloned().unwrap_or_default(),
            search_score: Some(loss.fitness.score()),
            selection,
            file: path,
        })
    }
}

/// The canonical graphs of a loss as formulas for people.
fn formulas(
    folder: &Path,
    header: &RunHeader,
    losses: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, StoreError> {
    let mut formulas = BTreeMap::new();
    for branch in &header.task.branches {
        let (name, signature) = (branch.name.as_str(), &branch.signature);
        if let Some(text) = losses.get(name) {
            let graph = LossGraph::parse(text, signature, &header.config.limits)
                .map_err(|error| StoreError::damaged(folder, error.to_string()))?;
            let formula = graph.canonical(signature).formula(signature).to_string();
            formulas.insert(name.to_owned(), formula);
        }
    }
    Ok(formulas)
}

/// A found loss as a file, with the losses of the branches that are not searched.
fn loss_file(
    folder: &Path,
    header: &RunHeader,
    loss: &BestLoss,
    selection: Option<(f64, f64)>,
    table: &FinalTable,
) -> LossFile {
    let mut whole = loss.losses.clone();
    whole.extend(table.fixed.clone());
    let mut file = LossFile::new(&header.task.task, whole);
    file.conventions = header.task.conventions.clone();
    file.scales = table.scales.get(&loss.id).cloned().unwrap_or_default();
    file.name = Some(format!("candidate {} of {}", loss.id, folder.display()));
    let provenance = [
        ("candidate", serde_json::json!(loss.id.0)),
        ("known_as", serde_json::json!(table.known.get(&loss.id))),
        ("network", header.task.network.clone().into()),
        ("score", table.score.clone().into()),
        ("search_score", loss.fitness.score().into()),
        (
            "selection_mean",
            serde_json::json!(selection.map(|(mean, _)| mean)),
        ),
        (
            "selection_sd",
            serde_json::json!(selection.map(|(_, sd)| sd)),
        ),
        ("seed", header.config.seed.into()),
    ];
    file.provenance = provenance
        .map(|(key, value)| (key.to_owned(), value))
        .into_iter()
        .collect();
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_has_its_default_and_what_is_damaged_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        assert_eq!(Findings::read(folder.path()).unwrap(), None);
        std::fs::write(&path, "{\"explored\": 12, \"new\": []}").unwrap();
        let found = Findings::read(folder.path()).unwrap().unwrap();
        assert_eq!((found.explored, found.best), (12, None));
        std::fs::write(&path, "{\"explored\": ").unwrap();
        let error = Findings::read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("final.json is damaged: "), "{error}");
    }

    #[test]
    fn a_loss_that_does_not_hold_in_the_second_stage_is_not_praised_first() {
        let row = |name: &str, reference, score| Second {
            name: name.into(),
            reference,
            scores: vec![Some(score)],
            ..Second::default()
        };
        let verdict = |ours| {
            let findings = Findings {
                second: vec![row("7", false, ours), row("cross entropy", true, 0.5)],
                ..Findings::default()
            };
            findings.verdict("It beats cross entropy.")
        };
        assert_eq!(verdict(0.6), "It beats cross entropy.");
        let told = verdict(0.4);
        assert!(
            told.starts_with("No loss of the search holds in the second stage: cross entropy"),
            "{told}"
        );
        assert!(
            told.ends_with("On the proxy: It beats cross entropy."),
            "{told}"
        );
    }

    #[test]
    fn what_is_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let findings = Findings {
            explored: 3,
            score: Some("mIoU".into()),
            noise_floor: Some(0.1 + 0.2),
            ..Findings::default()
        };
        findings.write(folder.path()).unwrap();
        assert_eq!(Findings::read(folder.path()).unwrap(), Some(findings));
    }
}

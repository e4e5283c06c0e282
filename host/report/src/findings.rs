//! `final.json`, which a finished search leaves in its run folder: the chosen loss and the final table.
//! It is read leniently, since a report of what is there beats none: fields may be missing, and a file
//! that is damaged or half written counts as absent and is named in a note.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

/// What a finished search found.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Findings {
    pub(crate) explored: u64,
    pub(crate) store_seconds: Option<f64>,
    pub(crate) score: Option<String>,
    pub(crate) best: Option<Chosen>,
    pub(crate) random_accepted_median: Option<f64>,
    pub(crate) test: Vec<Row>,
    pub(crate) noise_floor: Option<f64>,
}

/// The loss that was chosen on the selection split.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Chosen {
    pub(crate) candidate: String,
    pub(crate) losses: BTreeMap<String, String>,
    pub(crate) search_score: Option<f64>,
}

/// One loss of the final table.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) losses: BTreeMap<String, String>,
    /// The scores of each seed; none where the training became invalid.
    pub(crate) scores: Vec<Option<BTreeMap<String, f64>>>,
}

/// Reads a JSON file of a run folder; what is wrong with it goes into the notes.
pub(crate) fn read<T: serde::de::DeserializeOwned>(
    folder: &Path,
    name: &str,
    notes: &mut Vec<String>,
) -> Option<T> {
    let text = match std::fs::read_to_string(folder.join(name)) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        Err(error) => {
            notes.push(format!("{name} could not be read: {error}."));
            return None;
        }
    };
    match serde_json::from_str(&text) {
        Ok(found) => Some(found),
        Err(error) => {
            notes.push(format!("{name} is damaged and was left out: {error}."));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_damaged_is_left_out_and_named() {
        let folder = tempfile::tempdir().unwrap();
        let mut notes = Vec::new();
        let mut found = || read::<Findings>(folder.path(), "final.json", &mut notes);
        assert_eq!(found(), None);
        std::fs::write(
            folder.path().join("final.json"),
            "{\"explored\": 12, \"new\": []}",
        )
        .unwrap();
        assert_eq!(found().unwrap().explored, 12);
        std::fs::write(folder.path().join("final.json"), "{\"explored\": ").unwrap();
        assert_eq!(found(), None);
        assert_eq!(notes.len(), 1);
        assert!(
            notes[0].starts_with("final.json is damaged"),
            "{}",
            notes[0]
        );
    }
}

//! Categories and the classes they become.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use serde_json::Value;

use super::json::{RawCategory, id};
use crate::VisionError;
use crate::data::names::composed;

/// Category ids have gaps (COCO's 80 go up to 90) and may begin at 0, which is the background's place.
/// Classes are 1, 2, … in the order of the ids.
#[derive(Clone, Debug, Default)]
pub(super) struct Categories {
    by_id: BTreeMap<u64, String>,
    /// The background first.
    names: Vec<String>,
    classes: HashMap<u64, u16>,
}

impl Categories {
    /// Adds the categories of a file to those of other files.
    pub(super) fn add(&mut self, file: &Path, entries: &[RawCategory]) -> Result<(), VisionError> {
        let mut own = BTreeMap::new();
        for (index, entry) in entries.iter().enumerate() {
            let refused = |problem: String| {
                VisionError::folder(file, format!("category {}: {problem}", index + 1))
            };
            let id = id(&entry.id).map_err(|problem| refused(format!("its id {problem}")))?;
            let name = match &entry.name {
                Value::String(name) => composed(name).into_owned(),
                Value::Null => format!("category {id}"),
                other => return Err(refused(format!("its name is {other}, expected a text"))),
            };
            if own.insert(id, name.clone()).is_some() {
                return Err(refused(format!("another category has the id {id}")));
            }
            if let Some(known) = self.by_id.get(&id)
                && *known != name
            {
                return Err(refused(format!(
                    "{id} is {name:?} here but {known:?} in the training annotations"
                )));
            }
        }
        self.by_id.extend(own);
        Ok(())
    }

    /// Gives every category its class; `file` is for the message.
    pub(super) fn number(&mut self, file: &Path) -> Result<(), VisionError> {
        let count = self.by_id.len();
        if count == 0 || count >= usize::from(u16::MAX) {
            let problem = format!("it has {count} categories, expected 1 to {}", u16::MAX - 1);
            return Err(VisionError::folder(file, problem));
        }
        let names = self.by_id.values().cloned();
        self.names = std::iter::once("background".to_owned())
            .chain(names)
            .collect();
        self.classes = self.by_id.keys().copied().zip(1..).collect();
        Ok(())
    }

    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// The class of each category's id.
    pub(super) fn classes(&self) -> &HashMap<u64, u16> {
        &self.classes
    }

    pub(super) fn id(&self, class: usize) -> Option<u64> {
        self.by_id.keys().copied().nth(class.checked_sub(1)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn entries(list: Value) -> Vec<RawCategory> {
        serde_json::from_value(list).unwrap()
    }

    fn file() -> &'static Path {
        Path::new("instances.json")
    }

    #[test]
    fn classes_follow_the_order_of_ids_from_one() {
        let mut categories = Categories::default();
        let list = json!([{"id": 90, "name": "c"}, {"id": 0, "name": "a"}, {"id": 7.0}]);
        categories.add(file(), &entries(list)).unwrap();
        // Another file may have a part of them and more.
        let list = json!([{"id": 90, "name": "c"}, {"id": 8, "name": "b"}]);
        categories.add(file(), &entries(list)).unwrap();
        categories.number(file()).unwrap();
        assert_eq!(
            categories.names(),
            ["background", "a", "category 7", "b", "c"]
        );
        let ids: Vec<_> = (0..6).map(|class| categories.id(class)).collect();
        assert_eq!(ids, [None, Some(0), Some(7), Some(8), Some(90), None]);
        assert_eq!(categories.classes()[&0], 1);
        assert_eq!(categories.classes()[&90], 4);
    }

    #[test]
    fn contradictions_are_refused() {
        let mut categories = Categories::default();
        categories
            .add(file(), &entries(json!([{"id": 1, "name": "a"}])))
            .unwrap();
        for (list, words) in [
            (
                json!([{"id": 2}, {"id": 2}]),
                "category 2: another category has the id 2",
            ),
            (
                json!([{"id": 1, "name": "b"}]),
                "1 is \"b\" here but \"a\" in the training",
            ),
            (json!([{"name": "b"}]), "category 1: its id is missing"),
            (
                json!([{"id": 3, "name": 3}]),
                "its name is 3, expected a text",
            ),
        ] {
            let message = categories
                .add(file(), &entries(list))
                .unwrap_err()
                .to_string();
            assert!(message.contains(words), "{message}");
        }
        let message = Categories::default()
            .number(file())
            .unwrap_err()
            .to_string();
        assert!(message.contains("it has 0 categories"), "{message}");
    }
}

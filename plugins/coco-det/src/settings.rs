//! The settings of the task, checked before anything is drawn or read.
//!
//! They come from three places, each over the one before: the defaults for the embedded scenes or for a
//! folder of photographs, the folder's own side file, the user.

use autoloss_plugin_api::{Result, serde_json::Value};
use autoloss_vision::{Setting, read_settings};
use std::collections::BTreeMap;

/// The name of every setting.
const KNOWN: [&str; 9] = [
    "size",
    "longest",
    "flip",
    "train",
    "test",
    "reward_share",
    "selection_share",
    "min_objects",
    "cache_mb",
];

/// The settings of `[task]`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settings {
    /// The side of an embedded scene, 32 to 256 pixels; photographs are resized to this many pixels on
    /// their shorter side, 32 to 2048.
    pub(crate) size: usize,
    /// Largest longer side of a resized photograph, pixels; it has precedence over `size`.
    pub(crate) longest: usize,
    /// Whether half of the training pictures are mirrored.
    pub(crate) flip: bool,
    /// `NAME` of the training annotations, `annotations/instances_NAME.json`.
    pub(crate) train: Option<String>,
    /// `NAME` of the test annotations.
    pub(crate) test: Option<String>,
    /// Share of the training pictures that is held out to score candidates, 0 to 0.5.
    pub(crate) reward_share: f64,
    /// Share of the training pictures that is held out to choose among the best, 0 to 0.5.
    pub(crate) selection_share: f64,
    /// Training pictures with fewer objects are skipped.
    pub(crate) min_objects: usize,
    /// Size of the cache of decoded pictures, megabytes.
    pub(crate) cache_mb: usize,
}

impl Settings {
    /// The defaults for the embedded scenes.
    pub(crate) fn of_scenes() -> Self {
        Self {
            size: 96,
            longest: 2048,
            flip: true,
            train: None,
            test: None,
            reward_share: 0.1,
            selection_share: 0.1,
            min_objects: 1,
            cache_mb: 96,
        }
    }

    /// The defaults for photographs: the usual sizes of Faster R-CNN.
    pub(crate) fn of_a_folder() -> Self {
        Self {
            size: 800,
            longest: 1333,
            ..Self::of_scenes()
        }
    }

    /// The settings with those named changed.
    ///
    /// # Errors
    /// Names an unknown setting and those that are known, or a value that is out of range.
    pub(crate) fn with(mut self, named: &BTreeMap<String, Value>) -> Result<Self> {
        read_settings("task 'coco_det'", &KNOWN, named, |setting| {
            self.set(setting)
        })?;
        Ok(self)
    }

    fn set(&mut self, setting: Setting) -> Result<bool, String> {
        let text = || setting.text("the NAME of an instances_NAME.json");
        match setting.name() {
            "size" => self.size = setting.whole(32..=2048, "pixels")?,
            "longest" => self.longest = setting.whole(32..=8192, "pixels")?,
            "flip" => self.flip = setting.switch()?,
            "train" => self.train = Some(text()?),
            "test" => self.test = Some(text()?),
            "reward_share" => self.reward_share = setting.number(0.0..=0.5)?,
            "selection_share" => self.selection_share = setting.number(0.0..=0.5)?,
            "min_objects" => self.min_objects = setting.whole(0..=1000, "objects")?,
            "cache_mb" => self.cache_mb = setting.whole(0..=1 << 20, "megabytes")?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// What a reader of the written scenes must set to get the same batches as from the scenes.
    pub(crate) fn of_a_reader(&self) -> BTreeMap<String, Value> {
        BTreeMap::from([
            ("size".to_owned(), self.size.into()),
            ("longest".to_owned(), self.longest.into()),
            ("flip".to_owned(), self.flip.into()),
            // Every scene at its place.
            ("min_objects".to_owned(), 0.into()),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use autoloss_plugin_api::serde_json::json;

    fn read(name: &str, value: Value) -> Result<Settings> {
        Settings::of_a_folder().with(&BTreeMap::from([(name.to_owned(), value)]))
    }

    #[test]
    fn values_are_read_and_checked() {
        assert_eq!(read("size", json!(600)).unwrap().size, 600);
        assert_eq!(read("train", json!("cars")).unwrap().train.unwrap(), "cars");
        for (name, bad) in [
            ("size", json!(0)),
            ("size", json!("64")),
            ("longest", json!(1e9)),
            ("flip", json!(1)),
            ("train", json!(["cars"])),
            ("reward_share", json!(0.7)),
        ] {
            let error = read(name, bad.clone()).unwrap_err().to_string();
            assert!(
                error.contains(&bad.to_string()) && error.contains(name),
                "{error}"
            );
        }
    }

    #[test]
    fn every_known_setting_is_known_and_others_are_refused() {
        for name in KNOWN {
            let error = read(name, Value::Null).err().map(|error| error.to_string());
            assert!(
                error.is_some_and(|error| !error.contains("no setting")),
                "{name}"
            );
        }
        let error = read("sise", json!(64)).unwrap_err().to_string();
        assert!(
            error.contains("has no setting 'sise' (there are: size, "),
            "{error}"
        );
    }

    #[test]
    fn a_reader_gets_what_decides_the_batches() {
        let scenes = Settings {
            size: 128,
            min_objects: 0,
            ..Settings::of_scenes()
        };
        let read = Settings::of_a_folder().with(&scenes.of_a_reader()).unwrap();
        assert_eq!(read, scenes);
    }
}

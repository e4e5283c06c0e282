//! The settings of the task, checked before anything is drawn or read.
//!
//! They come from three places, each over the one before: the defaults for the embedded scenes or for a
//! folder of photographs, the folder's own side file, the user.

use autoloss_plugin_api::{Result, serde_json::Value};
use autoloss_vision::{AugmentConfig, Frequencies, Setting, read_settings};
use std::collections::BTreeMap;

/// Pixels that the side of a crop must be a multiple of, so that networks can halve it repeatedly.
const SIZE_STEP: usize = 16;

/// The largest side of an embedded scene.
const LARGEST_SCENE: usize = 256;

/// The name of every setting.
const KNOWN: [&str; 15] = [
    "size",
    "enlarge_scenes",
    "flip",
    "colour",
    "min_scale",
    "max_scale",
    "crops",
    "longest",
    "train_list",
    "reward_share",
    "selection_share",
    "cache_mb",
    "frequencies",
    "label_noise",
    "asl",
];

/// Settings of the embedded scenes that have no meaning for a folder of photographs.
const OF_SCENES: [&str; 2] = ["frequencies", "label_noise"];

/// The settings of `[task]`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settings {
    /// Rows and columns of what training sees, pixels, a multiple of 16: the side of an embedded scene,
    /// 32 to 256, or of a crop from a photograph, 32 to 2048.
    pub(crate) size: usize,
    /// The embedded scenes are so many times as large, 1 to 8, as far as they can be; photographs are not.
    pub(crate) enlarge_scenes: usize,
    /// Whether half of the training pictures are mirrored.
    pub(crate) flip: bool,
    /// How far augmentation moves the colours, 0 to 1.
    pub(crate) colour: f32,
    /// Smallest enlargement of a training picture.
    pub(crate) min_scale: f32,
    /// Largest enlargement of a training picture.
    pub(crate) max_scale: f32,
    /// Fixed crops of each training picture, 1 to 64, for networks with frozen features, which see these
    /// instead of random ones; with `flip`, each in both orientations.
    pub(crate) crops: u32,
    /// The longest side, pixels: larger photographs are reduced to it when read.
    pub(crate) longest: Option<usize>,
    /// The name of a folder's training list, without `.txt`.
    pub(crate) train_list: String,
    /// Share of the training list that is held out to score candidates, 0 to 0.5.
    pub(crate) reward_share: f64,
    /// Share of the training list that is held out to choose among the best, 0 to 0.5.
    pub(crate) selection_share: f64,
    /// Size of the cache of decoded pictures, megabytes.
    pub(crate) cache_mb: usize,
    /// How often each class occurs in the embedded scenes.
    pub(crate) frequencies: Frequencies,
    /// The share of the items of embedded training scenes that are labelled as another class, 0 to 1.
    pub(crate) label_noise: f32,
    /// Parameters of the surrogate losses of Auto-Seg-Loss.
    pub(crate) asl: Option<Value>,
}

impl Settings {
    /// The defaults for the embedded scenes, whose size and colours vary by themselves.
    pub(crate) fn of_scenes() -> Self {
        Self {
            size: 64,
            enlarge_scenes: 1,
            flip: true,
            colour: 0.2,
            min_scale: 1.0,
            max_scale: 1.0,
            crops: 1,
            longest: None,
            train_list: "train".to_owned(),
            reward_share: 0.1,
            selection_share: 0.1,
            cache_mb: 96,
            frequencies: Frequencies::Voc,
            label_noise: 0.0,
            asl: None,
        }
    }

    /// The defaults for photographs: the usual recipe for PASCAL VOC.
    pub(crate) fn of_a_folder() -> Self {
        Self {
            size: 512,
            min_scale: 0.5,
            max_scale: 2.0,
            ..Self::of_scenes()
        }
    }

    /// The settings with those named changed.
    ///
    /// # Errors
    /// Names an unknown setting and those that are known, or a value that is out of range.
    pub(crate) fn with(mut self, named: &BTreeMap<String, Value>) -> Result<Self> {
        read_settings("task 'voc_seg'", &KNOWN, named, |setting| self.set(setting))?;
        if self.max_scale < self.min_scale {
            let (low, high) = (self.min_scale, self.max_scale);
            return Err(format!("settings 'min_scale' {low} is over 'max_scale' {high}").into());
        }
        Ok(self)
    }

    fn set(&mut self, setting: Setting) -> Result<bool, String> {
        match setting.name() {
            "size" => {
                let good =
                    |size: usize| (32..=2048).contains(&size) && size.is_multiple_of(SIZE_STEP);
                self.size = setting.whole_where(good, "a multiple of 16 from 32 to 2048")?;
            }
            "enlarge_scenes" => self.enlarge_scenes = setting.whole(1..=8, "times")?,
            "flip" => self.flip = setting.switch()?,
            "colour" => self.colour = setting.number(0.0..=1.0)? as f32,
            "min_scale" => self.min_scale = setting.number(0.1..=16.0)? as f32,
            "max_scale" => self.max_scale = setting.number(0.1..=16.0)? as f32,
            "crops" => self.crops = setting.whole(1..=64, "crops")? as u32,
            "longest" => self.longest = Some(setting.whole(16..=8192, "pixels")?),
            "train_list" => self.train_list = setting.text("a list's name")?,
            "reward_share" => self.reward_share = setting.number(0.0..=0.5)?,
            "selection_share" => self.selection_share = setting.number(0.0..=0.5)?,
            "cache_mb" => self.cache_mb = setting.whole(0..=1 << 20, "megabytes")?,
            "frequencies" => self.frequencies = setting.variant("\"equal\" or \"voc\"")?,
            "label_noise" => self.label_noise = setting.number(0.0..=1.0)? as f32,
            "asl" => self.asl = Some(setting.value().clone()),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The side of an embedded scene.
    pub(crate) fn scene_size(&self) -> usize {
        match self.enlarge_scenes {
            // One that is too large is refused by its own value.
            1 => self.size,
            times => (self.size * times).min(LARGEST_SCENE),
        }
    }

    /// Refuses settings that only embedded scenes have.
    ///
    /// # Errors
    /// Names the setting.
    pub(crate) fn check_of_a_folder(named: &BTreeMap<String, Value>) -> Result<()> {
        match OF_SCENES.iter().find(|name| named.contains_key(**name)) {
            None => Ok(()),
            Some(name) => Err(format!(
                "setting '{name}' is of the embedded scenes; a folder's labels are as they are"
            )
            .into()),
        }
    }

    /// The random changes to a training picture.
    ///
    /// # Errors
    /// A value out of range.
    pub(crate) fn augmentation(&self) -> Result<AugmentConfig> {
        let config = AugmentConfig {
            crop: self.size,
            min_scale: self.min_scale,
            max_scale: self.max_scale,
            flip: self.flip,
            colour: self.colour,
        };
        config.validate()?;
        Ok(config)
    }

    /// What a reader of the written scenes must set to get the same batches as from the scenes.
    pub(crate) fn of_a_reader(&self) -> BTreeMap<String, Value> {
        let pairs: [(&str, Value); 5] = [
            ("size", self.size.into()),
            ("flip", self.flip.into()),
            ("colour", self.colour.into()),
            ("min_scale", self.min_scale.into()),
            ("max_scale", self.max_scale.into()),
        ];
        pairs.map(|(name, value)| (name.to_owned(), value)).into()
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
        assert_eq!(read("size", json!(96)).unwrap().size, 96);
        assert_eq!(read("longest", json!(96)).unwrap().longest, Some(96));
        assert_eq!(read("train_list", json!(2012)).unwrap().train_list, "2012");
        assert_eq!(
            read("train_list", json!("trainaug")).unwrap().train_list,
            "trainaug"
        );
        for (name, bad) in [
            ("size", json!(0)),
            ("size", json!(-64)),
            ("size", json!(100)),
            ("size", json!(4096)),
            ("size", json!("64")),
            ("size", json!(64.5)),
            ("flip", json!(1)),
            ("colour", json!(1.5)),
            ("min_scale", json!(0)),
            ("min_scale", json!(3)),
            ("train_list", json!(["a"])),
            ("reward_share", json!(1)),
            ("frequencies", json!("coco")),
            ("label_noise", json!(2)),
        ] {
            let error = read(name, bad.clone()).unwrap_err().to_string();
            assert!(
                error.contains(&bad.to_string()) && error.contains(name),
                "{error}"
            );
        }
    }

    #[test]
    fn scenes_are_enlarged_as_far_as_they_can_be() {
        let size = |size, enlarge_scenes| {
            let scenes = Settings::of_scenes();
            let settings = Settings {
                size,
                enlarge_scenes,
                ..scenes
            };
            settings.scene_size()
        };
        assert_eq!([size(64, 1), size(64, 2), size(192, 2)], [64, 128, 256]);
    }

    #[test]
    fn unknown_settings_are_refused_with_the_known_ones() {
        let error = read("sise", json!(64)).unwrap_err().to_string();
        assert!(
            error.starts_with("task 'voc_seg' has no setting 'sise' (there are: size, "),
            "{error}"
        );
    }

    #[test]
    fn every_known_setting_is_known() {
        for name in KNOWN {
            let error = read(name, Value::Null).err().map(|error| error.to_string());
            assert!(
                error.is_none_or(|error| !error.contains("no setting")),
                "{name}"
            );
        }
    }

    #[test]
    fn a_reader_gets_what_decides_the_batches() {
        let scenes = Settings {
            size: 96,
            ..Settings::of_scenes()
        };
        let read = Settings::of_a_folder().with(&scenes.of_a_reader()).unwrap();
        assert_eq!(read, scenes);
    }
}

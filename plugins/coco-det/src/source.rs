//! Where pictures come from: drawn scenes, or a folder of COCO's layout.
//!
//! Both are kept decoded up to a fixed amount of memory: a search trains hundreds of networks on the same
//! pictures, and one costs more to draw or to decode than to copy.

use crate::scenes::Scenes;
use crate::settings::{MIN_OBJECTS, Settings};
use autoloss_plugin_api::{Result, Split, TaskOptions};
use autoloss_vision::Kept;
use autoloss_vision::coco::{CocoFolder, CocoObject, CocoOptions, CocoSample, scene_objects};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// The pictures of every split.
#[derive(Debug)]
pub(crate) struct Source {
    origin: Origin,
    skip_bad: bool,
    bad: Mutex<BTreeSet<String>>,
    kept: Kept<(Split, u64), CocoSample>,
}

#[derive(Debug)]
enum Origin {
    Scenes(Scenes),
    Folder(Box<CocoFolder>),
}

impl Source {
    /// Opens what the options name, with the settings in force.
    ///
    /// # Errors
    /// Settings that cannot be, or a folder that cannot be read.
    pub(crate) fn open(options: &TaskOptions) -> Result<(Self, Settings)> {
        let (origin, settings) = match &options.data {
            None => {
                let settings = Settings::of_scenes().with(&options.settings)?;
                let scenes = Scenes::new(settings.size, options.seed)?;
                (Origin::Scenes(scenes), settings)
            }
            Some(path) => {
                let (folder, settings) = open_folder(path, options)?;
                (Origin::Folder(Box::new(folder)), settings)
            }
        };
        let source = Self {
            origin,
            skip_bad: options.skip_bad,
            bad: Mutex::default(),
            kept: Kept::new(settings.cache_mb << 20),
        };
        Ok((source, settings))
    }

    /// The classes' names, the background first.
    pub(crate) fn class_names(&self) -> Vec<String> {
        match &self.origin {
            Origin::Scenes(_) => Scenes::class_names(),
            Origin::Folder(folder) => folder.class_names().to_vec(),
        }
    }

    /// The scenes, where pictures are drawn.
    pub(crate) fn scenes(&self) -> Option<&Scenes> {
        match &self.origin {
            Origin::Scenes(scenes) => Some(scenes),
            Origin::Folder(_) => None,
        }
    }

    /// Number of pictures of a split.
    pub(crate) fn len(&self, split: Split) -> u64 {
        match &self.origin {
            Origin::Scenes(_) => Scenes::len(split),
            Origin::Folder(folder) => folder.len(vision_split(split)) as u64,
        }
    }

    /// The same where pictures are needed.
    ///
    /// # Errors
    /// Which splits have none.
    pub(crate) fn needed_len(&self, split: Split) -> Result<u64> {
        if let (0, Origin::Folder(folder)) = (self.len(split), &self.origin) {
            folder.require_splits()?;
        }
        Ok(self.len(split))
    }

    /// Of each picture whether it is wider than high, as Detectron groups photographs; nothing of scenes,
    /// which are square.
    pub(crate) fn orientations(&self, split: Split) -> Vec<u32> {
        let Origin::Folder(folder) = &self.origin else {
            return Vec::new();
        };
        let split = vision_split(split);
        let wide = |index| {
            let size = folder.size(split, index);
            u32::from(size.is_some_and(|(height, width)| width > height))
        };
        (0..folder.len(split)).map(wide).collect()
    }

    /// The objects of a picture, which is not decoded.
    ///
    /// # Errors
    /// A number beyond the split.
    pub(crate) fn objects(&self, split: Split, index: u64) -> Result<Vec<CocoObject>> {
        self.check(split, index)?;
        match &self.origin {
            Origin::Scenes(scenes) => Ok(scene_objects(&scenes.original(split, index))),
            Origin::Folder(folder) => Ok(folder.objects(vision_split(split), index as usize)?),
        }
    }

    /// One picture.
    ///
    /// # Errors
    /// A number beyond the split, or why the picture cannot be read.
    pub(crate) fn get(&self, split: Split, index: u64) -> Result<Arc<CocoSample>> {
        self.check(split, index)?;
        let bytes =
            |sample: &CocoSample| sample.rgb.len() + sample.objects.len() * size_of::<CocoObject>();
        self.kept
            .get_or_make((split, index), bytes, || match &self.origin {
                Origin::Scenes(scenes) => scenes.draw(split, index),
                Origin::Folder(folder) => Ok(folder.sample(vision_split(split), index as usize)?),
            })
    }

    /// One picture, or none where it cannot be read and such are to be left out. Each is counted in a
    /// warning, once.
    ///
    /// # Errors
    /// As [`Source::get`].
    pub(crate) fn get_or_skip(&self, split: Split, index: u64) -> Result<Option<Arc<CocoSample>>> {
        match self.get(split, index) {
            Ok(sample) => Ok(Some(sample)),
            Err(error) if self.skip_bad && index < self.len(split) => {
                let mut bad = self.bad.lock().unwrap_or_else(PoisonError::into_inner);
                if bad.insert(format!("{split} {index}")) {
                    let count = bad.len();
                    tracing::warn!("left out ({count} so far): {error}");
                }
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn check(&self, split: Split, index: u64) -> Result<()> {
        let len = self.len(split);
        if index < len {
            return Ok(());
        }
        let task = crate::TASK;
        Err(format!("task '{task}': picture {index} of split '{split}', which has {len}").into())
    }
}

fn open_folder(path: &Path, options: &TaskOptions) -> Result<(CocoFolder, Settings)> {
    // The user's settings say how the folder is read, its side file how it is trained on.
    let own = Settings::of_a_folder().with(&options.settings)?;
    let mut how = CocoOptions {
        reward_share: own.reward_share,
        selection_share: own.selection_share,
        train: own.train,
        test: own.test,
        min_objects: own.min_objects,
        skip_bad: options.skip_bad,
    };
    let mut folder = CocoFolder::open(path, &how)?;
    let said = folder
        .settings()
        .get(MIN_OBJECTS)
        .and_then(|said| said.as_u64());
    if let (Some(said), None) = (said, options.settings.get(MIN_OBJECTS)) {
        how.min_objects = usize::try_from(said).unwrap_or(usize::MAX);
        folder = CocoFolder::open(path, &how)?;
    }
    if let [first, ..] = folder.skipped() {
        let (shown, count) = (path.display(), folder.skipped().len());
        tracing::warn!("{shown}: {count} pictures or annotations left out, the first: {first}");
    }
    let mut settings = folder.settings().clone();
    settings.extend(options.settings.clone());
    let settings = Settings::of_a_folder().with(&settings);
    let settings = settings.map_err(|error| format!("{}: {error}", path.display()))?;
    Ok((folder, settings))
}

pub(crate) fn vision_split(split: Split) -> autoloss_vision::Split {
    match split {
        Split::Train => autoloss_vision::Split::Train,
        Split::Reward => autoloss_vision::Split::Reward,
        Split::Selection => autoloss_vision::Split::Selection,
        Split::Test => autoloss_vision::Split::Test,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_beyond_the_split_are_refused() {
        let (source, _) = Source::open(&TaskOptions::default()).unwrap();
        let error = source.get(Split::Reward, 128).unwrap_err().to_string();
        assert_eq!(
            error,
            "task 'coco_det': picture 128 of split 'reward', which has 128"
        );
    }

    #[test]
    fn objects_are_those_of_the_picture() {
        let (source, _) = Source::open(&TaskOptions::default()).unwrap();
        let sample = source.get(Split::Train, 5).unwrap();
        assert_eq!(sample.objects, source.objects(Split::Train, 5).unwrap());
    }
}

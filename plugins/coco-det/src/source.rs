//! Where pictures come from: drawn scenes, or a folder of COCO's layout.
//!
//! Both are kept decoded up to a fixed amount of memory: a search trains hundreds of networks on the same
//! pictures, and one costs more to draw or to decode than to copy.

use crate::scenes::Scenes;
use crate::settings::Settings;
use autoloss_plugin_api::{Result, Split, TaskOptions};
use autoloss_vision::coco::{CocoFolder, CocoObject, CocoOptions, CocoSample, scene_objects};
use autoloss_vision::{Kept, LeftOut};
use std::path::Path;
use std::sync::Arc;

/// The pictures of every split.
#[derive(Debug)]
pub(crate) struct Source {
    origin: Origin,
    left_out: LeftOut,
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
            left_out: LeftOut::new(options.skip_bad),
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
            Origin::Folder(folder) => folder.len(split.into()) as u64,
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
        let split = split.into();
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
            Origin::Folder(folder) => Ok(folder.objects(split.into(), index as usize)?),
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
                Origin::Folder(folder) => Ok(folder.sample(split.into(), index as usize)?),
            })
    }

    /// One picture, or none where it cannot be read and such are to be left out. Each is counted in a
    /// warning, once.
    ///
    /// # Errors
    /// As [`Source::get`].
    pub(crate) fn get_or_skip(&self, split: Split, index: u64) -> Result<Option<Arc<CocoSample>>> {
        self.check(split, index)?;
        let name = format!("{split} {index}");
        self.left_out.pass(name, self.get(split, index))
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
    // The user's settings say how the folder is read, its side file how it is trained on; and so that a
    // written set keeps its places, which training pictures stay.
    let own = Settings::of_a_folder().with(&options.settings)?;
    let mut settings = CocoFolder::settings_of(path)?;
    settings.extend(options.settings.clone());
    let settings = Settings::of_a_folder().with(&settings);
    let settings = settings.map_err(|error| format!("{}: {error}", path.display()))?;
    let how = CocoOptions {
        reward_share: own.reward_share,
        selection_share: own.selection_share,
        train: own.train,
        test: own.test,
        min_objects: settings.min_objects,
        skip_bad: options.skip_bad,
    };
    let folder = CocoFolder::open(path, &how)?;
    if let [first, ..] = folder.skipped() {
        let (shown, count) = (path.display(), folder.skipped().len());
        tracing::warn!("{shown}: {count} pictures or annotations left out, the first: {first}");
    }
    Ok((folder, settings))
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

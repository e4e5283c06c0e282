//! Where pictures come from: drawn scenes, or a folder of photographs with label maps.
//!
//! Both are kept decoded up to a fixed amount of memory: a search trains hundreds of networks on the
//! same pictures, and one costs more to draw or to decode than to copy. Nothing is ever dropped; what
//! does not fit is made anew each time, with the same result, so the amount decides nothing but time.

use crate::scenes::Scenes;
use crate::settings::Settings;
use autoloss_plugin_api::{Result, Split, TaskOptions};
use autoloss_vision::{FolderOptions, Kept, LabelledImage, LeftOut, Pack, SegmentationFolder};
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// The pictures of every split.
#[derive(Debug)]
pub(crate) struct Source {
    origin: Origin,
    left_out: LeftOut,
    kept: Kept<(Split, u64), LabelledImage>,
    largest: [OnceLock<(usize, usize)>; 4],
}

#[derive(Debug)]
enum Origin {
    Scenes(Scenes),
    Folder(Box<SegmentationFolder>),
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
                (
                    Origin::Scenes(Scenes::new(settings.size, options.seed)?),
                    settings,
                )
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
            largest: Default::default(),
        };
        Ok((source, settings))
    }

    /// Number of classes, the background included.
    pub(crate) fn num_classes(&self) -> usize {
        self.class_names().len()
    }

    /// The classes' names, the background first.
    pub(crate) fn class_names(&self) -> &[String] {
        match &self.origin {
            // Opening the scenes has read the pack, so that it cannot fail here.
            Origin::Scenes(_) => Pack::embedded().map_or(&[], Pack::class_names),
            Origin::Folder(folder) => folder.class_names(),
        }
    }

    /// Number of pictures of a split.
    pub(crate) fn len(&self, split: Split) -> u64 {
        match &self.origin {
            Origin::Scenes(_) => Scenes::len(split),
            Origin::Folder(folder) => folder.len(split.into()) as u64,
        }
    }

    /// [`Source::len`] of a split that is needed.
    ///
    /// # Errors
    /// A folder with nothing for this split.
    pub(crate) fn needed_len(&self, split: Split) -> Result<u64> {
        match (self.len(split), &self.origin) {
            (0, Origin::Folder(folder)) => folder.require_splits().map(|()| 0).map_err(Into::into),
            (len, _) => Ok(len),
        }
    }

    /// The embedded scenes; none where a folder is read.
    pub(crate) fn scenes(&self) -> Option<&Scenes> {
        match &self.origin {
            Origin::Scenes(scenes) => Some(scenes),
            Origin::Folder(_) => None,
        }
    }

    /// How many samples of a folder were skipped when it was opened, if any were.
    pub(crate) fn remarks(&self) -> Vec<String> {
        match &self.origin {
            Origin::Scenes(_) => Vec::new(),
            Origin::Folder(folder) => match folder.skipped() {
                [] => Vec::new(),
                [first, ..] => {
                    let count = folder.skipped().len();
                    vec![format!(
                        "{count} samples of the data were skipped, the first: {first}"
                    )]
                }
            },
        }
    }

    /// One picture.
    ///
    /// # Errors
    /// A number beyond the split, or why the picture cannot be read.
    pub(crate) fn get(&self, split: Split, index: u64) -> Result<Arc<LabelledImage>> {
        self.check(split, index)?;
        let bytes = |picture: &LabelledImage| picture.image().len() + picture.labels().len();
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
    pub(crate) fn get_or_skip(
        &self,
        split: Split,
        index: u64,
    ) -> Result<Option<Arc<LabelledImage>>> {
        self.check(split, index)?;
        let name = format!("{split} {index}");
        self.left_out.pass(name, self.get(split, index))
    }

    fn check(&self, split: Split, index: u64) -> Result<()> {
        let len = self.len(split);
        if index < len {
            return Ok(());
        }
        Err(format!("sample {index} of split '{split}' was asked for, which has {len}").into())
    }

    /// One picture to train on: where it cannot be read and such are to be left out, the next that can.
    ///
    /// # Errors
    /// As [`Source::get`], or that no picture of the split can be read.
    pub(crate) fn get_or_next(&self, split: Split, index: u64) -> Result<Arc<LabelledImage>> {
        let len = self.len(split);
        for step in 0..len.max(1) {
            let turn = if index < len {
                (index + step) % len
            } else {
                index
            };
            if let Some(picture) = self.get_or_skip(split, turn)? {
                return Ok(picture);
            }
        }
        Err(format!("no sample of split '{split}' can be read").into())
    }

    /// Rows and columns that hold every picture of a split.
    ///
    /// # Errors
    /// A photograph whose size cannot be read.
    pub(crate) fn largest(&self, split: Split) -> Result<(usize, usize)> {
        let known = &self.largest[split as usize];
        if let Some(&size) = known.get() {
            return Ok(size);
        }
        let size = match &self.origin {
            Origin::Scenes(scenes) => (scenes.size(), scenes.size()),
            Origin::Folder(folder) => folder.largest(split.into())?,
        };
        Ok(*known.get_or_init(|| size))
    }
}

fn open_folder(path: &Path, options: &TaskOptions) -> Result<(SegmentationFolder, Settings)> {
    // The user's settings say how the folder is read, its side file how it is trained on.
    let own = Settings::of_a_folder().with(&options.settings)?;
    let how = FolderOptions {
        train_list: own.train_list,
        reward_share: own.reward_share,
        selection_share: own.selection_share,
        longest: own.longest,
        skip_bad: options.skip_bad,
    };
    let folder = SegmentationFolder::open(path, &how)?;
    let mut settings = folder.settings().clone();
    settings.extend(options.settings.clone());
    let settings = Settings::of_a_folder().with(&settings);
    let settings = settings.map_err(|error| format!("{}: {error}", path.display()))?;
    Ok((folder, settings))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenes_beyond_the_split_are_refused() {
        let (source, _) = Source::open(&TaskOptions::default()).unwrap();
        let error = source.get(Split::Reward, 256).unwrap_err().to_string();
        assert_eq!(
            error,
            "sample 256 of split 'reward' was asked for, which has 256"
        );
    }
}

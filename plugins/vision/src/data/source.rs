//! A task's samples, drawn or read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::{Cache, DataFolder, Skipper, WrittenCounts};
use crate::{Pack, Scene, SceneConfig, SceneGenerator, Split, VisionError};

/// The embedded scenes of one seed, so many in each split.
#[derive(Clone, Debug)]
pub struct Scenes {
    generator: SceneGenerator,
    counts: [u64; 4],
    seed: u64,
}

impl Scenes {
    /// Scenes that look as `config` says; `counts` are the numbers of the splits in the order of
    /// [`Split::ALL`].
    ///
    /// # Errors
    /// Those of [`SceneGenerator::embedded`].
    pub fn new(config: SceneConfig, counts: [u64; 4], seed: u64) -> Result<Self, VisionError> {
        Ok(Self {
            generator: SceneGenerator::embedded(config)?,
            counts,
            seed,
        })
    }

    /// Rows and columns of each scene, pixels.
    #[must_use]
    pub fn size(&self) -> usize {
        self.generator.config().size
    }

    /// One scene as it was drawn, before any JPEG. Indices have no end, whatever the split's number.
    #[must_use]
    pub fn scene(&self, split: Split, index: u64) -> Scene {
        self.generator.scene(split, index, self.seed)
    }

    /// Every scene of every split with the name that it is written under.
    fn all(&self) -> impl Iterator<Item = (Split, String, Scene)> {
        let scene = move |split, index| {
            let name = format!("{split}_{index:06}");
            (split, name, self.scene(split, index))
        };
        let of_split = move |split| (0..self.len(split)).map(move |index| scene(split, index));
        Split::ALL.into_iter().flat_map(of_split)
    }

    fn len(&self, split: Split) -> u64 {
        self.counts[split as usize]
    }
}

/// Where a [`Source`] takes its samples from.
#[derive(Debug)]
pub enum Origin<F> {
    /// Scenes from the embedded pack.
    Scenes(Scenes),
    /// A data set that was opened.
    Folder(F),
}

/// The samples of a task.
///
/// Samples are cached decoded up to a fixed amount of memory: a search trains hundreds of networks on the
/// same pictures, and one costs more to draw or to decode than to copy.
///
/// ```
/// use autoloss_vision::data::{Origin, Scenes, Source};
/// use autoloss_vision::{SceneConfig, SegmentationFolder, Split};
///
/// let config = SceneConfig { size: 64, ..SceneConfig::default() };
/// let scenes = Scenes::new(config, [100, 10, 10, 20], 3)?;
/// let source: Source<SegmentationFolder> = Source::new(Origin::Scenes(scenes), false, 1 << 20);
/// let sample = source.get(Split::Test, 19)?;
/// assert_eq!((sample.height(), source.len(Split::Test)), (64, 20));
/// assert!(source.get(Split::Test, 20).is_err());
/// # Ok::<(), autoloss_vision::VisionError>(())
/// ```
#[derive(Debug)]
pub struct Source<F: DataFolder> {
    origin: Origin<F>,
    skipper: Skipper,
    cache: Cache<(Split, u64), F::Sample>,
}

impl<F: DataFolder> Source<F> {
    /// The samples of `origin`, up to `cache_bytes` of them cached; with `skip_bad`, samples that cannot
    /// be read are skipped and counted in warnings.
    pub fn new(origin: Origin<F>, skip_bad: bool, cache_bytes: usize) -> Self {
        Self {
            origin,
            skipper: Skipper::new(skip_bad),
            cache: Cache::new(cache_bytes),
        }
    }

    /// Where the samples come from.
    pub fn origin(&self) -> &Origin<F> {
        &self.origin
    }

    /// What a user should know of the opened data: how many entries were skipped, where some were.
    pub fn remarks(&self) -> Vec<String> {
        match &self.origin {
            Origin::Folder(folder) if !folder.skipped().is_empty() => {
                let (root, skipped) = (folder.root().display(), folder.skipped());
                let count = skipped.len();
                vec![format!(
                    "{root}: entries skipped: {count}, the first: {}",
                    skipped[0]
                )]
            }
            _ => Vec::new(),
        }
    }

    /// What a user should know of a split of a folder; nothing of scenes.
    ///
    /// # Errors
    /// Those of [`DataFolder::check`].
    pub fn check_split(&self, split: Split) -> Result<Vec<String>, VisionError> {
        match &self.origin {
            Origin::Scenes(_) => Ok(Vec::new()),
            Origin::Folder(folder) => folder.check(split),
        }
    }

    /// Every file that decides what the samples of a split are, in the order of the samples; none for scenes.
    pub fn files(&self, split: Split) -> Vec<PathBuf> {
        match &self.origin {
            Origin::Scenes(_) => Vec::new(),
            Origin::Folder(folder) => folder.files(split),
        }
    }

    /// The classes' names, the background first.
    pub fn class_names(&self) -> &[String] {
        match &self.origin {
            // Making the scenes has read the pack, so that it cannot fail here.
            Origin::Scenes(_) => Pack::embedded().map_or(&[], Pack::class_names),
            Origin::Folder(folder) => folder.class_names(),
        }
    }

    /// The number of samples of a split; 0 where a folder has none.
    pub fn len(&self, split: Split) -> u64 {
        match &self.origin {
            Origin::Scenes(scenes) => scenes.len(split),
            Origin::Folder(folder) => folder.len(split) as u64,
        }
    }

    /// [`Source::len`] of a split that must not be empty.
    ///
    /// # Errors
    /// Those of [`DataFolder::require_splits`].
    pub fn required_len(&self, split: Split) -> Result<u64, VisionError> {
        if let (0, Origin::Folder(folder)) = (self.len(split), &self.origin) {
            folder.require_splits()?;
        }
        Ok(self.len(split))
    }

    /// One sample.
    ///
    /// # Errors
    /// [`VisionError::NoSample`] beyond the split's end, or why the sample cannot be read.
    pub fn get(&self, split: Split, index: u64) -> Result<Arc<F::Sample>, VisionError> {
        self.check(split, index)?;
        let make = || match &self.origin {
            Origin::Scenes(scenes) => F::of_scene(scenes.scene(split, index), index),
            Origin::Folder(folder) => folder.sample(split, index as usize),
        };
        self.cache.get_or_make((split, index), F::bytes, make)
    }

    /// One sample, or None where it cannot be read and is to be skipped.
    ///
    /// # Errors
    /// As [`Source::get`]; an index beyond the split's end is never skipped.
    pub fn get_or_skip(
        &self,
        split: Split,
        index: u64,
    ) -> Result<Option<Arc<F::Sample>>, VisionError> {
        self.check(split, index)?;
        let name = format!("{split} {index}");
        self.skipper.pass(name, self.get(split, index))
    }

    /// One sample to train on: where it is to be skipped, the next one that can be read.
    ///
    /// # Errors
    /// As [`Source::get`], or [`VisionError::NothingReadable`].
    pub fn get_or_next(&self, split: Split, index: u64) -> Result<Arc<F::Sample>, VisionError> {
        self.check(split, index)?;
        let len = self.len(split);
        for step in 0..len {
            if let Some(sample) = self.get_or_skip(split, (index + step) % len)? {
                return Ok(sample);
            }
        }
        Err(VisionError::NothingReadable { split })
    }

    /// Writes the embedded scenes as a data set, with `settings` in its side file.
    ///
    /// # Errors
    /// [`VisionError::Folder`] where a folder is read, or those of [`DataFolder::write`].
    pub fn write(
        &self,
        to: &Path,
        settings: &BTreeMap<String, Value>,
    ) -> Result<WrittenCounts, VisionError> {
        match &self.origin {
            Origin::Scenes(scenes) => F::write(to, scenes.all(), self.class_names(), settings),
            Origin::Folder(folder) => Err(VisionError::folder(
                folder.root(),
                "only the embedded scenes are written, and --data names a folder",
            )),
        }
    }

    fn check(&self, split: Split, index: u64) -> Result<(), VisionError> {
        let len = self.len(split);
        if index < len {
            return Ok(());
        }
        Err(VisionError::NoSample {
            split,
            index: index as usize,
            len: len as usize,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SegmentationFolder;
    use crate::coco::CocoFolder;

    fn source<F: DataFolder>(seed: u64) -> Source<F> {
        let config = SceneConfig {
            size: 64,
            ..SceneConfig::default()
        };
        let scenes = Scenes::new(config, [30, 3, 3, 5], seed).unwrap();
        Source::new(Origin::Scenes(scenes), true, 0)
    }

    #[test]
    fn a_scene_is_the_same_however_often_and_by_whomever_it_is_asked_for() {
        fn check<F: DataFolder<Sample: PartialEq>>() {
            let get = |seed, split, index| source::<F>(seed).get(split, index).unwrap();
            let one = source::<F>(3);
            let last = one.get(Split::Test, 4).unwrap();
            let other = source::<F>(3);
            other.get(Split::Test, 0).unwrap();
            assert_eq!(last, other.get(Split::Test, 4).unwrap());
            assert_ne!(last, get(4, Split::Test, 4));
            assert_ne!(last, get(3, Split::Train, 4));
        }
        check::<SegmentationFolder>();
        check::<CocoFolder>();
    }

    #[test]
    fn samples_beyond_the_split_are_refused_and_never_skipped() {
        let source = source::<CocoFolder>(0);
        let expected = "the reward split has 3 samples, so there is no sample 3";
        for found in [
            source.get(Split::Reward, 3).map(Some),
            source.get_or_skip(Split::Reward, 3),
            source.get_or_next(Split::Reward, 3).map(Some),
        ] {
            assert_eq!(found.unwrap_err().to_string(), expected);
        }
    }
}

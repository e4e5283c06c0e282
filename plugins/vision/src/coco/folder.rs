//! A COCO data set on disk.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::annotations::{Annotations, Picture};
use super::categories::Categories;
use super::json::{Lists, read};
use super::object::{CocoObject, CocoSample};
use super::options::CocoOptions;
use super::places::{Places, Source, Sources, sources};
use super::problems::Problems;
use super::side::Side;
use super::splits::{Place, Splits, deal};
use crate::codec::decode_photograph;
use crate::folder::{bytes_of, existing, require_splits};
use crate::{Split, VisionError};

/// A data set for object detection in a folder of COCO's layout.
///
/// Opening reads the annotation files and lists the folders; photographs are decoded when a sample is asked
/// for and never kept. An object takes 56 bytes, so that COCO's 860,001 training objects take 48 MB; masks
/// are not kept.
///
/// ```
/// use autoloss_vision::coco::{CocoFolder, CocoOptions, scene_objects, write_coco};
/// use autoloss_vision::{Pack, SceneConfig, SceneGenerator, Split, VisionError};
/// use std::collections::BTreeMap;
///
/// let place = tempfile::tempdir()?;
/// let folder = place.path().join("set");
/// let generator = SceneGenerator::embedded(SceneConfig { size: 64, ..SceneConfig::default() })?;
/// let scene = |split: Split| generator.scene(split, 0, 0);
/// let samples = Split::ALL.map(|split| Ok::<_, VisionError>((split, format!("a_{split}"), scene(split))));
/// write_coco(&folder, samples, Pack::embedded()?.class_names(), &BTreeMap::new())?;
///
/// let set = CocoFolder::open(&folder, &CocoOptions::default())?;
/// assert_eq!((set.len(Split::Reward), set.num_classes()), (1, 11));
/// let sample = set.sample(Split::Test, 0)?;
/// assert_eq!(sample.rgb.len(), 64 * 64 * 3);
/// let expected = scene_objects(&scene(Split::Test));
/// assert_eq!(sample.objects[0].corners, expected[0].corners);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct CocoFolder {
    root: PathBuf,
    categories: Categories,
    train: Annotations,
    test: Option<Annotations>,
    splits: Splits,
    settings: BTreeMap<String, Value>,
    notes: Vec<String>,
    skipped: Vec<String>,
}

impl CocoFolder {
    /// What the side file of a folder holds under `settings`, which may say how the folder is to be opened;
    /// empty without that file.
    ///
    /// # Errors
    /// [`VisionError::File`] and [`VisionError::Folder`] for a side file that cannot be read.
    pub fn settings_of(path: &Path) -> Result<BTreeMap<String, Value>, VisionError> {
        existing(path)?;
        Ok(Side::read(path)?.settings)
    }

    /// Reads the annotations of a folder and checks that every photograph they name exists.
    ///
    /// - `annotations/instances_NAME.json`, by default those of `train2017` and `val2017`, see
    ///   [`CocoOptions::train`]; photographs in `NAME`, `images/NAME`, `images`, or relative to `path`;
    /// - or a single annotation file beside its photographs, as labelme writes it.
    ///
    /// [`Split::Test`] is the validation file; where there is none, a fifth of the pictures.
    /// [`Split::Reward`] and [`Split::Selection`] are held out of the training pictures by their names, or
    /// as the side file [`SIDE_FILE`](crate::folder::SIDE_FILE) says.
    ///
    /// # Errors
    /// [`VisionError::Folder`] for a folder of another layout and for a file that is not of COCO's form,
    /// with the entry that is wrong: a picture or an annotation without what it needs, of an unknown image
    /// or category, with a name that leads out of the folder or to no file; categories on which two files
    /// disagree. [`VisionError::File`] where a file cannot be read; [`VisionError::Config`] for bad options.
    pub fn open(path: &Path, options: &CocoOptions) -> Result<CocoFolder, VisionError> {
        options.validate()?;
        existing(path)?;
        let side = Side::read(path)?;
        let mut opener = Opener {
            root: path,
            skip_bad: options.skip_bad,
            notes: Vec::new(),
            skipped: Vec::new(),
        };
        let (categories, train, test) = opener.annotations(&sources(path, options)?)?;
        let Opener {
            mut notes, skipped, ..
        } = opener;
        let splits = deal(path, &train, test.as_ref(), &side, options, &mut notes)?;
        let set = CocoFolder {
            root: path.to_owned(),
            categories,
            train,
            test,
            splits,
            settings: side.settings,
            notes,
            skipped,
        };
        set.check()?;
        Ok(set)
    }

    fn check(&self) -> Result<(), VisionError> {
        for note in &self.notes {
            tracing::warn!(folder = %self.root.display(), "{note}");
        }
        if self.all().next().is_some() {
            return Ok(());
        }
        Err(VisionError::Folder {
            folder: self.root.clone(),
            problem: "its annotations name no picture that can be used".to_owned(),
        })
    }

    /// The folder that holds the data.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The classes' names, `background` first: an object's class is an index into them. The others are the
    /// categories in the order of their ids.
    #[must_use]
    pub fn class_names(&self) -> &[String] {
        self.categories.names()
    }

    /// The number of classes, background included: at least 2.
    #[must_use]
    pub fn num_classes(&self) -> usize {
        self.class_names().len()
    }

    /// The id that a class's category has in the files; None of the background and beyond the last class.
    #[must_use]
    pub fn category_id(&self, class: usize) -> Option<u64> {
        self.categories.id(class)
    }

    /// What the side file holds under `settings`; empty without that file.
    #[must_use]
    pub fn settings(&self) -> &BTreeMap<String, Value> {
        &self.settings
    }

    /// The number of pictures of a split.
    #[must_use]
    pub fn len(&self, split: Split) -> usize {
        self.splits.of(split).len()
    }

    /// Whether a split has no picture.
    #[must_use]
    pub fn is_empty(&self, split: Split) -> bool {
        self.len(split) == 0
    }

    /// Every picture of every split as (split, index), for whoever only wants to look at them.
    pub fn all(&self) -> impl Iterator<Item = (Split, usize)> + '_ {
        let of_split = |split| (0..self.len(split)).map(move |index| (split, index));
        Split::ALL.into_iter().flat_map(of_split)
    }

    /// What a search needs: at least one picture in each split.
    ///
    /// # Errors
    /// [`VisionError::Folder`] names the splits that have none.
    pub fn require_splits(&self) -> Result<(), VisionError> {
        require_splits(
            &self.root,
            |split| self.len(split),
            "pictures",
            "training pictures",
        )
    }

    /// A picture's name, None beyond the split's end: its file's name without the ending.
    #[must_use]
    pub fn name(&self, split: Split, index: usize) -> Option<&str> {
        let place = self.splits.of(split).get(index)?;
        Some(self.listed(*place).1.name())
    }

    /// A picture's id in its annotation file, None beyond the split's end.
    #[must_use]
    pub fn image_id(&self, split: Split, index: usize) -> Option<u64> {
        let place = self.splits.of(split).get(index)?;
        Some(self.listed(*place).1.id)
    }

    /// A picture's height and width as annotated, pixels; None beyond the split's end.
    #[must_use]
    pub fn size(&self, split: Split, index: usize) -> Option<(usize, usize)> {
        let place = self.splits.of(split).get(index)?;
        let picture = self.listed(*place).1;
        Some((picture.height as usize, picture.width as usize))
    }

    /// What was noticed while opening and does not hinder. Also sent to `tracing` as warnings.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Pictures and annotations that were left out, each with the reason: only with
    /// [`CocoOptions::skip_bad`].
    #[must_use]
    pub fn skipped(&self) -> &[String] {
        &self.skipped
    }

    /// The objects of a picture in the order of the file, crowds and boxes without extent included; the
    /// photograph is not read.
    ///
    /// # Errors
    /// [`VisionError::NoSample`] beyond the split's end.
    pub fn objects(&self, split: Split, index: usize) -> Result<Vec<CocoObject>, VisionError> {
        let (file, picture) = self.picture(split, index)?;
        Ok(file.objects(picture))
    }

    /// Reads and decodes a picture.
    ///
    /// # Errors
    /// [`VisionError::NoSample`] beyond the split's end; [`VisionError::File`] or [`VisionError::Decode`]
    /// where the photograph cannot be read; [`VisionError::Folder`] where it has another size than
    /// annotated.
    pub fn sample(&self, split: Split, index: usize) -> Result<CocoSample, VisionError> {
        let (file, picture) = self.picture(split, index)?;
        let photograph = &picture.photograph;
        let decoded = decode_photograph(&bytes_of(photograph)?, photograph)?;
        let annotated = (picture.height as usize, picture.width as usize);
        if (decoded.height, decoded.width) != annotated {
            let problem = format!(
                "it has {}x{} pixels, but {} says {}x{} of its image {}; boxes must lie pixel on pixel",
                decoded.height,
                decoded.width,
                file.file.display(),
                picture.height,
                picture.width,
                picture.id
            );
            return Err(VisionError::Folder {
                folder: photograph.clone(),
                problem,
            });
        }
        Ok(CocoSample {
            image: picture.id,
            height: decoded.height,
            width: decoded.width,
            rgb: decoded.rgb,
            objects: file.objects(picture),
        })
    }

    fn picture(&self, split: Split, index: usize) -> Result<(&Annotations, &Picture), VisionError> {
        let places = self.splits.of(split);
        match places.get(index) {
            Some(&place) => Ok(self.listed(place)),
            None => Err(VisionError::NoSample {
                split,
                index,
                len: places.len(),
            }),
        }
    }

    fn listed(&self, place: Place) -> (&Annotations, &Picture) {
        let file = match &self.test {
            Some(test) if place.in_test => test,
            _ => &self.train,
        };
        (file, &file.pictures[place.picture])
    }
}

/// What the files of a folder have in common while it is opened.
struct Opener<'a> {
    root: &'a Path,
    skip_bad: bool,
    notes: Vec<String>,
    skipped: Vec<String>,
}

impl Opener<'_> {
    fn annotations(
        &mut self,
        sources: &Sources,
    ) -> Result<(Categories, Annotations, Option<Annotations>), VisionError> {
        let mut categories = Categories::default();
        let mut lists_of = |source: &Source| {
            let lists = read(&source.file)?;
            categories.add(&source.file, &lists.categories)?;
            Ok::<_, VisionError>(lists)
        };
        let train_lists = lists_of(&sources.train)?;
        let test_lists = sources.test.as_ref().map(&mut lists_of).transpose()?;
        // Only now is it known which classes there are.
        categories.number(&sources.train.file)?;
        let train = self.link(&sources.train, train_lists, &categories)?;
        let test = match (&sources.test, test_lists) {
            (Some(source), Some(lists)) => Some(self.link(source, lists, &categories)?),
            _ => None,
        };
        Ok((categories, train, test))
    }

    fn link(
        &mut self,
        source: &Source,
        lists: Lists,
        categories: &Categories,
    ) -> Result<Annotations, VisionError> {
        let mut places = Places::new(self.root, source);
        let mut problems = Problems::new(self.skip_bad);
        let classes = categories.classes();
        let linked = Annotations::link(&source.file, lists, classes, &mut places, &mut problems)?;
        self.skipped.extend(problems.finish(&source.file)?);
        self.notes.extend(linked.note());
        Ok(linked)
    }
}

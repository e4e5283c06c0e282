//! A COCO data set on disk.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::annotations::{Annotations, Picture};
use super::categories::Categories;
use super::json::{RawFile, read};
use super::object::{CocoObject, CocoSample, scene_objects};
use super::options::CocoOptions;
use super::places::{AnnotationFile, AnnotationFiles, Places, annotation_files};
use super::splits::{Listed, Splits, deal};
use super::write::write_coco;
use crate::codec::{decode_photograph, jpeg_round_trip};
use crate::data::disk::{bytes_of, existing};
use crate::data::side_file::{SIDE_FILE, SideFile};
use crate::data::{BadEntries, DataFolder, WrittenCounts, some_of};
use crate::{LabelledImage, Scene, Split, VisionError};

/// A data set for object detection in a folder of COCO's layout.
///
/// Opening reads the annotation files and lists the folders; photographs are decoded when a sample is asked
/// for. An object takes 56 bytes, so that COCO's 860,001 training objects take 48 MB; masks are dropped.
///
/// ```
/// use autoloss_vision::coco::{CocoFolder, CocoOptions, scene_objects, write_coco};
/// use autoloss_vision::data::DataFolder;
/// use autoloss_vision::{Pack, SceneConfig, SceneGenerator, Split};
/// use std::collections::BTreeMap;
///
/// let place = tempfile::tempdir()?;
/// let folder = place.path().join("set");
/// let generator = SceneGenerator::embedded(SceneConfig { size: 64, ..SceneConfig::default() })?;
/// let scene = |split: Split| generator.scene(split, 0, 0);
/// let samples = Split::ALL.map(|split| Ok((split, format!("a_{split}"), scene(split))));
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
    /// The `settings` of a folder's side file, some of which tell how to open the folder; empty without that
    /// file.
    ///
    /// # Errors
    /// [`VisionError::File`] and [`VisionError::Folder`] for a side file that cannot be read.
    pub fn settings_of(path: &Path) -> Result<BTreeMap<String, Value>, VisionError> {
        existing(path)?;
        Ok(SideFile::read(path)?.settings)
    }

    /// Reads the annotations of a folder and checks that every photograph they name exists.
    ///
    /// - `annotations/instances_NAME.json`, by default those of `train2017` and `val2017`, see
    ///   [`CocoOptions::train`]; photographs in `NAME`, `images/NAME`, `images`, or relative to `path`;
    /// - or a single annotation file beside its photographs, as labelme writes it.
    ///
    /// [`Split::Test`] is the validation file; where there is none, a fifth of the pictures.
    /// [`Split::Reward`] and [`Split::Selection`] are held out of the training pictures by their names, or
    /// as the side file [`SIDE_FILE`](crate::data::SIDE_FILE) says.
    ///
    /// # Errors
    /// [`VisionError::Folder`] for a folder of another layout and for a file that is not of COCO's form,
    /// with the entry that is wrong: a picture or an annotation without what it needs, of an unknown image
    /// or category, with a name that leads out of the folder or to no file; categories on which two files
    /// disagree. [`VisionError::File`] where a file cannot be read; [`VisionError::Config`] for bad options.
    pub fn open(path: &Path, options: &CocoOptions) -> Result<CocoFolder, VisionError> {
        options.validate()?;
        existing(path)?;
        let side = SideFile::read(path)?;
        let mut opener = Opener {
            root: path,
            skip_bad: options.skip_bad,
            notes: Vec::new(),
            skipped: Vec::new(),
        };
        let (categories, train, test) = opener.annotations(&annotation_files(path, options)?)?;
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
        set.tell_notes()?;
        Ok(set)
    }

    fn tell_notes(&self) -> Result<(), VisionError> {
        for note in &self.notes {
            tracing::warn!(folder = %self.root.display(), "{note}");
        }
        if self.all().next().is_some() {
            return Ok(());
        }
        let problem = "its annotations name no picture that can be used";
        Err(VisionError::folder(&self.root, problem))
    }

    /// The id that a class's category has in the files; None of the background and beyond the last class.
    #[must_use]
    pub fn category_id(&self, class: usize) -> Option<u64> {
        self.categories.id(class)
    }

    /// A picture's id in its annotation file, None beyond the split's end.
    #[must_use]
    pub fn image_id(&self, split: Split, index: usize) -> Option<u64> {
        let (_, picture) = self.picture(split, index).ok()?;
        Some(picture.id)
    }

    /// A picture's height and width as annotated, pixels; None beyond the split's end.
    #[must_use]
    pub fn size(&self, split: Split, index: usize) -> Option<(usize, usize)> {
        let (_, picture) = self.picture(split, index).ok()?;
        Some((picture.height as usize, picture.width as usize))
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

    fn picture(&self, split: Split, index: usize) -> Result<(&Annotations, &Picture), VisionError> {
        let listed = self.splits.of(split);
        let Some(&Listed { in_test, picture }) = listed.get(index) else {
            return Err(VisionError::NoSample {
                split,
                index,
                len: listed.len(),
            });
        };
        let file = match &self.test {
            Some(test) if in_test => test,
            _ => &self.train,
        };
        Ok((file, &file.pictures[picture]))
    }
}

impl DataFolder for CocoFolder {
    type Sample = CocoSample;

    const WORDS: [&'static str; 2] = ["pictures", "training pictures"];

    fn root(&self) -> &Path {
        &self.root
    }

    /// `background`, then the categories in the order of their ids.
    fn class_names(&self) -> &[String] {
        self.categories.names()
    }

    fn settings(&self) -> &BTreeMap<String, Value> {
        &self.settings
    }

    fn notes(&self) -> &[String] {
        &self.notes
    }

    fn skipped(&self) -> &[String] {
        &self.skipped
    }

    fn len(&self, split: Split) -> usize {
        self.splits.of(split).len()
    }

    /// The picture's file name without its ending.
    fn name(&self, split: Split, index: usize) -> Option<&str> {
        let (_, picture) = self.picture(split, index).ok()?;
        Some(picture.name())
    }

    fn files_of(&self, split: Split, index: usize) -> Vec<&Path> {
        let picture = self.picture(split, index);
        picture.map_or(Vec::new(), |(_, picture)| vec![&picture.photograph])
    }

    fn described_by(&self, _: Split) -> Vec<PathBuf> {
        let annotations = [Some(&self.train), self.test.as_ref()];
        let annotations = annotations
            .into_iter()
            .flatten()
            .map(|file| file.file.clone());
        annotations.chain([self.root.join(SIDE_FILE)]).collect()
    }

    /// The picture the right way up, with the objects of [`CocoFolder::objects`]; an error where its size is
    /// not the annotated one.
    fn sample(&self, split: Split, index: usize) -> Result<CocoSample, VisionError> {
        let (file, picture) = self.picture(split, index)?;
        let photograph = &picture.photograph;
        let mut decoded = decode_photograph(&bytes_of(photograph)?, photograph)?;
        let annotated = (picture.height as usize, picture.width as usize);
        let upright = decoded.upright_size();
        if upright == annotated {
            decoded = decoded.upright();
        } else if (decoded.height, decoded.width) == annotated {
            let problem = format!(
                "its EXIF orientation turns it to {}x{} pixels, but {} says {}x{} of its image {}, the size before that: \
                 boxes could lie on either; save it turned and without the mark, and correct the annotations",
                upright.0,
                upright.1,
                file.file.display(),
                picture.height,
                picture.width,
                picture.id
            );
            return Err(VisionError::folder(photograph, problem));
        }
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
            return Err(VisionError::folder(photograph, problem));
        }
        Ok(CocoSample {
            image: picture.id,
            height: decoded.height,
            width: decoded.width,
            rgb: decoded.rgb,
            objects: file.objects(picture),
        })
    }

    /// Objects are counted: without one that can be trained on, or scored, a split is an error.
    fn check(&self, split: Split) -> Result<Vec<String>, VisionError> {
        let mut of_class = vec![0u64; self.num_classes()];
        let (mut all, mut used) = (0, 0);
        for index in 0..self.len(split) {
            for object in self.objects(split, index)? {
                all += 1;
                let counts = match split {
                    Split::Train => object.is_trainable(),
                    _ => !object.crowd,
                };
                if counts {
                    used += 1;
                    of_class[object.class] += 1;
                }
            }
        }
        if used == 0 {
            let what = match split {
                Split::Train => "trained on",
                _ => "scored",
            };
            let pictures = self.len(split);
            let why = match split {
                // Such pictures are no training pictures.
                Split::Train => "crowds (iscrowd) and boxes without extent do not count".to_owned(),
                _ if all == 0 => format!("{pictures} pictures without an annotation"),
                _ => format!("{all} annotations, all of them crowds (iscrowd)"),
            };
            let problem = format!("the {split} split has no object that can be {what}: {why}");
            return Err(VisionError::folder(&self.root, problem));
        }
        let classes = self.class_names().iter().zip(of_class).skip(1);
        let missing: Vec<&str> = classes
            .filter(|(_, count)| *count == 0)
            .map(|(name, _)| name.as_str())
            .collect();
        if split != Split::Train || missing.is_empty() {
            return Ok(Vec::new());
        }
        Ok(vec![format!(
            "{}: {} of {} classes have no object in the train split: {}",
            self.root.display(),
            missing.len(),
            self.num_classes() - 1,
            some_of(&missing)
        )])
    }

    fn of_scene(scene: Scene, index: u64) -> Result<CocoSample, VisionError> {
        let objects = scene_objects(&scene);
        let picture = jpeg_round_trip(&LabelledImage::of_scene(scene)?)?;
        Ok(CocoSample {
            image: index,
            height: picture.height(),
            width: picture.width(),
            rgb: picture.into_parts().0,
            objects,
        })
    }

    fn bytes(sample: &CocoSample) -> usize {
        sample.rgb.len() + sample.objects.len() * size_of::<CocoObject>()
    }

    fn write(
        to: &Path,
        scenes: impl Iterator<Item = (Split, String, Scene)>,
        classes: &[String],
        settings: &BTreeMap<String, Value>,
    ) -> Result<WrittenCounts, VisionError> {
        write_coco(to, scenes.map(Ok), classes, settings)
    }
}

/// The state of a folder that is being opened.
struct Opener<'a> {
    root: &'a Path,
    skip_bad: bool,
    notes: Vec<String>,
    skipped: Vec<String>,
}

impl Opener<'_> {
    fn annotations(
        &mut self,
        sources: &AnnotationFiles,
    ) -> Result<(Categories, Annotations, Option<Annotations>), VisionError> {
        let mut categories = Categories::default();
        let mut lists_of = |source: &AnnotationFile| {
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
        source: &AnnotationFile,
        raw: RawFile,
        categories: &Categories,
    ) -> Result<Annotations, VisionError> {
        let mut places = Places::new(self.root, source);
        let mut bad = BadEntries::new(self.skip_bad);
        let classes = categories.classes();
        let linked = Annotations::link(&source.file, raw, classes, &mut places, &mut bad)?;
        self.skipped.extend(bad.finish(|count| {
            let others = match count {
                1 => String::new(),
                count => format!(" ({count} entries like this)"),
            };
            format!("{others}; correct the file, complete the folder or read with skip_bad")
        })?);
        self.notes.extend(linked.note());
        Ok(linked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Pack, SceneConfig, SceneGenerator};
    use std::fs;

    #[test]
    fn a_split_without_an_object_that_counts_is_an_error_before_any_training() {
        let config = SceneConfig {
            size: 64,
            ..SceneConfig::default()
        };
        let generator = SceneGenerator::embedded(config).unwrap();
        let scene = |split: Split| Ok((split, format!("a_{split}"), generator.scene(split, 0, 0)));
        let names = Pack::embedded().unwrap().class_names();
        for (change, split, words) in [
            ("none", Split::Test, "1 pictures without an annotation"),
            ("crowds", Split::Test, "all of them crowds"),
            ("crowds", Split::Train, "can be trained on: crowds"),
            ("flat", Split::Train, "boxes without extent do not count"),
        ] {
            let place = tempfile::tempdir().unwrap();
            let written = Split::ALL.map(scene);
            write_coco(place.path(), written, names, &BTreeMap::new()).unwrap();
            let list = if split == Split::Test { "val" } else { "train" };
            let file = place
                .path()
                .join(format!("annotations/instances_{list}2017.json"));
            let text = fs::read_to_string(&file).unwrap();
            let mut content: Value = serde_json::from_str(&text).unwrap();
            let annotations = content["annotations"].as_array_mut().unwrap();
            match change {
                "none" => annotations.clear(),
                "crowds" => annotations
                    .iter_mut()
                    .for_each(|one| one["iscrowd"] = 1.into()),
                _ => annotations
                    .iter_mut()
                    .for_each(|one| one["bbox"][2] = 0.into()),
            }
            fs::write(&file, content.to_string()).unwrap();
            let set = CocoFolder::open(place.path(), &CocoOptions::default()).unwrap();
            let message = set.check(split).unwrap_err().to_string();
            assert!(
                message.contains(words) && message.len() < 300,
                "{change}: {message}"
            );
        }
        // An annotation without a box and a mask says that there is nothing.
        let place = tempfile::tempdir().unwrap();
        write_coco(place.path(), Split::ALL.map(scene), names, &BTreeMap::new()).unwrap();
        let file = place.path().join("annotations/instances_val2017.json");
        let mut content: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        let annotations = content["annotations"].as_array_mut().unwrap();
        let count = annotations.len();
        let mut nothing = annotations[0].clone();
        nothing["id"] = 99_999.into();
        nothing["bbox"] = Value::Array(Vec::new());
        nothing["segmentation"] = Value::Array(Vec::new());
        annotations.push(nothing);
        fs::write(&file, content.to_string()).unwrap();
        let set = CocoFolder::open(place.path(), &CocoOptions::default()).unwrap();
        assert_eq!(set.objects(Split::Test, 0).unwrap().len(), count);
        let place = tempfile::tempdir().unwrap();
        write_coco(place.path(), Split::ALL.map(scene), names, &BTreeMap::new()).unwrap();
        let set = CocoFolder::open(place.path(), &CocoOptions::default()).unwrap();
        let [missing] = &set.check(Split::Train).unwrap()[..] else {
            panic!("one remark");
        };
        assert!(
            missing.contains("classes have no object in the train split: "),
            "{missing}"
        );
        assert!(set.check(Split::Test).unwrap().is_empty());
    }
}

//! Writing a COCO folder.
//!
//! The result is a genuine COCO 2017 folder that any reader of such data accepts: `train2017` has all that
//! may be learnt from, `val2017` the test split, and the side file names what is held out of the training
//! pictures. Pictures keep the order of writing in every list, so that sample `index` of a split read back
//! is the `index`-th written (a train picture without objects needs
//! [`CocoOptions::min_objects`](super::CocoOptions::min_objects) 0 for that). The annotation files are written
//! last, that of `train2017` at the very end: a folder whose writing was interrupted has none for training
//! and is refused when it is opened.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use hotcoco::mask::{encode, rle_to_string};
use serde::Serialize;
use serde_json::Value;

use super::object::visible;
use super::places::{ANNOTATIONS, TEST, TRAIN, annotation_file};
use crate::codec::encode_jpeg;
use crate::data::WrittenCounts;
use crate::data::disk::NewFolder;
use crate::data::side_file::{SIDE_FILE, SideFile};
use crate::{Scene, Split, VisionError};

/// Writes scenes as a COCO folder: `train2017` and `val2017` with JPEGs (quality 95, see [`encode_jpeg`]),
/// `annotations/instances_train2017.json` and `…_val2017.json`, and the side file [`SIDE_FILE`] with
/// `settings`. An annotation has the box, the area and the mask (as run lengths) of an item's visible pixels.
/// `classes` are the classes' names, background first: class `n` becomes the category with the id `n`. Scenes
/// are taken one by one, and only their annotations stay in memory. Names are files' names without an ending. Sample
/// `index` of a split read back is the `index`-th written.
///
/// # Errors
/// The first error among the samples, if any; [`VisionError::Folder`] where the folder has files already, a
/// name is bad or occurs twice, there are fewer than two classes, an item has none of them, or there is no
/// scene of train or of test; [`VisionError::Length`] where a scene's masks do not have its size;
/// [`VisionError::File`] and [`VisionError::Encode`] where a file cannot be written. What was written until
/// then stays and is refused by [`CocoFolder::open`](super::CocoFolder::open).
pub fn write_coco(
    folder: &Path,
    samples: impl IntoIterator<Item = Result<(Split, String, Scene), VisionError>>,
    classes: &[String],
    settings: &BTreeMap<String, Value>,
) -> Result<WrittenCounts, VisionError> {
    let mut writer = Writer::new(folder, classes)?;
    for sample in samples {
        let (split, name, scene) = sample?;
        writer.add(split, &name, &scene)?;
    }
    writer.finish(settings)
}

/// One of the two annotation files.
#[derive(Default, Serialize)]
struct WrittenFile {
    info: BTreeMap<&'static str, &'static str>,
    images: Vec<Image>,
    annotations: Vec<Annotation>,
    categories: Vec<Category>,
}

#[derive(Serialize)]
struct Image {
    id: usize,
    file_name: String,
    height: usize,
    width: usize,
}

#[derive(Serialize)]
struct Annotation {
    id: usize,
    image_id: usize,
    category_id: usize,
    bbox: [usize; 4],
    area: usize,
    iscrowd: u8,
    segmentation: Runs,
}

#[derive(Serialize)]
struct Runs {
    size: [usize; 2],
    counts: String,
}

#[derive(Clone, Serialize)]
struct Category {
    id: usize,
    name: String,
    supercategory: String,
}

struct Writer<'a> {
    folder: NewFolder<'a>,
    classes: &'a [String],
    train: WrittenFile,
    test: WrittenFile,
    held_out: SideFile,
    counts: [usize; 4],
    annotations: usize,
}

impl<'a> Writer<'a> {
    fn new(folder: &'a Path, classes: &'a [String]) -> Result<Writer<'a>, VisionError> {
        if classes.len() < 2 {
            let count = classes.len();
            let problem =
                format!("{count} classes, expected the background and at least one other");
            return Err(VisionError::folder(folder, problem));
        }
        Ok(Writer {
            folder: NewFolder::create(folder, &[ANNOTATIONS, TRAIN, TEST])?,
            classes,
            train: WrittenFile::default(),
            test: WrittenFile::default(),
            held_out: SideFile {
                reward: Some(Vec::new()),
                selection: Some(Vec::new()),
                ..SideFile::default()
            },
            counts: [0; 4],
            annotations: 0,
        })
    }

    fn error(&self, problem: String) -> VisionError {
        VisionError::folder(self.folder.root, problem)
    }

    fn add(&mut self, split: Split, name: &str, scene: &Scene) -> Result<(), VisionError> {
        self.folder.take_name(name)?;
        let (height, width) = (scene.height, scene.width);
        let file_name = format!("{name}.jpg");
        let image = self.counts.iter().sum::<usize>() + 1;
        let annotations = self.annotations(scene, image, name)?;
        let photograph = encode_jpeg(height, width, &scene.image)?;
        let part = if split == Split::Test { TEST } else { TRAIN };
        self.folder
            .write(&format!("{part}/{file_name}"), &photograph)?;
        self.annotations += annotations.len();
        self.counts[split as usize] += 1;
        let held_out = match split {
            Split::Reward => self.held_out.reward.as_mut(),
            Split::Selection => self.held_out.selection.as_mut(),
            Split::Train | Split::Test => None,
        };
        if let Some(names) = held_out {
            names.push(file_name.clone());
        }
        let lists = if split == Split::Test {
            &mut self.test
        } else {
            &mut self.train
        };
        lists.annotations.extend(annotations);
        lists.images.push(Image {
            id: image,
            file_name,
            height,
            width,
        });
        Ok(())
    }

    fn annotations(
        &self,
        scene: &Scene,
        image: usize,
        name: &str,
    ) -> Result<Vec<Annotation>, VisionError> {
        let (height, width) = (scene.height, scene.width);
        let pixels = height.saturating_mul(width);
        if scene.instances.len() != pixels {
            return Err(VisionError::Length {
                what: "the map of instances",
                found: scene.instances.len(),
                expected: pixels,
                height,
                width,
            });
        }
        let mut annotations = Vec::new();
        for (object, shown) in scene.objects.iter().zip(visible(scene)) {
            let class = usize::from(object.class);
            if class == 0 || class >= self.classes.len() {
                return Err(self.error(format!(
                    "{name} has an item of class {class}, expected 1 to {}",
                    self.classes.len() - 1
                )));
            }
            let Some(shown) = shown else {
                continue;
            };
            annotations.push(Annotation {
                id: self.annotations + annotations.len() + 1,
                image_id: image,
                category_id: class,
                bbox: shown.bbox(),
                area: shown.pixels,
                iscrowd: 0,
                segmentation: runs(scene, object.instance)?,
            });
        }
        Ok(annotations)
    }

    fn finish(mut self, settings: &BTreeMap<String, Value>) -> Result<WrittenCounts, VisionError> {
        for split in [Split::Train, Split::Test] {
            if self.counts[split as usize] == 0 {
                let problem = format!("no scene of the {split} split was given; COCO needs one");
                return Err(self.error(problem));
            }
        }
        self.held_out.settings = settings.clone();
        let side = self.held_out.text();
        let side = side.map_err(|problem| self.error(problem))?;
        self.folder.write(SIDE_FILE, side.as_bytes())?;
        let categories = self.classes.iter().enumerate().skip(1);
        let categories: Vec<Category> = categories
            .map(|(id, name)| Category {
                id,
                name: name.clone(),
                supercategory: "item".to_owned(),
            })
            .collect();
        for lists in [&mut self.train, &mut self.test] {
            lists.info.insert("description", "scenes of autoloss");
            lists.categories.clone_from(&categories);
        }
        for (name, lists) in [(TEST, &self.test), (TRAIN, &self.train)] {
            self.folder.write_list(&annotation_file(name), |file| {
                let mut file = BufWriter::new(File::create(file)?);
                serde_json::to_writer(&mut file, lists)?;
                file.flush()
            })?;
        }
        Ok(WrittenCounts {
            counts: self.counts,
        })
    }
}

/// The visible pixels of an instance, column by column.
fn runs(scene: &Scene, instance: u8) -> Result<Runs, VisionError> {
    let (height, width) = (scene.height, scene.width);
    let failed = |problem: String| VisionError::Encode {
        height,
        width,
        problem,
    };
    let mut mask = Vec::with_capacity(scene.instances.len());
    for x in 0..width {
        let column = scene.instances.iter().skip(x).step_by(width);
        mask.extend(column.map(|&other| u8::from(other == instance)));
    }
    let side = |length: usize| {
        u32::try_from(length).map_err(|_| failed("its mask is too large".to_owned()))
    };
    let rle = encode(&mask, side(height)?, side(width)?);
    let rle = rle.map_err(|error| failed(error.to_string()))?;
    Ok(Runs {
        size: [height, width],
        counts: rle_to_string(&rle),
    })
}

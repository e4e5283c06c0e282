//! The task: batches and screening samples, from the embedded scenes or a folder.
//!
//! Pictures are cached as bytes; normalised floating-point images are made per batch, since they would
//! take four times the memory.

use crate::losses::{self, Asl};
use crate::pictures::Pictures;
use crate::screening::draw_samples;
use crate::settings::Settings;
use crate::source::{self, Source};
use autoloss_plugin_api::{
    Activation, Batch, BatchRequest, BranchInfo, Result, ScreeningRequest, ScreeningSamples,
    Signature, Split, Task, TaskInfo, TaskOptions, Tensors, serde_json,
};
use autoloss_vision::data::{Origin, numbered};
use autoloss_vision::networks::pictures;
use autoloss_vision::{AugmentConfig, GOLDEN, Pack, augment};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tch::Tensor;

/// The task `voc_seg`: every pixel is background or one of the classes. Without a data folder it draws
/// its embedded scenes, of ten classes; with one it reads the layouts of PASCAL VOC 2012 and Cityscapes.
///
/// ```
/// use autoloss_plugin_api::{BatchRequest, Split, Task, TaskOptions};
/// use voc_seg::VocSeg;
///
/// let task = VocSeg::open(&TaskOptions::default())?;
/// let batch = task.batch(&BatchRequest::new(Split::Reward, vec![0, 1]))?;
/// let size = batch.targets.get("labels")?.size();
/// assert_eq!(batch.inputs.get("image")?.size(), [2, 3, size[1], size[2]]);
/// # Ok::<(), autoloss_plugin_api::Error>(())
/// ```
#[derive(Debug)]
pub struct VocSeg {
    source: Source,
    settings: Settings,
    augmentation: AugmentConfig,
    asl: Asl,
}

impl Task for VocSeg {
    fn info() -> TaskInfo {
        let branch = BranchInfo::new(crate::BRANCH, Activation::Softmax, "mIoU")
            .inputs(Signature::dense().inputs().to_vec());
        TaskInfo::new(
            crate::TASK,
            "Semantic segmentation in the manner of PASCAL VOC",
        )
        .branches([branch])
        .default_network("fpn_lite0_frozen")
        .network_without_weights("unet_tiny")
        .default_score("mIoU")
        .reference_losses(losses::reference_losses())
        .attributes(attributes())
        .defaults(defaults())
    }

    fn open(options: &TaskOptions) -> Result<Self> {
        let (source, settings) = source::open(options)?;
        let augmentation = settings.augmentation()?;
        let asl = settings.asl.as_ref().map(Asl::from_json).transpose()?;
        Ok(Self {
            source,
            settings,
            augmentation,
            asl: asl.unwrap_or_default(),
        })
    }

    fn attributes(&self) -> BTreeMap<String, Value> {
        BTreeMap::from([
            (
                "num_classes".to_owned(),
                json!(self.source.class_names().len()),
            ),
            ("class_names".to_owned(), json!(self.source.class_names())),
        ])
    }

    fn remarks(&self) -> Vec<String> {
        self.source.remarks()
    }

    fn check(&self, split: Split) -> Result<Vec<String>> {
        Ok(self.source.check_split(split)?)
    }

    fn files(&self, split: Split) -> Result<Vec<PathBuf>> {
        Ok(self.source.files(split))
    }

    fn len(&self, split: Split) -> Result<u64> {
        Ok(self.source.required_len(split)?)
    }

    fn shapes(&self, split: Split) -> Result<Vec<u32>> {
        match self.source.origin() {
            Origin::Scenes(_) => Ok(Vec::new()),
            Origin::Folder(_) => {
                let canvases = (0..self.len(split)?).map(|index| self.canvas(split, index));
                Ok(numbered(canvases.collect::<Result<Vec<_>>>()?))
            }
        }
    }

    fn views(&self) -> Result<u32> {
        Ok(self.settings.crops * self.orientations())
    }

    fn batch(&self, request: &BatchRequest) -> Result<Batch> {
        match (request.augment, request.view) {
            (Some(seed), None) => self.augmented(request, seed),
            (None, Some(view)) => self.viewed(request, view),
            (None, None) => self.plain(request),
            (Some(_), Some(_)) => Err("a view of samples is never augmented".into()),
        }
    }

    fn constant_predictions(&self, batch: &Batch) -> Result<Vec<Tensors>> {
        let labels = batch.targets.get("labels")?;
        let classes = 0..self.source.class_names().len() as i64;
        let everywhere = classes.map(|class| {
            let labels = labels.f_full_like(class)?;
            Ok(Tensors::new().with("labels", labels))
        });
        everywhere.collect()
    }

    fn screening_samples(&self, request: &ScreeningRequest) -> Result<ScreeningSamples> {
        crate::check_branch(&request.branch)?;
        draw_samples(&self.source, request)
    }

    fn write_data(&self, to: &Path) -> Result<String> {
        let written = self.source.write(to, &self.settings.of_a_reader())?;
        let total = written.total();
        Ok(format!("{total} photographs with label maps: {written}"))
    }

    fn draw(&self, batch: &Batch, predictions: Option<&Tensors>) -> Result<Tensors> {
        let image = pictures::shown(batch.inputs.get("image")?, batch.targets.get("size")?)?;
        let Some(predictions) = predictions else {
            let truth = pictures::labelled(&image, batch.targets.get("labels")?)?;
            return Ok(Tensors::new().with("image", image).with("truth", truth));
        };
        let prediction = pictures::labelled(&image, predictions.get("labels")?)?;
        Ok(Tensors::new().with("prediction", prediction))
    }

    fn reference_loss(&self, name: &str, branch: &str, inputs: &Tensors) -> Result<Tensor> {
        losses::reference_loss(name, branch, inputs, &self.asl)
    }
}

impl VocSeg {
    fn augmented(&self, request: &BatchRequest, seed: u64) -> Result<Batch> {
        let side = self.augmentation.crop;
        let mut pictures = Pictures::new((side, side), request.indices.len())?;
        for &index in &request.indices {
            let picture = self.source.get_or_next(request.split, index)?;
            // One seed serves a whole batch; its samples must change differently.
            let own = seed ^ index.wrapping_mul(GOLDEN);
            pictures.push(&augment(&picture, &self.augmentation, own)?)?;
        }
        pictures.into_batch()
    }

    fn orientations(&self) -> u32 {
        1 + u32::from(self.settings.flip)
    }

    /// View v of a picture is its fixed crop number v / 2, mirrored where v is odd; without `flip` crop v.
    /// Colours are as they are.
    fn viewed(&self, request: &BatchRequest, view: u32) -> Result<Batch> {
        let (crop, orientation) = (view / self.orientations(), view % self.orientations());
        if crop >= self.settings.crops {
            let views = self.settings.crops * self.orientations();
            return Err(format!("there is no view {view} of a sample (there are {views})").into());
        }
        let fixed = AugmentConfig {
            flip: false,
            colour: 0.0,
            ..self.augmentation.clone()
        };
        let side = self.augmentation.crop;
        let mut pictures = Pictures::new((side, side), request.indices.len())?;
        for &index in &request.indices {
            let picture = self.source.get_or_next(request.split, index)?;
            let own = (index << 6 | u64::from(crop)).wrapping_mul(GOLDEN);
            let cut = augment(&picture, &fixed, own)?;
            pictures.push(&if orientation == 1 {
                cut.mirrored()
            } else {
                cut
            })?;
        }
        pictures.into_batch()
    }

    /// The canvas of a sample that is not cropped. One that is skipped needs none of its own.
    fn canvas(&self, split: Split, index: u64) -> Result<(usize, usize)> {
        let size = match self.source.origin() {
            Origin::Scenes(scenes) => (scenes.size(), scenes.size()),
            Origin::Folder(folder) => {
                let sizes = folder.sizes(split)?;
                sizes
                    .get(index as usize)
                    .copied()
                    .flatten()
                    .unwrap_or_default()
            }
        };
        Ok(Pictures::canvas(size))
    }

    /// On the canvas of the samples, which is one where [`Task::shapes`] was asked, or else on one that holds each of
    /// theirs.
    fn plain(&self, request: &BatchRequest) -> Result<Batch> {
        let mut canvas = (0, 0);
        for &index in &request.indices {
            let (height, width) = self.canvas(request.split, index)?;
            canvas = (height.max(canvas.0), width.max(canvas.1));
        }
        let mut pictures = Pictures::new(canvas, request.indices.len())?;
        for &index in &request.indices {
            match self.source.get_or_skip(request.split, index)? {
                Some(picture) => pictures.push(&picture)?,
                None => pictures.push_nothing(),
            }
        }
        pictures.into_batch()
    }
}

fn attributes() -> Vec<(&'static str, Value)> {
    // A damaged pack is reported when the task is opened; until then no name is known.
    let names = Pack::embedded()
        .map(|pack| pack.class_names().to_vec())
        .unwrap_or_default();
    vec![
        ("num_classes", json!(crate::CLASSES)),
        ("class_names", json!(names)),
        ("void_label", json!(autoloss_vision::VOID)),
    ]
}

/// A budget for `unet_tiny`. Small batches and many steps: at equal cost they reached higher scores than
/// fewer steps on larger batches.
fn defaults() -> Vec<(&'static str, Value)> {
    vec![
        ("proxy.budget.steps", json!(450)),
        ("proxy.budget.batch_size", json!(8)),
        ("proxy.budget.optimizer", json!("adam")),
        ("proxy.budget.learning_rate", json!(0.01)),
        ("proxy.budget.weight_decay", json!(0.05)),
        ("proxy.budget.schedule", json!("cosine")),
        ("proxy.budget.warmup_steps", json!(90)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use autoloss_vision::folder::write_voc;
    use autoloss_vision::{LabelledImage, VOID};
    use tch::{Kind, Tensor};

    fn open(seed: u64) -> VocSeg {
        VocSeg::open(&TaskOptions {
            seed,
            ..TaskOptions::default()
        })
        .unwrap()
    }

    fn request(indices: &[u64], augment: Option<u64>) -> BatchRequest {
        BatchRequest {
            split: Split::Train,
            indices: indices.to_vec(),
            augment,
            view: None,
        }
    }

    #[test]
    fn equal_requests_give_equal_batches() {
        for augment in [None, Some(5)] {
            let request = request(&[7, 4095, 7], augment);
            let task = open(1);
            let first = task.batch(&request).unwrap();
            for again in [
                task.batch(&request).unwrap(),
                open(1).batch(&request).unwrap(),
            ] {
                assert_eq!(
                    first.inputs.get("image").unwrap(),
                    again.inputs.get("image").unwrap()
                );
                assert_eq!(
                    first.targets.get("labels").unwrap(),
                    again.targets.get("labels").unwrap()
                );
            }
            let other = open(2).batch(&request).unwrap();
            assert_ne!(
                first.inputs.get("image").unwrap(),
                other.inputs.get("image").unwrap()
            );
        }
    }

    #[test]
    fn augmentation_moves_labels_with_their_picture() {
        let task = open(0);
        let plain = task.batch(&request(&[3], None)).unwrap();
        let plain = plain.targets.get("labels").unwrap();
        let mirrored = plain.flip([2i64]);
        let mut seen = [false; 2];
        for seed in 0..16 {
            let changed = task.batch(&request(&[3], Some(seed))).unwrap();
            let labels = changed.targets.get("labels").unwrap();
            seen[usize::from(*labels == mirrored)] = true;
            assert!(labels == plain || *labels == mirrored);
        }
        assert_eq!(seen, [true; 2]);
    }

    fn view(number: u32) -> BatchRequest {
        BatchRequest {
            view: Some(number),
            ..request(&[3, 9], None)
        }
    }

    #[test]
    fn the_views_of_a_scene_are_its_two_orientations() {
        let task = open(0);
        assert_eq!(task.views().unwrap(), 2);
        let plain = task.batch(&request(&[3, 9], None)).unwrap();
        let [straight, mirrored] = [0, 1].map(|number| task.batch(&view(number)).unwrap());
        for (of, name, columns) in [(0, "image", 3i64), (1, "labels", 2)] {
            let get = |batch: &Batch| {
                let tensors = [&batch.inputs, &batch.targets][of];
                tensors.get(name).unwrap().shallow_clone()
            };
            assert_eq!(get(&straight), get(&plain), "{name}");
            assert_eq!(get(&mirrored), get(&plain).flip([columns]), "{name}");
        }
        assert!(task.batch(&view(2)).is_err());
        let both = BatchRequest {
            augment: Some(1),
            ..view(0)
        };
        assert!(task.batch(&both).is_err());
    }

    #[test]
    fn every_fixed_crop_is_another_and_comes_in_both_orientations() {
        let settings = [
            ("crops", json!(2)),
            ("min_scale", json!(1.5)),
            ("max_scale", json!(2.0)),
        ];
        let task = VocSeg::open(&TaskOptions {
            settings: settings
                .map(|(name, value)| (name.to_owned(), value))
                .into(),
            ..TaskOptions::default()
        })
        .unwrap();
        assert_eq!(task.views().unwrap(), 4);
        let image = |number| {
            let batch = task.batch(&view(number)).unwrap();
            batch.inputs.get("image").unwrap().shallow_clone()
        };
        let [first, mirrored, second] = [0, 1, 2].map(image);
        assert_eq!(mirrored, first.flip([3i64]));
        assert_ne!(first, second);
        assert_eq!(first, image(0));
    }

    #[test]
    fn labels_are_classes_or_void_and_images_are_normalised() {
        let batch = open(0)
            .batch(&request(&(0..256).collect::<Vec<_>>(), None))
            .unwrap();
        let labels = batch.targets.get("labels").unwrap();
        assert_eq!(labels.kind(), Kind::Uint8);
        let counts = labels
            .view([-1])
            .to_kind(Kind::Int64)
            .bincount(None::<&Tensor>, 256);
        let counts: Vec<i64> = Vec::try_from(&counts).unwrap();
        for (label, &count) in counts.iter().enumerate() {
            let allowed = (label as i64) < crate::CLASSES || label == usize::from(VOID);
            assert_eq!(count > 0, allowed, "label {label} occurs {count} times");
        }
        let image = batch.inputs.get("image").unwrap();
        assert!(image.mean(Kind::Float).double_value(&[]).abs() < 0.3);
        assert!((image.std(true).double_value(&[]) - 1.0).abs() < 0.3);
    }

    #[test]
    fn a_canvas_is_no_larger_than_the_photographs_of_its_batch_need() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("mixed");
        let sizes = [
            (32, 32),
            (300, 40),
            (20, 30),
            (40, 300),
            (32, 32),
            (290, 64),
        ];
        let sample = |(index, split): (usize, Split)| {
            let (height, width) = sizes[index % sizes.len()];
            let shade = 40 * (index % 6) as u8;
            let labels = vec![(index % 2) as u8; height * width];
            let image = vec![shade; 3 * height * width];
            let picture = LabelledImage::new(height, width, image, labels)?;
            Ok((split, format!("{split}_{index}"), picture))
        };
        let samples = Split::ALL.map(|split| (0..sizes.len()).map(move |index| (index, split)));
        let classes = ["background", "thing"].map(str::to_owned);
        let samples = samples.into_iter().flatten().map(sample);
        write_voc(&folder, samples, &classes, &BTreeMap::new()).unwrap();
        let task = VocSeg::open(&TaskOptions {
            data: Some(folder),
            ..TaskOptions::default()
        })
        .unwrap();
        let image = |indices: &[u64]| {
            let request = BatchRequest::new(Split::Reward, indices.to_vec());
            let batch = task.batch(&request).unwrap();
            batch.inputs.get("image").unwrap().shallow_clone()
        };
        let shapes = task.shapes(Split::Reward).unwrap();
        assert_eq!(shapes, [0, 1, 0, 2, 0, 1]);
        for (alike, canvas) in [
            (&[0, 2, 4][..], [32, 32]),
            (&[1, 5], [320, 64]),
            (&[3], [64, 320]),
        ] {
            let all = image(alike);
            assert_eq!(all.size()[2..], canvas);
            for (row, &index) in alike.iter().enumerate() {
                assert_eq!(all.narrow(0, row as i64, 1), image(&[index]));
            }
        }
        // A host that does not ask for shapes.
        assert_eq!(image(&[0, 1, 3]).size()[2..], [320, 320]);
        assert!(open(0).shapes(Split::Reward).unwrap().is_empty());
    }

    #[test]
    fn the_truth_and_a_prediction_of_it_look_alike() {
        let task = open(0);
        let batch = task.batch(&request(&[2, 3], None)).unwrap();
        let drawn = task.draw(&batch, None).unwrap();
        let names: Vec<&str> = drawn.names().collect();
        assert_eq!(names, ["image", "truth"]);
        let labels = batch.targets.get("labels").unwrap().to_kind(Kind::Int64);
        let right = Tensors::new().with("labels", labels);
        let prediction = task.draw(&batch, Some(&right)).unwrap();
        let (truth, image) = (drawn.get("truth").unwrap(), drawn.get("image").unwrap());
        assert_eq!(prediction.get("prediction").unwrap(), truth);
        assert_eq!((truth.kind(), truth.size()), (Kind::Uint8, image.size()));
        assert_ne!(truth, image);
    }

    #[test]
    fn constant_predictions_are_one_class_everywhere() {
        let task = open(0);
        let batch = task.batch(&request(&[0, 1], None)).unwrap();
        let predictions = task.constant_predictions(&batch).unwrap();
        assert_eq!(predictions.len() as i64, crate::CLASSES);
        for (class, prediction) in predictions.iter().enumerate() {
            let labels = prediction.get("labels").unwrap();
            assert_eq!(labels.kind(), Kind::Uint8);
            assert_eq!(labels.size(), batch.targets.get("labels").unwrap().size());
            let (least, most) = (labels.min(), labels.max());
            assert_eq!(
                (least.int64_value(&[]), most.int64_value(&[])),
                (class as i64, class as i64)
            );
        }
    }

    #[test]
    fn what_cannot_be_served_is_an_error() {
        let task = open(0);
        assert!(task.batch(&request(&[], None)).is_err());
        assert!(task.batch(&request(&[4096], None)).is_err());
        let data = Some("/nowhere/VOC2012".into());
        let error = VocSeg::open(&TaskOptions {
            data,
            ..TaskOptions::default()
        })
        .unwrap_err();
        assert!(error.to_string().contains("/nowhere/VOC2012"), "{error}");
    }

    #[test]
    fn the_description_agrees_with_the_rest() {
        let info = VocSeg::info();
        assert_eq!(info.whole("num_classes").unwrap(), crate::CLASSES);
        let names = info.attributes["class_names"].as_array().unwrap();
        assert_eq!(names.len() as i64, crate::CLASSES);
        assert_eq!(names[0], "background");
    }
}

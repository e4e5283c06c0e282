//! The data of the task.
//!
//! Scenes are drawn from a seed rather than read, so the task runs with nothing installed. They are
//! kept as bytes once drawn, up to a fixed amount of memory: a search trains hundreds of networks on
//! the same scenes, and a scene costs more to draw than to copy. Normalised floating-point images
//! are made per batch instead, since they would take four times the memory.

use crate::scenes::Scenes;
use crate::screening::draw_samples;
use crate::settings::Settings;
use autoloss_plugin_api::{
    Activation, Batch, BatchRequest, BranchInfo, InputInfo, Result, ScreeningRequest,
    ScreeningSamples, Split, Task, TaskInfo, TaskOptions, Tensors, serde_json,
};
use autoloss_vision::{AugmentConfig, LabelledImage, Pack, augment};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tch::Tensor;

/// How far augmentation moves the colours, 0 to 1. The scenes' own tints vary more.
const COLOUR_JITTER: f32 = 0.2;

/// Mean and standard deviation that images are normalised by, of bytes; all channels alike.
const MEAN: f32 = 118.0;
const DEVIATION: f32 = 60.0;

/// The task `voc_seg`: every pixel of a scene is background or one of ten classes.
///
/// ```
/// use autoloss_plugin_api::{BatchRequest, Split, Task, TaskOptions};
/// use voc_seg::VocSeg;
///
/// let task = VocSeg::open(&TaskOptions::default())?;
/// let batch = task.batch(&BatchRequest { split: Split::Reward, indices: vec![0, 1], augment: None })?;
/// let size = batch.targets.get("labels")?.size();
/// assert_eq!(batch.inputs.get("image")?.size(), [2, 3, size[1], size[2]]);
/// # Ok::<(), autoloss_plugin_api::Error>(())
/// ```
#[derive(Debug)]
pub struct VocSeg {
    scenes: Scenes,
    augmentation: AugmentConfig,
}

impl Task for VocSeg {
    fn info() -> TaskInfo {
        let map = |pairs: Vec<(&str, Value)>| -> BTreeMap<String, Value> {
            pairs
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect()
        };
        TaskInfo {
            name: crate::TASK.to_owned(),
            title: "Semantic segmentation in the manner of PASCAL VOC".to_owned(),
            branches: vec![BranchInfo {
                name: crate::BRANCH.to_owned(),
                inputs: vec![
                    InputInfo::prediction("yhat").with_constant_channel_mean(),
                    InputInfo::target("y").with_constant_channel_mean(),
                ],
                activation: Activation::Softmax,
                screening_score: "mIoU".to_owned(),
            }],
            default_network: "unet_tiny".to_owned(),
            default_score: "mIoU".to_owned(),
            reference_losses: crate::losses::reference_losses(),
            attributes: map(attributes()),
            defaults: map(defaults()),
        }
    }

    fn open(options: &TaskOptions) -> Result<Self> {
        if let Some(folder) = &options.data {
            return Err(format!(
                "task 'voc_seg' cannot read {}: this version has its embedded data alone; leave \
                 the data folder out",
                folder.display()
            )
            .into());
        }
        let settings = Settings::read(&options.settings)?;
        let augmentation = AugmentConfig {
            crop: settings.size,
            min_scale: 1.0,
            max_scale: 1.0,
            flip: true,
            colour: COLOUR_JITTER,
        };
        augmentation.validate()?;
        Ok(Self {
            scenes: Scenes::new(settings.size, options.seed)?,
            augmentation,
        })
    }

    fn len(&self, split: Split) -> Result<u64> {
        Ok(Scenes::len(split))
    }

    fn batch(&self, request: &BatchRequest) -> Result<Batch> {
        let mut pictures = Pictures::new(self.augmentation.crop, request.indices.len())?;
        for &index in &request.indices {
            let scene = self.scenes.get(request.split, index)?;
            match request.augment {
                None => pictures.push(&scene),
                Some(seed) => {
                    // One seed serves a whole batch; its samples must change differently.
                    let own = seed ^ index.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                    pictures.push(&augment(&scene, &self.augmentation, own)?);
                }
            }
        }
        pictures.into_batch()
    }

    fn screening_samples(&self, request: &ScreeningRequest) -> Result<ScreeningSamples> {
        if request.branch != crate::BRANCH {
            return Err(format!(
                "task 'voc_seg' has no branch '{}' (there is: {})",
                request.branch,
                crate::BRANCH
            )
            .into());
        }
        draw_samples(&self.scenes, request)
    }

    fn reference_loss(&self, name: &str, branch: &str, inputs: &Tensors) -> Result<Tensor> {
        crate::losses::reference_loss(name, branch, inputs, &crate::losses::Asl::default())
    }
}

fn attributes() -> Vec<(&'static str, Value)> {
    // A damaged pack is reported when the task is opened; until then the names are merely unknown.
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

/// The pictures of a batch, planes of normalised values and label maps one after the other.
struct Pictures {
    size: usize,
    table: [f32; 256],
    image: Vec<f32>,
    labels: Vec<u8>,
}

impl Pictures {
    fn new(size: usize, count: usize) -> Result<Self> {
        if count == 0 {
            return Err("a batch of no samples was asked for".into());
        }
        let pixels = size * size * count;
        Ok(Self {
            size,
            table: std::array::from_fn(|value| (value as f32 - MEAN) / DEVIATION),
            image: Vec::with_capacity(3 * pixels),
            labels: Vec::with_capacity(pixels),
        })
    }

    fn push(&mut self, picture: &LabelledImage) {
        for channel in 0..3 {
            let bytes = picture.image().iter().skip(channel).step_by(3);
            self.image
                .extend(bytes.map(|&value| self.table[usize::from(value)]));
        }
        self.labels.extend_from_slice(picture.labels());
    }

    fn into_batch(self) -> Result<Batch> {
        let side = self.size as i64;
        let image = Tensor::f_from_slice(&self.image)?.f_view([-1, 3, side, side])?;
        let labels = Tensor::f_from_slice(&self.labels)?.f_view([-1, side, side])?;
        Ok(Batch {
            inputs: Tensors::new().with("image", image),
            targets: Tensors::new().with("labels", labels),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use autoloss_vision::VOID;
    use tch::Kind;

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

    #[test]
    fn labels_are_classes_or_void_and_images_are_normalised() {
        let batch = open(0)
            .batch(&request(&(0..64).collect::<Vec<_>>(), None))
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
    fn what_cannot_be_served_is_an_error() {
        let task = open(0);
        assert!(task.batch(&request(&[], None)).is_err());
        assert!(task.batch(&request(&[4096], None)).is_err());
        let data = Some("/data/VOC2012".into());
        let error = VocSeg::open(&TaskOptions {
            data,
            ..TaskOptions::default()
        })
        .unwrap_err();
        assert!(error.to_string().contains("/data/VOC2012"), "{error}");
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

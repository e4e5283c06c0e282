//! The task: batches and screening samples, from the embedded scenes or a folder.

use crate::batch::Pictures;
use crate::branches::Branch;
use crate::losses;
use crate::screening::draw_samples;
use crate::settings::Settings;
use crate::source::{self, Source};
use autoloss_plugin_api::{
    Batch, BatchRequest, Result, ScreeningRequest, ScreeningSamples, Split, Task, TaskInfo,
    TaskOptions, Tensors, serde_json,
};
use autoloss_vision::networks::pictures::{self, Outline};
use autoloss_vision::{Pack, splitmix64};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tch::{Kind, Tensor};

/// Detections of less confidence are not drawn.
const SHOWN: f64 = 0.5;

/// The task `coco_det`: boxes round the objects of a picture, with their classes. Without a data folder
/// it draws its embedded scenes, of ten classes; with one it reads the layout of COCO 2017.
///
/// ```
/// use autoloss_plugin_api::{BatchRequest, Split, Task, TaskOptions};
/// use coco_det::CocoDet;
///
/// let task = CocoDet::open(&TaskOptions::default())?;
/// let batch = task.batch(&BatchRequest::new(Split::Reward, vec![0, 1]))?;
/// assert_eq!(batch.inputs.get("image")?.size(), [2, 3, 96, 96]);
/// assert_eq!(batch.targets.get("boxes")?.size()[2], 4);
/// # Ok::<(), autoloss_plugin_api::Error>(())
/// ```
#[derive(Debug)]
pub struct CocoDet {
    source: Source,
    settings: Settings,
}

impl Task for CocoDet {
    fn info() -> TaskInfo {
        // A damaged pack is reported when the task is opened.
        let names = Pack::embedded().map_or(&[] as &[String], Pack::class_names);
        TaskInfo::new(crate::TASK, "Object detection in the manner of COCO")
            .branches(Branch::ALL.map(Branch::info))
            .default_network("faster_rcnn_tiny")
            .default_score("mAP")
            .reference_losses(losses::reference_losses())
            .attributes([
                ("num_classes", json!(names.len())),
                ("class_names", json!(names)),
            ])
            .defaults(defaults())
    }

    fn open(options: &TaskOptions) -> Result<Self> {
        let (source, settings) = source::open(options)?;
        Ok(Self { source, settings })
    }

    fn remarks(&self) -> Vec<String> {
        self.source.remarks()
    }

    fn attributes(&self) -> BTreeMap<String, Value> {
        let names = self.source.class_names();
        BTreeMap::from([
            ("num_classes".to_owned(), json!(names.len())),
            ("class_names".to_owned(), json!(names)),
        ])
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

    fn groups(&self, split: Split) -> Result<Vec<u32>> {
        Ok(source::orientations(&self.source, split))
    }

    fn shapes(&self, split: Split) -> Result<Vec<u32>> {
        Ok(source::canvases(&self.source, &self.settings, split))
    }

    fn batch(&self, request: &BatchRequest) -> Result<Batch> {
        let mut pictures = Pictures::new(&self.settings);
        for &index in &request.indices {
            // One seed serves a whole batch; its pictures must differ.
            let coin = request
                .augment
                .map(|seed| splitmix64(seed ^ splitmix64(index)));
            let mirrored = self.settings.flip && coin.is_some_and(|coin| coin & 1 == 1);
            match self.source.get_or_skip(request.split, index)? {
                Some(sample) => pictures.push(&sample, mirrored)?,
                None => pictures.push_nothing()?,
            }
        }
        pictures.into_batch()
    }

    fn screening_samples(&self, request: &ScreeningRequest) -> Result<ScreeningSamples> {
        draw_samples(&self.source, request)
    }

    fn write_data(&self, to: &Path) -> Result<String> {
        let written = self.source.write(to, &self.settings.of_a_reader())?;
        let total = written.total();
        Ok(format!("{total} photographs with boxes: {written}"))
    }

    fn draw(&self, batch: &Batch, predictions: Option<&Tensors>) -> Result<Tensors> {
        let image = pictures::shown(batch.inputs.get("image")?, batch.inputs.get("size")?)?;
        let Some(predictions) = predictions else {
            let truth = pictures::outlined(&image, &outlines(&batch.targets, None)?)?;
            return Ok(Tensors::new().with("image", image).with("truth", truth));
        };
        let boxes = outlines(predictions, Some(SHOWN))?;
        let prediction = pictures::outlined(&image, &boxes)?;
        Ok(Tensors::new().with("prediction", prediction))
    }

    fn reference_loss(&self, name: &str, branch: &str, inputs: &Tensors) -> Result<Tensor> {
        losses::reference_loss(name, Branch::find(branch)?, inputs)
    }
}

/// Boxes by picture; of detections those with at least this score. Class 0 stands for no box.
fn outlines(of: &Tensors, least: Option<f64>) -> Result<Vec<Vec<Outline>>> {
    let labels = of.get("labels")?;
    let boxes: Vec<Vec<Vec<f32>>> = Vec::try_from(of.get("boxes")?.f_to_kind(Kind::Float)?)?;
    let labels: Vec<Vec<i64>> = Vec::try_from(match least {
        Some(least) => labels.f_mul(&of.get("scores")?.f_ge(least)?)?,
        None => labels.shallow_clone(),
    })?;
    let picture = |(boxes, labels): (Vec<Vec<f32>>, Vec<i64>)| {
        let found = boxes.into_iter().zip(labels);
        let found = found.filter(|(_, label)| *label > 0);
        let outline = |(corners, label): (Vec<f32>, i64)| Some((label, corners.try_into().ok()?));
        found.filter_map(outline).collect()
    };
    Ok(boxes.into_iter().zip(labels).map(picture).collect())
}

/// A budget for `faster_rcnn_tiny`.
fn defaults() -> [(&'static str, Value); 8] {
    [
        ("proxy.budget.steps", json!(300)),
        ("proxy.budget.batch_size", json!(8)),
        ("proxy.budget.optimizer", json!("adam")),
        ("proxy.budget.learning_rate", json!(0.002)),
        ("proxy.budget.weight_decay", json!(0.01)),
        ("proxy.budget.clip_norm", json!(10.0)),
        ("proxy.budget.schedule", json!("cosine")),
        ("proxy.budget.warmup_steps", json!(50)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use autoloss_vision::coco::write_coco;
    use autoloss_vision::{Scene, SceneConfig, SceneGenerator};

    #[test]
    fn the_truth_and_detections_on_it_look_alike() {
        let task = CocoDet::open(&TaskOptions::default()).unwrap();
        let request = BatchRequest::new(Split::Reward, vec![1]);
        let batch = task.batch(&request).unwrap();
        let drawn = task.draw(&batch, None).unwrap();
        let (truth, image) = (drawn.get("truth").unwrap(), drawn.get("image").unwrap());
        assert_ne!(truth, image);
        let of = |name: &str| batch.targets.get(name).unwrap().shallow_clone();
        let detections = |score: f64| {
            let scores = of("labels").to_kind(Kind::Float) * 0.0 + score;
            let found = Tensors::new().with("boxes", of("boxes"));
            let found = found.with("labels", of("labels")).with("scores", scores);
            let drawn = task.draw(&batch, Some(&found)).unwrap();
            drawn.get("prediction").unwrap().shallow_clone()
        };
        assert_eq!(detections(0.9), *truth);
        assert_eq!(detections(0.1), *image);
    }

    #[test]
    fn a_photograph_lies_on_its_own_canvas_among_those_of_its_number() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("mixed");
        let config = SceneConfig {
            size: 64,
            ..SceneConfig::default()
        };
        let generator = SceneGenerator::embedded(config).unwrap();
        let rows = [64, 96, 64, 70, 130];
        let scene = |(split, index): (Split, u64)| {
            let scene = generator.scene(split, index, 0);
            let height = rows[index as usize];
            let grown = |of: &[u8], each: usize| {
                let mut grown = of.to_vec();
                grown.resize(height * 64 * each, 0);
                grown
            };
            let scene = Scene {
                height,
                image: grown(&scene.image, 3),
                classes: grown(&scene.classes, 1),
                instances: grown(&scene.instances, 1),
                ..scene
            };
            Ok((split, format!("{split}_{index}"), scene))
        };
        let scenes =
            Split::ALL.map(|split| (0..rows.len() as u64).map(move |index| (split, index)));
        let scenes = scenes.into_iter().flatten().map(scene);
        let names = Pack::embedded().unwrap().class_names();
        write_coco(&folder, scenes, names, &BTreeMap::new()).unwrap();
        let task = CocoDet::open(&TaskOptions {
            data: Some(folder),
            settings: [("size".to_owned(), json!(64))].into_iter().collect(),
            ..TaskOptions::default()
        })
        .unwrap();
        let image = |indices: &[u64]| {
            let request = BatchRequest::new(Split::Reward, indices.to_vec());
            let batch = task.batch(&request).unwrap();
            batch.inputs.get("image").unwrap().shallow_clone()
        };
        assert_eq!(task.shapes(Split::Reward).unwrap(), [0, 1, 0, 1, 2]);
        for alike in [&[0, 2][..], &[1, 3], &[4]] {
            let all = image(alike);
            for (row, &index) in alike.iter().enumerate() {
                assert_eq!(all.narrow(0, row as i64, 1), image(&[index]));
            }
        }
    }
}

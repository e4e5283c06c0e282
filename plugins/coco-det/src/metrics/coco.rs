//! COCO's scores.

use crate::targets::{cpu, scored};
use autoloss_plugin_api::{Metric, MetricInfo, MetricOptions, Result, Scores, Tensors};
use autoloss_vision::coco::{Detection, DetectionScorer, DetectionScores};
use autoloss_vision::networks::num_classes;
use tch::{Kind, Tensor};

/// The scores that are undefined where no object has that size.
const OF_SIZES: [&str; 6] = ["APs", "APm", "APl", "ARs", "ARm", "ARl"];

/// mAP and its companions: AP50, AP75, of small, medium and large objects, and the average recalls, as
/// pycocotools computes them. Predictions are `boxes` (N, D, 4) in pixels of the batch, `scores` (N, D)
/// and `labels` (N, D), 0 where there is no detection.
#[derive(Debug)]
pub struct Coco {
    scorer: DetectionScorer,
}

impl Metric for Coco {
    fn info() -> MetricInfo {
        MetricInfo::new("coco", DetectionScores::NAMES)
            .tasks([crate::TASK])
            .optional(OF_SIZES)
    }

    fn create(options: &MetricOptions) -> Result<Self> {
        let classes = num_classes(&options.task, 10_000)?;
        Ok(Self {
            scorer: DetectionScorer::new(classes as usize)?,
        })
    }

    fn update(&mut self, predictions: &Tensors, targets: &Tensors) -> Result<()> {
        let found = Detections::of(predictions)?;
        let pictures = scored(targets)?;
        if found.labels.len() != pictures.len() {
            let (predicted, given) = (found.labels.len(), pictures.len());
            return Err(format!("predictions of {predicted} pictures for {given}").into());
        }
        for (index, picture) in pictures.into_iter().enumerate() {
            if let Some(picture) = picture {
                let detections = found.of_picture(index, picture.scale)?;
                self.scorer
                    .add_image(picture.picture, &picture.objects, &detections)?;
            }
        }
        Ok(())
    }

    fn compute(&mut self) -> Result<Scores> {
        let scores = self.scorer.compute()?;
        let named = scores.named().map(|(name, score)| (name.to_owned(), score));
        Ok(named.collect())
    }
}

/// The detections of a batch.
struct Detections {
    boxes: Tensor,
    scores: Vec<Vec<f32>>,
    labels: Vec<Vec<i64>>,
}

impl Detections {
    fn of(predictions: &Tensors) -> Result<Self> {
        let read = |name, kind| cpu(predictions, name, kind);
        let boxes = read("boxes", Kind::Float)?;
        let (scores, labels) = (read("scores", Kind::Float)?, read("labels", Kind::Int64)?);
        let size = boxes.size();
        match size[..] {
            [n, d, 4] if scores.size() == [n, d] && labels.size() == [n, d] => {}
            _ => {
                let (scores, labels) = (scores.size(), labels.size());
                return Err(format!(
                    "detections have boxes of shape {size:?}, scores of {scores:?} and labels of \
                     {labels:?}, expected (N, D, 4), (N, D) and (N, D)"
                )
                .into());
            }
        }
        Ok(Self {
            boxes,
            scores: Vec::try_from(&scores)?,
            labels: Vec::try_from(&labels)?,
        })
    }

    /// The detections of a picture, in pixels of the original.
    fn of_picture(&self, index: usize, [down, across]: [f64; 2]) -> Result<Vec<Detection>> {
        let boxes: Vec<Vec<f32>> = Vec::try_from(&self.boxes.f_get(index as i64)?)?;
        let rows = boxes
            .iter()
            .zip(&self.scores[index])
            .zip(&self.labels[index]);
        let found = rows.filter(|(_, label)| **label > 0);
        let detection = |((corners, score), label): ((&Vec<f32>, &f32), &i64)| Detection {
            class: *label as usize,
            corners: [
                corners[0] / across as f32,
                corners[1] / down as f32,
                corners[2] / across as f32,
                corners[3] / down as f32,
            ],
            score: *score,
        };
        Ok(found.map(detection).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::Collector;
    use autoloss_plugin_api::Task;
    use autoloss_vision::coco::CocoObject;
    use tch::Device;

    fn metric() -> Coco {
        let task = crate::CocoDet::info();
        Coco::create(&MetricOptions { task }).unwrap()
    }

    fn predictions(boxes: &[f32], labels: &[i64]) -> Tensors {
        let count = labels.len() as i64;
        let scores = Tensor::linspace(0.9, 0.5, count, (Kind::Float, Device::Cpu));
        Tensors::new()
            .with("boxes", Tensor::from_slice(boxes).view([1, count, 4]))
            .with("scores", scores.view([1, count]))
            .with("labels", Tensor::from_slice(labels).view([1, count]))
    }

    #[test]
    fn a_detection_on_its_object_is_right_in_pixels_of_the_original() {
        let mut targets = Collector::default();
        let object = CocoObject::new(3, [10.0, 20.0, 30.0, 40.0], 1200.0, 100, 100);
        targets.push(5, &[object], [2.0, 2.0], |object| object.corners);
        let targets = targets.into_tensors().unwrap();
        let mut metric = metric();
        // The second is padding.
        let found = predictions(&[20.0, 40.0, 80.0, 120.0, 0.0, 0.0, 0.0, 0.0], &[3, 0]);
        metric.update(&found, &targets).unwrap();
        let scores = metric.compute().unwrap();
        assert!((scores["mAP"] - 1.0).abs() < 1e-9, "{scores:?}");
        assert!(
            scores.contains_key("APm") && !scores.contains_key("APl"),
            "{scores:?}"
        );
    }

    #[test]
    fn shapes_that_do_not_fit_are_refused() {
        let mut targets = Collector::default();
        targets.push_nothing();
        targets.push_nothing();
        let targets = targets.into_tensors().unwrap();
        let found = predictions(&[0.0; 4], &[0]);
        let error = metric().update(&found, &targets).unwrap_err().to_string();
        assert_eq!(error, "predictions of 1 pictures for 2");
        let wrong = found.with("labels", Tensor::from_slice(&[1i64]));
        assert!(metric().update(&wrong, &targets).is_err());
    }
}

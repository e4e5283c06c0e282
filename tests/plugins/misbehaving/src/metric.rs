//! The metric: how predicted maps agree with the true ones.

use crate::fault;
use autoloss_plugin_api::{
    Metric, MetricInfo, MetricOptions, Result, Scores, ScreeningMetric, ScreeningMetricInfo,
    Tensors,
};
use tch::{Kind, Tensor};

const CLASSES: usize = crate::CLASSES as usize;

/// Mean IoU over the classes, and share of right pixels, counted over the whole data set.
#[derive(Debug)]
pub(crate) struct Agreement {
    /// Pixels by true and by predicted class.
    counts: [[f64; CLASSES]; CLASSES],
}

impl Metric for Agreement {
    fn info() -> MetricInfo {
        fault::panic_in("Metric::info");
        MetricInfo::new("agreement", ["mIoU", "accuracy"]).tasks([crate::TASK])
    }

    fn create(_options: &MetricOptions) -> Result<Self> {
        fault::strike("Metric::create")?;
        Ok(Self {
            counts: [[0.0; CLASSES]; CLASSES],
        })
    }

    fn update(&mut self, predictions: &Tensors, targets: &Tensors) -> Result<()> {
        fault::strike("Metric::update")?;
        self.count(predictions.get("labels")?, targets.get("labels")?)
    }

    fn compute(&mut self) -> Result<Scores> {
        fault::strike("Metric::compute")?;
        if self.counts.as_flattened().iter().sum::<f64>() == 0.0 {
            return Err("nothing was counted".into());
        }
        let accuracy = ("accuracy".to_owned(), self.accuracy());
        if fault::is("compute:missing") {
            return Ok(Scores::from([accuracy]));
        }
        let score = if fault::is("compute:nan") {
            f64::NAN
        } else {
            self.mean_iou()
        };
        Ok(Scores::from([accuracy, ("mIoU".to_owned(), score)]))
    }
}

impl ScreeningMetric for Agreement {
    fn info() -> ScreeningMetricInfo {
        fault::panic_in("ScreeningMetric::info");
        ScreeningMetricInfo::new("agreement", ["mIoU"]).tasks([crate::TASK])
    }

    fn create(_options: &MetricOptions) -> Result<Self> {
        fault::strike("ScreeningMetric::create")?;
        Ok(Self {
            counts: [[0.0; CLASSES]; CLASSES],
        })
    }

    fn screen(&self, score: &str, predictions: &Tensors, targets: &Tensors) -> Result<Vec<f64>> {
        fault::strike("ScreeningMetric::screen")?;
        if score != "mIoU" {
            return Err(format!("score '{score}' has no screening form").into());
        }
        let predicted = predictions.get("yhat")?.f_argmax(1, false)?;
        let target = targets.get("labels")?;
        let mut scores = Vec::new();
        for sample in 0..predicted.size()[0] {
            let mut own = Self {
                counts: [[0.0; CLASSES]; CLASSES],
            };
            own.count(
                &predicted.f_narrow(0, sample, 1)?,
                &target.f_narrow(0, sample, 1)?,
            )?;
            scores.push(own.mean_iou());
        }
        if fault::is("screen:fewer") {
            scores.pop();
        }
        if fault::is("screen:nan") {
            scores.fill(f64::NAN);
        }
        Ok(scores)
    }
}

impl Agreement {
    fn count(&mut self, predicted: &Tensor, target: &Tensor) -> Result<()> {
        if predicted.size() != target.size() {
            let (ours, theirs) = (predicted.size(), target.size());
            return Err(format!("predictions {ours:?} for targets {theirs:?}").into());
        }
        let flat = |tensor: &Tensor| -> Result<Vec<i64>> {
            let flat = tensor
                .f_to_kind(Kind::Int64)?
                .f_contiguous()?
                .f_view([-1])?;
            Ok(Vec::<i64>::try_from(&flat)?)
        };
        for (predicted, target) in flat(predicted)?.into_iter().zip(flat(target)?) {
            let row = self.counts.get_mut(usize::try_from(target)?);
            let cell = row.and_then(|row| row.get_mut(usize::try_from(predicted).ok()?));
            *cell.ok_or_else(|| format!("class {predicted} or {target} is unknown"))? += 1.0;
        }
        Ok(())
    }

    fn accuracy(&self) -> f64 {
        let right: f64 = (0..CLASSES).map(|class| self.counts[class][class]).sum();
        right / self.counts.as_flattened().iter().sum::<f64>()
    }

    /// Over the classes that occur.
    fn mean_iou(&self) -> f64 {
        let ious: Vec<f64> = (0..CLASSES)
            .filter_map(|class| {
                let both = self.counts[class][class];
                let target: f64 = self.counts[class].iter().sum();
                let predicted: f64 = self.counts.iter().map(|row| row[class]).sum();
                let either = target + predicted - both;
                (either > 0.0).then(|| both / either)
            })
            .collect();
        ious.iter().sum::<f64>() / ious.len().max(1) as f64
    }
}

impl Drop for Agreement {
    fn drop(&mut self) {
        fault::panic_in("Metric::drop");
    }
}

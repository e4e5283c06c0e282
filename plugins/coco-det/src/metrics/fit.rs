//! How well optimised predictions fit their targets.

use autoloss_plugin_api::{MetricOptions, Result, ScreeningMetric, ScreeningMetricInfo, Tensors};
use tch::{Device, Kind, Tensor};

const ACCURACY: &str = "balanced_accuracy";
const IOU: &str = "mean_iou";

/// The screening scores of the branches: `balanced_accuracy`, the mean over the classes of the share of
/// their places that are predicted rightly, on a scale on which guessing has 0 and no error 1, so that two
/// classes leave as much to gain as eighty; and `mean_iou` of predicted boxes with their targets.
#[derive(Debug)]
pub struct Fit;

impl ScreeningMetric for Fit {
    fn info() -> ScreeningMetricInfo {
        ScreeningMetricInfo::new("fit", [ACCURACY, IOU]).tasks([crate::TASK])
    }

    fn create(_: &MetricOptions) -> Result<Self> {
        Ok(Self)
    }

    fn screen(&self, score: &str, predictions: &Tensors, targets: &Tensors) -> Result<Vec<f64>> {
        match score {
            ACCURACY => balanced_accuracy(predictions.get("yhat")?, targets.get("labels")?),
            IOU => mean_iou(predictions.get("i")?, predictions.get("u")?),
            _ => Err(format!("metric 'fit' has no score '{score}'").into()),
        }
    }
}

/// `yhat` is (B, C, H, W), `labels` (B, H, W).
fn balanced_accuracy(yhat: &Tensor, labels: &Tensor) -> Result<Vec<f64>> {
    let (size, places) = (yhat.size(), labels.size());
    let [samples, classes, height, width] = size[..] else {
        return Err(format!("'yhat' has shape {size:?}, expected (B, C, H, W)").into());
    };
    if places != [samples, height, width] {
        return Err(format!("'labels' has shape {places:?}, which does not fit {size:?}").into());
    }
    let found = yhat.f_argmax(1, false)?;
    let found: Vec<i64> = Vec::try_from(&found.f_to_device(Device::Cpu)?.f_view(-1i64)?)?;
    let labels: Vec<i64> = Vec::try_from(
        &labels
            .f_to_device(Device::Cpu)?
            .f_contiguous()?
            .f_view(-1i64)?,
    )?;
    let area = ((height * width) as usize).max(1);
    let samples = found.chunks_exact(area).zip(labels.chunks_exact(area));
    samples
        .map(|(found, labels)| {
            let mut counts = vec![[0u32; 2]; classes.max(0) as usize];
            for (found, label) in found.iter().zip(labels) {
                let place = usize::try_from(*label).ok();
                if let Some([all, right]) = place.and_then(|label| counts.get_mut(label)) {
                    *all += 1;
                    *right += u32::from(found == label);
                }
            }
            let present = counts.iter().filter(|[all, _]| *all > 0);
            let shares: Vec<f64> = present
                .map(|[all, right]| f64::from(*right) / f64::from(*all))
                .collect();
            if shares.len() < 2 {
                return Err("a screening sample has fewer than two classes".into());
            }
            let guessed = 1.0 / shares.len() as f64;
            let mean = shares.iter().sum::<f64>() * guessed;
            Ok((mean - guessed) / (1.0 - guessed))
        })
        .collect()
}

/// Areas of intersection and union, (B, 1, H, W); a box without extent has none in common.
fn mean_iou(i: &Tensor, u: &Tensor) -> Result<Vec<f64>> {
    if i.size() != u.size() || i.dim() != 4 {
        let (i, u) = (i.size(), u.size());
        return Err(format!("'i' has shape {i:?} and 'u' {u:?}, expected (B, 1, H, W)").into());
    }
    let iou = i.f_div(u)?.f_nan_to_num(0.0, 0.0, 0.0)?;
    let means = iou.f_mean_dim(&[1i64, 2, 3][..], false, Kind::Double)?;
    Ok(Vec::try_from(&means.f_to_device(Device::Cpu)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_count_alike_however_often_they_occur() {
        let labels = Tensor::from_slice(&[0i64, 0, 0, 1]).view([1, 2, 2]);
        let always_first = Tensor::from_slice(&[1f32, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
        let found = balanced_accuracy(&always_first.view([1, 2, 2, 2]), &labels).unwrap();
        assert_eq!(found, [0.0]);
        let right = labels.one_hot(2).permute([0, 3, 1, 2]);
        assert_eq!(balanced_accuracy(&right, &labels).unwrap(), [1.0]);
    }

    #[test]
    fn overlap_is_meant_over_the_boxes() {
        let i = Tensor::from_slice(&[1f32, 0.0, 0.0, 2.0]).view([2, 1, 1, 2]);
        let u = Tensor::from_slice(&[2f32, 4.0, 0.0, 2.0]).view([2, 1, 1, 2]);
        assert_eq!(mean_iou(&i, &u).unwrap(), [0.25, 0.5]);
        assert!(mean_iou(&i, &u.view([4])).is_err());
    }
}

//! The scores of segmentation, as two metrics.
//!
//! They are two because they cost differently: the scores over regions come from one confusion
//! matrix, those over boundaries need every class's edges dilated. A search for mIoU need not pay
//! for the latter. The counting itself is in `autoloss-vision`; here tensors become label maps.

use autoloss_plugin_api::{
    Metric, MetricInfo, MetricOptions, Result, Scores, ScreeningMetric, ScreeningMetricInfo,
    Tensors,
};
use autoloss_vision::networks::num_classes;
use autoloss_vision::{
    ConfusionMatrix, SegmentationConfig, SegmentationMetrics, VOID, VisionError,
};
use std::borrow::Cow;
use tch::{Device, Kind, Tensor};

/// The name under which predictions and targets hold their label maps, (N, H, W).
const LABELS: &str = "labels";
/// The name of the optional target (N, 2): the rows and columns of each map that are of its picture,
/// from the upper left corner; the rest only fills the batch.
const SIZE: &str = "size";
/// What [`Region`] computes.
const SCORES: [&str; 4] = ["mIoU", "FWIoU", "gAcc", "mAcc"];

/// mIoU, FWIoU, gAcc and mAcc: counted over the whole data set, void and classes that occur
/// neither in predictions nor in targets skipped.
#[derive(Debug)]
pub struct Region {
    matrix: ConfusionMatrix,
}

/// BIoU and BF1: the IoU inside a band of 5 pixels round the objects, and the F1 of edge pixels
/// within a tolerance of 5 pixels, both counted over the whole data set.
#[derive(Debug)]
pub struct Boundary {
    metrics: SegmentationMetrics,
}

impl Metric for Region {
    fn info() -> MetricInfo {
        MetricInfo::new("region", SCORES).tasks([crate::TASK])
    }

    fn create(options: &MetricOptions) -> Result<Self> {
        Ok(Self {
            matrix: ConfusionMatrix::new(classes(options)?)?,
        })
    }

    fn update(&mut self, predictions: &Tensors, targets: &Tensors) -> Result<()> {
        for pair in LabelPairs::read(predictions, targets)?.iter() {
            self.matrix.add(&pair.predicted, &pair.target)?;
        }
        Ok(())
    }

    fn compute(&mut self) -> Result<Scores> {
        SCORES
            .map(|name| Ok((name.to_owned(), region_score(&self.matrix, name)?)))
            .into_iter()
            .collect()
    }
}

impl ScreeningMetric for Region {
    fn info() -> ScreeningMetricInfo {
        ScreeningMetricInfo::new("region", SCORES).tasks([crate::TASK])
    }

    fn create(options: &MetricOptions) -> Result<Self> {
        Metric::create(options)
    }

    fn screen(&self, score: &str, predictions: &Tensors, targets: &Tensors) -> Result<Vec<f64>> {
        let predicted = LabelMaps::largest("yhat", predictions.get("yhat")?)?;
        let target = LabelMaps::read("target labels", targets.get(LABELS)?)?;
        predicted.check_against(&target)?;
        predicted
            .maps()
            .zip(target.maps())
            .map(|(predicted, target)| {
                let matrix = ConfusionMatrix::of(self.matrix.num_classes(), predicted, target)?;
                region_score(&matrix, score)
            })
            .collect()
    }
}

impl Metric for Boundary {
    fn info() -> MetricInfo {
        MetricInfo::new("boundary", ["BIoU", "BF1"]).tasks([crate::TASK])
    }

    fn create(options: &MetricOptions) -> Result<Self> {
        let config = SegmentationConfig::default();
        Ok(Self {
            metrics: SegmentationMetrics::new(classes(options)?, config)?,
        })
    }

    fn update(&mut self, predictions: &Tensors, targets: &Tensors) -> Result<()> {
        for pair in LabelPairs::read(predictions, targets)?.iter() {
            self.metrics
                .update(&pair.predicted, &pair.target, pair.height, pair.width)?;
        }
        Ok(())
    }

    fn compute(&mut self) -> Result<Scores> {
        let scores = self.metrics.compute()?;
        Ok(Scores::from([
            ("BIoU".to_owned(), scores.boundary_iou),
            ("BF1".to_owned(), scores.boundary_f1),
        ]))
    }
}

/// Labels are bytes.
fn classes(options: &MetricOptions) -> Result<usize> {
    Ok(num_classes(&options.task, 255)? as usize)
}

/// One of the scores of [`Region`].
fn region_score(matrix: &ConfusionMatrix, name: &str) -> Result<f64> {
    let score = match name {
        "mIoU" => matrix.mean_iou(),
        "FWIoU" => matrix.frequency_weighted_iou(),
        "gAcc" => matrix.pixel_accuracy(),
        "mAcc" => matrix.mean_recall(),
        _ => return Err(format!("metric 'region' has no score '{name}'").into()),
    };
    Ok(score.ok_or(VisionError::NothingLabelled)?)
}

/// Label maps out of libtorch's hands: N maps of `height * width` values.
struct LabelMaps {
    values: Vec<u8>,
    count: usize,
    height: usize,
    width: usize,
}

impl LabelMaps {
    /// Reads an integer tensor (N, H, W); what does not fit in a byte is void.
    fn read(what: &str, tensor: &Tensor) -> Result<Self> {
        let shape = tensor.size();
        let (&[n, h, w], true) = (&shape[..], is_integer(tensor.kind())) else {
            let kind = tensor.kind();
            return Err(format!("{what}: {kind:?} {shape:?}, expected integers (N, H, W)").into());
        };
        let bytes = if tensor.kind() == Kind::Uint8 {
            tensor.shallow_clone()
        } else {
            let void = i64::from(VOID);
            let fits = tensor.f_ge(0)?.f_logical_and(&tensor.f_lt(void)?)?;
            let other = Tensor::f_full([1], void, (tensor.kind(), tensor.device()))?;
            tensor.f_where_self(&fits, &other)?.f_to_kind(Kind::Uint8)?
        };
        let bytes = bytes
            .f_to_device(Device::Cpu)?
            .f_contiguous()?
            .f_view([-1])?;
        let mut values = vec![0u8; bytes.numel()];
        let length = values.len();
        bytes.f_copy_data_u8(&mut values, length)?;
        Ok(Self {
            values,
            count: n as usize,
            height: h as usize,
            width: w as usize,
        })
    }

    /// The channel of the greatest value at each position of a tensor (N, C, H, W), the first of equals.
    ///
    /// Candidates are screened with it again and again, on maps so small that an operator of libtorch would
    /// take twenty times as long.
    fn largest(what: &str, tensor: &Tensor) -> Result<Self> {
        let shape = tensor.size();
        let &[n, c, h, w] = &shape[..] else {
            return Err(format!("{what} has shape {shape:?}, expected (B, C, H, W)").into());
        };
        if !(1..i64::from(VOID)).contains(&c) {
            return Err(format!("{what} has {c} channels, expected 1 to {}", VOID - 1).into());
        }
        let flat = tensor.f_to_kind(Kind::Float)?.f_contiguous()?;
        let scores = Vec::<f32>::try_from(&flat.f_view([-1])?)?;
        let plane = (h * w) as usize;
        let mut values = Vec::with_capacity(n as usize * plane);
        for sample in scores.chunks_exact((c as usize * plane).max(1)) {
            let (first, rest) = sample.split_at(plane);
            let (mut most, mut label) = (first.to_vec(), vec![0u8; plane]);
            for (channel, scores) in (1u8..).zip(rest.chunks_exact(plane)) {
                for ((most, label), &score) in most.iter_mut().zip(&mut label).zip(scores) {
                    let greater = score > *most;
                    *label = if greater { channel } else { *label };
                    *most = if greater { score } else { *most };
                }
            }
            values.extend(label);
        }
        Ok(Self {
            values,
            count: n as usize,
            height: h as usize,
            width: w as usize,
        })
    }

    fn maps(&self) -> impl Iterator<Item = &[u8]> {
        self.values.chunks_exact((self.height * self.width).max(1))
    }

    fn check_against(&self, target: &Self) -> Result<()> {
        let shape = |maps: &Self| (maps.count, maps.height, maps.width);
        if shape(self) == shape(target) {
            return Ok(());
        }
        Err(format!(
            "predicted labels {:?}, target labels {:?}",
            shape(self),
            shape(target)
        )
        .into())
    }
}

fn is_integer(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Uint8 | Kind::Int8 | Kind::Int16 | Kind::Int | Kind::Int64
    )
}

/// Predicted and target label maps of a batch.
struct LabelPairs {
    predicted: LabelMaps,
    target: LabelMaps,
    /// Rows and columns of each picture.
    sizes: Vec<(usize, usize)>,
}

/// The label maps of one picture, without padding.
struct LabelPair<'a> {
    predicted: Cow<'a, [u8]>,
    target: Cow<'a, [u8]>,
    height: usize,
    width: usize,
}

impl LabelPairs {
    fn read(predictions: &Tensors, targets: &Tensors) -> Result<Self> {
        let predicted = LabelMaps::read("predicted labels", predictions.get(LABELS)?)?;
        let target = LabelMaps::read("target labels", targets.get(LABELS)?)?;
        predicted.check_against(&target)?;
        let whole = (target.height, target.width);
        let sizes = match targets.iter().find(|(name, _)| *name == SIZE) {
            None => vec![whole; target.count],
            Some((_, sizes)) => picture_sizes(sizes, target.count, whole)?,
        };
        Ok(Self {
            predicted,
            target,
            sizes,
        })
    }

    /// Pictures without pixels are skipped.
    fn iter(&self) -> impl Iterator<Item = LabelPair<'_>> {
        let width = self.target.width;
        let maps = self
            .predicted
            .maps()
            .zip(self.target.maps())
            .zip(&self.sizes);
        maps.filter(|(_, size)| size.0 > 0 && size.1 > 0).map(
            move |((predicted, target), &size)| LabelPair {
                predicted: corner(predicted, width, size),
                target: corner(target, width, size),
                height: size.0,
                width: size.1,
            },
        )
    }
}

fn picture_sizes(
    sizes: &Tensor,
    count: usize,
    (height, width): (usize, usize),
) -> Result<Vec<(usize, usize)>> {
    let shape = sizes.size();
    if shape != [count as i64, 2] {
        return Err(format!("{SIZE} has shape {shape:?}, expected ({count}, 2)").into());
    }
    let flat = sizes.f_to_device(Device::Cpu)?.f_to_kind(Kind::Int64)?;
    let flat = Vec::<i64>::try_from(&flat.f_contiguous()?.f_view([-1])?)?;
    let size = |pair: &[i64]| {
        let rows = usize::try_from(pair[0]).ok().filter(|&rows| rows <= height);
        let columns = usize::try_from(pair[1])
            .ok()
            .filter(|&columns| columns <= width);
        rows.zip(columns)
            .ok_or_else(|| format!("{SIZE} {pair:?} is not within {height}x{width}").into())
    };
    flat.chunks_exact(2).map(size).collect()
}

/// The upper left corner of a map of `stride` columns.
fn corner(map: &[u8], stride: usize, (height, width): (usize, usize)) -> Cow<'_, [u8]> {
    if width == stride {
        return Cow::Borrowed(&map[..height * width]);
    }
    let rows = map.chunks_exact(stride).take(height);
    Cow::Owned(rows.flat_map(|row| &row[..width]).copied().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::VocSeg;
    use autoloss_plugin_api::Task;

    fn create<M: Metric>() -> M {
        <M as Metric>::create(&MetricOptions {
            task: VocSeg::info(),
        })
        .unwrap()
    }

    fn named(values: &[u8], shape: [i64; 3]) -> Tensors {
        Tensors::new().with(LABELS, Tensor::from_slice(values).view(shape))
    }

    /// Two pictures of 12×10 pixels with void, predicted with some mistakes.
    fn pictures() -> (Vec<u8>, Vec<u8>) {
        let target = |i: usize| {
            if i.is_multiple_of(13) {
                VOID
            } else {
                ((i % 10) / 4 + i / 70) as u8
            }
        };
        let predicted = |i: usize| ((i % 10) / 5 + i / 60) as u8;
        (
            (0..240).map(predicted).collect(),
            (0..240).map(target).collect(),
        )
    }

    #[test]
    fn scores_are_those_of_the_counting_beneath() {
        let (predicted, target) = pictures();
        let mut expected = SegmentationMetrics::new(11, SegmentationConfig::default()).unwrap();
        for (predicted, target) in predicted.chunks(120).zip(target.chunks(120)) {
            expected.update(predicted, target, 12, 10).unwrap();
        }
        let expected: Scores = (expected.compute().unwrap().named().into_iter())
            .map(|(name, score)| (name.to_owned(), score))
            .collect();
        let (mut region, mut boundary): (Region, Boundary) = (create(), create());
        let (predicted, target) = (named(&predicted, [2, 12, 10]), named(&target, [2, 12, 10]));
        region.update(&predicted, &target).unwrap();
        boundary.update(&predicted, &target).unwrap();
        let mut found = region.compute().unwrap();
        found.extend(boundary.compute().unwrap());
        assert_eq!(found, expected);
        let mut listed = [<Region as Metric>::info().scores, Boundary::info().scores].concat();
        listed.sort();
        assert_eq!(listed, found.into_keys().collect::<Vec<_>>());
    }

    #[test]
    fn what_fills_a_batch_is_not_scored() {
        let (predicted, target) = pictures();
        let scores = |predicted: &Tensors, target: &Tensors| {
            let (mut region, mut boundary): (Region, Boundary) = (create(), create());
            region.update(predicted, target).unwrap();
            boundary.update(predicted, target).unwrap();
            let mut scores = region.compute().unwrap();
            scores.extend(boundary.compute().unwrap());
            scores
        };
        let (predicted, target) = (named(&predicted, [2, 12, 10]), named(&target, [2, 12, 10]));
        let expected = scores(&predicted, &target);
        // Three maps of 14×16: the two pictures and one that is not there.
        let filled = |maps: &Tensors, with: i64| {
            let canvas = Tensor::full([3, 14, 16], with, (Kind::Uint8, Device::Cpu));
            let corner = canvas.narrow(0, 0, 2).narrow(1, 0, 12).narrow(2, 0, 10);
            corner.shallow_clone().copy_(maps.get(LABELS).unwrap());
            Tensors::new().with(LABELS, canvas)
        };
        let sizes = Tensor::from_slice(&[12i64, 10, 12, 10, 0, 0]).view([3, 2]);
        let canvas = filled(&target, 255).with(SIZE, sizes);
        for with in [0, 3] {
            assert_eq!(
                scores(&filled(&predicted, with), &canvas),
                expected,
                "{with}"
            );
        }
        let sizes = Tensor::from_slice(&[12i64, 17, 12, 10, 0, 0]).view([3, 2]);
        let beyond = filled(&target, 255).with(SIZE, sizes);
        let error = create::<Region>()
            .update(&filled(&predicted, 0), &beyond)
            .unwrap_err();
        assert!(error.to_string().contains("[12, 17]"), "{error}");
    }

    #[test]
    fn labels_of_any_integer_kind_count_alike() {
        let (predicted, target) = pictures();
        let wide = |values: &[u8], void: i64| {
            let values: Vec<i64> = values
                .iter()
                .map(|&v| if v == VOID { void } else { i64::from(v) })
                .collect();
            Tensors::new().with(LABELS, Tensor::from_slice(&values).view([2, 12, 10]))
        };
        let scores = |target: &Tensors| {
            let mut region: Region = create();
            region
                .update(&named(&predicted, [2, 12, 10]), target)
                .unwrap();
            region.compute().unwrap()
        };
        let expected = scores(&named(&target, [2, 12, 10]));
        for void in [-1, 255, 256, 300] {
            assert_eq!(scores(&wide(&target, void)), expected, "void {void}");
        }
    }

    #[test]
    fn screening_scores_each_sample_by_its_largest_channel() {
        let labels = [0u8, 1, 2, VOID, 1, 1, 1, 1];
        let targets = named(&labels, [2, 2, 2]);
        let (right, _) = crate::one_hot(targets.get(LABELS).unwrap(), 11).unwrap();
        let region: Region = create();
        let predictions = Tensors::new().with("yhat", right);
        assert_eq!(
            region.screen("mIoU", &predictions, &targets).unwrap(),
            [1.0, 1.0]
        );
        let background = Tensor::zeros([2, 11, 2, 2], (Kind::Float, Device::Cpu));
        let predictions = Tensors::new().with("yhat", background);
        let accuracy = region.screen("gAcc", &predictions, &targets).unwrap();
        assert_eq!(accuracy, [1.0 / 3.0, 0.0]);
        let iou = region.screen("mIoU", &predictions, &targets).unwrap();
        assert_eq!(iou, [1.0 / 9.0, 0.0]);
        let error = region
            .screen("BF1", &predictions, &targets)
            .unwrap_err()
            .to_string();
        assert_eq!(error, "metric 'region' has no score 'BF1'");
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let mut region: Region = create();
        assert!(region.compute().is_err());
        let pair = (named(&[0; 8], [2, 2, 2]), named(&[0; 8], [1, 2, 4]));
        assert!(
            region
                .update(&pair.0, &pair.1)
                .unwrap_err()
                .to_string()
                .contains("(1, 2, 4)")
        );
        let real = Tensor::zeros([2, 2, 2], (Kind::Float, Device::Cpu));
        let error = region
            .update(&Tensors::new().with(LABELS, real), &pair.0)
            .unwrap_err();
        assert!(error.to_string().contains("Float [2, 2, 2]"), "{error}");
        let flat = Tensors::new().with("yhat", Tensor::zeros([4], (Kind::Float, Device::Cpu)));
        assert!(region.screen("mIoU", &flat, &pair.0).is_err());
    }
}

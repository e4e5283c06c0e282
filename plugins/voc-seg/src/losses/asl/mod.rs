//! Auto-Seg-Loss: a metric of segmentation made differentiable, with searched curves.
//!
//! The parameters are given, not searched here: a search method proposes them and a user can paste
//! published ones. They come as one JSON object, so that a task setting carries them.

mod curve;
mod surrogate;

pub use curve::Curve;

use super::maps::Maps;
use autoloss_plugin_api::Result;
use autoloss_plugin_api::serde_json::{self, Value};
use serde::Deserialize;
use tch::Tensor;

/// How far apart borders may be, by default and at most.
const TOLERANCE: u8 = 5;
const MOST_TOLERANCE: u8 = 32;

/// A metric that has a surrogate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum AslMetric {
    /// Mean intersection over union.
    #[default]
    #[serde(rename = "mIoU")]
    MeanIou,
    /// Intersection over union weighted by the frequency of the class.
    #[serde(rename = "FWIoU")]
    FrequencyWeightedIou,
    /// Share of pixels that are right.
    #[serde(rename = "gAcc")]
    GlobalAccuracy,
    /// Mean recall of the classes.
    #[serde(rename = "mAcc")]
    MeanAccuracy,
    /// Mean intersection over union near the borders of the target.
    #[serde(rename = "BIoU")]
    BoundaryIou,
    /// Mean F1 of the border pixels.
    #[serde(rename = "BF1")]
    BoundaryF1,
}

/// The loss 1 − ξ̃ of Auto-Seg-Loss (Li et al., ICLR 2021, section 3): the metric ξ with the
/// predicted class taken as a probability and its logical operators replaced by
/// AND(a, b) = g(a)·g(b) and OR(a, b) = g(a) + g(b) − g(a)·g(b), each with a [`Curve`] g of its
/// own. On a one-hot target g(b) = b.
///
/// - mIoU, FWIoU: Σ AND(ŷ, y) / Σ OR(ŷ, y) of each class, averaged, or weighted by its pixels.
/// - gAcc, mAcc: Σ AND(ŷ, y) over the pixels of all classes, or of each; OR is not in use.
/// - BIoU: as mIoU, within `tolerance` of the target's borders (of classes from 1 on).
/// - BF1: the border of a class is XOR(a, b) = OR(a, b) − AND(a, b) of its map a and the map
///   eroded by 3x3, b; precision and recall count the border that lies within `tolerance` of the
///   other side's. ŷ and its eroded map have curves of their own, four in all, as the paper's
///   programs have. Class 0 is skipped.
///
/// Sums go over the batch. Void is in none, and like the edge of another class it makes a border.
/// Classes that the batch (or its band) lacks are skipped; the paper's programs count them as
/// zero, which for mIoU and mAcc scales the gradient.
///
/// ```
/// use autoloss_plugin_api::serde_json::json;
/// use voc_seg::losses::Asl;
///
/// let asl = Asl::from_json(&json!({
///     "metric": "mIoU",
///     "and": [[0.1, 0.6], [0.5, 0.8], [0.9, 0.9]],
/// }))?;
/// assert_eq!(asl.and().value(1.0), 1.0);
/// // OR keeps the straight line, g(u) = u.
/// assert_eq!(asl.or().value(0.25), 0.25);
/// # Ok::<(), autoloss_plugin_api::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Asl {
    metric: AslMetric,
    and: Curve,
    or: Curve,
    and_eroded: Curve,
    or_eroded: Curve,
    tolerance: u8,
}

/// The parameters as they are written.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Written {
    metric: AslMetric,
    relative: bool,
    and: Vec<[f64; 2]>,
    or: Vec<[f64; 2]>,
    and_eroded: Vec<[f64; 2]>,
    or_eroded: Vec<[f64; 2]>,
    tolerance: u8,
}

impl Default for Written {
    fn default() -> Self {
        Self {
            metric: AslMetric::default(),
            relative: false,
            and: Vec::new(),
            or: Vec::new(),
            and_eroded: Vec::new(),
            or_eroded: Vec::new(),
            tolerance: TOLERANCE,
        }
    }
}

impl Default for Asl {
    /// mIoU with straight lines: the soft Jaccard loss.
    fn default() -> Self {
        Self {
            metric: AslMetric::default(),
            and: Curve::default(),
            or: Curve::default(),
            and_eroded: Curve::default(),
            or_eroded: Curve::default(),
            tolerance: TOLERANCE,
        }
    }
}

impl Asl {
    /// Reads the parameters: an object, or the text of one. All keys are optional: `metric`
    /// (mIoU, FWIoU, gAcc, mAcc, BIoU, BF1; mIoU), the curves `and` and `or`, for BF1 also
    /// `and_eroded` and `or_eroded`, each the points of [`Curve::new`] or, with `"relative": true`,
    /// those of [`Curve::from_relative`] (none: a straight line), and `tolerance`, 0 to 32
    /// positions of the loss maps (5, as in the paper, there of full resolution).
    ///
    /// # Errors
    /// Names the key that is unknown or the value that cannot be, or a curve that the metric does
    /// not use.
    pub fn from_json(value: &Value) -> Result<Self> {
        let written = match value {
            // The command line gives text where it could not read a table.
            Value::String(text) => serde_json::from_str(text),
            _ => Written::deserialize(value),
        };
        let wrong = |error| format!("setting 'asl' is {value}: {error}");
        Self::checked(&written.map_err(|error| wrong(error.to_string()))?)
            .map_err(|error| wrong(error).into())
    }

    fn checked(written: &Written) -> Result<Self, String> {
        let curve = |name: &str, points: &[[f64; 2]]| {
            let curve = if written.relative {
                Curve::from_relative(points)
            } else {
                Curve::new(points)
            };
            curve.map_err(|error| format!("'{name}': {error}"))
        };
        let asl = Self {
            metric: written.metric,
            and: curve("and", &written.and)?,
            or: curve("or", &written.or)?,
            and_eroded: curve("and_eroded", &written.and_eroded)?,
            or_eroded: curve("or_eroded", &written.or_eroded)?,
            tolerance: written.tolerance,
        };
        if asl.tolerance > MOST_TOLERANCE {
            return Err(format!(
                "'tolerance' is {}, expected 0 to {MOST_TOLERANCE}",
                asl.tolerance
            ));
        }
        match asl.idle_curve() {
            Some(name) => Err(format!(
                "'{name}' has no effect on this metric: leave it out"
            )),
            None => Ok(asl),
        }
    }

    /// The metric of which this is the surrogate.
    pub fn metric(&self) -> AslMetric {
        self.metric
    }

    /// The curve of AND.
    pub fn and(&self) -> &Curve {
        &self.and
    }

    /// The curve of OR.
    pub fn or(&self) -> &Curve {
        &self.or
    }

    /// The key of a curve that is given although the metric does not use it.
    fn idle_curve(&self) -> Option<&'static str> {
        let accuracy = matches!(
            self.metric,
            AslMetric::GlobalAccuracy | AslMetric::MeanAccuracy
        );
        let border = self.metric == AslMetric::BoundaryF1;
        let curves = [
            ("or", &self.or, !accuracy),
            ("and_eroded", &self.and_eroded, border),
            ("or_eroded", &self.or_eroded, border),
        ];
        let idle = |(_, curve, used): &(_, &Curve, bool)| !used && !curve.is_straight();
        curves.into_iter().find(idle).map(|(name, ..)| name)
    }

    /// 1 − ξ̃, a scalar with gradient.
    ///
    /// # Errors
    /// libtorch's own.
    pub(super) fn loss(&self, maps: &Maps) -> Result<Tensor> {
        surrogate::loss(self, maps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use autoloss_plugin_api::serde_json::json;

    #[test]
    fn parameters_that_cannot_be_are_named() {
        let cases = [
            (json!({"metric": "IoU"}), "`IoU`"),
            (json!({"nand": []}), "`nand`"),
            (json!({"tolerance": 33}), "'tolerance' is 33"),
            (
                json!({"and": [[0.5, 0.5], [0.6, 0.6]]}),
                "'and': a curve has 2 points",
            ),
            (json!("{\"and\": 3}"), "expected a sequence"),
            (json!({"or": [[0.5, 1.5]]}), "[0.5, 1.5]"),
            (
                json!({"metric": "mAcc", "or": [[0.2, 0.5]]}),
                "'or' has no effect",
            ),
            (
                json!({"and_eroded": [[0.2, 0.5]]}),
                "'and_eroded' has no effect",
            ),
            (json!([1]), "setting 'asl'"),
        ];
        for (value, expected) in cases {
            let message = Asl::from_json(&value).unwrap_err().to_string();
            assert!(message.contains(expected), "{value}: {message}");
        }
    }

    #[test]
    fn nothing_given_is_the_soft_jaccard_loss() {
        assert_eq!(Asl::from_json(&json!({})).unwrap(), Asl::default());
        assert_eq!(Asl::default().metric(), AslMetric::MeanIou);
    }

    #[test]
    fn objects_their_text_and_relative_points_are_read() {
        let points =
            json!({"metric": "BF1", "and_eroded": [[0.5, 0.25], [0.75, 0.625], [0.75, 1]]});
        let asl = Asl::from_json(&points).unwrap();
        assert_eq!(asl.metric(), AslMetric::BoundaryF1);
        assert_eq!(Asl::from_json(&json!(points.to_string())).unwrap(), asl);
        let relative = json!({
            "metric": "BF1",
            "relative": true,
            "and_eroded": [[0.5, 0.25], [0.5, 0.5], [0, 1]],
        });
        assert_eq!(Asl::from_json(&relative).unwrap(), asl);
    }
}

//! Which ground truth a candidate box is trained for.

use super::boxes;
use autoloss_plugin_api::Result;
use tch::{Kind, Tensor};

/// The match of a candidate that is background.
pub const UNMATCHED: i64 = -1;
/// The match of a candidate that is neither trained as object nor as background.
pub const BETWEEN: i64 = -2;

/// Share of a candidate's area inside a region to ignore from which it is not background.
const IGNORED: f64 = 0.5;

/// Assigns a ground-truth box, background or neither to every candidate by IoU (arXiv 1506.01497,
/// section 3.1.2): the box of the highest IoU where it is at least `high`, [`UNMATCHED`] where it is below
/// `low`, [`BETWEEN`] else. With low-quality matches, candidates that no other overlaps a ground-truth box
/// more than (all of them, where several do equally) are matched to *their* best box however low the IoU.
///
/// Of several ground-truth boxes with equal IoU the first is the match. Unlike in torchvision, images without
/// ground truth have background only, and a ground-truth box that overlaps no candidate at all makes no
/// low-quality matches: all candidates that miss it would overlap it equally.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Matcher {
    low: f64,
    high: f64,
    low_quality: bool,
}

impl Matcher {
    /// With the thresholds on IoU, and whether low-quality matches are made.
    ///
    /// # Errors
    /// Unless 0 ≤ low ≤ high ≤ 1.
    pub fn new(low: f64, high: f64, low_quality: bool) -> Result<Self> {
        if !(0.0 <= low && low <= high && high <= 1.0) {
            return Err(format!(
                "matching thresholds are {low} and {high}, expected 0 ≤ low ≤ high ≤ 1"
            )
            .into());
        }
        Ok(Self {
            low,
            high,
            low_quality,
        })
    }

    /// The match of every candidate (N, 4): an index into `truth` (M, 4), [`UNMATCHED`] or [`BETWEEN`]; (N)
    /// whole numbers.
    ///
    /// `ignored` (K, 4) are regions where objects are not annotated one by one, such as COCO's crowds.
    /// Candidates that would be background but have at least half of their area in one of them are
    /// [`BETWEEN`]. This is an addition to torchvision's rules; without regions it does nothing.
    ///
    /// # Errors
    /// Shapes that do not fit, or libtorch's.
    pub fn assign(
        &self,
        truth: &Tensor,
        candidates: &Tensor,
        ignored: Option<&Tensor>,
    ) -> Result<Tensor> {
        let matches = self.matches(&boxes::pairwise_iou(truth, candidates)?)?;
        let Some(ignored) = ignored else {
            return Ok(matches);
        };
        if boxes::count(ignored, "regions to ignore")? == 0 || matches.numel() == 0 {
            return Ok(matches);
        }
        let coverage = boxes::pairwise_coverage(ignored, candidates)?;
        let covered = coverage.f_amax([0_i64], false)?.f_ge(IGNORED)?;
        let covered = covered.f_logical_and(&matches.f_eq(UNMATCHED)?)?;
        Ok(matches.f_masked_fill(&covered, BETWEEN)?)
    }

    /// The matches by the IoU of each of M ground-truth boxes with each of N candidates, (M, N), as in
    /// [`Matcher::assign`]. NaN is no match.
    ///
    /// # Errors
    /// Another number of axes, or libtorch's.
    pub fn matches(&self, iou: &Tensor) -> Result<Tensor> {
        let [truths, candidates] = iou.size()[..] else {
            return Err(format!("IoU has shape {:?}, expected (M, N)", iou.size()).into());
        };
        if truths == 0 || candidates == 0 {
            let options = (Kind::Int64, iou.device());
            return Ok(Tensor::f_full([candidates], UNMATCHED, options)?);
        }
        let (best, index) = iou.f_max_dim(0, false)?;
        let mut matched = best.f_ge(self.high)?;
        if self.low_quality {
            matched = matched.f_logical_or(&best_of_a_truth(iou)?)?;
        }
        let between = best.f_ge(self.low)?;
        let unmatched = index
            .f_full_like(UNMATCHED)?
            .f_masked_fill(&between, BETWEEN)?;
        Ok(index.f_where_self(&matched, &unmatched)?)
    }
}

/// Whether no other candidate overlaps some ground-truth box more, (N).
fn best_of_a_truth(iou: &Tensor) -> Result<Tensor> {
    let (highest, _) = iou.f_max_dim(1, true)?;
    let best = iou.f_eq_tensor(&highest)?;
    Ok(best
        .f_logical_and(&highest.f_gt(0.0)?)?
        .f_any_dim(0, false)?)
}

#[cfg(test)]
mod tests {
    use super::super::boxes::tests::tensor;
    use super::*;

    fn matches(found: &Tensor) -> Vec<i64> {
        Vec::try_from(found).unwrap()
    }

    fn iou(rows: &[[f32; 5]]) -> Tensor {
        Tensor::from_slice(rows.as_flattened()).view([-1, 5])
    }

    #[test]
    fn thresholds_include_their_value() {
        let quality = iou(&[[0.75, 0.5, 0.25, 0.2, 0.0], [0.5, 0.75, 0.2, 0.1, 0.0]]);
        let found = Matcher::new(0.25, 0.75, false)
            .unwrap()
            .matches(&quality)
            .unwrap();
        assert_eq!(matches(&found), [0, 1, BETWEEN, UNMATCHED, UNMATCHED]);
    }

    #[test]
    fn every_overlapped_truth_has_its_best_candidates_ties_included() {
        let quality = iou(&[
            [0.9, 0.3, 0.0, 0.0, 0.0],
            [0.0, 0.2, 0.1, 0.2, 0.0],
            // Touches nothing, and must not take all candidates that it touches as little as any other.
            [0.0, 0.0, 0.0, 0.0, 0.0],
        ]);
        let found = Matcher::new(0.3, 0.7, true)
            .unwrap()
            .matches(&quality)
            .unwrap();
        // The second candidate is the second truth's best, and is matched to its own best, the first.
        assert_eq!(matches(&found), [0, 0, UNMATCHED, 1, UNMATCHED]);
    }

    #[test]
    fn without_truth_all_is_background_and_without_candidates_nothing() {
        let matcher = Matcher::new(0.3, 0.7, true).unwrap();
        let none = tensor(&[]);
        let two = tensor(&[[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0]]);
        let assign = |truth, candidates| matcher.assign(truth, candidates, Some(&two)).unwrap();
        assert_eq!(
            matches(&matcher.assign(&none, &two, None).unwrap()),
            [UNMATCHED; 2]
        );
        assert_eq!(matches(&assign(&none, &two)), [BETWEEN, UNMATCHED]);
        assert_eq!(matches(&assign(&two, &none)), [0_i64; 0]);
        assert_eq!(matches(&assign(&none, &none)), [0_i64; 0]);
    }

    #[test]
    fn boxes_without_area_or_number_match_nothing() {
        let odd = tensor(&[
            [1.0, 1.0, 1.0, 1.0],
            [4.0, 4.0, 0.0, 0.0],
            [f32::NAN; 4],
            [f32::NEG_INFINITY, 0.0, f32::INFINITY, 4.0],
        ]);
        let matcher = Matcher::new(0.3, 0.7, true).unwrap();
        let found = matcher.assign(&odd, &odd, Some(&odd)).unwrap();
        assert_eq!(matches(&found), [UNMATCHED; 4]);
        let quality = iou(&[
            [f32::NAN, 0.8, 0.0, 0.0, 0.0],
            [0.9, f32::NAN, 0.9, 0.0, 0.0],
        ]);
        let found = matches(&matcher.matches(&quality).unwrap());
        assert_eq!(found[..2], [UNMATCHED; 2]);
    }

    #[test]
    fn crowds_take_background_away_and_nothing_else() {
        let truth = tensor(&[[0.0, 0.0, 10.0, 10.0]]);
        let candidates = tensor(&[
            [0.0, 0.0, 10.0, 9.0],
            [0.0, 0.0, 10.0, 20.0],
            [40.0, 40.0, 50.0, 50.0],
            [55.0, 40.0, 65.0, 50.0],
            [56.0, 40.0, 66.0, 50.0],
            [90.0, 90.0, 99.0, 99.0],
        ]);
        let crowds = tensor(&[[0.0, 0.0, 60.0, 60.0], [80.0, 80.0, 90.0, 90.0]]);
        let matcher = Matcher::new(0.3, 0.7, false).unwrap();
        let plain = matcher.assign(&truth, &candidates, None).unwrap();
        let expected = [0, BETWEEN, UNMATCHED, UNMATCHED, UNMATCHED, UNMATCHED];
        assert_eq!(matches(&plain), expected);
        let none = matcher
            .assign(&truth, &candidates, Some(&tensor(&[])))
            .unwrap();
        assert_eq!(matches(&none), expected);
        let found = matcher.assign(&truth, &candidates, Some(&crowds)).unwrap();
        let expected = [0, BETWEEN, BETWEEN, BETWEEN, UNMATCHED, UNMATCHED];
        assert_eq!(matches(&found), expected);
    }

    #[test]
    fn thresholds_out_of_order_are_refused() {
        for (low, high) in [(0.7, 0.3), (-0.1, 0.5), (0.5, 1.5), (f64::NAN, 0.5)] {
            assert!(Matcher::new(low, high, true).is_err(), "{low}, {high}");
        }
        let matcher = Matcher::new(0.3, 0.7, true).unwrap();
        assert!(matcher.matches(&Tensor::from_slice(&[1_f32])).is_err());
    }
}

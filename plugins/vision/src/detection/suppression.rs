//! Removal of boxes that overlap a better one too much.
//!
//! Whether a box stays depends on those before it, one after the other, so tensors are copied to the CPU and
//! the loop is plain Rust. Coordinates lie in four separate lists, so that the comparisons of one box with
//! the rest run on vectors.

use super::boxes;
use autoloss_plugin_api::Result;
use tch::{Device, Kind, Tensor};

/// Indices of the boxes (N, 4) that greedy non-maximum suppression lets stay, by falling score, whole numbers (K)
/// on the device of the boxes: the best box stays, those with an IoU above `threshold` with it go, and so on.
///
/// Of equal scores the first comes first. Boxes with a coordinate that is not finite and boxes with a score of
/// NaN are dropped; boxes without area never go, and remove none. Without a gradient.
///
/// # Errors
/// Shapes that do not fit, a threshold outside 0 to 1, or libtorch's.
pub fn nms(boxes: &Tensor, scores: &Tensor, threshold: f64) -> Result<Tensor> {
    suppressed(boxes, scores, None, threshold)
}

/// [`nms`] in each of several groups, such as classes or levels: boxes remove boxes of their own group
/// only. `groups` (N) has a whole number for each box. All that stay are ordered together.
///
/// # Errors
/// As [`nms`].
pub fn batched_nms(
    boxes: &Tensor,
    scores: &Tensor,
    groups: &Tensor,
    threshold: f64,
) -> Result<Tensor> {
    suppressed(boxes, scores, Some(groups), threshold)
}

fn suppressed(
    boxes: &Tensor,
    scores: &Tensor,
    groups: Option<&Tensor>,
    threshold: f64,
) -> Result<Tensor> {
    if !(0.0..=1.0).contains(&threshold) {
        return Err(format!("a suppression threshold is {threshold}, expected 0 to 1").into());
    }
    let count = boxes::count(boxes, "boxes")?;
    for (what, sizes) in [
        ("scores", scores.size()),
        ("groups", groups.map_or(vec![count], Tensor::size)),
    ] {
        if sizes != [count] {
            return Err(format!("{what} have shape {sizes:?} for {count} boxes").into());
        }
    }
    let groups = match groups {
        Some(groups) => {
            let groups = groups.f_to_device(Device::Cpu)?.f_to_kind(Kind::Int64)?;
            Vec::<i64>::try_from(&groups.f_contiguous()?)?
        }
        None => vec![0; count as usize],
    };
    let read = boxes::read(boxes, "boxes")?;
    let stay = staying(&read, &boxes::numbers(scores)?, &groups, threshold);
    Ok(Tensor::f_from_slice(&stay)?.f_to_device(boxes.device())?)
}

/// Indices of what stays by falling score.
fn staying(boxes: &[[f32; 4]], scores: &[f32], groups: &[i64], threshold: f64) -> Vec<i64> {
    let readable =
        |at: &usize| !scores[*at].is_nan() && boxes[*at].iter().all(|side| side.is_finite());
    let mut order: Vec<usize> = (0..boxes.len()).filter(readable).collect();
    // Negative zero and zero are one score, which the total order would tell apart.
    order.sort_by(|a, b| (scores[*b] + 0.0).total_cmp(&(scores[*a] + 0.0)));
    // Places in the order, group by group.
    let mut places: Vec<usize> = (0..order.len()).collect();
    places.sort_by_key(|place| groups[order[*place]]);
    let mut stays = vec![false; order.len()];
    for members in places.chunk_by(|a, b| groups[order[*a]] == groups[order[*b]]) {
        let mut columns = Columns::default();
        members
            .iter()
            .for_each(|place| columns.push(boxes[order[*place]]));
        for (place, removed) in members.iter().zip(columns.removed(threshold)) {
            stays[*place] = !removed;
        }
    }
    let staying = order.iter().zip(&stays).filter(|(_, stays)| **stays);
    staying.map(|(at, _)| *at as i64).collect()
}

/// Boxes of one group by falling score.
#[derive(Default)]
struct Columns {
    x1: Vec<f32>,
    y1: Vec<f32>,
    x2: Vec<f32>,
    y2: Vec<f32>,
    areas: Vec<f32>,
}

impl Columns {
    fn push(&mut self, [x1, y1, x2, y2]: [f32; 4]) {
        self.x1.push(x1);
        self.y1.push(y1);
        self.x2.push(x2);
        self.y2.push(y2);
        self.areas.push((x2 - x1).max(0.0) * (y2 - y1).max(0.0));
    }

    /// Whether an earlier box removes each of them.
    fn removed(&self, threshold: f64) -> Vec<bool> {
        let threshold = at_most(threshold);
        let mut removed = vec![false; self.areas.len()];
        for at in 0..removed.len() {
            // A box without area has no IoU above zero with any.
            if !removed[at] && self.areas[at] > 0.0 {
                self.remove_after(at, threshold, &mut removed);
            }
        }
        removed
    }

    fn remove_after(&self, at: usize, threshold: f32, removed: &mut [bool]) {
        let [x1, y1, x2, y2] = [self.x1[at], self.y1[at], self.x2[at], self.y2[at]];
        let area = self.areas[at];
        let next = at + 1;
        let starts = self.x1[next..].iter().zip(&self.y1[next..]);
        let ends = self.x2[next..].iter().zip(&self.y2[next..]);
        let rest = starts.zip(ends).zip(&self.areas[next..]);
        for (removed, (((left, top), (right, bottom)), other)) in
            removed[next..].iter_mut().zip(rest)
        {
            let wide = (x2.min(*right) - x1.max(*left)).max(0.0);
            let high = (y2.min(*bottom) - y1.max(*top)).max(0.0);
            let shared = wide * high;
            // Not a short-circuit, which would keep the loop from running on vectors.
            *removed |= shared / (area + other - shared) > threshold;
        }
    }
}

/// The largest number of single precision that is not above `threshold`: what is above one is above the other.
fn at_most(threshold: f64) -> f32 {
    let nearest = threshold as f32;
    if f64::from(nearest) > threshold {
        nearest.next_down()
    } else {
        nearest
    }
}

#[cfg(test)]
mod tests {
    use super::super::boxes::tests::{tensor, values};
    use super::super::pairwise_iou;
    use super::*;
    use proptest::prelude::*;

    fn indices(kept: &Tensor) -> Vec<i64> {
        Vec::try_from(kept).unwrap()
    }

    fn run(boxes: &[[f32; 4]], scores: &[f32], threshold: f64) -> Vec<i64> {
        indices(&nms(&tensor(boxes), &Tensor::from_slice(scores), threshold).unwrap())
    }

    fn crowded() -> impl Strategy<Value = ([f32; 4], f32, i64)> {
        let whole = |end: i16| (0..end).prop_map(f32::from);
        let sides = (whole(30), whole(30), whole(20), whole(20));
        let boxes = sides.prop_map(|(x, y, w, h)| [x, y, x + w, y + h]);
        (boxes, whole(10), 0_i64..3)
    }

    proptest! {
        #[test]
        fn what_stays_is_ordered_apart_and_what_goes_has_a_reason(
            items in prop::collection::vec(crowded(), 0..60),
            threshold in 0.0_f64..1.0,
        ) {
            let boxes: Vec<[f32; 4]> = items.iter().map(|item| item.0).collect();
            let scores: Vec<f32> = items.iter().map(|item| item.1).collect();
            let groups: Vec<i64> = items.iter().map(|item| item.2).collect();
            let all = tensor(&boxes);
            let kept = batched_nms(
                &all,
                &Tensor::from_slice(&scores),
                &Tensor::from_slice(&groups),
                threshold,
            );
            let kept: Vec<usize> = indices(&kept.unwrap()).iter().map(|at| *at as usize).collect();
            let before = |a: usize, b: usize| scores[a] > scores[b] || scores[a] == scores[b] && a < b;
            prop_assert!(kept.windows(2).all(|pair| before(pair[0], pair[1])));
            let iou = values(&pairwise_iou(&all, &all).unwrap());
            let removes = |a: usize, b: usize| {
                before(a, b) && groups[a] == groups[b] && iou[a * boxes.len() + b] > threshold
            };
            for at in 0..boxes.len() {
                let removed = kept.iter().any(|better| removes(*better, at));
                prop_assert_eq!(removed, !kept.contains(&at), "{}", at);
            }
        }
    }

    #[test]
    fn the_threshold_itself_does_not_remove() {
        // IoU 1/2 exactly.
        let boxes = [[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 1.0]];
        assert_eq!(run(&boxes, &[0.9, 0.8], 0.5), [0, 1]);
        assert_eq!(run(&boxes, &[0.9, 0.8], 0.499_999_9), [0]);
        assert_eq!(run(&boxes, &[0.8, 0.9], 0.0), [1]);
    }

    #[test]
    fn thresholds_between_numbers_of_single_precision_are_rounded_down() {
        for threshold in [0.7, 0.3, 0.1, 0.5, 1.0, 0.0] {
            let single = at_most(threshold);
            assert!(f64::from(single) <= threshold && f64::from(single.next_up()) > threshold);
        }
    }

    #[test]
    fn odd_boxes_and_scores_neither_stay_nor_remove() {
        let nan = f32::NAN;
        let boxes = [
            [0.0, 0.0, 4.0, 4.0],
            [nan, 0.0, 4.0, 4.0],
            [0.0, f32::NEG_INFINITY, 4.0, 4.0],
            [0.0, 0.0, 4.0, 4.0],
            [1.0, 1.0, 1.0, 1.0],
            [3.0, 3.0, 1.0, 1.0],
        ];
        let scores = [0.5, 0.9, 0.9, nan, 0.7, f32::INFINITY];
        assert_eq!(run(&boxes, &scores, 0.0), [5, 4, 0]);
        assert_eq!(run(&boxes, &[nan; 6], 0.5), [0_i64; 0]);
        assert_eq!(run(&[], &[], 0.5), [0_i64; 0]);
    }

    #[test]
    fn zeros_of_either_sign_are_one_score() {
        let boxes = [
            [0.0, 0.0, 1.0, 1.0],
            [5.0, 5.0, 6.0, 6.0],
            [0.0, 0.0, 1.0, 1.0],
        ];
        assert_eq!(run(&boxes, &[-0.0, 0.0, 0.0], 0.5), [0, 1]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let boxes = tensor(&[[0.0, 0.0, 1.0, 1.0]]);
        let one = Tensor::from_slice(&[1_f32]);
        let two = Tensor::from_slice(&[1_f32, 2.0]);
        for threshold in [-0.1, 1.1, f64::NAN] {
            assert!(nms(&boxes, &one, threshold).is_err());
        }
        let error = nms(&boxes, &two, 0.5).unwrap_err().to_string();
        assert_eq!(error, "scores have shape [2] for 1 boxes");
        let error = batched_nms(&boxes, &one, &two, 0.5)
            .unwrap_err()
            .to_string();
        assert_eq!(error, "groups have shape [2] for 1 boxes");
        assert!(nms(&one, &one, 0.5).is_err());
    }
}

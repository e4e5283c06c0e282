//! Exact Euclidean distances to another class, on the CPU.
//!
//! The separable transform of Felzenszwalb and Huttenlocher (2012): columns by two sweeps, rows by
//! the lower envelope of parabolas, linear in the pixels. Written here because the crates there
//! are take quadratic time along a line or bring a whole image library with them.

/// Reversed distance map of one picture of class labels, none at void, row by row: (M − D)/M from
/// 0 to 1, with D the distance in pixels to the nearest pixel of another class and M the largest
/// D of the picture. 0 at void, and everywhere when there is one class only.
pub(super) fn nearness(labels: &[Option<u32>], width: usize) -> Vec<f64> {
    let mut classes: Vec<u32> = labels.iter().flatten().copied().collect();
    classes.sort_unstable();
    classes.dedup();
    if classes.len() < 2 {
        return vec![0.0; labels.len()];
    }
    let mut distance = vec![0.0; labels.len()];
    for class in classes {
        let others: Vec<bool> = labels
            .iter()
            .map(|label| label.is_some_and(|label| label != class))
            .collect();
        let squared = squared_distances(&others, width);
        for ((out, label), squared) in distance.iter_mut().zip(labels).zip(squared) {
            if *label == Some(class) {
                *out = squared.sqrt();
            }
        }
    }
    let largest = distance.iter().copied().fold(0.0, f64::max);
    let reversed = |(distance, label): (f64, &Option<u32>)| match label {
        Some(_) => (largest - distance) / largest,
        None => 0.0,
    };
    distance.into_iter().zip(labels).map(reversed).collect()
}

/// The squared distance of every pixel to the nearest `feature`, row by row; infinite where there
/// is no feature at all.
fn squared_distances(features: &[bool], width: usize) -> Vec<f64> {
    let mut squared = column_distances(features, width);
    squared
        .iter_mut()
        .for_each(|distance| *distance *= *distance);
    let mut envelope = Vec::new();
    let mut heights = vec![0.0; width];
    for row in squared.chunks_exact_mut(width.max(1)) {
        heights.copy_from_slice(row);
        lower_envelope(&heights, &mut envelope);
        evaluate(&envelope, &heights, row);
    }
    squared
}

/// Distance to the nearest feature of the same column.
fn column_distances(features: &[bool], width: usize) -> Vec<f64> {
    let mut distance: Vec<f64> = features
        .iter()
        .map(|&feature| if feature { 0.0 } else { f64::INFINITY })
        .collect();
    for at in width..distance.len() {
        distance[at] = distance[at].min(distance[at - width] + 1.0);
    }
    for at in (width..distance.len()).rev() {
        distance[at - width] = distance[at - width].min(distance[at] + 1.0);
    }
    distance
}

/// A parabola of the envelope: its vertex, and from where on it is the lowest.
type Piece = (usize, f64);

/// The lowest of the parabolas heights[v] + (x − v)², from left to right.
fn lower_envelope(heights: &[f64], pieces: &mut Vec<Piece>) {
    let raised = |vertex: usize| heights[vertex] + (vertex * vertex) as f64;
    pieces.clear();
    for vertex in (0..heights.len()).filter(|&vertex| heights[vertex].is_finite()) {
        let mut from = f64::NEG_INFINITY;
        while let Some(&(last, start)) = pieces.last() {
            from = (raised(vertex) - raised(last)) / (2 * (vertex - last)) as f64;
            if from > start {
                break;
            }
            pieces.pop();
        }
        pieces.push((vertex, from));
    }
}

fn evaluate(pieces: &[Piece], heights: &[f64], row: &mut [f64]) {
    let mut at = 0;
    if pieces.is_empty() {
        return;
    }
    for (x, out) in row.iter_mut().enumerate() {
        while pieces.get(at + 1).is_some_and(|next| next.1 < x as f64) {
            at += 1;
        }
        let vertex = pieces[at].0;
        let offset = x.abs_diff(vertex);
        *out = heights[vertex] + (offset * offset) as f64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reproducible stream of numbers below `end`.
    fn numbers(seed: u64, end: u64) -> impl Iterator<Item = u64> {
        let mut state = seed;
        std::iter::repeat_with(move || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % end
        })
    }

    #[test]
    fn distances_are_those_of_every_pair() {
        for (seed, width, height, rare) in [
            (1, 9, 7, 3),
            (2, 1, 12, 4),
            (3, 12, 1, 4),
            (4, 17, 16, 60),
            (5, 16, 17, 200),
        ] {
            let features: Vec<bool> = numbers(seed, rare)
                .take(width * height)
                .map(|number| number == 0)
                .collect();
            let place = |at: usize| ((at / width) as f64, (at % width) as f64);
            for (at, found) in squared_distances(&features, width).into_iter().enumerate() {
                let (y, x) = place(at);
                let expected = (0..features.len())
                    .filter(|&other| features[other])
                    .map(|other| {
                        let (v, u) = place(other);
                        (v - y).powi(2) + (u - x).powi(2)
                    })
                    .fold(f64::INFINITY, f64::min);
                assert_eq!(found, expected, "{width}x{height}, pixel {at}");
            }
        }
    }

    #[test]
    fn void_makes_no_border_and_one_class_no_penalty() {
        let row = [Some(1), None, Some(1), Some(1), Some(2)];
        assert_eq!(nearness(&row, 5), [0.0, 0.0, 0.5, 0.75, 0.75]);
        assert_eq!(nearness(&[Some(3), None, Some(3)], 3), [0.0; 3]);
        assert_eq!(nearness(&[None; 4], 2), [0.0; 4]);
    }
}

//! A gradient's projections on fixed random directions, for its fingerprint.

use autoloss_graph::hash::finalize;
use std::sync::Arc;

/// Values that are summed side by side.
const LANES: usize = 8;

/// Directions with entries ±1: bit k of a value's mask is its sign in direction k.
#[derive(Clone)]
pub(super) struct Sketch {
    masks: Arc<[u32]>,
    count: usize,
}

impl Sketch {
    /// So many directions, at most 32, for gradients of `length` values. They depend on nothing else.
    pub(super) fn new(count: usize, length: usize) -> Self {
        let wanted = if count == 0 { 0 } else { length as u64 };
        Self {
            masks: (0..wanted).map(|at| finalize(at) as u32).collect(),
            count,
        }
    }

    /// Whether there are directions.
    pub(super) fn wanted(&self) -> bool {
        self.count > 0
    }

    /// The projections of a gradient.
    pub(super) fn of(&self, gradient: &[f32]) -> Vec<f64> {
        (0..self.count as u32)
            .map(|direction| self.along(direction, gradient))
            .collect()
    }

    fn along(&self, direction: u32, gradient: &[f32]) -> f64 {
        let (values, rest) = gradient.as_chunks::<LANES>();
        let (masks, masks_of_rest) = self.masks.as_chunks::<LANES>();
        let signed = |value: f32, mask: u32| {
            f32::from_bits(value.to_bits() ^ ((mask >> direction) & 1) << 31)
        };
        let mut sums = [0f64; LANES];
        for (values, masks) in values.iter().zip(masks) {
            for lane in 0..LANES {
                sums[lane] += f64::from(signed(values[lane], masks[lane]));
            }
        }
        let rest = rest.iter().zip(masks_of_rest);
        let rest: f64 = rest.map(|(&v, &mask)| f64::from(signed(v, mask))).sum();
        sums.iter().sum::<f64>() + rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn projections_are_sums_with_signs() {
        let sketch = Sketch::new(3, 19);
        let gradient: Vec<f32> = (0..19).map(|at| 0.5 + at as f32).collect();
        for (direction, found) in sketch.of(&gradient).into_iter().enumerate() {
            let sign = |at: u64| {
                if finalize(at) >> direction & 1 == 1 {
                    -1.0
                } else {
                    1.0
                }
            };
            let expected: f64 = (0..19).map(|at| sign(at) * (0.5 + at as f64)).sum();
            assert_eq!(found, expected);
        }
        assert!(Sketch::new(0, 19).of(&gradient).is_empty());
    }

    #[test]
    fn a_projection_is_about_as_long_as_the_gradient() {
        let count = 32;
        let gradient: Vec<f32> = (0..5000)
            .map(|at| ((at * 7919) % 13) as f32 - 6.0)
            .collect();
        let norm: f64 = gradient.iter().map(|&v| f64::from(v * v)).sum();
        let found = Sketch::new(count, 5000).of(&gradient);
        let mean = found.iter().map(|p| p * p).sum::<f64>() / count as f64;
        assert!((0.5..2.0).contains(&(mean / norm)), "{}", mean / norm);
    }
}

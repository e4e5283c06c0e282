//! Where a region is sampled, along one axis.
//!
//! Bilinear weights of a point are products of a weight along each axis, and so is whether the point lies
//! on the map; so the mean over a grid of points in a bin is a product of two means. Each axis is worked out
//! by itself, and points that share a pixel are added up before anything is multiplied.

use std::ops::Range;

/// Most sample points along an axis of a bin that can be asked for.
pub(super) const MOST_SAMPLES: usize = 64;

/// A region along one axis, in pixels of the map.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) start: f32,
    pub(super) length: f32,
}

/// The pixels that each bin along one axis is a weighted sum of. Reused from region to region for its memory.
#[derive(Debug, Default)]
pub(super) struct AxisBins {
    shares: Vec<(usize, f32)>,
    ends: Vec<usize>,
}

impl AxisBins {
    /// Divides `span` on a map of `pixels` > 0 into `bins` of `samples` points each, or of points at most a
    /// pixel apart where `samples` is None. Points more than a pixel before the first or after the last one count as
    /// zero, and others beyond the middle of these as lying on it. Nothing has a share where the span is not
    /// finite.
    pub(super) fn divide(
        &mut self,
        span: Span,
        bins: usize,
        samples: Option<usize>,
        pixels: usize,
    ) {
        self.shares.clear();
        self.ends.clear();
        let bin = span.length / bins as f32;
        let points = samples.map_or(bin.ceil(), |samples| samples as f32);
        let finite = span.start.is_finite() && span.length.is_finite();
        for place in 0..bins {
            let first = self.shares.len();
            let from = span.start + place as f32 * bin;
            let steps = if finite {
                steps(from, bin, points, pixels)
            } else {
                0..0
            };
            for step in steps {
                // In this order, for the rounding of torchvision: it decides which points are outside.
                let position = from + (step as f32 + 0.5) * bin / points;
                self.sample(position, 1.0 / points, first, pixels);
            }
            self.ends.push(self.shares.len());
        }
    }

    /// Pixels and weights of every bin in order.
    pub(super) fn bins(&self) -> impl Iterator<Item = &[(usize, f32)]> {
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let bin = &self.shares[start..*end];
            start = *end;
            bin
        })
    }

    fn sample(&mut self, position: f32, share: f32, first: usize, pixels: usize) {
        if !(-1.0..=pixels as f32).contains(&position) {
            return;
        }
        let position = position.max(0.0);
        let low = position as usize;
        if low + 1 >= pixels {
            self.add(pixels - 1, share, first);
        } else {
            let beyond = position - low as f32;
            self.add(low, (1.0 - beyond) * share, first);
            self.add(low + 1, beyond * share, first);
        }
    }

    fn add(&mut self, pixel: usize, share: f32, first: usize) {
        // Neighbouring points come one after the other, so an equal pixel is among the last few.
        let last = self.shares[first..].iter_mut().rev().take(3);
        match last.into_iter().find(|known| known.0 == pixel) {
            Some(known) => known.1 += share,
            None if share != 0.0 => self.shares.push((pixel, share)),
            None => {}
        }
    }
}

/// The points of a bin that can lie on the map: a region far larger than the map costs no more than the map.
fn steps(from: f32, bin: f32, points: f32, pixels: usize) -> Range<u64> {
    let all = points as u64;
    if all <= MOST_SAMPLES as u64 {
        return 0..all;
    }
    let apart = f64::from(bin) / f64::from(points);
    let step = |position: f64| (position - f64::from(from)) / apart - 0.5;
    // One more on either side, for rounding.
    let first = (step(-1.0).floor() - 1.0).max(0.0) as u64;
    let end = (step(pixels as f64).ceil() + 2.0).max(0.0) as u64;
    first..end.min(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn divided(
        start: f32,
        length: f32,
        bins: usize,
        samples: Option<usize>,
        pixels: usize,
    ) -> AxisBins {
        let mut axis = AxisBins::default();
        axis.divide(Span { start, length }, bins, samples, pixels);
        axis
    }

    proptest! {
        #[test]
        fn bins_on_the_map_are_means_around_their_middle(
            start in 0.0_f32..9.0,
            length in 0.01_f32..10.0,
            bins in 1_usize..6,
            samples in prop::option::of(1_usize..5),
        ) {
            let axis = divided(start, length, bins, samples, 20);
            let bin = length / bins as f32;
            for (place, shares) in axis.bins().enumerate() {
                let total: f32 = shares.iter().map(|share| share.1).sum();
                let mean: f32 = shares.iter().map(|share| share.0 as f32 * share.1).sum();
                let middle = start + (place as f32 + 0.5) * bin;
                prop_assert!((total - 1.0).abs() < 1e-5, "{total}");
                prop_assert!((mean - middle).abs() < 1e-4, "{mean}, {middle}");
                prop_assert!(shares.iter().all(|share| share.1 > 0.0));
            }
            prop_assert_eq!(axis.bins().count(), bins);
        }
    }

    #[test]
    fn points_far_outside_count_as_zero_and_near_ones_as_the_border() {
        // Points at −2, −0.5, 1, 2.5, 4, 5.5 on three pixels.
        let axis = divided(-2.75, 9.0, 3, Some(2), 3);
        let bins: Vec<_> = axis.bins().map(<[_]>::to_vec).collect();
        assert_eq!(bins, [vec![(0, 0.5)], vec![(1, 0.5), (2, 0.5)], vec![]]);
        let one = divided(0.0, 1.0, 1, Some(1), 1);
        assert_eq!(one.bins().collect::<Vec<_>>(), [&[(0, 1.0)]]);
    }

    #[test]
    fn adaptive_points_are_at_most_a_pixel_apart() {
        let axis = divided(0.0, 3.0, 1, None, 9);
        assert_eq!(axis.bins().next().map(<[_]>::len), Some(4));
        // Three points 0.75 apart.
        let axis = divided(0.0, 2.25, 1, None, 9);
        let positions = [0.375_f32, 1.125, 1.875];
        let mean: f32 = axis
            .bins()
            .flatten()
            .map(|share| share.0 as f32 * share.1)
            .sum();
        assert!((mean - positions.iter().sum::<f32>() / 3.0).abs() < 1e-6);
        for length in [0.0, -3.0] {
            assert_eq!(divided(0.0, length, 2, None, 9).bins().flatten().count(), 0);
        }
    }

    #[test]
    fn huge_spans_cost_no_more_than_the_map() {
        for (start, length) in [
            (-1e9, 2e9),
            (0.0, f32::MAX),
            (-1e30, 3.0),
            (1e30, 1e30),
            (-500.0, 1000.0),
        ] {
            let axis = divided(start, length, 2, None, 10);
            assert!(axis.bins().all(|bin| bin.len() <= 10), "{start}, {length}");
        }
        // A hundred points a bin: one on the map before it, in the first bin, and ten on it in the second.
        let axis = divided(-100.0, 200.0, 2, None, 10);
        let mut totals = [0.0; 10];
        axis.bins()
            .flatten()
            .for_each(|(pixel, share)| totals[*pixel] += share);
        for (pixel, total) in totals.into_iter().enumerate() {
            let expected = if [0, 9].contains(&pixel) {
                0.015
            } else {
                0.01_f32
            };
            assert!((total - expected).abs() < 1e-5, "{pixel}: {total}");
        }
    }

    #[test]
    fn spans_that_are_not_finite_have_no_shares() {
        for odd in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for samples in [None, Some(2)] {
                for (start, length) in [(odd, 1.0), (1.0, odd)] {
                    let axis = divided(start, length, 3, samples, 5);
                    assert_eq!((axis.bins().count(), axis.bins().flatten().count()), (3, 0));
                }
            }
        }
    }
}

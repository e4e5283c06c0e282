//! A few of the candidates of an image, with a bound on the share of objects.

use super::matcher::UNMATCHED;
use autoloss_plugin_api::Result;
use tch::{Device, Kind, Tensor};

/// Draws candidates to train on (arXiv 1506.01497, section 3.1.3): up to `positive_fraction` of `batch` among
/// those that match an object, and the rest among background. Where either has too few, fewer are drawn; a
/// lack of objects is made up for by background, not the other way.
///
/// Draws come from libtorch's generator on the CPU, whatever the device: two permutations a call, of the
/// objects and of background. So equal seeds and calls give equal draws.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BalancedSampler {
    batch: i64,
    positives: i64,
}

/// Indices of candidates, rising, whole numbers on the device of the matches.
#[derive(Debug)]
pub struct Sampled {
    /// Those that match an object, (P).
    pub positive: Tensor,
    /// Those that are background, (Q).
    pub negative: Tensor,
}

impl BalancedSampler {
    /// `batch` candidates an image, up to `positive_fraction` of them objects, rounded down.
    ///
    /// # Errors
    /// A negative `batch`, or a fraction outside 0 to 1.
    pub fn new(batch: i64, positive_fraction: f64) -> Result<Self> {
        if batch < 0 || !(0.0..=1.0).contains(&positive_fraction) {
            return Err(format!(
                "a sampler has batches of {batch} with a share of {positive_fraction} objects, expected \
                 at least 0 and 0 to 1"
            )
            .into());
        }
        Ok(Self {
            batch,
            positives: (batch as f64 * positive_fraction) as i64,
        })
    }

    /// Draws from the candidates of one image by their matches, (N) from [`super::Matcher`]: objects from
    /// zero, [`UNMATCHED`] is background, and the others are never drawn.
    ///
    /// # Errors
    /// Matches that are no vector, or libtorch's.
    pub fn sample(&self, matches: &Tensor) -> Result<Sampled> {
        if matches.dim() != 1 {
            return Err(format!("matches have shape {:?}, expected (N)", matches.size()).into());
        }
        let positive = drawn(&matches.f_ge(0)?, self.positives)?;
        let rest = self.batch - positive.size()[0];
        let negative = drawn(&matches.f_eq(UNMATCHED)?, rest)?;
        Ok(Sampled { positive, negative })
    }
}

/// At most `most` of the places where `mask` holds, in rising order.
fn drawn(mask: &Tensor, most: i64) -> Result<Tensor> {
    let places = mask.f_nonzero()?.f_view([-1])?;
    let count = places.size()[0];
    // Also where all are taken: what later calls draw must not depend on it.
    let order = Tensor::f_randperm(count, (Kind::Int64, Device::Cpu))?;
    let chosen = order.f_narrow(0, 0, most.min(count))?;
    let chosen = places.f_index_select(0, &chosen.f_to_device(places.device())?)?;
    Ok(chosen.f_sort(0, false)?.0)
}

#[cfg(test)]
mod tests {
    use super::super::matcher::BETWEEN;
    use super::*;

    fn counts(matches: &[i64], batch: i64, fraction: f64) -> (usize, usize) {
        let sampler = BalancedSampler::new(batch, fraction).unwrap();
        let sampled = sampler.sample(&Tensor::from_slice(matches)).unwrap();
        let read = |places: &Tensor| Vec::<i64>::try_from(places).unwrap();
        let (positive, negative) = (read(&sampled.positive), read(&sampled.negative));
        for places in [&positive, &negative] {
            assert!(places.is_sorted_by(|a, b| a < b), "{places:?}");
        }
        assert!(positive.iter().all(|at| matches[*at as usize] >= 0));
        assert!(negative.iter().all(|at| matches[*at as usize] == UNMATCHED));
        (positive.len(), negative.len())
    }

    #[test]
    fn background_fills_up_what_objects_leave() {
        let mut matches = vec![UNMATCHED; 40];
        matches.extend([BETWEEN; 10]);
        matches.extend(0..10);
        assert_eq!(counts(&matches, 16, 0.25), (4, 12));
        assert_eq!(counts(&matches, 60, 0.5), (10, 40));
        assert_eq!(counts(&matches, 30, 1.0), (10, 20));
        assert_eq!(counts(&matches, 7, 0.5), (3, 4));
        assert_eq!(counts(&matches, 0, 0.5), (0, 0));
    }

    #[test]
    fn there_may_be_nothing_to_draw() {
        assert_eq!(counts(&[], 8, 0.5), (0, 0));
        assert_eq!(counts(&[BETWEEN; 3], 8, 0.5), (0, 0));
        assert_eq!(counts(&[UNMATCHED; 3], 8, 0.5), (0, 3));
        assert_eq!(counts(&[0; 9], 8, 0.5), (4, 0));
    }

    #[test]
    fn shares_beyond_one_and_matrices_are_refused() {
        for (batch, fraction) in [(-1, 0.5), (8, 1.5), (8, -0.1), (8, f64::NAN)] {
            assert!(BalancedSampler::new(batch, fraction).is_err());
        }
        let sampler = BalancedSampler::new(8, 0.5).unwrap();
        assert!(
            sampler
                .sample(&Tensor::from_slice(&[1_i64; 4]).view([2, 2]))
                .is_err()
        );
    }
}

//! Random numbers that never change.
//!
//! A scene is named by (split, index, seed), and stored hashes, scores and pictures rely on the name.
//! `rand`'s range and float sampling may change between its releases, so only the ChaCha8 stream, which
//! is specified, is taken from outside; the few distributions needed are spelled out here. Nothing uses
//! transcendental functions, whose last bit differs between platforms.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// 2⁶⁴ over the golden ratio, odd: the multiples of it by 0, 1, 2, … are spread evenly.
pub const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The first number of the generator SplitMix64 with this seed; close seeds give unrelated numbers.
#[must_use]
pub fn splitmix64(seed: u64) -> u64 {
    let mut bits = seed.wrapping_add(GOLDEN);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// A stream of draws that belongs to one name.
pub(crate) struct Draws(ChaCha8Rng);

impl Draws {
    /// The stream of `(purpose, seed, index)`. Streams of different names are independent, because the
    /// name is the cipher's whole key: no stream is a shifted copy of another.
    pub(crate) fn new(purpose: [u8; 16], seed: u64, index: u64) -> Draws {
        let mut key = [0; 32];
        key[..16].copy_from_slice(&purpose);
        key[16..24].copy_from_slice(&seed.to_le_bytes());
        key[24..].copy_from_slice(&index.to_le_bytes());
        Draws(ChaCha8Rng::from_seed(key))
    }

    /// A whole number in `0..bound`; 0 for a bound of 0. The bias is below bound/2³².
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let wide = u64::from(self.0.next_u32()) * (bound as u64);
        (wide >> 32) as usize
    }

    /// A whole number in `low..=high`.
    pub(crate) fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// A number below as many as there are weights, each as often as its weight says. Their sum is below 2³².
    pub(crate) fn weighted(&mut self, weights: &[usize]) -> usize {
        let mut left = self.below(weights.iter().sum());
        for (number, &weight) in weights.iter().enumerate() {
            if left < weight {
                return number;
            }
            left -= weight;
        }
        0
    }

    /// A number in `[0, 1)`, a multiple of 2⁻²⁴.
    pub(crate) fn unit(&mut self) -> f32 {
        (self.0.next_u32() >> 8) as f32 / 16_777_216.0
    }

    /// A number in `[low, high)`; `low` where they are equal.
    pub(crate) fn range(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    /// True half of the time.
    pub(crate) fn coin(&mut self) -> bool {
        self.0.next_u32() >> 31 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_stay_in_their_ranges_and_reach_both_ends() {
        let mut draws = Draws::new(*b"a test of ranges", 1, 2);
        let mut seen = [false; 3];
        for _ in 0..1000 {
            seen[draws.between(4, 6) - 4] = true;
            let value = draws.range(-2.0, 3.0);
            assert!((-2.0..3.0).contains(&value));
            assert_eq!(draws.below(0), 0);
            assert_eq!(draws.range(0.5, 0.5), 0.5);
        }
        assert_eq!(seen, [true; 3]);
    }

    #[test]
    fn streams_differ_by_purpose_seed_and_index() {
        let first =
            |purpose: &[u8; 16], seed, index| Draws::new(*purpose, seed, index).below(1 << 30);
        let reference = first(b"purpose number 1", 1, 2);
        assert_eq!(first(b"purpose number 1", 1, 2), reference);
        assert_ne!(first(b"purpose number 2", 1, 2), reference);
        assert_ne!(first(b"purpose number 1", 2, 1), reference);
        assert_ne!(first(b"purpose number 1", 1, 3), reference);
    }
}

//! Hashes that are the same on every machine and in every version, so that they may be stored.

/// FNV-1a over bytes, continuing from `hash`; begin with [`FNV_START`].
///
/// ```
/// use autoloss_graph::hash::{FNV_START, fnv1a};
///
/// assert_eq!(fnv1a(FNV_START, b"a"), 0xaf63_dc4c_8601_ec8c);
/// ```
#[must_use]
pub fn fnv1a(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Where [`fnv1a`] begins (the 64-bit offset basis).
pub const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;

/// By how much the state of SplitMix64 grows in a step: 2⁶⁴ over the golden ratio.
pub const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The number that SplitMix64 gives in the state `seed` (Steele, Lea and Flood 2014).
/// Seeds next to each other give unrelated numbers.
///
/// ```
/// assert_eq!(autoloss_graph::hash::splitmix64(0), 0xe220_a839_7b1d_cdaf);
/// ```
#[must_use]
pub const fn splitmix64(seed: u64) -> u64 {
    finalize(seed.wrapping_add(GOLDEN))
}

/// The last part of [`splitmix64`]: every bit of the result depends on every bit of `bits`.
#[must_use]
pub const fn finalize(bits: u64) -> u64 {
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// A hash of a structure with one more part in it.
#[must_use]
pub const fn mix(hash: u64, part: u64) -> u64 {
    splitmix64(hash ^ part)
}

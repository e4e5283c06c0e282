//! The instruction sets that the engine is compiled for.

pub use fearless_simd::Level;

/// The levels that this machine has, the best first.
#[must_use]
pub fn levels() -> Vec<Level> {
    let best = Level::new();
    let mut levels = vec![best];
    #[cfg(target_arch = "x86_64")]
    {
        let lower = [
            best.as_avx2().map(Level::Avx2),
            best.as_sse4_2().map(Level::Sse4_2),
            best.as_sse2().map(Level::Sse2),
        ];
        levels.extend(lower.into_iter().flatten());
    }
    levels.dedup_by_key(|level| format!("{level:?}"));
    levels
}

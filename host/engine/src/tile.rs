//! Fields cut into tiles.
//!
//! A field of one sample, (C, H·W), lies as [tile][channel][position in the tile]: what one tile's
//! instructions touch is contiguous, and small enough for the first-level cache. The last tile is filled up
//! with copies of the last position, which follow it through every step, so that no instruction has to know
//! where a sample ends except those that sum.

/// Positions of a tile.
pub(crate) const TILE: usize = 64;

/// `field` is (C, H·W).
pub(crate) fn tiled(field: &[f32], channels: usize, positions: usize) -> Vec<f32> {
    let tiles = positions.div_ceil(TILE);
    let mut out = Vec::with_capacity(tiles * channels * TILE);
    for tile in 0..tiles {
        for channel in 0..channels {
            let row = &field[channel * positions..][..positions];
            out.extend((0..TILE).map(|lane| row[(tile * TILE + lane).min(positions - 1)]));
        }
    }
    out
}

/// The inverse of [`tiled`], appended to `out`.
pub(crate) fn untiled(field: &[f32], channels: usize, positions: usize, out: &mut Vec<f32>) {
    for channel in 0..channels {
        for (tile, rows) in field.chunks_exact(channels * TILE).enumerate() {
            let lanes = TILE.min(positions - tile * TILE);
            out.extend_from_slice(&rows[channel * TILE..][..lanes]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_come_back_and_the_last_is_filled_up() {
        let (channels, positions) = (3, TILE + 7);
        let field: Vec<f32> = (0..channels * positions).map(|i| i as f32).collect();
        let tiles = tiled(&field, channels, positions);
        assert_eq!(tiles.len(), 2 * channels * TILE);
        assert_eq!(tiles[channels * TILE + TILE - 1], (positions - 1) as f32);
        let mut back = Vec::new();
        untiled(&tiles, channels, positions, &mut back);
        assert_eq!(back, field);
    }
}

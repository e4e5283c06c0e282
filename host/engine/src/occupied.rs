//! Which rows of a fixed input are not 0 throughout.

use crate::tile::TILE;

/// Channels that a set of rows can hold.
const MOST: usize = 256;

/// A set of rows, by their channel.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct RowSet([u64; MOST / 64]);

impl RowSet {
    pub(crate) const ALL: Self = Self([u64::MAX; MOST / 64]);
    const NONE: Self = Self([0; MOST / 64]);

    fn insert(&mut self, row: usize) {
        self.0[row / 64] |= 1 << (row % 64);
    }

    fn join(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(a, b)| *a |= b);
    }

    #[inline(always)]
    pub(crate) fn has(&self, row: usize) -> bool {
        let word = self.0.get(row / 64).copied().unwrap_or(u64::MAX);
        word >> (row % 64) & 1 == 1
    }
}

/// The rows of one sample.
#[derive(Clone, Debug)]
pub(crate) struct Occupied {
    pub(crate) tiles: Vec<RowSet>,
    pub(crate) anywhere: RowSet,
}

impl Occupied {
    /// Of a sample in tiles; None where no row is 0 throughout, or where there are too many channels.
    pub(crate) fn of(sample: &[f32], channels: usize) -> Option<Self> {
        if channels > MOST {
            return None;
        }
        let (mut tiles, mut anywhere) = (Vec::new(), RowSet::NONE);
        let mut dense = true;
        for tile in sample.chunks_exact(channels * TILE) {
            let mut set = RowSet::NONE;
            for (channel, row) in tile.chunks_exact(TILE).enumerate() {
                if row.iter().any(|&value| value != 0.0) {
                    set.insert(channel);
                } else {
                    dense = false;
                }
            }
            anywhere.join(set);
            tiles.push(set);
        }
        (!dense).then_some(Self { tiles, anywhere })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_where_something_is() {
        let channels = 70;
        let mut sample = vec![0.0; 2 * channels * TILE];
        sample[3 * TILE + 5] = 1.0;
        sample[(channels + 69) * TILE] = f32::NAN;
        let found = Occupied::of(&sample, channels).unwrap();
        let rows = |set: RowSet| (0..channels).filter(|&c| set.has(c)).collect::<Vec<_>>();
        assert_eq!(rows(found.tiles[0]), [3]);
        assert_eq!(rows(found.tiles[1]), [69]);
        assert_eq!(rows(found.anywhere), [3, 69]);
        sample.fill(1.0);
        assert!(Occupied::of(&sample, channels).is_none());
        assert!(Occupied::of(&vec![0.0; 300 * TILE], 300).is_none());
    }
}

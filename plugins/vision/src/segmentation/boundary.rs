//! Class edges and their dilation, for all classes at once.
//!
//! Done class by class, edges and dilations cost a pass over the picture for every class. Here a pixel
//! holds a word with one bit a class, so one separable pass of bitwise or dilates 64 classes together;
//! the window grows by doubling, so the radius hardly matters.

/// Stands for every label that is not a class.
pub(super) const NO_CLASS: u32 = u32::MAX;

/// Classes to a word.
pub(super) const WORD: usize = 64;

/// The edge pixels of a label map: a pixel that has a class and, among the pixels of the 3x3 square
/// around it that lie in the picture, one that does not have the same class.
///
/// This is where the 3x3 mean of the class's 0/1 plane, taken over the pixels inside the picture, is
/// not 1. The border of the picture alone makes no edge; a neighbour without class does.
pub(super) fn edges(labels: &[u32], width: usize, level: &mut Vec<bool>, edge: &mut Vec<bool>) {
    // Whether a pixel's left and right neighbours agree with it.
    level.clear();
    for row in labels.chunks_exact(width) {
        level.extend((0..width).map(|x| {
            let here = row[x];
            (x == 0 || row[x - 1] == here) && (x + 1 == width || row[x + 1] == here)
        }));
    }
    edge.clear();
    let height = labels.len() / width;
    for y in 0..height {
        let above = y.saturating_sub(1) * width;
        let below = (y + 1).min(height - 1) * width;
        edge.extend((0..width).map(|x| {
            let here = y * width + x;
            let label = labels[here];
            let same = level[here]
                && level[above + x]
                && level[below + x]
                && labels[above + x] == label
                && labels[below + x] == label;
            label != NO_CLASS && !same
        }));
    }
}

/// One bit a class on the edge pixels, for the classes `first..first + WORD`.
pub(super) fn edge_bits(labels: &[u32], edge: &[bool], first: u32, bits: &mut Vec<u64>) {
    bits.clear();
    bits.extend(labels.iter().zip(edge).map(|(&label, &edge)| {
        let place = label.wrapping_sub(first);
        let bit = u64::from(edge && place < WORD as u32);
        bit << (place & (WORD as u32 - 1))
    }));
}

/// Buffers of [`Dilation::apply`], reused from picture to picture.
#[derive(Clone, Debug, Default)]
pub(super) struct Dilation {
    padded: Vec<u64>,
    line: Vec<u64>,
    other: Vec<u64>,
}

impl Dilation {
    /// Replaces every word by the or of the words in the square of side 2·radius + 1 around it.
    pub(super) fn apply(&mut self, bits: &mut [u64], width: usize, radius: usize) {
        if radius == 0 || bits.is_empty() {
            return;
        }
        let height = bits.len() / width;
        self.along_rows(bits, width, radius.min(width));
        self.along_columns(bits, width, radius.min(height));
    }

    fn along_rows(&mut self, bits: &mut [u64], width: usize, radius: usize) {
        let window = 2 * radius + 1;
        for row in bits.chunks_exact_mut(width) {
            self.line.clear();
            self.line.resize(width + 2 * radius, 0);
            self.line[radius..radius + width].copy_from_slice(row);
            let mut reach = 1;
            while 2 * reach <= window {
                self.other.clear();
                self.other.extend(
                    self.line
                        .iter()
                        .zip(&self.line[reach..])
                        .map(|(a, b)| a | b),
                );
                std::mem::swap(&mut self.line, &mut self.other);
                reach *= 2;
            }
            let ends = self.line.iter().zip(&self.line[window - reach..]);
            for (out, (start, end)) in row.iter_mut().zip(ends) {
                *out = start | end;
            }
        }
    }

    fn along_columns(&mut self, bits: &mut [u64], width: usize, radius: usize) {
        let window = 2 * radius + 1;
        let margin = radius * width;
        self.padded.clear();
        self.padded.resize(bits.len() + 2 * margin, 0);
        self.padded[margin..margin + bits.len()].copy_from_slice(bits);
        let mut reach = 1;
        while 2 * reach <= window {
            or_with_later(&mut self.padded, reach * width, width);
            reach *= 2;
        }
        let ends = self
            .padded
            .iter()
            .zip(&self.padded[(window - reach) * width..]);
        for (out, (start, end)) in bits.iter_mut().zip(ends) {
            *out = start | end;
        }
    }
}

/// `plane[i] |= plane[i + offset]` for as far as it goes, row by row so that the compiler sees two
/// separate slices. `offset` is a multiple of `width`.
fn or_with_later(plane: &mut [u64], offset: usize, width: usize) {
    let mut start = 0;
    while start + offset < plane.len() {
        let (early, late) = plane.split_at_mut(start + offset);
        for (into, from) in early[start..start + width].iter_mut().zip(late) {
            *into |= *from;
        }
        start += width;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn slow_edge(labels: &[u32], width: usize, here: usize) -> bool {
        let height = labels.len() / width;
        let (y, x) = (here / width, here % width);
        let mut sum = 0;
        let mut count = 0;
        for ny in y.saturating_sub(1)..(y + 2).min(height) {
            for nx in x.saturating_sub(1)..(x + 2).min(width) {
                sum += u32::from(labels[ny * width + nx] == labels[here]);
                count += 1;
            }
        }
        labels[here] != NO_CLASS && sum != count
    }

    fn label_map() -> impl Strategy<Value = (usize, Vec<u32>)> {
        (1usize..9, 1usize..9).prop_flat_map(|(width, height)| {
            let label = prop_oneof![4 => 0u32..3, 1 => Just(NO_CLASS)];
            (Just(width), prop::collection::vec(label, width * height))
        })
    }

    proptest! {
        #[test]
        fn edges_are_what_the_mean_says((width, labels) in label_map()) {
            let (mut level, mut edge) = (Vec::new(), Vec::new());
            edges(&labels, width, &mut level, &mut edge);
            let slow: Vec<bool> = (0..labels.len()).map(|here| slow_edge(&labels, width, here)).collect();
            prop_assert_eq!(edge, slow);
        }

        #[test]
        fn dilation_is_a_square_or(
            (width, labels) in label_map(),
            radius in 0usize..12,
        ) {
            let before: Vec<u64> = labels.iter().map(|&label| 1u64 << (label % 63)).collect();
            let mut after = before.clone();
            Dilation::default().apply(&mut after, width, radius);
            let height = labels.len() / width;
            for y in 0..height {
                for x in 0..width {
                    let mut expected = 0;
                    for ny in y.saturating_sub(radius)..(y + radius + 1).min(height) {
                        for nx in x.saturating_sub(radius)..(x + radius + 1).min(width) {
                            expected |= before[ny * width + nx];
                        }
                    }
                    prop_assert_eq!(after[y * width + x], expected);
                }
            }
        }
    }

    #[test]
    fn bits_fall_into_their_word() {
        let mut bits = Vec::new();
        edge_bits(&[0, 63, 64, 130, NO_CLASS], &[true; 5], 64, &mut bits);
        assert_eq!(bits, [0, 0, 1, 0, 0]);
        edge_bits(
            &[0, 63, 64, 130, NO_CLASS],
            &[true, false, true, true, true],
            0,
            &mut bits,
        );
        assert_eq!(bits, [1, 0, 0, 0, 0]);
    }
}

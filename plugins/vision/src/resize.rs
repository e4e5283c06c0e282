//! Smaller pictures.
//!
//! Data sets contain photographs far larger than a proxy network needs; they are reduced once when read.
//! The photograph is filtered over the whole area that a pixel covers (a triangle as wide as two output
//! pixels, what Pillow calls bilinear), because plain sampling would alias. Labels are taken from the
//! nearest pixel: a mean of two classes is a third one. The filter is our own fifty lines, since the
//! resizing crates take longer to build than all of this crate.

use crate::{LabelledImage, VisionError};

/// Height and width after reducing the longer side to `longest`; unchanged where it is not longer.
///
/// ```
/// use autoloss_vision::resize::reduced_size;
/// assert_eq!(reduced_size(375, 500, 250), (188, 250));
/// assert_eq!(reduced_size(375, 500, 500), (375, 500));
/// ```
#[must_use]
pub fn reduced_size(height: usize, width: usize, longest: usize) -> (usize, usize) {
    let longer = height.max(width);
    let longest = longest.max(1);
    if longer <= longest {
        return (height, width);
    }
    // Rounded to the nearest pixel, in whole numbers.
    let scaled = |side: usize| ((2 * side * longest + longer) / (2 * longer)).max(1);
    (scaled(height), scaled(width))
}

/// The sample with its longer side reduced to `longest` pixels; itself where it is not longer.
///
/// # Errors
/// [`VisionError::Config`] for a `longest` of 0.
pub fn reduced(sample: LabelledImage, longest: usize) -> Result<LabelledImage, VisionError> {
    if longest == 0 {
        return Err(VisionError::Config {
            field: "longest",
            found: "0".to_owned(),
            expected: "at least 1 pixel",
        });
    }
    let from = (sample.height(), sample.width());
    let to = reduced_size(from.0, from.1, longest);
    if from == to {
        return Ok(sample);
    }
    let image = filtered(sample.image(), from, to);
    let labels = nearest(sample.labels(), from, to);
    LabelledImage::new(to.0, to.1, image, labels)
}

/// The source pixels that one output pixel is a weighted mean of.
struct Window {
    first: usize,
    weights: Vec<f32>,
}

/// A window for each of `to` pixels along an axis of `from >= to` pixels.
fn windows(from: usize, to: usize) -> Vec<Window> {
    let ratio = from as f64 / to as f64;
    let window = |index: usize| {
        let centre = (index as f64 + 0.5) * ratio;
        let first = (centre - ratio + 0.5).max(0.0) as usize;
        let end = ((centre + ratio + 0.5) as usize).clamp(first + 1, from);
        let height = |pixel: usize| (1.0 - ((pixel as f64 + 0.5 - centre) / ratio).abs()).max(0.0);
        let sum: f64 = (first..end).map(height).sum();
        let weights = (first..end).map(|pixel| (height(pixel) / sum) as f32);
        Window {
            first,
            weights: weights.collect(),
        }
    };
    (0..to).map(window).collect()
}

/// Columns first, then rows; bytes in between, so that a large picture costs little memory.
fn filtered(rgb: &[u8], from: (usize, usize), to: (usize, usize)) -> Vec<u8> {
    let columns = windows(from.1, to.1);
    let mut narrow = Vec::with_capacity(3 * from.0 * to.1);
    for line in rgb.chunks_exact(3 * from.1) {
        for window in &columns {
            let mut sums = [0.5f32; 3];
            let pixels = line[3 * window.first..].chunks_exact(3);
            for (pixel, weight) in pixels.zip(&window.weights) {
                for (sum, &value) in sums.iter_mut().zip(pixel) {
                    *sum += weight * f32::from(value);
                }
            }
            narrow.extend(sums.map(|sum| sum as u8));
        }
    }
    let length = 3 * to.1;
    let mut result = Vec::with_capacity(to.0 * length);
    let mut sums = vec![0f32; length];
    for window in windows(from.0, to.0) {
        sums.fill(0.5);
        let lines = narrow[window.first * length..].chunks_exact(length);
        for (line, weight) in lines.zip(&window.weights) {
            for (sum, &value) in sums.iter_mut().zip(line) {
                *sum += weight * f32::from(value);
            }
        }
        result.extend(sums.iter().map(|&sum| sum as u8));
    }
    result
}

fn nearest(labels: &[u8], from: (usize, usize), to: (usize, usize)) -> Vec<u8> {
    let place = |index: usize, from: usize, to: usize| (2 * index + 1) * from / (2 * to);
    let columns: Vec<usize> = (0..to.1).map(|x| place(x, from.1, to.1)).collect();
    (0..to.0)
        .flat_map(|y| {
            let line = &labels[place(y, from.0, to.0) * from.1..];
            columns.iter().map(|&x| line[x])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plain(height: usize, width: usize, value: u8) -> LabelledImage {
        let pixels = height * width;
        LabelledImage::new(height, width, vec![value; 3 * pixels], vec![value; pixels]).unwrap()
    }

    #[test]
    fn halving_takes_the_triangle_mean_and_the_nearest_label() {
        let grey = [0u8, 0, 0, 80, 80, 80];
        let image = grey.iter().flat_map(|&value| [value; 3]).collect();
        let sample = LabelledImage::new(1, 6, image, vec![0, 1, 2, 3, 4, 5]).unwrap();
        let small = reduced(sample, 3).unwrap();
        assert_eq!((small.height(), small.width()), (1, 3));
        assert_eq!(small.labels(), [1, 3, 5]);
        // Weights of the middle pixel: 1, 3, 3, 1 eighths.
        assert_eq!(small.image(), [0, 0, 0, 40, 40, 40, 80, 80, 80]);
    }

    #[test]
    fn what_is_small_enough_stays_and_nothing_is_refused() {
        let sample = plain(5, 7, 9);
        assert_eq!(reduced(sample.clone(), 7).unwrap(), sample);
        assert!(reduced(sample, 0).is_err());
    }

    proptest! {
        #[test]
        fn a_plain_picture_stays_plain(height in 1usize..60, width in 1usize..60, longest in 1usize..60, value: u8) {
            let small = reduced(plain(height, width, value), longest).unwrap();
            prop_assert!(small.height().max(small.width()) <= longest.max(1));
            prop_assert_eq!((small.height(), small.width()), reduced_size(height, width, longest));
            prop_assert!(small.image().iter().chain(small.labels()).all(|&found| found == value));
        }
    }
}

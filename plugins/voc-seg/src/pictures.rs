//! Pictures side by side in a batch.
//!
//! Photographs differ in size; a batch does not. Each lies in the upper left corner of a canvas. The canvas follows from
//! the photograph's own size, and an evaluation's batches hold photographs of one canvas, so that the predictions for a
//! photograph do not depend on the others of its batch. The rest has the value that normalisation gives the mean and no
//! label, and the batch says how large each picture is, so that metrics see the picture and not the canvas.

use autoloss_plugin_api::{Batch, Result, Tensors};
use autoloss_vision::networks::CANVAS_STEP;
use autoloss_vision::networks::normalisation::{DEVIATION, MEAN};
use autoloss_vision::{LabelledImage, VOID};
use tch::Tensor;

/// The pictures of a batch, planes of normalised values and label maps one after the other.
pub(crate) struct Pictures {
    height: usize,
    width: usize,
    table: [f32; 256],
    image: Vec<f32>,
    labels: Vec<u8>,
    sizes: Vec<i64>,
}

impl Pictures {
    /// Room for `count` pictures on canvases of exactly this size.
    ///
    /// # Errors
    /// A batch without pictures.
    pub(crate) fn new((height, width): (usize, usize), count: usize) -> Result<Self> {
        if count == 0 {
            return Err("a batch of no samples was asked for".into());
        }
        let pixels = height * width * count;
        Ok(Self {
            height,
            width,
            table: std::array::from_fn(|value| (value as f32 - MEAN) / DEVIATION),
            image: Vec::with_capacity(3 * pixels),
            labels: Vec::with_capacity(pixels),
            sizes: Vec::with_capacity(2 * count),
        })
    }

    /// The canvas of a picture of this size: sides are rounded up to multiples of [`CANVAS_STEP`], beyond 512 pixels to
    /// multiples of an eighth of the power of two below them. So a side grows by less than an eighth from 256 pixels on,
    /// and there are eight lengths between 512 and 1024, 1024 and 2048 and so on, however many sizes photographs have:
    /// nearly all of VOC's have a side of 500 and lie on 512x384, 512x352 and these turned.
    pub(crate) fn canvas((height, width): (usize, usize)) -> (usize, usize) {
        let up = |side: usize| {
            let below = 1 << side.saturating_sub(1).max(1).ilog2();
            side.max(1)
                .next_multiple_of((below / 8).max(CANVAS_STEP as usize))
        };
        (up(height), up(width))
    }

    /// Adds a picture.
    ///
    /// # Errors
    /// One that is larger than the canvas.
    pub(crate) fn push(&mut self, picture: &LabelledImage) -> Result<()> {
        let (height, width) = (picture.height(), picture.width());
        if height > self.height || width > self.width {
            let (high, wide) = (self.height, self.width);
            return Err(format!("a picture of {height}x{width} does not fit {high}x{wide}").into());
        }
        let beside = self.width - width;
        let below = (self.height - height) * self.width;
        for channel in 0..3 {
            for row in picture.image().chunks_exact(3 * width) {
                let bytes = row.iter().skip(channel).step_by(3);
                self.image
                    .extend(bytes.map(|&value| self.table[usize::from(value)]));
                self.image.extend(std::iter::repeat_n(0.0, beside));
            }
            self.image.extend(std::iter::repeat_n(0.0, below));
        }
        for row in picture.labels().chunks_exact(width) {
            self.labels.extend_from_slice(row);
            self.labels.extend(std::iter::repeat_n(VOID, beside));
        }
        self.labels.extend(std::iter::repeat_n(VOID, below));
        self.sizes.extend([height as i64, width as i64]);
        Ok(())
    }

    /// Adds an empty canvas in the place of a picture that cannot be read.
    pub(crate) fn push_nothing(&mut self) {
        let pixels = self.height * self.width;
        self.image.extend(std::iter::repeat_n(0.0, 3 * pixels));
        self.labels.extend(std::iter::repeat_n(VOID, pixels));
        self.sizes.extend([0, 0]);
    }

    /// `image` (N, 3, H, W), `labels` (N, H, W) and `size` (N, 2), rows and columns of each picture.
    ///
    /// # Errors
    /// libtorch's own.
    pub(crate) fn into_batch(self) -> Result<Batch> {
        let (height, width) = (self.height as i64, self.width as i64);
        let image = Tensor::f_from_slice(&self.image)?.f_view([-1, 3, height, width])?;
        let labels = Tensor::f_from_slice(&self.labels)?.f_view([-1, height, width])?;
        let sizes = Tensor::f_from_slice(&self.sizes)?.f_view([-1, 2])?;
        Ok(Batch {
            inputs: Tensors::new().with("image", image),
            targets: Tensors::new().with("labels", labels).with("size", sizes),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_lies_in_the_corner_of_its_canvas() {
        let picture = LabelledImage::new(2, 3, (0..18).collect(), (0..6).collect()).unwrap();
        let canvas = Pictures::canvas((2, 33));
        assert_eq!(canvas, (32, 64));
        let mut pictures = Pictures::new(canvas, 2).unwrap();
        pictures.push(&picture).unwrap();
        pictures.push_nothing();
        let batch = pictures.into_batch().unwrap();
        let image = batch.inputs.get("image").unwrap();
        assert_eq!(image.size(), [2, 3, 32, 64]);
        // Blue of the second row's last pixel is byte 17.
        assert_eq!(
            image.double_value(&[0, 2, 1, 2]),
            f64::from((17.0f32 - MEAN) / DEVIATION)
        );
        assert_eq!(image.double_value(&[0, 2, 1, 3]), 0.0);
        assert_eq!(image.double_value(&[0, 2, 2, 2]), 0.0);
        let labels = batch.targets.get("labels").unwrap();
        assert_eq!(labels.int64_value(&[0, 1, 2]), 5);
        for beyond in [[0, 1, 3], [0, 2, 0], [1, 0, 0]] {
            assert_eq!(labels.int64_value(&beyond), i64::from(VOID));
        }
        let sizes: Vec<Vec<i64>> = Vec::try_from(batch.targets.get("size").unwrap()).unwrap();
        assert_eq!(sizes, [[2, 3], [0, 0]]);
    }

    #[test]
    fn a_canvas_is_hardly_larger_than_its_picture_and_there_are_few() {
        for (size, canvas) in [
            ((375, 500), (384, 512)),
            ((1, 32), (32, 32)),
            ((0, 0), (32, 32)),
            ((513, 1024), (576, 1024)),
            ((1080, 1920), (1152, 1920)),
        ] {
            assert_eq!(Pictures::canvas(size), canvas, "{size:?}");
        }
        let up = |side| Pictures::canvas((side, side)).0;
        let lengths: std::collections::BTreeSet<usize> = (257..=4096).map(up).collect();
        assert_eq!(lengths.len(), 32);
        for side in 257..=4096 {
            assert!(up(side) % 32 == 0 && side <= up(side) && 8 * up(side) < 9 * side + 8);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let picture = LabelledImage::new(2, 3, vec![0; 18], vec![0; 6]).unwrap();
        let error = Pictures::new((2, 2), 1)
            .unwrap()
            .push(&picture)
            .unwrap_err();
        assert!(error.to_string().contains("2x3"), "{error}");
        assert!(Pictures::new((2, 2), 0).is_err());
    }
}

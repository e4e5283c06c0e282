//! Pictures resized and side by side in a batch.
//!
//! Each lies in the upper left corner of a canvas that holds all of the batch, with sides that are
//! multiples of 32; the rest has the value that normalisation gives the mean. Sizes follow torchvision's
//! detectors: the shorter side gets the wanted length, unless the longer would then exceed its own.

use crate::settings::Settings;
use crate::targets::Collector;
use autoloss_plugin_api::{Batch, Result, Tensors};
use autoloss_vision::coco::CocoSample;
use autoloss_vision::networks::CANVAS_STEP;
use autoloss_vision::networks::normalisation::{DEVIATION, MEAN};
use tch::{Kind, Tensor};

/// The pictures of a batch.
pub(crate) struct Pictures {
    wanted: [f64; 2],
    images: Vec<Tensor>,
    targets: Collector,
}

impl Pictures {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            wanted: [settings.size as f64, settings.longest as f64],
            images: Vec::new(),
            targets: Collector::default(),
        }
    }

    /// Adds a picture with its objects, mirrored left to right or not.
    ///
    /// # Errors
    /// A picture without pixels, or libtorch's own.
    pub(crate) fn push(&mut self, sample: &CocoSample, mirrored: bool) -> Result<()> {
        let (height, width) = (sample.height as i64, sample.width as i64);
        let bytes = Tensor::f_from_slice(&sample.rgb)?.f_view([height, width, 3])?;
        let planes = bytes.f_permute([2, 0, 1])?.f_to_kind(Kind::Float)?;
        let normal = planes
            .f_sub_scalar(f64::from(MEAN))?
            .f_div_scalar(f64::from(DEVIATION))?;
        let size = self.resized([height, width]);
        let mut image = match size == [height, width] {
            true => normal,
            false => normal
                .f_unsqueeze(0)?
                .f_upsample_bilinear2d(size, false, None, None)?
                .f_squeeze_dim(0)?,
        };
        if mirrored {
            image = image.f_flip([2i64])?;
        }
        self.images.push(image);
        let scale = [
            size[0] as f64 / height as f64,
            size[1] as f64 / width as f64,
        ];
        let across = size[1] as f32;
        self.targets
            .push(sample.image, &sample.objects, scale, |object| {
                let [left, top, right, bottom] = object.corners;
                let x = [left, right].map(|x| x * scale[1] as f32);
                let y = [top, bottom].map(|y| y * scale[0] as f32);
                match mirrored {
                    true => [across - x[1], y[0], across - x[0], y[1]],
                    false => [x[0], y[0], x[1], y[1]],
                }
            });
        Ok(())
    }

    /// Adds an empty canvas in the place of a picture that cannot be read.
    ///
    /// # Errors
    /// libtorch's own.
    pub(crate) fn push_nothing(&mut self) -> Result<()> {
        let side = CANVAS_STEP;
        let image = Tensor::f_zeros([3, side, side], (Kind::Float, tch::Device::Cpu))?;
        self.images.push(image);
        self.targets.push_nothing();
        Ok(())
    }

    /// Rows and columns of the canvas of a picture that is alone.
    pub(crate) fn canvas(&self, size: [i64; 2]) -> [i64; 2] {
        self.resized(size).map(up)
    }

    /// Rows and columns of a resized picture.
    fn resized(&self, [height, width]: [i64; 2]) -> [i64; 2] {
        let [shorter, longer] = [height.min(width), height.max(width)].map(|side| side as f64);
        let scale = (self.wanted[0] / shorter).min(self.wanted[1] / longer);
        [height, width].map(|side| ((side as f64 * scale).floor() as i64).max(1))
    }

    /// `image` (N, 3, H, W) and `size` (N, 2), rows and columns of each picture, and the targets.
    ///
    /// # Errors
    /// A batch without pictures, or libtorch's own.
    pub(crate) fn into_batch(self) -> Result<Batch> {
        let sizes: Vec<[i64; 2]> = self
            .images
            .iter()
            .map(|image| [image.size()[1], image.size()[2]])
            .collect();
        let most = |axis: usize| {
            let most = sizes.iter().map(|size| size[axis]).max();
            most.map(up)
        };
        let (Some(height), Some(width)) = (most(0), most(1)) else {
            return Err("a batch of no samples was asked for".into());
        };
        let count = self.images.len() as i64;
        let canvas = Tensor::f_zeros([count, 3, height, width], (Kind::Float, tch::Device::Cpu))?;
        for (index, (image, size)) in self.images.iter().zip(&sizes).enumerate() {
            canvas
                .f_get(index as i64)?
                .f_narrow(1, 0, size[0])?
                .f_narrow(2, 0, size[1])?
                .f_copy_(image)?;
        }
        let sizes = Tensor::f_from_slice(sizes.as_flattened())?.f_view([count, 2])?;
        Ok(Batch {
            inputs: Tensors::new().with("image", canvas).with("size", sizes),
            targets: self.targets.into_tensors()?,
        })
    }
}

/// The side of a canvas that holds this side of a picture.
fn up(side: i64) -> i64 {
    (side + CANVAS_STEP - 1) / CANVAS_STEP * CANVAS_STEP
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::truths;
    use autoloss_vision::coco::CocoObject;
    use tch::Device;

    fn sample(height: usize, width: usize) -> CocoSample {
        let bbox = [2.0, 4.0, 10.0, 6.0];
        CocoSample {
            image: 1,
            height,
            width,
            rgb: (0..3 * height * width).map(|i| (i % 251) as u8).collect(),
            objects: vec![CocoObject::new(1, bbox, 60.0, height, width)],
        }
    }

    fn settings(size: usize, longest: usize) -> Settings {
        Settings {
            size,
            longest,
            ..Settings::of_a_folder()
        }
    }

    #[test]
    fn boxes_go_with_their_picture() {
        let mut pictures = Pictures::new(&settings(40, 1000));
        pictures.push(&sample(20, 30), false).unwrap();
        pictures.push(&sample(20, 30), true).unwrap();
        pictures.push_nothing().unwrap();
        let batch = pictures.into_batch().unwrap();
        assert_eq!(batch.inputs.get("image").unwrap().size(), [3, 3, 64, 64]);
        assert_eq!(
            Pictures::new(&settings(40, 1000)).canvas([20, 30]),
            [64, 64]
        );
        let sizes: Vec<Vec<i64>> = Vec::try_from(batch.inputs.get("size").unwrap()).unwrap();
        assert_eq!(sizes, [[40, 60], [40, 60], [32, 32]]);
        let truths = truths(&batch.targets, Device::Cpu).unwrap();
        assert_eq!(
            truths[0].boxes,
            Tensor::from_slice(&[4f32, 8.0, 24.0, 20.0]).view([1, 4])
        );
        assert_eq!(
            truths[1].boxes,
            Tensor::from_slice(&[36f32, 8.0, 56.0, 20.0]).view([1, 4])
        );
        let image = batch.inputs.get("image").unwrap();
        let mirrored = image.get(1).narrow(2, 0, 60).flip([2i64]);
        assert_eq!(image.get(0).narrow(2, 0, 60), mirrored);
        assert_eq!(
            image.get(0).narrow(1, 40, 24).abs().max().double_value(&[]),
            0.0
        );
    }

    #[test]
    fn the_longer_side_has_precedence() {
        let pictures = Pictures::new(&settings(800, 1333));
        assert_eq!(pictures.resized([480, 640]), [800, 1066]);
        assert_eq!(pictures.resized([300, 1000]), [399, 1333]);
        assert_eq!(pictures.resized([1, 5000]), [1, 1333]);
        assert!(pictures.into_batch().is_err());
    }

    #[test]
    fn a_picture_of_its_own_size_is_not_resampled() {
        let mut pictures = Pictures::new(&settings(32, 32));
        let sample = sample(32, 32);
        pictures.push(&sample, false).unwrap();
        let image = pictures
            .into_batch()
            .unwrap()
            .inputs
            .get("image")
            .unwrap()
            .copy();
        // Blue of the second row's third pixel.
        let byte = f64::from(sample.rgb[3 * (32 + 2) + 2]);
        let expected = (byte - f64::from(MEAN)) / f64::from(DEVIATION);
        assert!((image.double_value(&[0, 2, 1, 2]) - expected).abs() < 1e-6);
    }
}

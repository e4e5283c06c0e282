//! From the task's normalisation of images to the one an encoder was pretrained with.
//!
//! The task gives every network (v − 118)/60 for bytes v. Published encoders expect each channel
//! of v/255 less a mean, over a deviation. The difference is one multiplication and addition a
//! channel, made before the first convolution, so that published weights are used unchanged and
//! checkpoints can be handed on. Folding it into that convolution instead would be wrong at the
//! borders, where the padding is zero after normalisation.

use crate::pictures::{DEVIATION, MEAN};
use autoloss_plugin_api::Result;
use tch::{Device, Kind, Tensor};

/// What the task subtracts from bytes.
const TASK_MEAN: f64 = MEAN as f64;
/// What the task divides by.
const TASK_DEVIATION: f64 = DEVIATION as f64;

/// Mean and deviation of the channels red, green, blue, as parts of 255.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Pretraining {
    mean: [f64; 3],
    deviation: [f64; 3],
}

/// Of torchvision's and most other encoders.
pub(crate) const IMAGENET: Pretraining = Pretraining {
    mean: [0.485, 0.456, 0.406],
    deviation: [0.229, 0.224, 0.225],
};

/// Of networks released in TensorFlow: [0, 255] to [−1, 1]. (For EfficientNet-Lite, Google
/// documents (v − 127)/128; timm, which we follow, has this.)
pub(crate) const SYMMETRIC: Pretraining = Pretraining {
    mean: [0.5; 3],
    deviation: [0.5; 3],
};

/// The conversion, on a device.
#[derive(Debug)]
pub(crate) struct Normalisation {
    scale: Tensor,
    shift: Tensor,
}

impl Normalisation {
    pub(crate) fn new(to: &Pretraining, device: Device) -> Result<Self> {
        let channels = |value: &dyn Fn(usize) -> f64| -> Result<Tensor> {
            let values: [f64; 3] = std::array::from_fn(value);
            let values = Tensor::f_from_slice(&values)?.f_to_kind(Kind::Float)?;
            Ok(values.f_view([1, 3, 1, 1])?.f_to_device(device)?)
        };
        Ok(Self {
            scale: channels(&|c| TASK_DEVIATION / (255.0 * to.deviation[c]))?,
            shift: channels(&|c| (TASK_MEAN / 255.0 - to.mean[c]) / to.deviation[c])?,
        })
    }

    /// Images (N, 3, H, W) as the task gives them, as the encoder expects them.
    pub(crate) fn apply(&self, image: &Tensor) -> Result<Tensor> {
        let kind = image.kind();
        let (scale, shift) = (self.scale.f_to_kind(kind)?, self.shift.f_to_kind(kind)?);
        Ok(image.f_mul(&scale)?.f_add_(&shift)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_arrive_as_the_encoder_expects_them() {
        let bytes = Tensor::arange(48, (Kind::Float, Device::Cpu)).view([1, 3, 4, 4]) * 5.0;
        let task = (&bytes - TASK_MEAN) / TASK_DEVIATION;
        for pretraining in [IMAGENET, SYMMETRIC] {
            let converted = Normalisation::new(&pretraining, Device::Cpu).unwrap();
            let converted = converted.apply(&task).unwrap();
            for (value, position) in [(0, [0, 0, 0, 0]), (85, [0, 1, 0, 1]), (235, [0, 2, 3, 3])] {
                let channel = position[1] as usize;
                let expected = (f64::from(value) / 255.0 - pretraining.mean[channel])
                    / pretraining.deviation[channel];
                let found = converted.double_value(&position);
                assert!((found - expected).abs() < 1e-6, "{value}: {found}");
            }
        }
    }
}

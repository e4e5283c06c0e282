//! From a task's normalisation of images to the one an encoder was pretrained with.
//!
//! Tasks give every network (v − [`MEAN`])/[`DEVIATION`] for bytes v. Published encoders expect each channel
//! of v/255 less a mean, over a deviation. The difference is one multiplication and addition a
//! channel, made before the first convolution, so that published weights are used unchanged and
//! checkpoints can be handed on. Folding it into that convolution instead would be wrong at the
//! borders, where the padding is zero after normalisation.

use autoloss_plugin_api::Result;
use tch::{Device, Kind, Tensor};

/// Tasks subtract this from bytes, in all channels alike.
pub const MEAN: f32 = 118.0;
/// Tasks then divide by this.
pub const DEVIATION: f32 = 60.0;

/// Mean and deviation of the channels red, green, blue, as parts of 255.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pretraining {
    mean: [f64; 3],
    deviation: [f64; 3],
}

/// The normalisation of torchvision's and most other encoders.
pub const IMAGENET: Pretraining = Pretraining {
    mean: [0.485, 0.456, 0.406],
    deviation: [0.229, 0.224, 0.225],
};

/// The normalisation of networks released in TensorFlow: [0, 255] to [−1, 1]. (For EfficientNet-Lite, Google
/// documents (v − 127)/128; timm, which we follow, has this.)
pub const SYMMETRIC: Pretraining = Pretraining {
    mean: [0.5; 3],
    deviation: [0.5; 3],
};

/// The conversion, on a device.
#[derive(Debug)]
pub struct Normalisation {
    scale: Tensor,
    shift: Tensor,
}

impl Normalisation {
    /// The conversion to what an encoder's weights expect, for images on `device`.
    ///
    /// # Errors
    /// libtorch's, of a device that is not there.
    pub fn new(to: &Pretraining, device: Device) -> Result<Self> {
        let (task_mean, task_deviation) = (f64::from(MEAN), f64::from(DEVIATION));
        let channels = |value: &dyn Fn(usize) -> f64| -> Result<Tensor> {
            let values: [f64; 3] = std::array::from_fn(value);
            let values = Tensor::f_from_slice(&values)?.f_to_kind(Kind::Float)?;
            Ok(values.f_view([1, 3, 1, 1])?.f_to_device(device)?)
        };
        Ok(Self {
            scale: channels(&|c| task_deviation / (255.0 * to.deviation[c]))?,
            shift: channels(&|c| (task_mean / 255.0 - to.mean[c]) / to.deviation[c])?,
        })
    }

    /// Images (N, 3, H, W) as the task gives them, as the encoder expects them.
    ///
    /// # Errors
    /// A number of channels other than three, or one, which then serves for all three.
    pub fn apply(&self, image: &Tensor) -> Result<Tensor> {
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
        let task = (&bytes - f64::from(MEAN)) / f64::from(DEVIATION);
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

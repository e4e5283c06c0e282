//! Normalisation of maps.

use super::map_size;
use crate::networks::weights::Weights;
use autoloss_plugin_api::Result;
use tch::Tensor;

/// Share of a batch's statistics in the running ones, PyTorch's default.
const MOMENTUM: f64 = 0.1;
/// Added to variances, PyTorch's default.
pub const EPSILON: f64 = 1e-5;

/// Normalisation over the batch and all positions, channel by channel: `weight`, `bias`,
/// `running_mean`, `running_var` and `num_batches_tracked`.
///
/// Made after [`Weights::freeze_norms`], it always normalises by the running statistics, and nothing
/// of it is trained or counted, as in torchvision's `FrozenBatchNorm2d`: detectors see too few images
/// at a time for statistics of their own, and begin with an encoder's published ones.
#[derive(Debug)]
pub struct BatchNorm {
    name: String,
    scale: Tensor,
    shift: Tensor,
    mean: Tensor,
    variance: Tensor,
    epsilon: f64,
    frozen: bool,
}

impl BatchNorm {
    /// A normalisation of `channels` channels, whose tensors begin with `name` and a dot. `epsilon` is
    /// added to variances.
    ///
    /// # Errors
    /// libtorch's, for a number of channels below 0.
    pub fn new(weights: &mut Weights, name: &str, channels: i64, epsilon: f64) -> Result<Self> {
        let frozen = weights.norms_frozen();
        let mut vector = |member: &str, value: f64| {
            let name = format!("{name}.{member}");
            match frozen {
                true => weights.fixed(name, channels, value),
                false => weights.vector(name, channels, value),
            }
        };
        let (scale, shift) = (vector("weight", 1.0)?, vector("bias", 0.0)?);
        let [mean, variance] = weights.statistics(name, channels)?;
        if !frozen {
            weights.counter(format!("{name}.num_batches_tracked"));
        }
        Ok(Self {
            name: name.to_owned(),
            scale,
            shift,
            mean,
            variance,
            epsilon,
            frozen,
        })
    }

    /// (N, channels, H, W) → the same shape. With `training`, unless it is frozen, the batch's own
    /// statistics normalise, and move the running ones.
    ///
    /// # Errors
    /// One value a channel, in training: it would be normalised to nothing and spoil the running
    /// variance. An input that is not a map of that number of channels.
    pub fn forward(&self, input: &Tensor, training: bool) -> Result<Tensor> {
        let size = map_size(input)?;
        let own_statistics = training && !self.frozen;
        if own_statistics && input.numel() as i64 == size[1] {
            return Err(format!(
                "'{}' cannot normalise {size:?} over the batch, one value a channel, in training: \
                 use batches of at least 2",
                self.name
            )
            .into());
        }
        let tensors = [&self.scale, &self.shift, &self.mean, &self.variance];
        batch_norm(input, tensors, own_statistics, self.epsilon)
    }
}

/// Normalisation with a scale, a shift, a running mean and a running variance of each channel.
///
/// With `training` the batch's own statistics normalise, and move the running ones by a tenth.
///
/// # Errors
/// Shapes that do not fit.
pub fn batch_norm(
    input: &Tensor,
    [scale, shift, mean, variance]: [&Tensor; 4],
    training: bool,
    epsilon: f64,
) -> Result<Tensor> {
    let (scale, shift) = (Some(scale), Some(shift));
    let (mean, variance) = (Some(mean), Some(variance));
    Ok(input.f_batch_norm(
        scale, shift, mean, variance, training, MOMENTUM, epsilon, true,
    )?)
}

/// Normalisation of every sample over groups of its channels: `weight` and `bias`.
#[derive(Debug)]
pub struct GroupNorm {
    groups: i64,
    scale: Tensor,
    shift: Tensor,
}

impl GroupNorm {
    /// A normalisation of `channels` channels, divided into `groups`, whose tensors begin with `name`
    /// and a dot.
    ///
    /// # Errors
    /// Channels that cannot be divided into the groups.
    pub fn new(weights: &mut Weights, name: &str, channels: i64, groups: i64) -> Result<Self> {
        if groups < 1 || channels < 1 || channels % groups != 0 {
            return Err(format!("'{name}': {channels} channels in {groups} groups").into());
        }
        Ok(Self {
            groups,
            scale: weights.vector(format!("{name}.weight"), channels, 1.0)?,
            shift: weights.vector(format!("{name}.bias"), channels, 0.0)?,
        })
    }

    /// (N, channels, H, W) → the same shape.
    ///
    /// # Errors
    /// Another number of channels.
    pub fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let (scale, shift) = (Some(&self.scale), Some(&self.shift));
        Ok(input.f_group_norm(self.groups, scale, shift, EPSILON, true)?)
    }
}

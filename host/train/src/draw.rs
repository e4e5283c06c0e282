//! Pictures of samples and of what a network makes of them, for people.

use crate::network::Network;
use crate::{Result, Workbench};
use autoloss_plugin_api::{Batch, BatchRequest, Split, Tensors};
use tch::{Device, Tensor};

/// A picture: rows of pixels, three bytes each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// What it shows.
    pub title: String,
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Red, green and blue of each pixel.
    pub rgb: Vec<u8>,
}

/// A sample to draw.
#[derive(Debug)]
pub struct Sample {
    batch: Batch,
}

impl Workbench {
    /// A sample of a split, and pictures of what a network sees of it and of the truth; none where the task
    /// draws none.
    ///
    /// # Errors
    /// Whatever the plugin says.
    pub fn sample(&self, split: Split, index: u64) -> Result<(Sample, Vec<Picture>)> {
        let batch = self.task().load(BatchRequest {
            split,
            indices: vec![index],
            augment: None,
        })?;
        let drawn = self.task().draw(&batch, None)?;
        Ok((Sample { batch }, pictures(&drawn)?))
    }

    /// Pictures of what a network predicts for a sample.
    ///
    /// # Errors
    /// Whatever plugins or libtorch say.
    pub fn predicted(&self, network: &Network, sample: &Sample) -> Result<Vec<Picture>> {
        let _guard = tch::no_grad_guard();
        let inputs = &sample.batch.inputs;
        let predictions = network.predict(inputs)?.to_device(Device::Cpu)?;
        pictures(&self.task().draw(&sample.batch, Some(&predictions))?)
    }
}

fn pictures(drawn: &Tensors) -> Result<Vec<Picture>> {
    let picture = |(title, tensor): (&str, &Tensor)| {
        let size = tensor.size();
        let pixels = tensor.f_get(0)?.f_permute([1, 2, 0])?;
        let flat = pixels.f_contiguous()?.f_view(-1i64)?;
        Ok(Picture {
            title: title.to_owned(),
            width: u32::try_from(size[3]).unwrap_or(0),
            height: u32::try_from(size[2]).unwrap_or(0),
            rgb: Vec::try_from(&flat)?,
        })
    };
    drawn.iter().map(picture).collect()
}

//! Pictures of samples and of what a network makes of them, for people.

use crate::Result;
use autoloss_plugin_api::{Batch, Tensors};
use tch::Tensor;

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
    pub(crate) batch: Batch,
}

pub(crate) fn pictures(drawn: &Tensors) -> Result<Vec<Picture>> {
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

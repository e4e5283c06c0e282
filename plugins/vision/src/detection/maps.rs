//! Feature maps as what regions are pooled from: tables of positions.

use autoloss_plugin_api::Result;
use tch::{Kind, Tensor};

/// Features (N, C, H, W), and pixels of the map for a pixel of the image.
pub(super) struct Map<'a> {
    pub(super) features: &'a Tensor,
    pub(super) size: [usize; 4],
    pub(super) scale: f32,
}

impl<'a> Map<'a> {
    /// # Errors
    /// Another shape than (N, C, H, W), no positions, or a scale that is not a positive number.
    pub(super) fn new(features: &'a Tensor, scale: f64) -> Result<Self> {
        let shape = features.size();
        let [n, c, h, w] = shape[..] else {
            return Err(format!("features have shape {shape:?}, expected (N, C, H, W)").into());
        };
        if c < 1 || h < 1 || w < 1 {
            return Err(
                format!("features have shape {shape:?}, which has no position or channel").into(),
            );
        }
        if !(scale.is_finite() && scale > 0.0) {
            return Err(format!("a map's scale is {scale}, expected a positive number").into());
        }
        Ok(Self {
            features,
            size: [n, c, h, w].map(|side| side as usize),
            scale: scale as f32,
        })
    }

    /// Over all images.
    pub(super) fn positions(&self) -> usize {
        let [images, _, height, width] = self.size;
        images * height * width
    }
}

/// All positions of all maps, (Σ N·H·W, C), at least in single precision.
pub(super) fn table(maps: &[Map]) -> Result<Tensor> {
    let flat = |map: &Map| -> Result<Tensor> {
        let kind = match map.features.kind() {
            Kind::Half | Kind::BFloat16 => Kind::Float,
            kind => kind,
        };
        let last = map.features.f_permute([0, 2, 3, 1])?;
        let shape = [map.positions() as i64, map.size[1] as i64];
        Ok(last.f_to_kind(kind)?.f_reshape(shape)?)
    };
    match maps {
        [map] => flat(map),
        maps => Ok(Tensor::f_cat(
            &maps.iter().map(flat).collect::<Result<Vec<_>>>()?,
            0,
        )?),
    }
}

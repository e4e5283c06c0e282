//! Label maps as PNG files.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;
use std::sync::LazyLock;

use ::png::{ColorType, Transformations};

use super::png::{Raster, decode, drop_alpha, palette_colours, unpacked};
use super::{LabelMap, damaged};
use crate::VisionError;
use crate::palette::{voc_colour, voc_palette};

static LABEL_OF_COLOUR: LazyLock<HashMap<[u8; 3], u8>> =
    LazyLock::new(|| (0..=255).map(|label| (voc_colour(label), label)).collect());

/// Decodes a label map from a PNG: the index of a palette PNG (1, 2, 4 or 8 bits), the value of an 8-bit
/// grey one, of a 16-bit one up to 255, 0 and 1 of a 1-bit one, the label of an RGB colour in the VOC palette. Whether the
/// labels are classes is not checked here. `file` is only for messages.
///
/// # Errors
/// [`VisionError::Decode`] where the bytes are no whole PNG, a colour is not VOC's, or the format leaves
/// the labels open (RGB of 16 bits, grey with transparency, grey of 2 or 4 bits, which some programs scale).
///
/// ```
/// use autoloss_vision::codec::{decode_labels, encode_labels};
/// use std::path::Path;
///
/// let bytes = encode_labels(1, 3, &[0, 15, 255])?;
/// assert_eq!(decode_labels(&bytes, Path::new("mask.png"))?.labels, [0, 15, 255]);
/// # Ok::<(), autoloss_vision::VisionError>(())
/// ```
pub fn decode_labels(bytes: &[u8], file: &Path) -> Result<LabelMap, VisionError> {
    labels_of(decode(bytes, file, Transformations::IDENTITY)?, file)
}

fn labels_of(raster: Raster, file: &Path) -> Result<LabelMap, VisionError> {
    let (height, width) = (raster.height, raster.width);
    let labels = match (raster.color, raster.depth) {
        (ColorType::Indexed, 8) | (ColorType::Grayscale, 8) => raster.bytes,
        (ColorType::Indexed, _) | (ColorType::Grayscale, 1) => unpacked(&raster),
        (ColorType::Rgb | ColorType::Rgba, 8) => {
            let vocs = Table {
                colours: &LABEL_OF_COLOUR,
                name: "in PASCAL VOC's palette",
                remedy: "save the mask as a palette PNG",
            };
            vocs.labels(&rgb_of(&raster), width, file)?
        }
        (ColorType::Grayscale, 16) => wide_labels(&raster, file)?,
        (ColorType::GrayscaleAlpha, 8)
            if raster.bytes.chunks_exact(2).all(|pixel| pixel[1] == 255) =>
        {
            raster.bytes.iter().copied().step_by(2).collect()
        }
        (color, depth) => {
            let kind = match color {
                ColorType::Grayscale => "grey",
                ColorType::GrayscaleAlpha => "grey with transparency",
                ColorType::Rgba => "RGB with transparency",
                _ => "RGB",
            };
            let problem = format!(
                "its labels cannot be told: it is {kind} of {depth} bits a channel; save it as a palette or 8-bit grey \
                 PNG whose values are the classes' numbers 0, 1, 2 …, with 255 for void alone"
            );
            return Err(damaged(file, problem));
        }
    };
    Ok(LabelMap {
        height,
        width,
        labels,
    })
}

/// Decodes a label map that is told by its colours, also where these are a palette's, with the label of each. An 8-bit
/// grey one holds labels.
///
/// # Errors
/// As [`decode_labels`], and for a colour without a label.
pub fn decode_coloured_labels(
    bytes: &[u8],
    colours: &HashMap<[u8; 3], u8>,
    file: &Path,
) -> Result<LabelMap, VisionError> {
    let raster = decode(bytes, file, Transformations::IDENTITY)?;
    let table = Table {
        colours,
        name: "in labelmap.txt",
        remedy: "add it there, or correct the mask",
    };
    let rgb = match (raster.color, raster.depth) {
        (ColorType::Indexed, _) => Cow::Owned(palette_colours(&raster, file)?),
        (ColorType::Rgb | ColorType::Rgba, 8) => rgb_of(&raster),
        _ => return labels_of(raster, file),
    };
    Ok(LabelMap {
        height: raster.height,
        width: raster.width,
        labels: table.labels(&rgb, raster.width, file)?,
    })
}

/// The samples of an RGB picture, with transparency or without.
fn rgb_of(raster: &Raster) -> Cow<'_, [u8]> {
    match raster.color {
        ColorType::Rgba => Cow::Owned(drop_alpha(&raster.bytes)),
        _ => Cow::Borrowed(&raster.bytes[..]),
    }
}

/// Labels that were stored with 16 bits each.
fn wide_labels(raster: &Raster, file: &Path) -> Result<Vec<u8>, VisionError> {
    let values = || {
        raster
            .bytes
            .chunks_exact(2)
            .map(|value| u16::from_be_bytes([value[0], value[1]]))
    };
    if let Some(pixel) = values().position(|value| value > 255) {
        let problem = format!(
            "the 16-bit value {} at row {}, column {} is no label; save the classes' numbers 0, 1, 2 …, with 255 for \
             void alone",
            values().nth(pixel).unwrap_or_default(),
            pixel / raster.width,
            pixel % raster.width
        );
        return Err(damaged(file, problem));
    }
    Ok(raster.bytes.iter().copied().skip(1).step_by(2).collect())
}

/// Colours that stand for labels.
struct Table<'a> {
    colours: &'a HashMap<[u8; 3], u8>,
    /// Where they are, for messages.
    name: &'static str,
    /// What to do with one that is not among them.
    remedy: &'static str,
}

impl Table<'_> {
    /// The labels of RGB colours in rows of `width`.
    fn labels(&self, rgb: &[u8], width: usize, file: &Path) -> Result<Vec<u8>, VisionError> {
        let mut labels = Vec::with_capacity(rgb.len() / 3);
        // Pixels beside each other are mostly alike.
        let mut last: Option<([u8; 3], u8)> = None;
        for (pixel, colour) in rgb.chunks_exact(3).enumerate() {
            let colour = [colour[0], colour[1], colour[2]];
            let label = match last {
                Some((before, label)) if before == colour => label,
                _ => self.colours.get(&colour).copied().ok_or_else(|| {
                    let problem = format!(
                        "the colour {colour:?} at row {}, column {} is not {}, so it names no label; {}",
                        pixel / width,
                        pixel % width,
                        self.name,
                        self.remedy
                    );
                    damaged(file, problem)
                })?,
            };
            last = Some((colour, label));
            labels.push(label);
        }
        Ok(labels)
    }
}

/// Encodes a label map as VOC stores it: an 8-bit palette PNG in VOC's colours.
///
/// # Errors
/// [`VisionError::Encode`] where a side is 0 or `labels` has not `height * width` bytes.
pub fn encode_labels(height: usize, width: usize, labels: &[u8]) -> Result<Vec<u8>, VisionError> {
    let failed = |problem: String| VisionError::Encode {
        height,
        width,
        problem,
    };
    let side = |length: usize| u32::try_from(length).map_err(|error| failed(error.to_string()));
    let mut bytes = Vec::new();
    let mut encoder = ::png::Encoder::new(&mut bytes, side(width)?, side(height)?);
    encoder.set_color(ColorType::Indexed);
    encoder.set_depth(::png::BitDepth::Eight);
    encoder.set_palette(voc_palette());
    let mut writer = encoder
        .write_header()
        .map_err(|error| failed(error.to_string()))?;
    writer
        .write_image_data(labels)
        .and_then(|()| writer.finish())
        .map_err(|error| failed(error.to_string()))?;
    Ok(bytes)
}

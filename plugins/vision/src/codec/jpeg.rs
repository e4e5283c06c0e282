//! JPEG, by `zune-jpeg` and `jpeg-encoder`.
//!
//! The decoder runs in its strict mode and the end-of-image marker is searched for besides: even strict, it
//! accepts a file that ends inside its last row of blocks. What no decoder can tell is a gap in the middle:
//! the bits after it are read as other blocks, up to the marker.

use std::borrow::Cow;
use std::path::Path;

use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use super::orientation::orientation;
use super::{JPEG_QUALITY, Photograph, check_size, damaged};
use crate::VisionError;

const START_OF_SCAN: u8 = 0xda;
const END_OF_IMAGE: [u8; 2] = [0xff, 0xd9];

/// The format's limit on height and width, pixels.
const MAX_SIDE: usize = 65_535;

pub(super) fn recognises(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0xff, 0xd8, 0xff])
}

pub(super) fn decode(bytes: &[u8], file: &Path) -> Result<Photograph, VisionError> {
    let (bytes, ended) = match without_strays(bytes) {
        Some((clean, scan)) => {
            let ended = clean.get(scan..).is_some_and(is_ended);
            (clean, ended)
        }
        None => (Cow::Borrowed(bytes), false),
    };
    // The portable code: no slower here, and no result depends on the processor.
    let options = DecoderOptions::default()
        .set_use_unsafe(false)
        .set_strict_mode(true)
        .set_max_width(MAX_SIDE)
        .set_max_height(MAX_SIDE)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(&*bytes), options);
    let problem = |error: zune_jpeg::errors::DecodeErrors| {
        damaged(
            file,
            format!("the JPEG data are damaged or cut short: {error}"),
        )
    };
    decoder.decode_headers().map_err(problem)?;
    let info = decoder
        .info()
        .ok_or_else(|| damaged(file, "the JPEG header names no size"))?;
    let (height, width) = (usize::from(info.height), usize::from(info.width));
    check_size(height, width, file)?;
    if !ended {
        return Err(damaged(
            file,
            "the JPEG data are cut short: there is no end-of-image marker; fetch the file again",
        ));
    }
    let rgb = decoder.decode().map_err(problem)?;
    if rgb.len() != 3 * height * width {
        let found = rgb.len();
        let problem = format!("{found} bytes were decoded for {height}x{width} RGB pixels");
        return Err(damaged(file, problem));
    }
    Ok(Photograph {
        height,
        width,
        rgb,
        orientation: decoder.exif().map_or(1, |exif| orientation(exif)),
    })
}

/// A JPEG without what lies between its header's segments and belongs to none, which some programs leave there, and
/// the place of its first scan's data; none where the header does not come to a scan.
fn without_strays(bytes: &[u8]) -> Option<(Cow<'_, [u8]>, usize)> {
    let mut clean = Cow::Borrowed(bytes);
    let (mut at, mut removed) = (2, 0);
    loop {
        let begin = at + bytes.get(at..)?.windows(2).position(is_marker)?;
        if begin > at {
            clean.to_mut().drain(at - removed..begin - removed);
            removed += begin - at;
        }
        let (marker, length) = (bytes[begin + 1], bytes.get(begin + 2..begin + 4)?);
        at = begin + 2 + usize::from(u16::from_be_bytes([length[0], length[1]]));
        if marker == START_OF_SCAN {
            return Some((clean, at - removed));
        }
    }
}

fn is_marker(pair: &[u8]) -> bool {
    pair[0] == 0xff && !matches!(pair[1], 0 | 0xff)
}

/// Whether an end-of-image marker follows in the data of a scan. Inside a scan a byte 255 is followed by 0 or a
/// restart marker, so the pair cannot occur by chance; before it, a thumbnail may contain one.
fn is_ended(scan: &[u8]) -> bool {
    scan.windows(2).rev().any(|pair| pair == END_OF_IMAGE)
}

/// Encodes RGB bytes as a JPEG of quality [`JPEG_QUALITY`] without chroma subsampling. Equal pictures
/// give equal bytes.
///
/// # Errors
/// [`VisionError::Encode`] where a side is 0 or over 65535 pixels, or `rgb` has not
/// `height * width * 3` bytes.
pub fn encode_jpeg(height: usize, width: usize, rgb: &[u8]) -> Result<Vec<u8>, VisionError> {
    let failed = |problem: String| VisionError::Encode {
        height,
        width,
        problem,
    };
    let side = |length: usize| {
        u16::try_from(length)
            .map_err(|_| failed("a JPEG has at most 65535 rows and columns".into()))
    };
    let (rows, columns) = (side(height)?, side(width)?);
    if rgb.len() != 3 * height * width {
        return Err(failed(format!("{} bytes of RGB were given", rgb.len())));
    }
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, JPEG_QUALITY);
    encoder.set_sampling_factor(SamplingFactor::F_1_1);
    encoder
        .encode(rgb, columns, rows, ColorType::Rgb)
        .map_err(|error| failed(error.to_string()))?;
    Ok(bytes)
}

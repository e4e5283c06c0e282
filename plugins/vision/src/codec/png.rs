//! PNG photographs and headers.

use std::fs::File;
use std::io::{BufReader, Cursor};
use std::path::Path;

use ::png::{ColorType, Decoder, DecodingError, Reader, Transformations};

use super::orientation::orientation;
use super::{Photograph, check_size, damaged, unknown_format};
use crate::VisionError;

const SIGNATURE: [u8; 8] = *b"\x89PNG\r\n\x1a\n";

pub(super) fn recognises(bytes: &[u8]) -> bool {
    bytes.starts_with(&SIGNATURE)
}

pub(super) fn decode_rgb(bytes: &[u8], file: &Path) -> Result<Photograph, VisionError> {
    let changes = Transformations::EXPAND | Transformations::STRIP_16;
    let raster = decode(bytes, file, changes)?;
    let rgb = match raster.color {
        ColorType::Rgb => raster.bytes,
        ColorType::Rgba => drop_alpha(&raster.bytes),
        ColorType::Grayscale => raster.bytes.iter().flat_map(|&grey| [grey; 3]).collect(),
        ColorType::GrayscaleAlpha => {
            let greys = raster.bytes.iter().step_by(2);
            greys.flat_map(|&grey| [grey; 3]).collect()
        }
        ColorType::Indexed => return Err(damaged(file, "its palette cannot be applied")),
    };
    Ok(Photograph {
        height: raster.height,
        width: raster.width,
        rgb,
        orientation: raster.orientation,
    })
}

pub(super) fn drop_alpha(rgba: &[u8]) -> Vec<u8> {
    let pixels = rgba.chunks_exact(4);
    pixels
        .flat_map(|pixel| [pixel[0], pixel[1], pixel[2]])
        .collect()
}

/// The samples of a PNG after `transformations`.
pub(super) struct Raster {
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) color: ColorType,
    /// Bits a sample.
    pub(super) depth: usize,
    /// Bytes a row; rows of less than 8 bits a pixel end in unused bits.
    pub(super) line: usize,
    pub(super) bytes: Vec<u8>,
    /// As EXIF has it, 1 to 8.
    pub(super) orientation: u8,
}

pub(super) fn decode(
    bytes: &[u8],
    file: &Path,
    transformations: Transformations,
) -> Result<Raster, VisionError> {
    if !recognises(bytes) {
        return Err(damaged(file, unknown_format(bytes)));
    }
    let mut decoder = Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(transformations);
    let mut reader = decoder.read_info().map_err(|error| broken(&error, file))?;
    let (height, width) = (reader.info().height as usize, reader.info().width as usize);
    check_size(height, width, file)?;
    let mut raster = read_frame(&mut reader, file)?;
    // Only the end of the file proves that nothing is missing.
    reader.finish().map_err(|error| broken(&error, file))?;
    // It may stand behind the pixels.
    raster.orientation = reader
        .info()
        .exif_metadata
        .as_deref()
        .map_or(1, orientation);
    Ok(raster)
}

fn read_frame(reader: &mut Reader<Cursor<&[u8]>>, file: &Path) -> Result<Raster, VisionError> {
    let size = reader
        .output_buffer_size()
        .ok_or_else(|| damaged(file, "its size does not fit into memory"))?;
    let mut bytes = vec![0; size];
    let info = reader
        .next_frame(&mut bytes)
        .map_err(|error| broken(&error, file))?;
    bytes.truncate(info.buffer_size());
    Ok(Raster {
        height: info.height as usize,
        width: info.width as usize,
        color: info.color_type,
        depth: info.bit_depth as usize,
        line: info.line_size,
        bytes,
        orientation: 1,
    })
}

pub(super) fn palette(file: &Path) -> Result<Vec<u8>, VisionError> {
    let opened = File::open(file).map_err(|error| VisionError::file("read", file, &error))?;
    let decoder = Decoder::new(BufReader::with_capacity(2048, opened));
    let reader = decoder.read_info().map_err(|error| broken(&error, file))?;
    let palette = reader.info().palette.as_deref();
    Ok(palette.unwrap_or_default().to_vec())
}

pub(super) fn size(file: &Path) -> Result<(usize, usize), VisionError> {
    let opened = File::open(file).map_err(|error| VisionError::file("read", file, &error))?;
    let mut decoder = Decoder::new(BufReader::with_capacity(64, opened));
    let info = decoder
        .read_header_info()
        .map_err(|error| broken(&error, file))?;
    let (height, width) = (info.height as usize, info.width as usize);
    check_size(height, width, file)?;
    Ok((height, width))
}

fn broken(error: &DecodingError, file: &Path) -> VisionError {
    damaged(
        file,
        format!("the PNG data are damaged or cut short: {error}"),
    )
}

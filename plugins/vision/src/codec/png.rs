//! PNG photographs and headers.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read};
use std::path::Path;

use ::png::{ColorType, Decoder, DecodingError, Reader, Transformations};

use super::orientation::{orientation, turned};
use super::{Photograph, check_size, damaged, unknown_format};
use crate::VisionError;

const SIGNATURE: [u8; 8] = *b"\x89PNG\r\n\x1a\n";

pub(super) fn recognises(bytes: &[u8]) -> bool {
    bytes.starts_with(&SIGNATURE)
}

pub(super) fn decode_rgb(bytes: &[u8], file: &Path) -> Result<Photograph, VisionError> {
    let mut raster = decode(bytes, file, Transformations::IDENTITY)?;
    match (raster.color, raster.depth) {
        (ColorType::Indexed, _) => {
            raster.bytes = palette_colours(&raster, file)?;
            raster.color = ColorType::Rgb;
        }
        (_, 8) => {}
        (_, 16) => raster.bytes = high_bytes(&raster, file)?,
        _ => raster = decode(bytes, file, Transformations::EXPAND)?,
    }
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

/// 16 bits a channel as 8. Where only the lower ones are used, as some programs write them, nothing would be left.
fn high_bytes(raster: &Raster, file: &Path) -> Result<Vec<u8>, VisionError> {
    let channels = raster.color.samples();
    let colours = match raster.color {
        ColorType::GrayscaleAlpha | ColorType::Rgba => channels - 1,
        _ => channels,
    };
    let pixels = raster.bytes.chunks_exact(2 * channels);
    let mut samples = pixels.flat_map(|pixel| pixel[..2 * colours].chunks_exact(2));
    let all_low = samples.clone().all(|sample| sample[0] == 0);
    if all_low && samples.any(|sample| sample[1] != 0) {
        let problem = "it has 16 bits a channel, but every value is below 256 of 65535, which is black; save it with \
                       8 bits a channel";
        return Err(damaged(file, problem));
    }
    Ok(raster.bytes.iter().copied().step_by(2).collect())
}

/// Indices of up to 8 bits, the first in a byte's top bits.
pub(super) fn unpacked(raster: &Raster) -> Vec<u8> {
    let depth = raster.depth;
    let mask = ((1u16 << depth) - 1) as u8;
    let mut labels = Vec::with_capacity(raster.height * raster.width);
    for line in raster.bytes.chunks_exact(raster.line) {
        labels.extend((0..raster.width).map(|column| {
            let bit = column * depth;
            (line[bit / 8] >> (8 - depth - bit % 8)) & mask
        }));
    }
    labels
}

/// The colours of indices. One that the palette lacks is no black, as decoders have it.
pub(super) fn palette_colours(raster: &Raster, file: &Path) -> Result<Vec<u8>, VisionError> {
    let mut rgb = Vec::with_capacity(3 * raster.height * raster.width);
    for (pixel, index) in unpacked(raster).into_iter().enumerate() {
        let at = 3 * usize::from(index);
        let colour = raster.palette.get(at..at + 3).ok_or_else(|| {
            let problem = format!(
                "the index {index} at row {}, column {} is beyond its palette of {} colours; save the file anew",
                pixel / raster.width,
                pixel % raster.width,
                raster.palette.len() / 3
            );
            damaged(file, problem)
        })?;
        rgb.extend_from_slice(colour);
    }
    Ok(rgb)
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
    /// Three bytes a colour; none where it has no palette.
    pub(super) palette: Vec<u8>,
}

pub(super) fn decode(
    bytes: &[u8],
    file: &Path,
    transformations: Transformations,
) -> Result<Raster, VisionError> {
    if !recognises(bytes) {
        return Err(damaged(file, unknown_format(bytes, "PNG")));
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
        palette: reader
            .info()
            .palette
            .as_deref()
            .unwrap_or_default()
            .to_vec(),
    })
}

/// What stands before a PNG file's pixels.
#[derive(Clone, Debug)]
pub(crate) struct Header {
    /// Rows, pixels.
    pub(crate) height: usize,
    /// Columns, pixels.
    pub(crate) width: usize,
    /// Three bytes a colour; none where it has no palette.
    pub(crate) palette: Vec<u8>,
}

impl Header {
    pub(crate) fn read(file: &Path) -> Result<Header, VisionError> {
        let decoder = Decoder::new(opened(file)?);
        let reader = decoder.read_info().map_err(|error| broken(&error, file))?;
        let info = reader.info();
        let (height, width) = (info.height as usize, info.width as usize);
        check_size(height, width, file)?;
        Ok(Header {
            height,
            width,
            palette: info.palette.as_deref().unwrap_or_default().to_vec(),
        })
    }
}

pub(super) fn size(file: &Path) -> Result<(usize, usize), VisionError> {
    let mut decoder = Decoder::new(opened(file)?);
    let info = decoder
        .read_header_info()
        .map_err(|error| broken(&error, file))?;
    let (height, width) = (info.height as usize, info.width as usize);
    check_size(height, width, file)?;
    Ok((height, width))
}

/// Height and width of a file's photograph the right way up; pixels are passed over.
pub(super) fn upright_size(file: &Path) -> Result<(usize, usize), VisionError> {
    let size = size(file)?;
    let unreadable = |error: std::io::Error| VisionError::file("read", file, &error);
    let mut reader = opened(file)?;
    reader
        .seek_relative(SIGNATURE.len() as i64)
        .map_err(unreadable)?;
    let mut head = [0; 8];
    // Whether the rest of the file is whole is found where the pixels are read.
    while reader.read_exact(&mut head).is_ok() {
        let [a, b, c, d, kind @ ..] = head;
        let length = u32::from_be_bytes([a, b, c, d]);
        if &kind == b"eXIf" {
            let mut exif = Vec::new();
            let mut chunk = reader.take(u64::from(length));
            chunk.read_to_end(&mut exif).map_err(unreadable)?;
            return Ok(turned(size, orientation(&exif)));
        }
        reader
            .seek_relative(i64::from(length) + 4)
            .map_err(unreadable)?;
    }
    Ok(size)
}

/// A file that begins as a PNG does.
fn opened(file: &Path) -> Result<BufReader<File>, VisionError> {
    let unreadable = |error: std::io::Error| VisionError::file("read", file, &error);
    let opened = File::open(file).map_err(unreadable)?;
    let mut reader = BufReader::with_capacity(2048, opened);
    let begin = reader.fill_buf().map_err(unreadable)?;
    if recognises(begin) {
        return Ok(reader);
    }
    Err(damaged(file, unknown_format(begin, "PNG")))
}

fn broken(error: &DecodingError, file: &Path) -> VisionError {
    damaged(
        file,
        format!("the PNG data are damaged or cut short: {error}"),
    )
}

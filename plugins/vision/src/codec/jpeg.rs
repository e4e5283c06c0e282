//! JPEG, by `zune-jpeg` and `jpeg-encoder`.
//!
//! The decoder runs in its strict mode and the end-of-image marker is searched for besides: even strict, it
//! accepts a file that ends inside its last row of blocks. What no decoder can tell is a gap in the middle:
//! the bits after it are read as other blocks, up to the marker.

use std::borrow::Cow;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;

use super::orientation::{orientation, turned};
use super::{JPEG_QUALITY, Photograph, check_size, damaged};
use crate::VisionError;

const START_OF_SCAN: u8 = 0xda;
const ADOBE: u8 = 0xee;

/// So much of a file is read for its header at first; most photographs have theirs in it.
const HEADER_BYTES: usize = 1 << 16;
const END_OF_IMAGE: [u8; 2] = [0xff, 0xd9];

/// The format's limit on height and width, pixels.
const MAX_SIDE: usize = 65_535;

pub(super) fn recognises(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0xff, 0xd8, 0xff])
}

pub(super) fn decode(bytes: &[u8], file: &Path) -> Result<Photograph, VisionError> {
    let (bytes, ended) = match Header::of(bytes) {
        Some(header) => {
            header.check_kind(file)?;
            let ended = header.clean.get(header.scan..).is_some_and(is_ended);
            (header.clean, ended)
        }
        None => (Cow::Borrowed(bytes), false),
    };
    let mut decoder = decoder(&bytes);
    let (height, width) = read_size(&mut decoder, file)?;
    if !ended {
        return Err(damaged(
            file,
            "the JPEG data are cut short: there is no end-of-image marker; fetch the file again",
        ));
    }
    let rgb = decoder.decode().map_err(|error| broken(&error, file))?;
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

/// Height and width of a file's photograph the right way up, from its header alone.
pub(super) fn upright_size(file: &Path) -> Result<(usize, usize), VisionError> {
    let unreadable = |error: std::io::Error| VisionError::file("read", file, &error);
    let mut opened = File::open(file).map_err(unreadable)?;
    let mut bytes = Vec::new();
    let mut begin = opened.by_ref().take(HEADER_BYTES as u64);
    begin.read_to_end(&mut bytes).map_err(unreadable)?;
    if Header::of(&bytes).is_none() {
        opened.read_to_end(&mut bytes).map_err(unreadable)?;
    }
    let header = Header::of(&bytes);
    if let Some(header) = &header {
        header.check_kind(file)?;
    }
    let bytes = header.map_or(Cow::Borrowed(&bytes[..]), |header| header.clean);
    let mut decoder = decoder(&bytes);
    let (height, width) = read_size(&mut decoder, file)?;
    let orientation = decoder.exif().map_or(1, |exif| orientation(exif));
    Ok(turned((height, width), orientation))
}

fn decoder(bytes: &[u8]) -> JpegDecoder<ZCursor<&[u8]>> {
    // The portable code: no slower here, and no result depends on the processor.
    let options = DecoderOptions::default()
        .set_use_unsafe(false)
        .set_strict_mode(true)
        .set_max_width(MAX_SIDE)
        .set_max_height(MAX_SIDE)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    JpegDecoder::new_with_options(ZCursor::new(bytes), options)
}

/// Height and width as stored.
fn read_size(
    decoder: &mut JpegDecoder<ZCursor<&[u8]>>,
    file: &Path,
) -> Result<(usize, usize), VisionError> {
    decoder
        .decode_headers()
        .map_err(|error| broken(&error, file))?;
    let info = decoder
        .info()
        .ok_or_else(|| damaged(file, "the JPEG header names no size"))?;
    let (height, width) = (usize::from(info.height), usize::from(info.width));
    check_size(height, width, file)?;
    Ok((height, width))
}

fn broken(error: &DecodeErrors, file: &Path) -> VisionError {
    damaged(
        file,
        format!("the JPEG data are damaged or cut short: {error}"),
    )
}

/// What stands before the first scan of a JPEG.
struct Header<'a> {
    /// The file without what lies between the segments and belongs to none, which some programs leave there.
    clean: Cow<'a, [u8]>,
    /// The place of the first scan's data in it.
    scan: usize,
    /// Whether Adobe's segment is there, with which the inks of four channels are stored inverted.
    adobe: bool,
    frame: Option<Frame>,
}

/// How the pixels are stored.
#[derive(Clone, Copy)]
struct Frame {
    /// The marker of its segment.
    kind: u8,
    /// Bits a sample.
    depth: u8,
    channels: u8,
}

impl Header<'_> {
    /// None where the header does not come to a scan.
    fn of(bytes: &[u8]) -> Option<Header<'_>> {
        let mut header = Header {
            clean: Cow::Borrowed(bytes),
            scan: 0,
            adobe: false,
            frame: None,
        };
        let (mut at, mut removed) = (2, 0);
        loop {
            let begin = at + bytes.get(at..)?.windows(2).position(is_marker)?;
            if begin > at {
                header.clean.to_mut().drain(at - removed..begin - removed);
                removed += begin - at;
            }
            let (marker, length) = (bytes[begin + 1], bytes.get(begin + 2..begin + 4)?);
            at = begin + 2 + usize::from(u16::from_be_bytes([length[0], length[1]]));
            let body = bytes.get(begin + 4..at).unwrap_or_default();
            match (marker, body) {
                (START_OF_SCAN, _) => {
                    header.scan = at - removed;
                    return Some(header);
                }
                (ADOBE, body) => header.adobe |= body.starts_with(b"Adobe"),
                // These three of the range are tables and an extension.
                (0xc4 | 0xc8 | 0xcc, _) => {}
                (kind @ 0xc0..=0xcf, &[depth, _, _, _, _, channels, ..]) => {
                    header.frame = Some(Frame {
                        kind,
                        depth,
                        channels,
                    });
                }
                _ => {}
            }
        }
    }

    /// Refuses by name what the decoder does not read, which it would call damaged.
    fn check_kind(&self, file: &Path) -> Result<(), VisionError> {
        let Some(Frame {
            kind,
            depth,
            channels,
        }) = self.frame
        else {
            return Ok(());
        };
        let what = match (kind, depth, channels) {
            (0xc3 | 0xc7 | 0xcb | 0xcf, ..) => "a lossless JPEG".to_owned(),
            (0xc9.., ..) => "a JPEG with arithmetic coding".to_owned(),
            (0xc5.., ..) => "a hierarchical JPEG".to_owned(),
            (_, 9.., _) => format!("a JPEG of {depth} bits a channel"),
            (_, _, 4) if !self.adobe => {
                "a CMYK JPEG without Adobe's mark, whose colours programs read differently"
                    .to_owned()
            }
            (_, _, 1 | 3 | 4) => return Ok(()),
            _ => format!("a JPEG of {channels} channels"),
        };
        let problem =
            format!("it is {what}; save it as RGB in a baseline or progressive JPEG or as PNG");
        Err(damaged(file, problem))
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

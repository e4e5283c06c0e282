//! Pictures and label maps as files.
//!
//! A file's format is told by its first bytes, never by its name: data sets contain PNG files called
//! `.jpg`. Label maps are decoded to the *indices* a palette PNG stores, because its colours are only for
//! viewers; an image library's usual conversion to RGB would lose the classes. A damaged file is an error
//! naming it: decoders made for browsers fill what is missing with grey, which would be trained on as if
//! it were a photograph. Pixels are as they are stored; whoever knows the size of what was drawn over them turns them
//! ([`Photograph::upright`]).
//!
//! Files come from strangers, so the size in the header is checked against [`MAX_PIXELS`] before memory
//! is taken for it.

mod jpeg;
mod labels;
mod orientation;
mod png;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::{LabelledImage, VisionError};

pub use jpeg::encode_jpeg;
pub use labels::{decode_coloured_labels, decode_labels, encode_labels};
pub(crate) use png::Header as PngHeader;

/// The largest picture that is decoded: 64 megapixels, 192 MB as RGB.
pub const MAX_PIXELS: usize = 64_000_000;

/// The JPEG quality of written photographs, 1 to 100. At 95 without chroma subsampling the error is a
/// few grey levels, far below what augmentation changes.
pub const JPEG_QUALITY: u8 = 95;

/// A decoded colour picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Photograph {
    /// Rows, pixels.
    pub height: usize,
    /// Columns, pixels.
    pub width: usize,
    /// RGB bytes, row by row: `height * width * 3`.
    pub rgb: Vec<u8>,
    /// How the stored pixels are turned, 1 (upright) to 8, as in EXIF.
    pub orientation: u8,
}

/// A decoded label map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelMap {
    /// Rows, pixels.
    pub height: usize,
    /// Columns, pixels.
    pub width: usize,
    /// One label a pixel, row by row: `height * width`.
    pub labels: Vec<u8>,
}

/// Decodes a JPEG or PNG photograph to RGB. Grey is expanded, Adobe's inverted CMYK and YCCK are converted, transparency
/// dropped, 16 bits a channel are reduced to 8. `file` is only for messages.
///
/// # Errors
/// [`VisionError::Decode`] where the bytes are neither format, damaged, cut short, of more than
/// [`MAX_PIXELS`], or use a feature that the decoders lack (arithmetic coding, 12-bit or lossless JPEG); where a CMYK
/// JPEG lacks Adobe's mark, or a PNG of 16 bits a channel uses 8 of them, since programs then disagree on the colours.
///
/// ```
/// use autoloss_vision::codec::{decode_photograph, encode_jpeg};
/// use std::path::Path;
///
/// let grey = vec![90; 8 * 8 * 3];
/// let bytes = encode_jpeg(8, 8, &grey)?;
/// let decoded = decode_photograph(&bytes, Path::new("grey.jpg"))?;
/// assert_eq!((decoded.height, decoded.width), (8, 8));
/// assert!(decode_photograph(&bytes[..bytes.len() - 9], Path::new("grey.jpg")).is_err());
/// # Ok::<(), autoloss_vision::VisionError>(())
/// ```
pub fn decode_photograph(bytes: &[u8], file: &Path) -> Result<Photograph, VisionError> {
    if jpeg::recognises(bytes) {
        jpeg::decode(bytes, file)
    } else if png::recognises(bytes) {
        png::decode_rgb(bytes, file)
    } else {
        Err(damaged(file, unknown_format(bytes, "JPEG or PNG")))
    }
}

/// Height and width in pixels that a photograph has the right way up, from its file's header; no pixels are decoded.
///
/// # Errors
/// [`VisionError::File`] where the file cannot be read, [`VisionError::Decode`] where its header is not one
/// that [`decode_photograph`] takes.
pub fn photograph_size(file: &Path) -> Result<(usize, usize), VisionError> {
    let unreadable = |error: std::io::Error| VisionError::file("read", file, &error);
    let mut begin = Vec::new();
    let opened = File::open(file).map_err(unreadable)?;
    opened
        .take(16)
        .read_to_end(&mut begin)
        .map_err(unreadable)?;
    if jpeg::recognises(&begin) {
        jpeg::upright_size(file)
    } else if png::recognises(&begin) {
        png::upright_size(file)
    } else {
        Err(damaged(file, unknown_format(&begin, "JPEG or PNG")))
    }
}

/// Height and width of a PNG file in pixels, from its header alone; nothing else is read.
///
/// # Errors
/// [`VisionError::File`] where the file cannot be read, [`VisionError::Decode`] where it is no PNG.
pub fn png_size(file: &Path) -> Result<(usize, usize), VisionError> {
    png::size(file)
}

/// The picture as a reader of a written folder sees it: through [`encode_jpeg`] and
/// [`decode_photograph`], labels untouched.
///
/// # Errors
/// As from [`encode_jpeg`].
///
/// ```
/// use autoloss_vision::LabelledImage;
/// use autoloss_vision::codec::jpeg_round_trip;
///
/// let sharp = LabelledImage::new(1, 2, vec![255, 0, 0, 0, 0, 255], vec![3, 4])?;
/// let read = jpeg_round_trip(&sharp)?;
/// assert_eq!(read.labels(), [3, 4]);
/// assert_ne!(read.image(), sharp.image());
/// # Ok::<(), autoloss_vision::VisionError>(())
/// ```
pub fn jpeg_round_trip(sample: &LabelledImage) -> Result<LabelledImage, VisionError> {
    let bytes = encode_jpeg(sample.height(), sample.width(), sample.image())?;
    let decoded = decode_photograph(&bytes, Path::new("a picture just encoded"))?;
    LabelledImage::new(
        decoded.height,
        decoded.width,
        decoded.rgb,
        sample.labels().to_vec(),
    )
}

fn damaged(file: &Path, problem: impl Into<String>) -> VisionError {
    VisionError::Decode {
        file: file.to_owned(),
        problem: problem.into(),
    }
}

/// What a file is that begins with `bytes` and is in none of the formats that are `read`.
fn unknown_format(bytes: &[u8], read: &str) -> String {
    if bytes.is_empty() {
        "the file is empty".to_owned()
    } else {
        let is = |at: usize, magic: &[u8]| bytes.get(at..).is_some_and(|b| b.starts_with(magic));
        let known = [
            // A label map as JPEG: its values are no labels any more.
            ("a JPEG", jpeg::recognises(bytes)),
            ("a WebP", is(0, b"RIFF") && is(8, b"WEBP")),
            ("a TIFF", is(0, b"II*\0") || is(0, b"MM\0*")),
            ("a GIF", is(0, b"GIF8")),
            ("a BMP", is(0, b"BM")),
            ("a HEIF or AVIF", is(4, b"ftyp")),
            ("a JPEG 2000", is(4, b"jP  ")),
        ];
        match known.iter().find(|(_, is)| *is) {
            Some(("a JPEG", _)) => {
                "it is a JPEG file, whose compression changes labels; save masks as PNG".to_owned()
            }
            Some((name, _)) => format!("it is {name} file; save it as {read}"),
            None if read == "PNG" => "it is no PNG file".to_owned(),
            None => "it is neither a JPEG nor a PNG file".to_owned(),
        }
    }
}

/// Refuses sizes that nothing should be allocated for.
fn check_size(height: usize, width: usize, file: &Path) -> Result<(), VisionError> {
    let pixels = height.saturating_mul(width);
    if pixels == 0 {
        return Err(damaged(file, format!("it has {height}x{width} pixels")));
    }
    if pixels > MAX_PIXELS {
        let problem = format!(
            "its header says {height}x{width} pixels, more than the {} megapixels that are read; \
             reduce the picture",
            MAX_PIXELS / 1_000_000
        );
        return Err(damaged(file, problem));
    }
    Ok(())
}

//! Text as programs of any system write it.

use std::io::{Error, ErrorKind, Result};

/// UTF-8's byte-order mark, which editors on Windows put in front of a file.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// The bytes of a text behind its byte-order mark, where it has one.
///
/// # Errors
/// [`ErrorKind::InvalidData`] for UTF-16, by its mark or by the zeros in its first characters.
pub fn without_mark(bytes: &[u8]) -> Result<&[u8]> {
    let is_wide = match bytes {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => true,
        // Without a mark: every other byte of the first two characters is 0.
        [0, one, 0, other, ..] | [one, 0, other, 0, ..] => *one != 0 && *other != 0,
        _ => false,
    };
    if is_wide {
        let sentence = "it is UTF-16 text, and UTF-8 is expected: save it as UTF-8";
        return Err(Error::new(ErrorKind::InvalidData, sentence));
    }
    Ok(bytes.strip_prefix(MARK).unwrap_or(bytes))
}

/// The text of a file's bytes, without a byte-order mark.
///
/// # Errors
/// [`ErrorKind::InvalidData`] for UTF-16, and for bytes that are no UTF-8, with the line of the first.
///
/// ```
/// use autoloss_spec::text;
///
/// assert_eq!(text(b"\xef\xbb\xbfcat\r\n").unwrap(), "cat\r\n");
/// assert!(text(b"\xff\xfec\0").unwrap_err().to_string().contains("UTF-16"));
/// assert!(text(b"cat\nb\xe4r").unwrap_err().to_string().contains("line 2"));
/// ```
pub fn text(bytes: &[u8]) -> Result<String> {
    let bytes = without_mark(bytes)?;
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
        let sentence = format!("line {line} is not UTF-8 text: save the file as UTF-8");
        Error::new(ErrorKind::InvalidData, sentence)
    })?;
    Ok(text.to_owned())
}

//! Names as different systems spell them.
//!
//! macOS stores the letters of file names decomposed (NFD: `e` and an accent), other systems and most editors composed
//! (NFC: `é`), so that the name in a list and that of its file may differ in bytes. Cameras and Windows write endings in
//! capitals. Names are compared, and splits chosen, by one spelling: composed, with the ending in small letters.

use std::borrow::Cow;

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// A name or a text in composed characters.
pub(crate) fn composed(name: &str) -> Cow<'_, str> {
    if name.is_ascii() || is_nfc_quick(name.chars()) == IsNormalized::Yes {
        Cow::Borrowed(name)
    } else {
        Cow::Owned(name.nfc().collect())
    }
}

/// A file's name in the spelling that names are compared by.
pub(crate) fn spelling(file: &str) -> Cow<'_, str> {
    let composed = composed(file);
    match composed.rsplit_once('.') {
        Some((stem, ending)) if ending.bytes().any(|byte| byte.is_ascii_uppercase()) => {
            Cow::Owned(format!("{stem}.{}", ending.to_ascii_lowercase()))
        }
        _ => composed,
    }
}

/// A file's name without its ending, composed; None where it has none of `ends`, which are in small letters.
pub(crate) fn stem(file: &str, ends: &[&str]) -> Option<String> {
    let spelt = spelling(file);
    let stem = ends.iter().find_map(|end| spelt.strip_suffix(end))?;
    (!stem.is_empty()).then(|| stem.to_owned())
}

/// Checks that a name from a list or an annotation leads to a file inside the folder where it is searched for. White space
/// and colons may be in it, since they are in files' names.
pub(crate) fn check_read(name: &str) -> Result<(), String> {
    if name.contains(['/', '\\', '\0']) || name.starts_with('.') {
        return Err(format!(
            "{name:?} is not a plain name; names lead to files inside the data set's folders alone"
        ));
    }
    if name.trim().is_empty() || name.chars().any(char::is_control) {
        return Err(format!("{name:?} is empty or contains control characters"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_has_one_spelling() {
        for (file, expected) in [
            ("a.jpg", "a.jpg"),
            ("a.JPG", "a.jpg"),
            ("A.b.Jpeg", "A.b.jpeg"),
            ("A", "A"),
            ("e\u{301}.PNG", "\u{e9}.png"),
            ("\u{e9}.png", "\u{e9}.png"),
        ] {
            assert_eq!(spelling(file), expected);
        }
        assert_eq!(stem("A.JPG", &[".jpg"]).as_deref(), Some("A"));
        assert_eq!(stem(".jpg", &[".jpg"]), None);
        assert_eq!(stem("a.tif", &[".jpg"]), None);
    }
}

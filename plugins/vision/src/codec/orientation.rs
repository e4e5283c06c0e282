//! The way up of a photograph, as EXIF has it.
//!
//! Cameras store the pixels as the sensor lay and note how to turn them. Programs that show a photograph turn it, so
//! boxes and masks that were drawn in one lie on the turned pixels; programs that only read pixels do not. Which it was
//! is told by the sizes of what was drawn.

use exif::{In, Reader, Tag};

use super::Photograph;

/// The orientation of an EXIF block, 1 to 8; 1, upright, where it has none.
pub(super) fn orientation(exif: &[u8]) -> u8 {
    let read = Reader::new().read_raw(exif.to_vec());
    let value = read.ok().and_then(|exif| {
        let field = exif.get_field(Tag::Orientation, In::PRIMARY)?;
        field.value.get_uint(0)
    });
    value
        .and_then(|value| u8::try_from(value).ok())
        .filter(|value| (1..=8).contains(value))
        .unwrap_or(1)
}

/// Row and column, or how many there are of each.
type Pair = (usize, usize);

/// Height and width the right way up of what is stored with these.
pub(super) fn turned((height, width): Pair, orientation: u8) -> Pair {
    match orientation {
        5..=8 => (width, height),
        _ => (height, width),
    }
}

impl Photograph {
    /// Height and width of the picture the right way up, pixels.
    #[must_use]
    pub fn upright_size(&self) -> (usize, usize) {
        turned((self.height, self.width), self.orientation)
    }

    /// The picture the right way up.
    #[must_use]
    pub fn upright(self) -> Photograph {
        let (rows, columns) = (self.height, self.width);
        // Where the stored pixel of an upright one is, from the top left.
        let stored: fn(Pair, Pair) -> Pair = match self.orientation {
            2 => |(r, c), (_, columns)| (r, columns - 1 - c),
            3 => |(r, c), (rows, columns)| (rows - 1 - r, columns - 1 - c),
            4 => |(r, c), (rows, _)| (rows - 1 - r, c),
            5 => |(r, c), _| (c, r),
            6 => |(r, c), (rows, _)| (rows - 1 - c, r),
            7 => |(r, c), (rows, columns)| (rows - 1 - c, columns - 1 - r),
            8 => |(r, c), (_, columns)| (c, columns - 1 - r),
            _ => return self,
        };
        let (height, width) = self.upright_size();
        let mut rgb = Vec::with_capacity(self.rgb.len());
        for row in 0..height {
            for column in 0..width {
                let (r, c) = stored((row, column), (rows, columns));
                let at = 3 * (r * columns + c);
                rgb.extend_from_slice(&self.rgb[at..at + 3]);
            }
        }
        Photograph {
            height,
            width,
            rgb,
            orientation: 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture of 2x3 pixels whose red is 0 to 5.
    fn photograph(orientation: u8) -> Photograph {
        Photograph {
            height: 2,
            width: 3,
            rgb: (0..6).flat_map(|red| [red, 9, 9]).collect(),
            orientation,
        }
    }

    #[test]
    fn every_orientation_turns_as_exif_says() {
        // 0 1 2 / 3 4 5 with row 0 and column 0 where EXIF's table has them.
        for (orientation, size, reds) in [
            (1, (2, 3), [0, 1, 2, 3, 4, 5]),
            (2, (2, 3), [2, 1, 0, 5, 4, 3]),
            (3, (2, 3), [5, 4, 3, 2, 1, 0]),
            (4, (2, 3), [3, 4, 5, 0, 1, 2]),
            (5, (3, 2), [0, 3, 1, 4, 2, 5]),
            (6, (3, 2), [3, 0, 4, 1, 5, 2]),
            (7, (3, 2), [5, 2, 4, 1, 3, 0]),
            (8, (3, 2), [2, 5, 1, 4, 0, 3]),
        ] {
            let turned = photograph(orientation);
            assert_eq!(turned.upright_size(), size);
            let turned = turned.upright();
            assert_eq!((turned.height, turned.width), size, "{orientation}");
            let found: Vec<u8> = turned.rgb.chunks_exact(3).map(|pixel| pixel[0]).collect();
            assert_eq!(found, reds, "{orientation}");
        }
    }

    #[test]
    fn what_is_no_exif_is_upright() {
        for bytes in [&b""[..], b"Exif", &[0; 64]] {
            assert_eq!(orientation(bytes), 1);
        }
    }
}

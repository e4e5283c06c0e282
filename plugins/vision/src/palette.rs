//! The colours of PASCAL VOC's label maps.
//!
//! VOC stores a label map as a palette PNG in which the bits of a label are dealt out to red, green and
//! blue from the top bit down, so that near labels get far colours. Viewers and readers of such files
//! expect exactly these.

/// The colour of a label: black for 0, cream (224, 224, 192) for the void label 255.
///
/// ```
/// use autoloss_vision::palette::voc_colour;
/// assert_eq!(voc_colour(0), [0, 0, 0]);
/// assert_eq!(voc_colour(1), [128, 0, 0]);
/// assert_eq!(voc_colour(15), [192, 128, 128]);
/// assert_eq!(voc_colour(255), [224, 224, 192]);
/// ```
#[must_use]
pub fn voc_colour(label: u8) -> [u8; 3] {
    let mut colour = [0u8; 3];
    let mut rest = label;
    for bit in (0..8).rev() {
        for (channel, value) in colour.iter_mut().enumerate() {
            *value |= ((rest >> channel) & 1) << bit;
        }
        rest >>= 3;
    }
    colour
}

/// The colours of all 256 labels as the bytes of a PNG palette, RGB after RGB.
#[must_use]
pub fn voc_palette() -> Vec<u8> {
    (0..=255).flat_map(voc_colour).collect()
}

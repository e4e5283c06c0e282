//! Random changes to a picture and its label map.
//!
//! Scenes are drawn afresh for ever and need none of this; pictures read from a folder do. One function
//! does the usual recipe for segmentation in a fixed order (scale, crop, flip, colours), because the
//! picture and its labels must always move together. Like a scene, the result is a pure function of the
//! input, the configuration and a seed.

use serde::{Deserialize, Serialize};

use crate::draw::Draws;
use crate::{VOID, VisionError};

/// A picture with a label for every pixel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelledImage {
    height: usize,
    width: usize,
    image: Vec<u8>,
    labels: Vec<u8>,
}

impl LabelledImage {
    /// `image` is RGB bytes row by row, `height * width * 3`; `labels` is `height * width`.
    ///
    /// # Errors
    /// [`VisionError::Length`] where a buffer has another length, [`VisionError::Config`] for a picture
    /// without pixels.
    pub fn new(
        height: usize,
        width: usize,
        image: Vec<u8>,
        labels: Vec<u8>,
    ) -> Result<LabelledImage, VisionError> {
        if height == 0 || width == 0 {
            let found = format!("{height}x{width}");
            return Err(VisionError::Config {
                field: "picture",
                found,
                expected: "at least one pixel",
            });
        }
        let pixels = height.saturating_mul(width);
        for (what, found, expected) in [
            ("the picture", image.len(), pixels.saturating_mul(3)),
            ("the label map", labels.len(), pixels),
        ] {
            if found != expected {
                return Err(VisionError::Length {
                    what,
                    found,
                    expected,
                    height,
                    width,
                });
            }
        }
        Ok(LabelledImage {
            height,
            width,
            image,
            labels,
        })
    }

    /// Rows, pixels.
    #[must_use]
    pub fn height(&self) -> usize {
        self.height
    }

    /// Columns, pixels.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// RGB bytes, row by row.
    #[must_use]
    pub fn image(&self) -> &[u8] {
        &self.image
    }

    /// Labels, row by row.
    #[must_use]
    pub fn labels(&self) -> &[u8] {
        &self.labels
    }

    /// The mean of every channel, rounded.
    pub(crate) fn mean_colour(&self) -> [u8; 3] {
        mean_colour(&self.image)
    }

    /// The two buffers.
    #[must_use]
    pub fn into_parts(self) -> (Vec<u8>, Vec<u8>) {
        (self.image, self.labels)
    }
}

/// How much [`augment`] may change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AugmentConfig {
    /// Rows and columns of the result, 1 to 4096 pixels.
    pub crop: usize,
    /// The smallest enlargement, over 0.
    pub min_scale: f32,
    /// The largest enlargement, at least `min_scale` and at most 16.
    pub max_scale: f32,
    /// Whether half of the results are mirrored.
    pub flip: bool,
    /// How far brightness, contrast and the channels' gains move, 0 (not at all) to 1.
    pub colour: f32,
}

impl Default for AugmentConfig {
    fn default() -> AugmentConfig {
        AugmentConfig {
            crop: 128,
            min_scale: 0.5,
            max_scale: 2.0,
            flip: true,
            colour: 0.3,
        }
    }
}

impl AugmentConfig {
    /// Checks every value.
    ///
    /// # Errors
    /// [`VisionError::Config`] names the first field that is out of range.
    pub fn validate(&self) -> Result<(), VisionError> {
        let scales = self.min_scale..=16.0;
        let checks = [
            (
                "crop",
                self.crop.to_string(),
                (1..=4096).contains(&self.crop),
                "1 to 4096",
            ),
            (
                "min_scale",
                self.min_scale.to_string(),
                self.min_scale > 0.0 && self.min_scale <= 16.0,
                "over 0, at most 16",
            ),
            (
                "max_scale",
                self.max_scale.to_string(),
                scales.contains(&self.max_scale),
                "min_scale to 16",
            ),
            (
                "colour",
                self.colour.to_string(),
                (0.0..=1.0).contains(&self.colour),
                "0 to 1",
            ),
        ];
        for (field, found, good, expected) in checks {
            if !good {
                return Err(VisionError::Config {
                    field,
                    found,
                    expected,
                });
            }
        }
        Ok(())
    }
}

/// A scaled, cropped, perhaps mirrored and recoloured square of the picture.
///
/// The picture is sampled bilinearly, labels by the nearest pixel. Where the scaled picture is smaller
/// than the crop the rest is the picture's mean colour and void.
///
/// # Errors
/// [`VisionError::Config`] as from [`AugmentConfig::validate`].
///
/// ```
/// use autoloss_vision::{AugmentConfig, LabelledImage, VOID, augment};
///
/// let picture = LabelledImage::new(10, 20, vec![90; 600], vec![1; 200])?;
/// let config = AugmentConfig { crop: 16, min_scale: 1.0, max_scale: 1.0, ..AugmentConfig::default() };
/// let changed = augment(&picture, &config, 3)?;
/// assert_eq!((changed.height(), changed.width()), (16, 16));
/// // Six rows are missing in the picture.
/// assert_eq!(changed.labels().iter().filter(|&&label| label == VOID).count(), 6 * 16);
/// assert_eq!(changed, augment(&picture, &config, 3)?);
/// # Ok::<(), autoloss_vision::VisionError>(())
/// ```
pub fn augment(
    picture: &LabelledImage,
    config: &AugmentConfig,
    seed: u64,
) -> Result<LabelledImage, VisionError> {
    config.validate()?;
    let mut draws = Draws::new(*b"autoloss augment", seed, 0);
    let scale = draws.range(config.min_scale, config.max_scale);
    let mut columns = axis(picture.width, config.crop, scale, &mut draws);
    let rows = axis(picture.height, config.crop, scale, &mut draws);
    if config.flip && draws.coin() {
        columns.reverse();
    }
    let tables = colour_tables(config.colour, &mut draws);
    let fill = mean_colour(&picture.image);
    let mut image = Vec::with_capacity(3 * config.crop * config.crop);
    let mut labels = Vec::with_capacity(config.crop * config.crop);
    for row in &rows {
        for column in &columns {
            let (colour, label) = match (row, column) {
                (Some(y), Some(x)) => sample(picture, *x, *y),
                _ => (fill, VOID),
            };
            image.extend(
                colour
                    .iter()
                    .zip(&tables)
                    .map(|(&value, table)| table[usize::from(value)]),
            );
            labels.push(label);
        }
    }
    Ok(LabelledImage {
        height: config.crop,
        width: config.crop,
        image,
        labels,
    })
}

/// For each output pixel of one axis its position in the source, None outside of it.
fn axis(length: usize, crop: usize, scale: f32, draws: &mut Draws) -> Vec<Option<f32>> {
    let scaled = length as f32 * scale;
    let slack = scaled - crop as f32;
    // Where the picture is larger the crop moves over it, where it is smaller it moves inside the crop.
    let start = if slack >= 0.0 {
        draws.range(0.0, slack)
    } else {
        -draws.range(0.0, -slack).floor()
    };
    let position = |index: usize| {
        let place = (start + index as f32 + 0.5) / scale;
        (place >= 0.0 && place < length as f32).then_some(place - 0.5)
    };
    (0..crop).map(position).collect()
}

fn sample(picture: &LabelledImage, x: f32, y: f32) -> ([u8; 3], u8) {
    let (left, right, across) = neighbours(x, picture.width);
    let (above, below, down) = neighbours(y, picture.height);
    let at = |row: usize, column: usize, channel: usize| {
        f32::from(picture.image[3 * (row * picture.width + column) + channel])
    };
    let colour = std::array::from_fn(|channel| {
        let upper = at(above, left, channel) * (1.0 - across) + at(above, right, channel) * across;
        let lower = at(below, left, channel) * (1.0 - across) + at(below, right, channel) * across;
        (upper * (1.0 - down) + lower * down + 0.5) as u8
    });
    let row = if down < 0.5 { above } else { below };
    let column = if across < 0.5 { left } else { right };
    (colour, picture.labels[row * picture.width + column])
}

/// The two pixels round a position and the weight of the second.
fn neighbours(position: f32, length: usize) -> (usize, usize, f32) {
    let position = position.max(0.0);
    let first = (position as usize).min(length - 1);
    (first, (first + 1).min(length - 1), position - first as f32)
}

fn mean_colour(image: &[u8]) -> [u8; 3] {
    let pixels = (image.len() / 3).max(1) as u64;
    std::array::from_fn(|channel| {
        let sum: u64 = image[channel..]
            .iter()
            .step_by(3)
            .map(|&value| u64::from(value))
            .sum();
        ((sum + pixels / 2) / pixels) as u8
    })
}

fn colour_tables(strength: f32, draws: &mut Draws) -> [[u8; 256]; 3] {
    let contrast = 1.0 + strength * draws.range(-1.0, 1.0);
    let brightness = 64.0 * strength * draws.range(-1.0, 1.0);
    std::array::from_fn(|_| {
        let gain = contrast * (1.0 + 0.3 * strength * draws.range(-1.0, 1.0));
        std::array::from_fn(|value| {
            ((value as f32 - 128.0) * gain + 128.5 + brightness).clamp(0.0, 255.0) as u8
        })
    })
}

//! Random changes to a picture and its label map.
//!
//! Scenes are drawn afresh for ever and need none of this; pictures read from a folder do. One function
//! does the usual recipe for segmentation in a fixed order (scale, crop, flip, colours), because the
//! picture and its labels must always move together. Like a scene, the result is a pure function of the
//! input, the configuration and a seed.

use serde::{Deserialize, Serialize};

use crate::draw::Draws;
use crate::{Scene, VOID, VisionError};

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

    /// A scene's picture and classes.
    ///
    /// # Errors
    /// As [`LabelledImage::new`].
    pub fn of_scene(scene: Scene) -> Result<LabelledImage, VisionError> {
        LabelledImage::new(scene.height, scene.width, scene.image, scene.classes)
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

    /// The same, left for right.
    #[must_use]
    pub fn mirrored(&self) -> LabelledImage {
        let image = self.image.chunks_exact(3 * self.width);
        let image = image.flat_map(|row| row.chunks_exact(3).rev().flatten().copied());
        let labels = self.labels.chunks_exact(self.width);
        LabelledImage {
            height: self.height,
            width: self.width,
            image: image.collect(),
            labels: labels.flat_map(|row| row.iter().rev().copied()).collect(),
        }
    }

    /// The two buffers.
    #[must_use]
    pub fn into_parts(self) -> (Vec<u8>, Vec<u8>) {
        (self.image, self.labels)
    }
}

/// The ranges of the changes that [`augment`] makes.
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
        checks
            .into_iter()
            .try_for_each(|(field, found, good, expected)| {
                VisionError::check(field, found, good, expected)
            })
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
    let fill = recoloured(mean_colour(&picture.image), &tables);
    let mut image = fill.repeat(config.crop * config.crop);
    let mut labels = vec![VOID; config.crop * config.crop];
    // The part of every row that the picture covers.
    let before = columns.iter().take_while(|place| place.is_none()).count();
    let covered: Vec<Interpolation> = columns.into_iter().flatten().collect();
    let mut stretched = Stretched::new(picture, &covered);
    for (row, place) in rows.iter().enumerate() {
        let Some(place) = place else { continue };
        let start = row * config.crop + before;
        let colours = &mut image[3 * start..][..3 * covered.len()];
        stretched.blend(place, &tables, colours);
        let line = &picture.labels[place.nearest() * picture.width..][..picture.width];
        for (label, column) in labels[start..].iter_mut().zip(&covered) {
            *label = line[column.nearest()];
        }
    }
    Ok(LabelledImage {
        height: config.crop,
        width: config.crop,
        image,
        labels,
    })
}

/// The two source pixels along an axis that an output pixel lies between.
struct Interpolation {
    first: usize,
    second: usize,
    /// The weight of the second, 0 to 1.
    weight: f32,
}

impl Interpolation {
    fn new(position: f32, length: usize) -> Interpolation {
        let position = position.max(0.0);
        let first = (position as usize).min(length - 1);
        Interpolation {
            first,
            second: (first + 1).min(length - 1),
            weight: position - first as f32,
        }
    }

    fn nearest(&self) -> usize {
        if self.weight < 0.5 {
            self.first
        } else {
            self.second
        }
    }
}

/// For each output pixel of one axis its place in the source, None outside of it.
fn axis(length: usize, crop: usize, scale: f32, draws: &mut Draws) -> Vec<Option<Interpolation>> {
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
        let inside = place >= 0.0 && place < length as f32;
        inside.then(|| Interpolation::new(place - 0.5, length))
    };
    (0..crop).map(position).collect()
}

/// Source rows interpolated along the columns. Two are cached, an even and an odd one: many output rows
/// of an enlarged picture lie between the same two.
struct Stretched<'a> {
    picture: &'a LabelledImage,
    columns: &'a [Interpolation],
    lines: [Vec<f32>; 2],
    rows: [Option<usize>; 2],
}

impl<'a> Stretched<'a> {
    fn new(picture: &'a LabelledImage, columns: &'a [Interpolation]) -> Stretched<'a> {
        Stretched {
            picture,
            columns,
            lines: [Vec::new(), Vec::new()],
            rows: [None; 2],
        }
    }

    fn load(&mut self, row: usize) {
        let slot = row % 2;
        if self.rows[slot] == Some(row) {
            return;
        }
        self.rows[slot] = Some(row);
        let bytes = 3 * self.picture.width;
        let source = &self.picture.image[row * bytes..][..bytes];
        let line = &mut self.lines[slot];
        line.resize(3 * self.columns.len(), 0.0);
        for (colour, place) in line.chunks_exact_mut(3).zip(self.columns) {
            let first = &source[3 * place.first..][..3];
            let second = &source[3 * place.second..][..3];
            let rest = 1.0 - place.weight;
            for channel in 0..3 {
                colour[channel] =
                    f32::from(first[channel]) * rest + f32::from(second[channel]) * place.weight;
            }
        }
    }

    /// The recoloured row at a place between two source rows.
    fn blend(&mut self, place: &Interpolation, tables: &[[u8; 256]; 3], colours: &mut [u8]) {
        self.load(place.first);
        self.load(place.second);
        let [upper, lower] =
            [place.first, place.second].map(|row| self.lines[row % 2].chunks_exact(3));
        let rest = 1.0 - place.weight;
        for ((colour, upper), lower) in colours.chunks_exact_mut(3).zip(upper).zip(lower) {
            for channel in 0..3 {
                let value = upper[channel] * rest + lower[channel] * place.weight;
                colour[channel] = tables[channel][usize::from((value + 0.5) as u8)];
            }
        }
    }
}

fn recoloured(colour: [u8; 3], tables: &[[u8; 256]; 3]) -> [u8; 3] {
    std::array::from_fn(|channel| tables[channel][usize::from(colour[channel])])
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

//! The look of a scene.

use serde::{Deserialize, Serialize};

use super::frequency::Frequencies;
use crate::VisionError;

/// The canvas side at which item sizes are given, pixels.
const REFERENCE_SIZE: usize = 128;

/// The shortest long side an item is rendered at; below it thin items fall between the pixels.
const SMALLEST: usize = 8;

/// The look of scenes. Lengths are given for a canvas of 128 pixels and scale with `size`.
///
/// ```
/// use autoloss_vision::SceneConfig;
///
/// let config = SceneConfig { size: 96, max_items: 6, ..SceneConfig::default() };
/// assert!(config.validate().is_ok());
/// assert_eq!(config.sides(), (26, 47));
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SceneConfig {
    /// Rows and columns of a scene, 32 to 1024 pixels.
    pub size: usize,
    /// The fewest items drawn for a scene, at least 1.
    pub min_items: usize,
    /// The most items drawn for a scene, at most 64. A scene can have fewer than were drawn, where an
    /// item finds no place that leaves `min_visible` of the others to see.
    pub max_items: usize,
    /// The shortest long side of an item's box, pixels on a canvas of 128.
    pub min_side: usize,
    /// The longest long side of an item's box, pixels on a canvas of 128, at most 120.
    pub max_side: usize,
    /// How far an item leans: the largest tangent of half its angle, 0 to 1. 0.1 is 11 degrees.
    pub tilt: f32,
    /// How strongly items and grey backgrounds are coloured, 0 (not at all) to 1.
    pub tint: f32,
    /// The least opacity of an item, over 0 to 1; each item's opacity lies between it and 1.
    pub min_opacity: f32,
    /// The share of each item that items in front of it leave visible, 0 to 1. At 1 nothing overlaps.
    pub min_visible: f32,
    /// How often each class occurs.
    pub frequencies: Frequencies,
    /// The share of the items of training scenes that are labelled as another class, any of them, 0 to 1. Other
    /// splits' labels are right.
    pub label_noise: f32,
}

impl Default for SceneConfig {
    fn default() -> SceneConfig {
        SceneConfig {
            size: REFERENCE_SIZE,
            min_items: 1,
            max_items: 4,
            min_side: 34,
            max_side: 63,
            tilt: 0.1,
            tint: 0.6,
            min_opacity: 0.85,
            min_visible: 0.4,
            frequencies: Frequencies::Equal,
            label_noise: 0.0,
        }
    }
}

impl SceneConfig {
    /// The shortest and the longest long side of an item on this canvas, pixels; never under 8.
    #[must_use]
    pub fn sides(&self) -> (usize, usize) {
        let scaled = |side: usize| (side * self.size + REFERENCE_SIZE / 2) / REFERENCE_SIZE;
        (
            scaled(self.min_side).max(SMALLEST),
            scaled(self.max_side).max(SMALLEST),
        )
    }

    /// Checks every value.
    ///
    /// # Errors
    /// [`VisionError::Config`] names the first field that is out of range.
    pub fn validate(&self) -> Result<(), VisionError> {
        let number = |field, value: usize, low: usize, high: usize, expected| {
            VisionError::check(
                field,
                value.to_string(),
                (low..=high).contains(&value),
                expected,
            )
        };
        number("size", self.size, 32, 1024, "32 to 1024")?;
        number("min_items", self.min_items, 1, 64, "1 to 64")?;
        number(
            "max_items",
            self.max_items,
            self.min_items,
            64,
            "min_items to 64",
        )?;
        number("min_side", self.min_side, 8, 120, "8 to 120")?;
        number(
            "max_side",
            self.max_side,
            self.min_side,
            120,
            "min_side to 120",
        )?;
        let share = |field, value: f32, expected| {
            VisionError::check(
                field,
                value.to_string(),
                (0.0..=1.0).contains(&value),
                expected,
            )
        };
        share("tilt", self.tilt, "0 to 1")?;
        share("tint", self.tint, "0 to 1")?;
        share("min_visible", self.min_visible, "0 to 1")?;
        share("label_noise", self.label_noise, "0 to 1")?;
        let visible = self.min_opacity > 0.0 && self.min_opacity <= 1.0;
        VisionError::check(
            "min_opacity",
            self.min_opacity.to_string(),
            visible,
            "over 0, at most 1",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_checked_by_name() {
        let good = SceneConfig::default;
        assert!(good().validate().is_ok());
        let bad: [(&str, SceneConfig); 10] = [
            ("size", SceneConfig { size: 31, ..good() }),
            (
                "min_items",
                SceneConfig {
                    min_items: 0,
                    ..good()
                },
            ),
            (
                "max_items",
                SceneConfig {
                    min_items: 5,
                    max_items: 4,
                    ..good()
                },
            ),
            (
                "min_side",
                SceneConfig {
                    min_side: 7,
                    ..good()
                },
            ),
            (
                "max_side",
                SceneConfig {
                    max_side: 121,
                    ..good()
                },
            ),
            (
                "tilt",
                SceneConfig {
                    tilt: f32::NAN,
                    ..good()
                },
            ),
            (
                "tint",
                SceneConfig {
                    tint: 1.5,
                    ..good()
                },
            ),
            (
                "min_visible",
                SceneConfig {
                    min_visible: -0.1,
                    ..good()
                },
            ),
            (
                "label_noise",
                SceneConfig {
                    label_noise: 1.5,
                    ..good()
                },
            ),
            (
                "min_opacity",
                SceneConfig {
                    min_opacity: 0.0,
                    ..good()
                },
            ),
        ];
        for (name, config) in bad {
            match config.validate() {
                Err(VisionError::Config { field, .. }) => assert_eq!(field, name),
                other => panic!("{name}: {other:?}"),
            }
        }
    }

    #[test]
    fn unknown_fields_are_refused() {
        let error = serde_json::from_str::<SceneConfig>(r#"{"sise": 64}"#).unwrap_err();
        assert!(error.to_string().contains("sise"));
    }
}

//! The settings of the task, checked before anything is drawn.

use autoloss_plugin_api::{Result, serde_json::Value};
use std::collections::BTreeMap;

/// Pixels that the side of a scene must be a multiple of, so that networks can halve it repeatedly.
pub(crate) const SIZE_STEP: usize = 16;

/// The settings of `[task]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Rows and columns of a scene, pixels: 32 to 256, a multiple of 16.
    pub(crate) size: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { size: 64 }
    }
}

impl Settings {
    /// Reads the settings by name; those that are not named keep their default.
    ///
    /// # Errors
    /// Names an unknown setting and those that are known, or a value that is out of range.
    pub(crate) fn read(named: &BTreeMap<String, Value>) -> Result<Self> {
        let mut settings = Self::default();
        for (name, value) in named {
            match name.as_str() {
                "size" => settings.size = size(value)?,
                _ => {
                    return Err(
                        format!("task 'voc_seg' has no setting '{name}' (there is: size)").into(),
                    );
                }
            }
        }
        Ok(settings)
    }
}

fn size(value: &Value) -> Result<usize> {
    value
        .as_u64()
        .and_then(|size| usize::try_from(size).ok())
        .filter(|size| (32..=256).contains(size) && size.is_multiple_of(SIZE_STEP))
        .ok_or_else(|| {
            format!("setting 'size' is {value}, expected a multiple of {SIZE_STEP} from 32 to 256")
                .into()
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use autoloss_plugin_api::serde_json::json;

    fn read(name: &str, value: Value) -> Result<Settings> {
        Settings::read(&BTreeMap::from([(name.to_owned(), value)]))
    }

    #[test]
    fn size_is_read_and_checked() {
        assert_eq!(read("size", json!(96)).unwrap().size, 96);
        for bad in [
            json!(0),
            json!(-64),
            json!(100),
            json!(272),
            json!("64"),
            json!(64.5),
        ] {
            let error = read("size", bad.clone()).unwrap_err().to_string();
            assert!(error.contains(&bad.to_string()), "{error}");
        }
    }

    #[test]
    fn unknown_settings_are_refused_with_the_known_ones() {
        let error = read("sise", json!(64)).unwrap_err().to_string();
        assert_eq!(
            error,
            "task 'voc_seg' has no setting 'sise' (there is: size)"
        );
    }
}

//! Reading an annotation file.
//!
//! A file of a large data set has a million annotations and more than a gigabyte, nearly all of it the
//! corners of polygons. It is read through a buffer and annotation by annotation. A mask is dropped
//! where the annotation has its box and its area, and its numbers are not even parsed.
//!
//! Types are loose where files in the wild are: ids written as `1.0`, `iscrowd` as a truth value, missing
//! areas. What cannot be understood is a problem of one entry, in words, and the caller decides about it;
//! only what is not JSON of this form ends the reading.

use std::convert::identity;
use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use autoloss_spec::without_mark;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::VisionError;

/// The three lists of a file.
pub(super) struct RawFile {
    pub(super) images: Vec<RawImage>,
    pub(super) categories: Vec<RawCategory>,
    /// An annotation, or why it cannot be used.
    pub(super) annotations: Vec<Result<RawObject, String>>,
}

/// An entry of `images`.
#[derive(Deserialize)]
pub(super) struct RawImage {
    #[serde(default)]
    pub(super) id: Value,
    #[serde(default)]
    pub(super) file_name: Value,
    #[serde(default)]
    pub(super) height: Value,
    #[serde(default)]
    pub(super) width: Value,
}

/// An entry of `categories`.
#[derive(Deserialize)]
pub(super) struct RawCategory {
    #[serde(default)]
    pub(super) id: Value,
    #[serde(default)]
    pub(super) name: Value,
}

#[derive(Deserialize)]
struct RawAnnotation {
    #[serde(default)]
    id: Value,
    #[serde(default)]
    image_id: Value,
    #[serde(default)]
    category_id: Value,
    #[serde(default)]
    bbox: Value,
    #[serde(default)]
    area: Value,
    #[serde(default)]
    iscrowd: Value,
    #[serde(default)]
    segmentation: Option<Box<RawValue>>,
}

/// An annotation as far as it can be understood alone.
pub(super) struct RawObject {
    pub(super) image: u64,
    pub(super) category: u64,
    pub(super) id: Option<u64>,
    pub(super) bbox: Option<[f64; 4]>,
    /// Whether the box is there and is an empty list.
    pub(super) empty_box: bool,
    pub(super) area: Option<f64>,
    pub(super) crowd: bool,
    /// The segmentation's text, where box or area must be taken from it.
    pub(super) mask: Option<Box<RawValue>>,
}

impl RawObject {
    fn new(raw: RawAnnotation) -> Result<RawObject, String> {
        let bbox = numbers(&raw.bbox)?;
        let area = raw.area.as_f64();
        let mask = raw
            .segmentation
            .filter(|_| bbox.is_none() || area.is_none());
        Ok(RawObject {
            image: id(&raw.image_id).map_err(|problem| format!("its image_id {problem}"))?,
            category: id(&raw.category_id)
                .map_err(|problem| format!("its category_id {problem}"))?,
            id: id(&raw.id).ok(),
            bbox,
            empty_box: raw.bbox.as_array().is_some_and(Vec::is_empty),
            area,
            crowd: flag(&raw.iscrowd)?,
            mask,
        })
    }
}

/// A whole number of at least 0, also where it is written as `1.0`.
pub(super) fn id(value: &Value) -> Result<u64, String> {
    let float = || hotcoco::types::id_from_f64(value.as_f64()?);
    match value.as_u64().or_else(float) {
        Some(id) => Ok(id),
        None if value.is_null() => Err("is missing".to_owned()),
        None => Err(format!("is {value}, expected a whole number of at least 0")),
    }
}

/// The box; None for no entry, null or an empty list.
fn numbers(bbox: &Value) -> Result<Option<[f64; 4]>, String> {
    let problem =
        || format!("its bbox is {bbox}, expected four numbers: left, top, width, height in pixels");
    let list = match bbox {
        Value::Null => return Ok(None),
        Value::Array(list) if list.is_empty() => return Ok(None),
        Value::Array(list) if list.len() == 4 => list,
        _ => return Err(problem()),
    };
    let mut numbers = [0.0; 4];
    for (number, value) in numbers.iter_mut().zip(list) {
        *number = value.as_f64().ok_or_else(problem)?;
    }
    Ok(Some(numbers))
}

fn flag(iscrowd: &Value) -> Result<bool, String> {
    match iscrowd {
        Value::Null => Ok(false),
        Value::Bool(flag) => Ok(*flag),
        value => match value.as_f64() {
            Some(number) => Ok(number != 0.0),
            None => Err(format!("its iscrowd is {iscrowd}, expected 0 or 1")),
        },
    }
}

/// Reads a file of annotations.
///
/// # Errors
/// [`VisionError::File`] where it cannot be read, [`VisionError::Folder`] where it is no JSON of COCO's form.
pub(super) fn read(file: &Path) -> Result<RawFile, VisionError> {
    let unreadable = |error: std::io::Error| VisionError::file("read", file, &error);
    let mut reader = BufReader::with_capacity(1 << 18, File::open(file).map_err(unreadable)?);
    // Editors on Windows put a mark in front.
    let mark = reader
        .fill_buf()
        .and_then(|begin| Ok(begin.len() - without_mark(begin)?.len()));
    reader.consume(mark.map_err(unreadable)?);
    let mut deserializer = serde_json::Deserializer::from_reader(reader);
    let lists = (&mut deserializer)
        .deserialize_map(FileVisitor)
        .and_then(|lists| deserializer.end().map(|()| lists));
    lists.map_err(|error| {
        let problem = format!(
            "this is no annotation file of COCO's form: {error}; expected an object with the lists images, \
             annotations and categories"
        );
        VisionError::folder(file, problem)
    })
}

struct FileVisitor;

impl<'de> Visitor<'de> for FileVisitor {
    type Value = RawFile;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object with images, annotations and categories")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawFile, A::Error> {
        let (mut images, mut categories, mut annotations) = (None, None, None);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "images" => images = Some(map.next_value_seed(Entries::new("image", identity))?),
                "categories" => {
                    categories = Some(map.next_value_seed(Entries::new("category", identity))?);
                }
                "annotations" => {
                    let entries = Entries::new("annotation", RawObject::new);
                    annotations = Some(map.next_value_seed(entries)?);
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(RawFile {
            images: images.ok_or_else(|| A::Error::missing_field("images"))?,
            categories: categories.ok_or_else(|| A::Error::missing_field("categories"))?,
            annotations: annotations.ok_or_else(|| A::Error::missing_field("annotations"))?,
        })
    }
}

/// A list whose entries are converted one by one.
struct Entries<T, U> {
    what: &'static str,
    convert: fn(T) -> U,
}

impl<T, U> Entries<T, U> {
    fn new(what: &'static str, convert: fn(T) -> U) -> Entries<T, U> {
        Entries { what, convert }
    }
}

impl<'de, T: Deserialize<'de>, U> DeserializeSeed<'de> for Entries<T, U> {
    type Value = Vec<U>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<U>, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, T: Deserialize<'de>, U> Visitor<'de> for Entries<T, U> {
    type Value = Vec<U>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "a list, one {} an entry", self.what)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<U>, A::Error> {
        let mut entries = Vec::new();
        loop {
            let number = entries.len() + 1;
            let entry = list
                .next_element()
                .map_err(|error| A::Error::custom(format!("{} {number}: {error}", self.what)))?;
            match entry {
                Some(entry) => entries.push((self.convert)(entry)),
                None => return Ok(entries),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;
    use std::fs;

    fn parse(text: &[u8]) -> Result<RawFile, VisionError> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("instances.json");
        fs::write(&file, text).unwrap();
        read(&file)
    }

    fn annotation(entry: &Value) -> Result<RawObject, String> {
        let text = json!({"annotations": [entry], "images": [], "categories": []}).to_string();
        parse(text.as_bytes()).unwrap().annotations.remove(0)
    }

    #[test]
    fn masks_are_kept_only_where_box_or_area_need_them() {
        let base = json!({"id": 0, "image_id": 3.0, "category_id": 0, "segmentation": [[1, 2, 3]]});
        let with = |extra: Value| {
            let mut entry = base.clone();
            entry
                .as_object_mut()
                .unwrap()
                .extend(extra.as_object().unwrap().clone());
            annotation(&entry).unwrap()
        };
        let whole = with(json!({"bbox": [1, 2.5, 3, 4], "area": 6, "iscrowd": 1, "score": "x"}));
        assert_eq!((whole.image, whole.category, whole.id), (3, 0, Some(0)));
        assert_eq!(
            (whole.bbox, whole.area),
            (Some([1.0, 2.5, 3.0, 4.0]), Some(6.0))
        );
        assert!(whole.crowd && whole.mask.is_none());
        for extra in [
            json!({}),
            json!({"bbox": [], "area": 6}),
            json!({"bbox": [1, 2, 3, 4]}),
        ] {
            let part = with(extra);
            assert_eq!(part.mask.unwrap().get(), "[[1,2,3]]");
            assert!(!part.crowd);
        }
        assert!(
            with(json!({"bbox": null, "segmentation": null}))
                .mask
                .is_none()
        );
        for flag in [json!(true), json!(1.0), json!(2)] {
            assert!(with(json!({"iscrowd": flag})).crowd);
        }
        for strange in [json!("7"), json!(-1), json!(null), json!(0.5)] {
            assert_eq!(with(json!({"id": strange})).id, None);
        }
    }

    #[test]
    fn annotations_that_cannot_be_understood_say_why() {
        let base = json!({"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]});
        for (field, value, words) in [
            ("image_id", json!(null), "its image_id is missing"),
            (
                "image_id",
                json!("5"),
                "its image_id is \"5\", expected a whole number",
            ),
            ("image_id", json!(1.5), "its image_id is 1.5"),
            ("category_id", json!(-1), "its category_id is -1"),
            (
                "bbox",
                json!([1, 2, 3]),
                "its bbox is [1,2,3], expected four numbers",
            ),
            ("bbox", json!([1, 2, 3, null]), "expected four numbers"),
            ("bbox", json!({"x": 1}), "expected four numbers"),
            ("iscrowd", json!("no"), "its iscrowd is \"no\""),
        ] {
            let mut entry = base.clone();
            entry[field] = value;
            let problem = annotation(&entry).err().unwrap();
            assert!(problem.contains(words), "{problem}");
        }
    }

    #[test]
    fn files_that_are_no_annotations_are_refused() {
        for (text, words) in [
            ("", "EOF while parsing"),
            ("{", "EOF while parsing"),
            (
                "[]",
                "invalid type: sequence, expected an object with images",
            ),
            ("{}", "missing field `images`"),
            (
                r#"{"images": [], "categories": []}"#,
                "missing field `annotations`",
            ),
            (r#"{"images": {}}"#, "expected a list, one image an entry"),
            (
                r#"{"images": [{"id": 1}, 3]}"#,
                "image 2: invalid type: integer `3`",
            ),
            (
                r#"{"annotations": [{}, {"bbox": [NaN]}]}"#,
                "annotation 2: expected value at line 1",
            ),
            (
                r#"{"images": [], "categories": [], "annotations": [] } x"#,
                "trailing characters",
            ),
        ] {
            let message = parse(text.as_bytes()).err().unwrap().to_string();
            assert!(message.contains(words), "{text}: {message}");
            assert!(
                message.contains("instances.json: this is no annotation file"),
                "{message}"
            );
        }
        let missing = read(Path::new("/nowhere/instances.json")).err().unwrap();
        assert!(matches!(missing, VisionError::File { .. }));
    }

    #[test]
    fn a_mark_in_front_is_passed_over() {
        let text =
            b"\xef\xbb\xbf{\"images\": [{\"id\": 4}], \"categories\": [], \"annotations\": []}";
        assert_eq!(parse(text).unwrap().images[0].id, json!(4));
        let wide: Vec<u8> = text[3..].iter().flat_map(|&byte| [byte, 0]).collect();
        let message = parse(&wide).err().unwrap().to_string();
        assert!(
            message.contains("instances.json") && message.contains("UTF-16"),
            "{message}"
        );
    }

    proptest! {
        #[test]
        fn any_cut_or_changed_file_gives_lists_or_an_error(at in 0usize..300, byte: u8) {
            let text = json!({
                "info": {"year": 2017},
                "images": [{"id": 1, "file_name": "a.jpg", "height": 5, "width": 6}],
                "annotations": [
                    {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "area": 12, "iscrowd": 0},
                    {"id": 2, "image_id": 1, "category_id": 1, "segmentation": [[1.5, 2, 3, 4, 5, 6]]},
                ],
                "categories": [{"id": 1, "name": "thing"}],
            });
            let mut text = text.to_string().into_bytes();
            let at = at % text.len();
            prop_assert!(parse(&text[..at]).is_err());
            text[at] = byte;
            let _ = parse(&text);
        }
    }
}

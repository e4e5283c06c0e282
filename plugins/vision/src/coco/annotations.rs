//! The pictures and objects of one annotation file, checked against each other and against the disk.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::json::{RawFile, RawImage, RawObject, id};
use super::mask::extent;
use super::object::CocoObject;
use super::places::Places;
use crate::VisionError;
use crate::codec::{MAX_PIXELS, photograph_size};
use crate::data::BadEntries;

/// A file of annotations with its photographs found.
#[derive(Clone, Debug)]
pub(super) struct Annotations {
    pub(super) file: PathBuf,
    pub(super) pictures: Vec<Picture>,
    objects: Vec<Object>,
    /// Whether the file's ids tell its annotations apart.
    identified: bool,
}

/// An entry of `images` whose photograph exists.
#[derive(Clone, Debug)]
pub(super) struct Picture {
    pub(super) id: u64,
    /// As in the file, with `/` between its parts.
    pub(super) file_name: String,
    pub(super) photograph: PathBuf,
    pub(super) height: u32,
    pub(super) width: u32,
    objects: Range<usize>,
}

impl Picture {
    /// The file's name without its ending.
    pub(super) fn name(&self) -> &str {
        let file = self.file_name.as_str();
        match file.rsplit_once('.') {
            Some((stem, ending)) if !stem.is_empty() && !ending.contains('/') => stem,
            _ => file,
        }
    }
}

/// An annotation, as small as it can be: there may be a million.
#[derive(Clone, Debug)]
struct Object {
    bbox: [f64; 4],
    area: f64,
    /// 0 where it has none.
    id: u64,
    class: u16,
    crowd: bool,
}

impl Annotations {
    /// `classes` gives the class of a category's id.
    pub(super) fn link(
        file: &Path,
        raw: RawFile,
        classes: &HashMap<u64, u16>,
        places: &mut Places,
        bad: &mut BadEntries,
    ) -> Result<Annotations, VisionError> {
        let mut linker = Linker {
            file,
            classes,
            bad,
            pictures: Vec::with_capacity(raw.images.len()),
            by_id: HashMap::with_capacity(raw.images.len()),
            skipped: HashSet::new(),
            objects: Vec::with_capacity(raw.annotations.len()),
            identified: true,
        };
        linker.add_pictures(&raw.images, places)?;
        linker.add_objects(raw.annotations);
        Ok(linker.finish())
    }

    /// The objects of a picture, in the order of the file.
    pub(super) fn objects(&self, picture: &Picture) -> Vec<CocoObject> {
        let objects = self.objects[picture.objects.clone()].iter();
        objects.map(|object| self.object(object, picture)).collect()
    }

    /// The number of a picture's objects that are trained on.
    pub(super) fn trainable(&self, picture: &Picture) -> usize {
        let objects = self.objects[picture.objects.clone()].iter();
        objects
            .filter(|object| self.object(object, picture).is_trainable())
            .count()
    }

    fn object(&self, object: &Object, picture: &Picture) -> CocoObject {
        let (height, width) = (picture.height as usize, picture.width as usize);
        let class = usize::from(object.class);
        CocoObject {
            crowd: object.crowd,
            annotation: self.identified.then_some(object.id),
            ..CocoObject::new(class, object.bbox, object.area, height, width)
        }
    }

    /// A note about ids that are odd.
    pub(super) fn note(&self) -> Option<String> {
        let file = self.file.display();
        if !self.identified {
            return Some(format!(
                "{file}: ids of annotations are missing or occur twice and are not used"
            ));
        }
        let zero = self
            .objects
            .iter()
            .any(|object| object.id == 0 && !object.crowd);
        zero.then(|| {
            format!(
                "{file}: an annotation has the id 0, which pycocotools takes for none, so that its object \
                 cannot be found; the scores here are the same"
            )
        })
    }
}

struct Linker<'a> {
    file: &'a Path,
    classes: &'a HashMap<u64, u16>,
    bad: &'a mut BadEntries,
    pictures: Vec<Picture>,
    by_id: HashMap<u64, usize>,
    /// Ids of pictures that cannot be used, whose annotations go with them.
    skipped: HashSet<u64>,
    /// Each with its picture's index.
    objects: Vec<(usize, Object)>,
    identified: bool,
}

impl Linker<'_> {
    fn add_pictures(
        &mut self,
        images: &[RawImage],
        places: &mut Places,
    ) -> Result<(), VisionError> {
        for (index, raw) in images.iter().enumerate() {
            if let Err(problem) = self.picture(raw, places)? {
                self.skipped.extend(id(&raw.id));
                self.refuse(format!("image {} (id {}): {problem}", index + 1, raw.id));
            }
        }
        Ok(())
    }

    fn refuse(&mut self, entry: String) {
        let file = self.file;
        self.bad
            .add(entry, |entry| VisionError::folder(file, entry));
    }

    fn add_objects(&mut self, annotations: Vec<Result<RawObject, String>>) {
        for (index, raw) in annotations.into_iter().enumerate() {
            let number = index + 1;
            let raw = match raw {
                Ok(raw) => raw,
                Err(problem) => {
                    self.refuse(format!("annotation {number}: {problem}"));
                    continue;
                }
            };
            self.identified &= raw.id.is_some();
            match (self.object(&raw), raw.id) {
                (Ok(object), _) => self.objects.extend(object),
                (Err(problem), Some(id)) => {
                    self.refuse(format!("annotation {number} (id {id}): {problem}"));
                }
                (Err(problem), None) => self.refuse(format!("annotation {number}: {problem}")),
            }
        }
    }

    /// The outer error is the disk's, the inner one the entry's.
    fn picture(
        &mut self,
        raw: &RawImage,
        places: &mut Places,
    ) -> Result<Result<(), String>, VisionError> {
        let (id, size) = match header(raw) {
            Ok(header) => header,
            Err(problem) => return Ok(Err(problem)),
        };
        let Value::String(file_name) = &raw.file_name else {
            let problem = format!("its file_name is {}, expected a text", raw.file_name);
            return Ok(Err(problem));
        };
        let (file_name, photograph) = match places.find(file_name)? {
            Ok(found) => found,
            Err(problem) => return Ok(Err(problem)),
        };
        if self.by_id.contains_key(&id) {
            return Ok(Err("another image has this id".to_owned()));
        }
        let (height, width) = match size.map_or_else(|| stored_size(&photograph), Ok) {
            Ok(size) => size,
            Err(problem) => return Ok(Err(problem)),
        };
        self.by_id.insert(id, self.pictures.len());
        self.pictures.push(Picture {
            id,
            file_name,
            photograph,
            height,
            width,
            objects: 0..0,
        });
        Ok(Ok(()))
    }

    /// The object and its picture's index; None where the picture is skipped, or the annotation says that there is no
    /// object: with an empty list for its box, and no mask.
    fn object(&self, raw: &RawObject) -> Result<Option<(usize, Object)>, String> {
        let Some(&picture) = self.by_id.get(&raw.image) else {
            if self.skipped.contains(&raw.image) {
                return Ok(None);
            }
            return Err(format!("there is no image with the id {}", raw.image));
        };
        let Some(&class) = self.classes.get(&raw.category) else {
            return Err(format!("there is no category with the id {}", raw.category));
        };
        let Some((bbox, area)) = self.measures(raw, &self.pictures[picture])? else {
            return Ok(None);
        };
        let object = Object {
            bbox,
            area,
            id: raw.id.unwrap_or(0),
            class,
            crowd: raw.crowd,
        };
        Ok(Some((picture, object)))
    }

    /// Box and area, from the mask where the annotation lacks them; None where what it has of both is empty.
    fn measures(
        &self,
        raw: &RawObject,
        picture: &Picture,
    ) -> Result<Option<([f64; 4], f64)>, String> {
        let mask = raw.mask.as_ref();
        let from_mask = || mask.map(|mask| extent(mask.get(), picture.height, picture.width));
        let no_mask = mask.is_none_or(|mask| matches!(mask.get(), "[]" | "null"));
        if raw.empty_box && no_mask {
            return Ok(None);
        }
        let measured = match (raw.bbox, raw.area) {
            (Some(bbox), Some(area)) => Ok((bbox, area)),
            (Some(bbox), None) => {
                let area = from_mask().and_then(|found| Some(found.ok()?.0));
                Ok((bbox, area.unwrap_or(bbox[2] * bbox[3])))
            }
            (None, area) => match from_mask() {
                Some(Ok((pixels, bbox))) => Ok((bbox, area.unwrap_or(pixels))),
                Some(Err(problem)) => Err(format!("it has no bbox and {problem}")),
                None => Err("it has neither bbox nor segmentation".to_owned()),
            },
        };
        measured.map(Some)
    }

    fn finish(mut self) -> Annotations {
        // Stable: the objects of a picture keep their order.
        self.objects.sort_by_key(|(picture, _)| *picture);
        let mut start = 0;
        for group in self.objects.chunk_by(|(left, _), (right, _)| left == right) {
            let end = start + group.len();
            self.pictures[group[0].0].objects = start..end;
            start = end;
        }
        let objects: Vec<Object> = self.objects.into_iter().map(|(_, object)| object).collect();
        let mut ids: Vec<u64> = objects.iter().map(|object| object.id).collect();
        ids.sort_unstable();
        let different = ids.windows(2).all(|pair| pair[0] != pair[1]);
        Annotations {
            file: self.file.to_owned(),
            pictures: self.pictures,
            objects,
            identified: self.identified && different,
        }
    }
}

/// Id of an image, and height and width, None where it has neither.
fn header(raw: &RawImage) -> Result<(u64, Option<(u32, u32)>), String> {
    let number = id(&raw.id).map_err(|problem| format!("its id {problem}"))?;
    if raw.height.is_null() && raw.width.is_null() {
        return Ok((number, None));
    }
    let side = |what: &str, value: &Value| {
        let side = id(value).map_err(|problem| format!("its {what} {problem}"))?;
        u32::try_from(side).map_err(|_| format!("its {what} is {side} pixels"))
    };
    let (height, width) = (side("height", &raw.height)?, side("width", &raw.width)?);
    let pixels = u64::from(height) * u64::from(width);
    if pixels == 0 || pixels > MAX_PIXELS as u64 {
        return Err(format!(
            "its size is {height}x{width} pixels, expected 1 to {MAX_PIXELS} pixels"
        ));
    }
    Ok((number, Some((height, width))))
}

/// Height and width that an image has the right way up, as its photograph's file says.
fn stored_size(photograph: &Path) -> Result<(u32, u32), String> {
    let size = photograph_size(photograph).map_err(|error| {
        format!("it has no height and width, and neither has its file: {error}")
    })?;
    match (u32::try_from(size.0), u32::try_from(size.1)) {
        (Ok(height), Ok(width)) => Ok((height, width)),
        _ => Err(format!("its photograph has {}x{} pixels", size.0, size.1)),
    }
}

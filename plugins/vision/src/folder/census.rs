//! What the masks of a split hold, before anything is trained on them.
//!
//! A mask whose object has the value 255 is a mask without an object, since 255 is void; one that was saved with
//! another palette names other classes. Both give scores, and none of them means anything.

use std::path::Path;
use std::sync::OnceLock;

use super::sample::{Coding, Contents, Entry};
use crate::codec::PngHeader;
use crate::data::some_of;
use crate::resize::reduced_size;
use crate::{Split, VOID, VisionError};

/// So many masks of a split are decoded, evenly spaced; all of them only where these leave a question.
const FEW: usize = 200;

/// What was seen of a folder's masks so far. No header is read twice for all questions together, no mask decoded twice.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    headers: [OnceLock<Headers>; 4],
    pixels: [Vec<OnceLock<Pixels>>; 4],
    palettes: OnceLock<Result<(), VisionError>>,
}

impl Seen {
    pub(super) fn nothing(contents: &Contents) -> Seen {
        Seen {
            headers: Default::default(),
            pixels: Split::ALL.map(|split| vec![OnceLock::new(); contents.of(split).len()]),
            palettes: OnceLock::new(),
        }
    }
}

/// The headers of a split's masks.
#[derive(Clone, Debug, Default)]
struct Headers {
    /// Height and width of each sample; None where a mask is skipped.
    sizes: Vec<Option<(usize, usize)>>,
    /// The palettes, cut to the classes, each once.
    palettes: Vec<Vec<u8>>,
    /// The masks with a palette, and the places of these among `palettes`.
    with_palette: Vec<(usize, usize)>,
}

/// A mask's labels, each with the number of its pixels.
type Pixels = Vec<(u8, u64)>;

/// The masks of a folder, and how they are read.
pub(super) struct Masks<'a> {
    pub(super) contents: &'a Contents,
    pub(super) seen: &'a Seen,
    pub(super) num_classes: usize,
    pub(super) longest: Option<usize>,
    pub(super) skip_bad: bool,
}

impl<'a> Masks<'a> {
    /// Height and width of each of a split's samples, None where its mask is skipped.
    pub(super) fn sizes(&self, split: Split) -> Result<&'a [Option<(usize, usize)>], VisionError> {
        Ok(&self.headers(split)?.sizes)
    }

    fn headers(&self, split: Split) -> Result<&'a Headers, VisionError> {
        let known = &self.seen.headers[split as usize];
        if let Some(headers) = known.get() {
            return Ok(headers);
        }
        let mut headers = Headers::default();
        for (index, entry) in self.contents.of(split).iter().enumerate() {
            let header = match PngHeader::read(&entry.mask) {
                Err(_) if self.skip_bad => {
                    headers.sizes.push(None);
                    continue;
                }
                header => header?,
            };
            headers.sizes.push(Some(match self.longest {
                Some(longest) => reduced_size(header.height, header.width, longest),
                None => (header.height, header.width),
            }));
            let mut palette = header.palette;
            palette.truncate(3 * self.num_classes);
            // One without a palette has no colours, and one that is read by its colours no indices.
            if palette.is_empty() || matches!(entry.coding, Coding::Colours(_)) {
                continue;
            }
            let known = headers.palettes.iter().position(|known| *known == palette);
            let place = known.unwrap_or_else(|| {
                headers.palettes.push(palette);
                headers.palettes.len() - 1
            });
            headers.with_palette.push((index, place));
        }
        Ok(known.get_or_init(|| headers))
    }

    /// The labels of a mask, None where it cannot be read and is to be skipped.
    fn pixels(&self, split: Split, index: usize) -> Result<Option<&'a Pixels>, VisionError> {
        let known = &self.seen.pixels[split as usize][index];
        if let Some(pixels) = known.get() {
            return Ok(Some(pixels));
        }
        let mask = match self.contents.of(split)[index].mask(self.num_classes) {
            Err(_) if self.skip_bad => return Ok(None),
            mask => mask?,
        };
        let mut counts = [0u64; 256];
        for &label in &mask.labels {
            counts[usize::from(label)] += 1;
        }
        let counts = (0u8..=255).zip(counts).filter(|(_, count)| *count > 0);
        Ok(Some(known.get_or_init(|| counts.collect())))
    }

    fn census(&self, split: Split, step: usize) -> Result<Census<'a>, VisionError> {
        let mut census = Census {
            pixels: [0; 256],
            without_object: (0, None),
            masks: 0,
        };
        let entries = self.contents.of(split).iter().enumerate();
        for (index, entry) in entries.step_by(step) {
            let Some(pixels) = self.pixels(split, index)? else {
                continue;
            };
            let has_void = pixels.iter().any(|&(label, _)| label == VOID);
            if has_void && pixels.iter().all(|&(label, _)| label == 0 || label == VOID) {
                census.without_object.0 += 1;
                census.without_object.1.get_or_insert(&entry.mask);
            }
            for &(label, count) in pixels {
                census.pixels[usize::from(label)] += count;
            }
            census.masks += 1;
        }
        Ok(census)
    }

    /// Compares the colours that palettes give to the labels of classes.
    ///
    /// # Errors
    /// [`VisionError::Folder`] names two masks that use a label and give it different colours.
    pub(super) fn compare_palettes(&self) -> Result<(), VisionError> {
        let compared = self.seen.palettes.get_or_init(|| self.palettes_agree());
        compared.clone()
    }

    fn palettes_agree(&self) -> Result<(), VisionError> {
        let mut all = Vec::new();
        for split in Split::ALL {
            all.push((split, self.headers(split)?));
        }
        let mut palettes = all.iter().flat_map(|(_, headers)| &headers.palettes);
        let first = palettes.next();
        if palettes.all(|palette| Some(palette) == first) {
            return Ok(());
        }
        let mut known: [Option<([u8; 3], &Entry)>; 256] = [None; 256];
        for (split, headers) in all {
            for &(index, place) in &headers.with_palette {
                let Some(pixels) = self.pixels(split, index)? else {
                    continue;
                };
                let entry = &self.contents.of(split)[index];
                // Programs leave what they do not use at any colour.
                for &(label, _) in pixels {
                    let at = 3 * usize::from(label);
                    let Some(&[red, green, blue]) = headers.palettes[place].get(at..at + 3) else {
                        continue;
                    };
                    same_colour(
                        &mut known[usize::from(label)],
                        label,
                        [red, green, blue],
                        entry,
                    )?;
                }
            }
        }
        Ok(())
    }

    /// What a user should know of a split's masks.
    ///
    /// # Errors
    /// [`VisionError::Folder`] where fewer than two classes occur; otherwise why a mask cannot be read.
    pub(super) fn check(
        &self,
        root: &Path,
        split: Split,
        classes: &[String],
    ) -> Result<Vec<String>, VisionError> {
        let step = self.contents.of(split).len().div_ceil(FEW).max(1);
        let mut census = self.census(split, step)?;
        let learns = split == Split::Train;
        let mut missing = census.missing(classes);
        let asks = census.void() > 0.5 || missing.len() + 1 >= classes.len();
        if step > 1 && (asks || learns && !missing.is_empty()) {
            census = self.census(split, 1)?;
            missing = census.missing(classes);
        }
        if census.masks == 0 {
            return Ok(Vec::new());
        }
        let percent = 100.0 * census.void();
        let likely = match census.without_object.1 {
            Some(file) => format!(
                "; if 255 marks the object, as in {}, save it as its class's number, 1 for the second class",
                file.display()
            ),
            None => String::new(),
        };
        if classes.len() > 1 && missing.len() + 1 >= classes.len() {
            let seen = classes
                .iter()
                .find(|class| !missing.contains(&class.as_str()));
            let problem = match seen {
                Some(class) => format!(
                    "only '{class}' occurs in the {split} split, beside {percent:.0} % void (255), so there is nothing \
                 to tell apart{likely}"
                ),
                None => format!("every pixel of the {split} split is void (255){likely}"),
            };
            return Err(VisionError::folder(root, problem));
        }
        let mut remarks = Vec::new();
        let (count, masks) = (census.without_object.0, census.masks);
        if census.void() > 0.5 {
            remarks.push(format!(
            "{}: {percent:.0} % of the pixels of the {split} split are void (255), which is neither trained on nor \
             scored{likely}",
            root.display()
        ));
        } else if count > 0 {
            remarks.push(format!(
            "{}: {count} of {masks} masks looked at in the {split} split hold only '{}' and void (255){likely}",
            root.display(),
            classes[0]
        ));
        }
        if learns && !missing.is_empty() {
            remarks.push(format!(
            "{}: {} of {} classes never occur in the train split: {}; is the list of classes that of these masks?",
            root.display(),
            missing.len(),
            classes.len(),
            some_of(&missing)
        ));
        }
        Ok(remarks)
    }
}

/// Holds a label's colour against the one that is known for it.
fn same_colour<'a>(
    known: &mut Option<([u8; 3], &'a Entry)>,
    label: u8,
    colour: [u8; 3],
    entry: &'a Entry,
) -> Result<(), VisionError> {
    let (before, other) = *known.get_or_insert((colour, entry));
    if before == colour {
        return Ok(());
    }
    let problem = format!(
        "its palette gives label {label} the colour {colour:?}, and that of {} the colour {before:?}; \
         save all masks with one palette, so that a label means one class",
        other.mask.display()
    );
    Err(VisionError::folder(&entry.mask, problem))
}

/// The pixels of masks by label.
struct Census<'a> {
    pixels: [u64; 256],
    /// Masks that hold nothing but the first class and void: how many, and the first.
    without_object: (usize, Option<&'a Path>),
    masks: usize,
}

impl Census<'_> {
    /// The part of the pixels that is void.
    fn void(&self) -> f64 {
        let all: u64 = self.pixels.iter().sum();
        self.pixels[usize::from(VOID)] as f64 / all.max(1) as f64
    }

    /// The classes that do not occur.
    fn missing<'n>(&self, classes: &'n [String]) -> Vec<&'n str> {
        let classes = classes.iter().zip(self.pixels);
        let missing = classes.filter(|(_, pixels)| *pixels == 0);
        missing.map(|(name, _)| name.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::DataFolder;
    use crate::folder::{FolderOptions, SegmentationFolder, write_voc};
    use crate::{LabelledImage, palette::voc_palette};
    use std::collections::BTreeMap;
    use std::fs;

    /// A folder whose every mask has these labels, of 4x4 pixels, and two or three classes.
    fn folder(root: &Path, labels: &[u8], classes: &[&str]) -> SegmentationFolder {
        let classes: Vec<String> = classes.iter().map(|&name| name.to_owned()).collect();
        let sample = |split: Split| {
            let picture = LabelledImage::new(4, 4, vec![90; 48], labels.to_vec())?;
            Ok::<_, VisionError>((split, format!("a_{split}"), picture))
        };
        write_voc(root, Split::ALL.map(sample), &classes, &BTreeMap::new()).unwrap();
        SegmentationFolder::open(root, &FolderOptions::default()).unwrap()
    }

    fn labels(counts: &[(u8, usize)]) -> Vec<u8> {
        let runs = counts.iter().map(|&(label, count)| vec![label; count]);
        runs.collect::<Vec<_>>().concat()
    }

    #[test]
    fn an_object_of_255_is_an_error_that_says_so() {
        let place = tempfile::tempdir().unwrap();
        let set = folder(
            place.path(),
            &labels(&[(0, 10), (255, 6)]),
            &["background", "cat"],
        );
        for split in Split::ALL {
            let message = set.check(split).unwrap_err().to_string();
            for part in [
                "only 'background'",
                "38 % void",
                "if 255 marks the object",
                split.name(),
            ] {
                assert!(message.contains(part), "{message}");
            }
        }
        let place = tempfile::tempdir().unwrap();
        let set = folder(place.path(), &[255; 16], &["background", "cat"]);
        let message = set.check(Split::Test).unwrap_err().to_string();
        assert!(
            message.contains("every pixel of the test split is void"),
            "{message}"
        );
    }

    #[test]
    fn void_and_missing_classes_are_told_and_good_masks_are_not() {
        let place = tempfile::tempdir().unwrap();
        let set = folder(
            place.path(),
            &labels(&[(0, 3), (1, 4), (255, 9)]),
            &["a", "b", "c"],
        );
        let [void, missing] = &set.check(Split::Train).unwrap()[..] else {
            panic!("two remarks");
        };
        assert!(
            void.contains("56 % of the pixels of the train split"),
            "{void}"
        );
        assert!(
            missing.contains("1 of 3 classes never occur in the train split: c;"),
            "{missing}"
        );
        assert_eq!(set.check(Split::Test).unwrap().len(), 1);
        let place = tempfile::tempdir().unwrap();
        let set = folder(
            place.path(),
            &labels(&[(0, 8), (1, 6), (255, 2)]),
            &["a", "b"],
        );
        for split in Split::ALL {
            assert_eq!(set.check(split).unwrap(), Vec::<String>::new());
        }
    }

    #[test]
    fn what_was_seen_of_a_mask_is_not_read_again() {
        let place = tempfile::tempdir().unwrap();
        let drawn = labels(&[(0, 8), (1, 6), (255, 2)]);
        let set = folder(place.path(), &drawn, &["a", "b"]);
        let ask = || {
            Split::ALL.map(|split| {
                let remarks = set.check(split).unwrap();
                (remarks, set.sizes(split).unwrap().to_vec())
            })
        };
        let first = ask();
        fs::remove_dir_all(place.path().join("SegmentationClass")).unwrap();
        assert_eq!(ask(), first);
    }

    #[test]
    fn palettes_that_disagree_name_two_files() {
        let place = tempfile::tempdir().unwrap();
        let drawn = labels(&[(0, 8), (1, 6), (255, 2)]);
        folder(place.path(), &drawn, &["a", "b"]);
        let mask = place.path().join("SegmentationClass/a_test.png");
        let with_palette = |palette: Vec<u8>, labels: &[u8]| {
            let mut bytes = Vec::new();
            let mut encoder = ::png::Encoder::new(&mut bytes, 4, 4);
            encoder.set_color(::png::ColorType::Indexed);
            encoder.set_depth(::png::BitDepth::Eight);
            encoder.set_palette(palette);
            let mut writer = encoder.write_header().unwrap();
            writer.write_image_data(labels).unwrap();
            writer.finish().unwrap();
            fs::write(&mask, bytes).unwrap();
            let set = SegmentationFolder::open(place.path(), &FolderOptions::default()).unwrap();
            set.check(Split::Train)
        };
        let mut reversed = voc_palette();
        reversed.swap(0, 3);
        let message = with_palette(reversed.clone(), &drawn)
            .unwrap_err()
            .to_string();
        let parts = ["a_test.png", "label 0", "[128, 0, 0]", "one palette"];
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
        assert!(
            message.len() < 400 && message.matches(".png").count() == 2,
            "{message}"
        );
        // A label that a mask does not use may have any colour there.
        let mut other = voc_palette();
        other[3..6].copy_from_slice(&[1, 2, 3]);
        with_palette(other, &[0; 16]).unwrap();
    }
}

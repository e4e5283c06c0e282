//! What the masks of a split hold, before anything is trained on them.
//!
//! A mask whose object has the value 255 is a mask without an object, since 255 is void; one that was saved with
//! another palette names other classes. Both give scores, and none of them means anything.

use std::path::Path;

use super::sample::{Coding, Entry};
use crate::codec::png_palette;
use crate::data::some_of;
use crate::{Split, VOID, VisionError};

/// So many masks of a split are decoded, evenly spaced; all of them only where these leave a question.
const FEW: usize = 200;

/// The pixels of masks by label.
struct Census<'a> {
    pixels: [u64; 256],
    /// Masks that hold nothing but the first class and void: how many, and the first.
    without_object: (usize, Option<&'a Path>),
    masks: usize,
}

impl<'a> Census<'a> {
    fn of(
        entries: impl Iterator<Item = &'a Entry>,
        num_classes: usize,
        skip_bad: bool,
    ) -> Result<Self, VisionError> {
        let mut census = Census {
            pixels: [0; 256],
            without_object: (0, None),
            masks: 0,
        };
        for entry in entries {
            let mask = match entry.mask(num_classes) {
                Err(_) if skip_bad => continue,
                mask => mask?,
            };
            let mut own = [0u64; 256];
            for &label in &mask.labels {
                own[usize::from(label)] += 1;
            }
            let void = usize::from(VOID);
            if own[void] > 0 && own[1..void].iter().all(|&pixels| pixels == 0) {
                census.without_object.0 += 1;
                census.without_object.1.get_or_insert(&entry.mask);
            }
            for (all, own) in census.pixels.iter_mut().zip(own) {
                *all += own;
            }
            census.masks += 1;
        }
        Ok(census)
    }

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

/// What a user should know of a split's masks.
///
/// # Errors
/// [`VisionError::Folder`] where fewer than two classes occur; otherwise why a mask cannot be read.
pub(super) fn check(
    root: &Path,
    (split, entries): (Split, &[Entry]),
    classes: &[String],
    skip_bad: bool,
) -> Result<Vec<String>, VisionError> {
    let step = entries.len().div_ceil(FEW).max(1);
    let mut census = Census::of(entries.iter().step_by(step), classes.len(), skip_bad)?;
    let learns = split == Split::Train;
    let mut missing = census.missing(classes);
    let asks = census.void() > 0.5 || missing.len() + 1 >= classes.len();
    if step > 1 && (asks || learns && !missing.is_empty()) {
        census = Census::of(entries.iter(), classes.len(), skip_bad)?;
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

/// Compares the colours that palettes give to the labels of classes.
///
/// # Errors
/// [`VisionError::Folder`] names two masks that use a label and give it different colours.
pub(super) fn compare_palettes<'a>(
    entries: impl Iterator<Item = &'a Entry>,
    num_classes: usize,
    skip_bad: bool,
) -> Result<(), VisionError> {
    let by_index = |entry: &&Entry| !matches!(entry.coding, Coding::Colours(_));
    let mut palettes = Vec::new();
    for entry in entries.filter(by_index) {
        match png_palette(&entry.mask) {
            Err(_) if skip_bad => {}
            palette => palettes.push((entry, palette?)),
        }
    }
    // One without a palette has no colours.
    palettes.retain(|(_, palette)| !palette.is_empty());
    for (_, palette) in &mut palettes {
        palette.truncate(3 * num_classes);
    }
    let differ = palettes.windows(2).any(|pair| pair[0].1 != pair[1].1);
    let mut known: [Option<([u8; 3], &Entry)>; 256] = [None; 256];
    for (entry, palette) in palettes.iter().filter(|_| differ) {
        let mask = match entry.mask(num_classes) {
            Err(_) if skip_bad => continue,
            mask => mask?,
        };
        let mut used = [false; 256];
        mask.labels
            .iter()
            .for_each(|&label| used[usize::from(label)] = true);
        // Programs leave what they do not use at any colour.
        let colours = palette
            .chunks_exact(3)
            .enumerate()
            .filter(|(label, _)| used[*label]);
        for (label, colour) in colours {
            let colour = [colour[0], colour[1], colour[2]];
            match known[label] {
                None => known[label] = Some((colour, entry)),
                Some((before, _)) if before == colour => {}
                Some((before, other)) => {
                    let problem = format!(
                        "its palette gives label {label} the colour {colour:?}, and that of {} the colour {before:?}; \
                         save all masks with one palette, so that a label means one class",
                        other.mask.display()
                    );
                    return Err(VisionError::folder(&entry.mask, problem));
                }
            }
        }
    }
    Ok(())
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

//! The Cityscapes layout: `leftImg8bit/SPLIT/CITY/NAME_leftImg8bit.png` and
//! `gtFine/SPLIT/CITY/NAME_gtFine_labelIds.png`.
//!
//! The published masks hold 34 raw ids, of which 19 are evaluated; the authors' scripts make `labelTrainIds`
//! files with these as 0 to 18. Where such a file exists it is read, else the raw ids are mapped here, so
//! that the data set can be used as downloaded.

use std::path::Path;

use super::contents::Contents;
use super::hold_out::assign;
use super::listing::Listings;
use super::options::FolderOptions;
use super::sample::{Coding, Entry};
use crate::codec::LabelMap;
use crate::{Split, VOID, VisionError};

/// The evaluated classes in the order of their train ids (Cordts et al., CVPR 2016).
pub(super) const CITYSCAPES_CLASSES: [&str; 19] = [
    "road",
    "sidewalk",
    "building",
    "wall",
    "fence",
    "pole",
    "traffic light",
    "traffic sign",
    "vegetation",
    "terrain",
    "sky",
    "person",
    "rider",
    "car",
    "truck",
    "bus",
    "train",
    "motorcycle",
    "bicycle",
];

/// The raw ids of these classes.
const EVALUATED_IDS: [u8; 19] = [
    7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33,
];

/// The highest raw id.
const LAST_ID: u8 = 33;

const PHOTOGRAPH_END: &str = "_leftImg8bit.png";

pub(super) fn recognises(root: &Path) -> bool {
    root.join("leftImg8bit").is_dir() && root.join("gtFine").is_dir()
}

pub(super) fn contents(root: &Path, options: &FolderOptions) -> Result<Contents, VisionError> {
    let mut contents = Contents::default();
    if options.train_name() != "train" {
        return Err(VisionError::Config {
            field: "train_list",
            found: format!("{:?}", options.train_list),
            expected: "train, the only training list of Cityscapes",
        });
    }
    let mut listings = Listings::new(root);
    let test = part("val", &mut listings, options, &mut contents)?;
    let train = part("train", &mut listings, options, &mut contents)?;
    let shares = [
        (Split::Reward, options.reward_share),
        (Split::Selection, options.selection_share),
    ];
    let names: Vec<&str> = train.iter().map(|entry| entry.name.as_str()).collect();
    let splits = assign(&names, &shares);
    contents.deal(train, &splits);
    for entry in test {
        contents.add(Split::Test, entry);
    }
    Ok(contents)
}

/// The samples of `train` or `val`, city by city in the order of their names.
fn part(
    part: &str,
    listings: &mut Listings,
    options: &FolderOptions,
    contents: &mut Contents,
) -> Result<Vec<Entry>, VisionError> {
    let folder = format!("leftImg8bit/{part}");
    let cities: Vec<String> = listings.names(&folder)?.iter().cloned().collect();
    let mut entries = Vec::new();
    for city in cities {
        let pictures: Vec<String> = listings
            .names(&format!("{folder}/{city}"))?
            .iter()
            .filter_map(|file| file.strip_suffix(PHOTOGRAPH_END).map(str::to_owned))
            .collect();
        for picture in pictures {
            let photograph = format!("{folder}/{city}/{picture}{PHOTOGRAPH_END}");
            match mask(listings, &format!("gtFine/{part}/{city}"), &picture)? {
                Some((mask, coding)) => entries.push(Entry {
                    name: format!("{city}/{picture}"),
                    photograph: listings.root().join(photograph),
                    mask,
                    coding,
                }),
                None if options.skip_bad => contents.skipped.push(format!(
                    "{city}/{picture}: gtFine/{part}/{city} has no mask of it"
                )),
                None => return Err(no_mask(listings.root(), &photograph, part, &city)),
            }
        }
    }
    if entries.is_empty() {
        return Err(VisionError::Folder {
            folder: listings.root().join(folder),
            problem: format!(
                "it has no picture CITY/NAME{PHOTOGRAPH_END} with a mask; unpack leftImg8bit and gtFine \
                 into the same folder"
            ),
        });
    }
    Ok(entries)
}

fn mask(
    listings: &mut Listings,
    folder: &str,
    picture: &str,
) -> Result<Option<(std::path::PathBuf, Coding)>, VisionError> {
    for (end, coding) in [
        ("labelTrainIds", Coding::Classes),
        ("labelIds", Coding::CityscapesIds),
    ] {
        let file = format!("{picture}_gtFine_{end}.png");
        if let Some(path) = listings.first(folder, &[file])? {
            return Ok(Some((path, coding)));
        }
    }
    Ok(None)
}

fn no_mask(root: &Path, photograph: &str, part: &str, city: &str) -> VisionError {
    VisionError::Folder {
        folder: root.join(photograph),
        problem: format!(
            "gtFine/{part}/{city} has neither its labelTrainIds nor its labelIds; unpack gtFine again or \
             read with skip_bad"
        ),
    }
}

/// Turns raw ids into classes, all others into void.
pub(super) fn train_ids(mask: &mut LabelMap, file: &Path) -> Result<(), VisionError> {
    let last = usize::from(LAST_ID) + 1;
    super::check::check_labels(&mask.labels, mask.width, last, file)?;
    let mut table = [VOID; 256];
    for (class, id) in (0u8..).zip(EVALUATED_IDS) {
        table[usize::from(id)] = class;
    }
    for label in &mut mask.labels {
        *label = table[usize::from(*label)];
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_ids_become_classes_or_void() {
        let ids = vec![0, 7, 8, 9, 26, 33, 255];
        let mut mask = LabelMap {
            height: 1,
            width: 7,
            labels: ids,
        };
        train_ids(&mut mask, Path::new("m.png")).unwrap();
        let car = 13;
        assert_eq!(CITYSCAPES_CLASSES[car], "car");
        assert_eq!(mask.labels, [255, 0, 1, 255, car as u8, 18, 255]);
        mask.labels[2] = 34;
        assert!(train_ids(&mut mask, Path::new("m.png")).is_err());
    }
}

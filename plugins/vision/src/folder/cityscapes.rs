//! The Cityscapes layout: `leftImg8bit/SPLIT/CITY/NAME_leftImg8bit.png` and
//! `gtFine/SPLIT/CITY/NAME_gtFine_labelIds.png`.
//!
//! The published masks hold 34 raw ids, of which 19 are evaluated; the authors' scripts make `labelTrainIds`
//! files with these as 0 to 18. Where such a file exists it is read; otherwise the raw ids become classes when
//! a mask is read, so that the data set can be used as downloaded.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::options::FolderOptions;
use super::sample::{Coding, Contents, Entry};
use crate::data::BadEntries;
use crate::data::disk::Listings;
use crate::data::names::{composed, stem};
use crate::{Split, VisionError};

/// The published ones are PNG files; others have them smaller, as JPEG.
const PHOTOGRAPH_ENDS: [&str; 3] = ["_leftImg8bit.png", "_leftImg8bit.jpg", "_leftImg8bit.jpeg"];

pub(super) fn recognises(root: &Path) -> bool {
    root.join("leftImg8bit").is_dir() && root.join("gtFine").is_dir()
}

pub(super) fn contents(root: &Path, options: &FolderOptions) -> Result<Contents, VisionError> {
    if options.train_name() != "train" {
        return Err(VisionError::Config {
            field: "train_list",
            found: format!("{:?}", options.train_list),
            expected: "train, the only training list of Cityscapes",
        });
    }
    let mut listings = Listings::new(root);
    let mut contents = Contents::default();
    let test = part("val", &mut listings, options, &mut contents)?;
    let train = part("train", &mut listings, options, &mut contents)?;
    let shares = [
        (Split::Reward, options.reward_share),
        (Split::Selection, options.selection_share),
    ];
    contents.hold_out(train, &shares);
    contents.add(Split::Test, test);
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
    let mut bad = BadEntries::new(options.skip_bad);
    for city in cities {
        let of_city = format!("{folder}/{city}");
        let pictures: BTreeSet<String> = listings
            .names(&of_city)?
            .iter()
            .filter_map(|file| stem(file, &PHOTOGRAPH_ENDS))
            .collect();
        for picture in pictures {
            let files = PHOTOGRAPH_ENDS.map(|end| format!("{picture}{end}"));
            let Some(photograph) = listings.first(&of_city, &files)? else {
                continue;
            };
            match mask(listings, &format!("gtFine/{part}/{city}"), &picture)? {
                Some((mask, coding)) => entries.push(Entry {
                    name: format!("{}/{picture}", composed(&city)),
                    photograph,
                    mask,
                    coding,
                }),
                None => {
                    let masks = format!("gtFine/{part}/{city}");
                    let lacking = "has neither its labelTrainIds nor its labelIds";
                    let entry = format!("{city}/{picture}: {masks} {lacking}");
                    bad.add(entry, |entry| VisionError::folder(&photograph, entry));
                }
            }
        }
    }
    let advice = |_| "; unpack gtFine again or read with skip_bad".to_owned();
    contents.skipped.extend(bad.finish(advice)?);
    if entries.is_empty() {
        let problem = format!(
            "it has no picture CITY/NAME{} with a mask; unpack leftImg8bit and gtFine \
             into the same folder",
            PHOTOGRAPH_ENDS[0]
        );
        return Err(VisionError::folder(&listings.root().join(folder), problem));
    }
    Ok(entries)
}

fn mask(
    listings: &mut Listings,
    folder: &str,
    picture: &str,
) -> Result<Option<(PathBuf, Coding)>, VisionError> {
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

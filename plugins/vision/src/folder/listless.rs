//! A VOC folder without lists, as labelme writes it: every picture that has a mask is used.

use std::collections::BTreeSet;
use std::path::Path;

use super::contents::Contents;
use super::hold_out::assign;
use super::listing::Listings;
use super::options::FolderOptions;
use super::voc::{MASK_FOLDERS, PHOTOGRAPH_ENDS, PHOTOGRAPHS, find_mask, find_photograph};
use crate::folder::sample::{Coding, Entry};
use crate::{Split, VisionError};

/// The share of all pictures that is the test split where no list says so.
pub(crate) const TEST_SHARE: f64 = 0.2;

pub(super) fn contents(root: &Path, options: &FolderOptions) -> Result<Contents, VisionError> {
    let mut listings = Listings::new(root);
    let photographs = stems(&mut listings, PHOTOGRAPHS, &PHOTOGRAPH_ENDS)?;
    let mut masks = BTreeSet::new();
    for folder in MASK_FOLDERS {
        masks.extend(stems(&mut listings, folder, &[".png"])?);
    }
    let mut contents = Contents::default();
    let lacking = [
        (
            photographs.difference(&masks).count(),
            "photographs have no mask",
        ),
        (
            masks.difference(&photographs).count(),
            "masks have no photograph",
        ),
    ];
    for (count, what) in lacking.into_iter().filter(|(count, _)| *count > 0) {
        contents
            .notes
            .push(format!("{count} {what} and are left out"));
    }
    let mut entries = Vec::new();
    for name in photographs.intersection(&masks) {
        let photograph = find_photograph(&mut listings, name)?;
        let mask = find_mask(&mut listings, name, &MASK_FOLDERS)?;
        if let (Some(photograph), Some(mask)) = (photograph, mask) {
            entries.push(Entry {
                name: name.clone(),
                photograph,
                mask,
                coding: Coding::Classes,
            });
        }
    }
    let names: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
    let shares = [
        (Split::Test, TEST_SHARE),
        (Split::Reward, options.reward_share),
        (Split::Selection, options.selection_share),
    ];
    let splits = assign(&names, &shares);
    contents.deal(entries, &splits);
    Ok(contents)
}

fn stems(
    listings: &mut Listings,
    folder: &str,
    ends: &[&str],
) -> Result<BTreeSet<String>, VisionError> {
    let stem = |file: &String| {
        let stem = ends.iter().find_map(|end| file.strip_suffix(end))?;
        (!stem.is_empty()).then(|| stem.to_owned())
    };
    Ok(listings.names(folder)?.iter().filter_map(stem).collect())
}

//! The PASCAL VOC layout, with its lists or, as labelme writes it, without.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use super::list::{Line, List};
use super::options::FolderOptions;
use super::sample::{Coding, Contents, Entry};
use crate::data::BadEntries;
use crate::data::disk::{Listings, list};
use crate::data::hold_out::TEST_SHARE;
use crate::{Split, VisionError};

pub(super) const PHOTOGRAPHS: &str = "JPEGImages";
const PHOTOGRAPH_ENDS: [&str; 6] = [".jpg", ".jpeg", ".png", ".JPG", ".JPEG", ".PNG"];

/// Where masks may be, VOC's own first; labelme stores arrays under the first name and PNGs under the second.
pub(super) const MASK_FOLDERS: [&str; 3] = ["SegmentationClass", "SegmentationClassPNG", SBD_MASKS];

/// The same with SBD's masks first.
const SBD_FIRST: [&str; 3] = [SBD_MASKS, "SegmentationClass", "SegmentationClassPNG"];

const SBD_MASKS: &str = "SegmentationClassAug";
const SBD_LIST: &str = "trainaug";
const CVAT_LIST: &str = "default.txt";
pub(super) const LISTS: &str = "ImageSets/Segmentation";

fn recognises(root: &Path) -> bool {
    let has = |folder: &str| root.join(folder).is_dir();
    has(PHOTOGRAPHS) && MASK_FOLDERS.into_iter().any(has)
}

/// The VOC folder at or below `path`, the latest year where there are several, and a note about that.
pub(super) fn find(path: &Path) -> Result<Option<(PathBuf, Vec<String>)>, VisionError> {
    if recognises(path) {
        return Ok(Some((path.to_owned(), Vec::new())));
    }
    for parent in [path.join("VOCdevkit"), path.to_owned()] {
        let names = list(&parent)?;
        let years = names.iter().filter(|name| name.starts_with("VOC20"));
        let found: Vec<&String> = years
            .filter(|name| recognises(&parent.join(name)))
            .collect();
        if let Some((last, others)) = found.split_last() {
            let note = format!("{last} is read, not the {} earlier years", others.len());
            let notes = if others.is_empty() {
                vec![]
            } else {
                vec![note]
            };
            return Ok(Some((parent.join(last), notes)));
        }
    }
    Ok(None)
}

fn find_photograph(listings: &mut Listings, name: &str) -> Result<Option<PathBuf>, VisionError> {
    let files = PHOTOGRAPH_ENDS.map(|end| format!("{name}{end}"));
    listings.first(PHOTOGRAPHS, &files)
}

fn find_mask(
    listings: &mut Listings,
    name: &str,
    folders: &[&str],
) -> Result<Option<PathBuf>, VisionError> {
    for folder in folders {
        if let Some(path) = listings.first(folder, &[format!("{name}.png")])? {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// The samples that the lists name, or without lists every picture that has a mask.
pub(super) fn contents(root: &Path, options: &FolderOptions) -> Result<Contents, VisionError> {
    let lists = root.join(LISTS);
    match List::read(&lists.join(CVAT_LIST))? {
        // The one list of a task in CVAT, whose pictures have no splits.
        Some(all)
            if ["val.txt", "train.txt"]
                .iter()
                .all(|list| !lists.join(list).is_file())
                && options.train_list == FolderOptions::default().train_list =>
        {
            let names = all.lines.into_iter().map(|line| line.name).collect();
            listless(root, Some(&names), options)
        }
        _ if root.join("ImageSets").is_dir() => listed(root, options),
        _ => listless(root, None, options),
    }
}

fn listed(root: &Path, options: &FolderOptions) -> Result<Contents, VisionError> {
    let lists = ListSet::read(root, options)?;
    let mut reader = Reader {
        listings: Listings::new(root),
        bad: BadEntries::new(options.skip_bad),
    };
    let mut contents = Contents::default();
    let mask_folders = if options.train_name() == SBD_LIST {
        SBD_FIRST
    } else {
        MASK_FOLDERS
    };
    let test = reader.entries(&lists.test, &lists.test.lines, &MASK_FOLDERS)?;
    let remaining = lists.remaining(&mut contents.notes);
    let train = reader.entries(&lists.train, &remaining, &mask_folders)?;
    let mut shares = Vec::new();
    let mut held_out = Vec::new();
    for (split, list, share) in [
        (Split::Reward, &lists.reward, options.reward_share),
        (Split::Selection, &lists.selection, options.selection_share),
    ] {
        match list {
            None => shares.push((split, share)),
            Some(list) => {
                held_out.push((split, reader.entries(list, &list.lines, &mask_folders)?));
            }
        }
    }
    contents.skipped = reader.bad.finish(|count| {
        format!(
            "; names that lack a file: {count}; complete the folder, correct the list or read with \
             skip_bad"
        )
    })?;
    contents.hold_out(train, &shares);
    for (split, entries) in held_out.into_iter().chain([(Split::Test, test)]) {
        contents.add(split, entries);
    }
    Ok(contents)
}

/// The lists of a data set, checked against each other.
struct ListSet {
    train: List,
    test: List,
    reward: Option<List>,
    selection: Option<List>,
}

impl ListSet {
    fn read(root: &Path, options: &FolderOptions) -> Result<ListSet, VisionError> {
        let folder = root.join(LISTS);
        let file = |name: &str| folder.join(format!("{name}.txt"));
        let lists = ListSet {
            train: needed(&file(options.train_name()))?,
            test: needed(&file("val"))?,
            reward: List::read(&file("reward"))?,
            selection: List::read(&file("selection"))?,
        };
        for held_out in [&lists.reward, &lists.selection].into_iter().flatten() {
            refuse_shared(held_out, &lists.test)?;
        }
        if let (Some(reward), Some(selection)) = (&lists.reward, &lists.selection) {
            refuse_shared(selection, reward)?;
        }
        Ok(lists)
    }

    /// The training list without what other splits have.
    fn remaining(&self, notes: &mut Vec<String>) -> Vec<Line> {
        let names = |list: &List| -> HashSet<String> {
            list.lines.iter().map(|line| line.name.clone()).collect()
        };
        let test = names(&self.test);
        let held_out = [&self.reward, &self.selection].into_iter().flatten();
        let held_out: HashSet<String> = held_out.flat_map(names).collect();
        let lines = self.train.lines.iter();
        let shared = lines.clone().filter(|line| test.contains(&line.name));
        let count = shared.count();
        if count > 0 {
            notes.push(format!(
                "{count} of the {} names in {} are in the validation list too and are not trained on",
                self.train.lines.len(),
                self.train.file.display()
            ));
        }
        lines
            .filter(|line| !test.contains(&line.name) && !held_out.contains(&line.name))
            .cloned()
            .collect()
    }
}

fn needed(file: &Path) -> Result<List, VisionError> {
    let problem = match List::read(file)? {
        Some(list) if !list.lines.is_empty() => return Ok(list),
        Some(_) => "the list names no picture".to_owned(),
        None => {
            let folder = file.parent().unwrap_or(file);
            let found: Vec<String> = list_names(folder)?;
            format!(
                "there is no such list (found beside it: {}); a data set needs a training list and \
                 val.txt, or no ImageSets folder at all",
                if found.is_empty() {
                    "nothing".to_owned()
                } else {
                    found.join(", ")
                }
            )
        }
    };
    Err(VisionError::folder(file, problem))
}

fn list_names(folder: &Path) -> Result<Vec<String>, VisionError> {
    let names = list(folder)?;
    Ok(names
        .into_iter()
        .filter(|name| name.ends_with(".txt"))
        .collect())
}

/// Refuses names that two splits share: a sample that is scored in one must not be seen in the other.
fn refuse_shared(list: &List, other: &List) -> Result<(), VisionError> {
    match list.lines.iter().find(|line| other.contains(&line.name)) {
        None => Ok(()),
        Some(line) => {
            let other = other.file.display();
            let problem = format!("{:?} is in {other} too; the splits must differ", line.name);
            Err(list.error(line, problem))
        }
    }
}

/// Finds the files of names.
struct Reader {
    listings: Listings,
    bad: BadEntries,
}

impl Reader {
    fn entries(
        &mut self,
        list: &List,
        lines: &[Line],
        mask_folders: &[&str],
    ) -> Result<Vec<Entry>, VisionError> {
        let mut entries = Vec::with_capacity(lines.len());
        for line in lines {
            match self.files(line, mask_folders)? {
                Ok((photograph, mask)) => entries.push(Entry {
                    name: line.name.clone(),
                    photograph,
                    mask,
                    coding: Coding::Classes,
                }),
                Err(problem) => self.bad.add(format!("{}: {problem}", line.name), |_| {
                    list.error(line, format!("{:?}: {problem}", line.name))
                }),
            }
        }
        Ok(entries)
    }

    /// Photograph and mask of a line, or what is missing.
    fn files(
        &mut self,
        line: &Line,
        mask_folders: &[&str],
    ) -> Result<Result<(PathBuf, PathBuf), String>, VisionError> {
        let (photograph, mask) = match &line.files {
            Some((photograph, mask)) => {
                (self.listings.file(photograph)?, self.listings.file(mask)?)
            }
            None => (
                find_photograph(&mut self.listings, &line.name)?,
                find_mask(&mut self.listings, &line.name, mask_folders)?,
            ),
        };
        Ok(match (photograph, mask) {
            (Some(photograph), Some(mask)) => Ok((photograph, mask)),
            (None, _) => Err(match &line.files {
                Some((file, _)) => format!("there is no photograph {file}"),
                None => format!("{PHOTOGRAPHS} has no photograph of that name (.jpg, .jpeg, .png)"),
            }),
            (Some(_), None) => Err(match &line.files {
                Some((_, file)) => format!("there is no mask {file}"),
                None => format!(
                    "none of {} has a mask {}.png",
                    mask_folders.join(", "),
                    line.name
                ),
            }),
        })
    }
}

/// A folder without splits, as labelme writes it, or with one list of its pictures.
fn listless(
    root: &Path,
    only: Option<&BTreeSet<String>>,
    options: &FolderOptions,
) -> Result<Contents, VisionError> {
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
            .push(format!("{count} {what} and are skipped"));
    }
    let mut entries = Vec::new();
    let wanted = |name: &&String| only.is_none_or(|only| only.contains(*name));
    let found = |name: &&String| photographs.contains(*name) && masks.contains(*name);
    let gone = only.map_or(0, |only| only.len() - only.iter().filter(found).count());
    if gone > 0 {
        contents.notes.push(format!(
            "{gone} names of {CVAT_LIST} lack a photograph or a mask and are skipped"
        ));
    }
    for name in photographs.intersection(&masks).filter(wanted) {
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
    let shares = [
        (Split::Test, TEST_SHARE),
        (Split::Reward, options.reward_share),
        (Split::Selection, options.selection_share),
    ];
    contents.hold_out(entries, &shares);
    Ok(contents)
}

/// The names of the files in a folder that have one of these endings, without it.
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

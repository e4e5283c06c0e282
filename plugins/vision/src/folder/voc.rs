//! The PASCAL VOC layout with its lists.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::contents::Contents;
use super::hold_out::assign;
use super::list::{Line, List};
use super::listing::{Listings, list};
use super::options::FolderOptions;
use super::sample::{Coding, Entry};
use crate::{Split, VisionError};

pub(super) const PHOTOGRAPHS: &str = "JPEGImages";
pub(super) const PHOTOGRAPH_ENDS: [&str; 6] = [".jpg", ".jpeg", ".png", ".JPG", ".JPEG", ".PNG"];

/// Where masks may be, VOC's own first; labelme keeps arrays under the first name and PNGs under the second.
pub(super) const MASK_FOLDERS: [&str; 3] = ["SegmentationClass", "SegmentationClassPNG", SBD_MASKS];

/// The same with SBD's masks first.
const SBD_FIRST: [&str; 3] = [SBD_MASKS, "SegmentationClass", "SegmentationClassPNG"];

const SBD_MASKS: &str = "SegmentationClassAug";
const SBD_LIST: &str = "trainaug";
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

pub(super) fn find_photograph(
    listings: &mut Listings,
    name: &str,
) -> Result<Option<PathBuf>, VisionError> {
    let files = PHOTOGRAPH_ENDS.map(|end| format!("{name}{end}"));
    listings.first(PHOTOGRAPHS, &files)
}

pub(super) fn find_mask(
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

pub(super) fn contents(root: &Path, options: &FolderOptions) -> Result<Contents, VisionError> {
    let lists = Lists::read(root, options)?;
    let mut reader = Reader {
        listings: Listings::new(root),
        contents: Contents::default(),
        skip_bad: options.skip_bad,
        missing: None,
    };
    let mask_folders = if options.train_name() == SBD_LIST {
        SBD_FIRST
    } else {
        MASK_FOLDERS
    };
    let test = reader.entries(&lists.test, &lists.test.lines, &MASK_FOLDERS)?;
    let remaining = lists.remaining(&mut reader.contents.notes);
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
    let mut contents = reader.finish()?;
    let names: Vec<&str> = train.iter().map(|entry| entry.name.as_str()).collect();
    let splits = assign(&names, &shares);
    contents.deal(train, &splits);
    for (split, entries) in held_out.into_iter().chain([(Split::Test, test)]) {
        for entry in entries {
            contents.add(split, entry);
        }
    }
    Ok(contents)
}

/// The lists of a data set, checked against each other.
struct Lists {
    train: List,
    test: List,
    reward: Option<List>,
    selection: Option<List>,
}

impl Lists {
    fn read(root: &Path, options: &FolderOptions) -> Result<Lists, VisionError> {
        let folder = root.join(LISTS);
        let file = |name: &str| folder.join(format!("{name}.txt"));
        let lists = Lists {
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
    Err(VisionError::Folder {
        folder: file.to_owned(),
        problem,
    })
}

fn list_names(folder: &Path) -> Result<Vec<String>, VisionError> {
    let names = list(folder)?;
    Ok(names
        .into_iter()
        .filter(|name| name.ends_with(".txt"))
        .collect())
}

/// What is scored in one split must not be seen in another.
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
    contents: Contents,
    skip_bad: bool,
    /// The first error about a missing file and how many there were.
    missing: Option<(VisionError, usize)>,
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
                Err(problem) if self.skip_bad => {
                    self.contents
                        .skipped
                        .push(format!("{}: {problem}", line.name));
                }
                Err(problem) => {
                    let error = || list.error(line, format!("{:?}: {problem}", line.name));
                    self.missing.get_or_insert_with(|| (error(), 0)).1 += 1;
                }
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

    fn finish(self) -> Result<Contents, VisionError> {
        match self.missing {
            None => Ok(self.contents),
            Some((
                VisionError::List {
                    file,
                    line,
                    problem,
                },
                count,
            )) => Err(VisionError::List {
                file,
                line,
                problem: format!(
                    "{problem}; names that lack a file: {count}; complete the folder, correct the list or read \
                     with skip_bad"
                ),
            }),
            Some((error, _)) => Err(error),
        }
    }
}

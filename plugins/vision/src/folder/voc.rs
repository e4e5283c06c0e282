//! The PASCAL VOC layout, with its lists or, as labelme writes it, without.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};

use super::list::{Found, Line, List, PHOTOGRAPHS, PICTURE_ENDS};
use super::options::FolderOptions;
use super::sample::{Coding, Contents, Entry};
use crate::data::BadEntries;
use crate::data::disk::{Listings, list};
use crate::data::hold_out::TEST_SHARE;
use crate::data::names::{spelling, stem};
use crate::data::some_of;
use crate::{Split, VisionError};

/// The endings of pictures in formats that are not read.
const FOREIGN_ENDS: [&str; 8] = [
    ".webp", ".tif", ".tiff", ".bmp", ".gif", ".heic", ".avif", ".jp2",
];

/// Where masks may be, VOC's own first; labelme stores arrays under the first name and PNGs under the second.
pub(super) const MASK_FOLDERS: [&str; 3] = ["SegmentationClass", "SegmentationClassPNG", SBD_MASKS];

/// The same with SBD's masks first.
const SBD_FIRST: [&str; 3] = [SBD_MASKS, "SegmentationClass", "SegmentationClassPNG"];

const SBD_MASKS: &str = "SegmentationClassAug";
const SBD_LIST: &str = "trainaug";
const CVAT_LIST: &str = "default";
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
    let files = PICTURE_ENDS.map(|end| format!("{name}{end}"));
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
    let mut reader = Reader {
        listings: Listings::new(root),
        bad: BadEntries::new(options.skip_bad),
    };
    // The one list of a task in CVAT, whose pictures have no splits.
    if options.train_list == FolderOptions::default().train_list
        && !reader.has_list("val")?
        && !reader.has_list("train")?
        && let Some(all) = reader.list(CVAT_LIST)?
    {
        let names = all.lines.iter().map(|line| line.name.clone()).collect();
        let mut contents = listless(reader.listings, Some(&names), options)?;
        contents.notes.extend(all.note());
        return Ok(contents);
    }
    if root.join("ImageSets").is_dir() {
        listed(reader, options)
    } else {
        listless(reader.listings, None, options)
    }
}

fn listed(mut reader: Reader, options: &FolderOptions) -> Result<Contents, VisionError> {
    let lists = ListSet::read(&mut reader, options)?;
    let mut contents = Contents::default();
    contents.notes = lists.notes();
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
    fn read(reader: &mut Reader, options: &FolderOptions) -> Result<ListSet, VisionError> {
        let lists = ListSet {
            train: reader.needed_list(options.train_name())?,
            test: reader.needed_list("val")?,
            reward: reader.list("reward")?,
            selection: reader.list("selection")?,
        };
        for held_out in [&lists.reward, &lists.selection].into_iter().flatten() {
            refuse_shared(held_out, &lists.test)?;
        }
        if let (Some(reward), Some(selection)) = (&lists.reward, &lists.selection) {
            refuse_shared(selection, reward)?;
        }
        Ok(lists)
    }

    fn notes(&self) -> Vec<String> {
        let held_out = [&self.reward, &self.selection].into_iter().flatten();
        let all = [&self.train, &self.test].into_iter().chain(held_out);
        all.filter_map(List::note).collect()
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
    fn list_file(&mut self, name: &str) -> Result<Option<PathBuf>, VisionError> {
        self.listings.file(&format!("{LISTS}/{name}.txt"))
    }

    fn has_list(&mut self, name: &str) -> Result<bool, VisionError> {
        Ok(self.list_file(name)?.is_some_and(|file| file.is_file()))
    }

    /// A list by its name without `.txt`, None where there is no such file.
    fn list(&mut self, name: &str) -> Result<Option<List>, VisionError> {
        match self.list_file(name)? {
            Some(file) => List::read(&file, &mut |line| self.found(line)),
            None => Ok(None),
        }
    }

    fn needed_list(&mut self, name: &str) -> Result<List, VisionError> {
        let problem = match self.list(name)? {
            Some(list) if !list.lines.is_empty() => return Ok(list),
            Some(_) => "the list names no picture".to_owned(),
            None => {
                let names = self.listings.names(LISTS)?.iter();
                let lists = names.filter(|name| spelling(name).ends_with(".txt"));
                let found: Vec<&str> = lists.map(String::as_str).collect();
                format!(
                    "there is no such list (found beside it: {}); a data set needs a training list and \
                     val.txt, or no ImageSets folder at all",
                    if found.is_empty() {
                        "nothing".to_owned()
                    } else {
                        some_of(&found)
                    }
                )
            }
        };
        let file = self.listings.root().join(format!("{LISTS}/{name}.txt"));
        Err(VisionError::folder(&file, problem))
    }

    fn found(&mut self, line: &Line) -> Result<Found, VisionError> {
        Ok(match self.search(line, &MASK_FOLDERS)? {
            (Some(_), Some(_)) => Found::Both,
            (Some(_), None) => Found::Photograph,
            (None, _) => Found::Nothing,
        })
    }

    /// Photograph and mask of a line.
    fn search(
        &mut self,
        line: &Line,
        mask_folders: &[&str],
    ) -> Result<(Option<PathBuf>, Option<PathBuf>), VisionError> {
        let listings = &mut self.listings;
        Ok(match &line.files {
            Some((photograph, mask)) => (listings.file(photograph)?, listings.file(mask)?),
            None => (
                find_photograph(listings, &line.name)?,
                find_mask(listings, &line.name, mask_folders)?,
            ),
        })
    }

    /// The file of a name in one of the folders that has an ending of a format that is not read there.
    fn foreign(
        &mut self,
        folders: &[&str],
        name: &str,
        ends: &[&str],
    ) -> Result<Option<String>, VisionError> {
        let files: Vec<String> = ends.iter().map(|end| format!("{name}{end}")).collect();
        for folder in folders {
            if let Some(path) = self.listings.first(folder, &files)? {
                let file = path.file_name().unwrap_or_default().to_string_lossy();
                return Ok(Some(format!("{folder}/{file}")));
            }
        }
        Ok(None)
    }

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
        let (has_photograph, files) = match self.search(line, mask_folders)? {
            (Some(photograph), Some(mask)) => return Ok(Ok((photograph, mask))),
            (photograph, _) => (photograph.is_some(), &line.files),
        };
        Ok(Err(match (has_photograph, files) {
            (false, Some((file, _))) => format!("there is no photograph {file}"),
            (true, Some((_, file))) => format!("there is no mask {file}"),
            (false, None) => match self.foreign(&[PHOTOGRAPHS], &line.name, &FOREIGN_ENDS)? {
                Some(file) => {
                    format!("{file} is in a format that is not read; save it as JPEG or PNG")
                }
                None => format!("{PHOTOGRAPHS} has no photograph of that name (.jpg, .jpeg, .png)"),
            },
            (true, None) => {
                let ends = [&PICTURE_ENDS[..], &FOREIGN_ENDS].concat();
                match self.foreign(mask_folders, &line.name, &ends)? {
                    Some(file) => format!("its mask {file} is no PNG; save masks as PNG"),
                    None => format!(
                        "none of {} has a mask {}.png",
                        mask_folders.join(", "),
                        line.name
                    ),
                }
            }
        }))
    }
}

/// A folder without splits, as labelme writes it, or with one list of its pictures.
fn listless(
    mut listings: Listings,
    only: Option<&BTreeSet<String>>,
    options: &FolderOptions,
) -> Result<Contents, VisionError> {
    let photographs = stems(&mut listings, PHOTOGRAPHS, &PICTURE_ENDS)?;
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
    for (folder, ends, remedy) in foreign_kinds() {
        let known = if folder == PHOTOGRAPHS {
            &photographs
        } else {
            &masks
        };
        let lacks = |file: &&String| stem(file, &ends).is_some_and(|name| !known.contains(&name));
        let foreign = listings.names(folder)?.iter().filter(lacks);
        let foreign: Vec<&str> = foreign.map(String::as_str).collect();
        if !foreign.is_empty() {
            contents.notes.push(format!(
                "{} files of {folder} are in a format that is not read: {}; {remedy}",
                foreign.len(),
                some_of(&foreign)
            ));
        }
    }
    let mut entries = Vec::new();
    let wanted = |name: &&String| only.is_none_or(|only| only.contains(*name));
    let found = |name: &&String| photographs.contains(*name) && masks.contains(*name);
    let gone = only.map_or(0, |only| only.len() - only.iter().filter(found).count());
    if gone > 0 {
        contents.notes.push(format!(
            "{gone} names of {CVAT_LIST}.txt lack a photograph or a mask and are skipped"
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
    let files = listings.names(folder)?.iter();
    Ok(files.filter_map(|file| stem(file, ends)).collect())
}

/// The folders of a data set with the endings that are not read there, and what to do.
fn foreign_kinds() -> Vec<(&'static str, Vec<&'static str>, &'static str)> {
    let masks = [&FOREIGN_ENDS[..], &[".jpg", ".jpeg"]].concat();
    let masks = MASK_FOLDERS.map(|folder| (folder, masks.clone(), "save masks as PNG"));
    let photographs = (
        PHOTOGRAPHS,
        FOREIGN_ENDS.to_vec(),
        "save photographs as JPEG or PNG",
    );
    std::iter::once(photographs).chain(masks).collect()
}

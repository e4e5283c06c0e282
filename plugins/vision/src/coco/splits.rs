//! Which pictures are in which split.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::annotations::Annotations;
use super::options::CocoOptions;
use crate::data::hold_out::{TEST_SHARE, assign};
use crate::data::names::spelling;
use crate::data::side_file::{SIDE_FILE, SideFile};
use crate::{Split, VisionError};

/// The pictures of the four splits, as indices into the train or the test annotations.
#[derive(Clone, Debug, Default)]
pub(super) struct Splits {
    of: [Vec<Listed>; 4],
}

/// The place of a split's picture in the annotations.
#[derive(Clone, Copy, Debug)]
pub(super) struct Listed {
    pub(super) in_test: bool,
    pub(super) picture: usize,
}

impl Splits {
    pub(super) fn of(&self, split: Split) -> &[Listed] {
        &self.of[split as usize]
    }

    fn add(&mut self, split: Split, in_test: bool, picture: usize) {
        self.of[split as usize].push(Listed { in_test, picture });
    }

    /// Deals out the pictures for which no list says where they go.
    fn share_out(
        &mut self,
        train: &Annotations,
        pictures: &[usize],
        shares: &[(Split, f64)],
        min_objects: usize,
        notes: &mut Vec<String>,
    ) {
        let names = pictures.iter().map(|&index| train.pictures[index].name());
        let names: Vec<&str> = names.collect();
        let mut dropped = 0;
        for (&picture, split) in pictures.iter().zip(assign(&names, shares)) {
            let enough = || train.trainable(&train.pictures[picture]) >= min_objects;
            if split != Split::Train || min_objects == 0 || enough() {
                self.add(split, false, picture);
            } else {
                dropped += 1;
            }
        }
        if dropped > 0 {
            notes.push(format!(
                "{dropped} training pictures with fewer than {min_objects} objects to learn from are skipped"
            ));
        }
    }
}

/// Deals the pictures out, with notes about odd ones.
pub(super) fn deal(
    root: &Path,
    train: &Annotations,
    test: Option<&Annotations>,
    side: &SideFile,
    options: &CocoOptions,
    notes: &mut Vec<String>,
) -> Result<Splits, VisionError> {
    let mut splits = Splits::default();
    for picture in 0..test.map_or(0, |test| test.pictures.len()) {
        splits.add(Split::Test, true, picture);
    }
    let mut left = without_test(train, test, notes);
    let (reward, selection) = held_out(train, &left, side)
        .map_err(|problem| VisionError::folder(&root.join(SIDE_FILE), problem))?;
    let mut shares = Vec::new();
    if test.is_none() {
        shares.push((Split::Test, TEST_SHARE));
    }
    let mut listed = HashSet::new();
    for (split, list, share) in [
        (Split::Reward, reward, options.reward_share),
        (Split::Selection, selection, options.selection_share),
    ] {
        match list {
            None => shares.push((split, share)),
            Some(list) => {
                listed.extend(list.iter().copied());
                list.into_iter()
                    .for_each(|picture| splits.add(split, false, picture));
            }
        }
    }
    left.retain(|picture| !listed.contains(picture));
    splits.share_out(train, &left, &shares, options.min_objects, notes);
    Ok(splits)
}

/// The training pictures that are not test pictures too.
fn without_test(
    train: &Annotations,
    test: Option<&Annotations>,
    notes: &mut Vec<String>,
) -> Vec<usize> {
    let pictures = test.into_iter().flat_map(|test| &test.pictures);
    let tested: HashSet<&Path> = pictures
        .map(|picture| picture.photograph.as_path())
        .collect();
    let all = 0..train.pictures.len();
    let left: Vec<usize> = all
        .filter(|&index| !tested.contains(train.pictures[index].photograph.as_path()))
        .collect();
    let shared = train.pictures.len() - left.len();
    if shared > 0 {
        notes.push(format!(
            "{shared} of the {} training pictures are test pictures too and are not trained on",
            train.pictures.len()
        ));
    }
    left
}

type HeldOut = Option<Vec<usize>>;

/// The pictures that the side file holds out for reward and for selection.
fn held_out(
    train: &Annotations,
    left: &[usize],
    side: &SideFile,
) -> Result<(HeldOut, HeldOut), String> {
    if side.reward.is_none() && side.selection.is_none() {
        return Ok((None, None));
    }
    let by_name: HashMap<Cow<'_, str>, usize> = left
        .iter()
        .map(|&index| (spelling(&train.pictures[index].file_name), index))
        .collect();
    let mut seen = HashSet::new();
    let mut find = |names: &Option<Vec<String>>| -> Result<HeldOut, String> {
        let Some(names) = names else {
            return Ok(None);
        };
        let mut found = Vec::with_capacity(names.len());
        for name in names {
            let Some(&index) = by_name.get(&spelling(name)) else {
                return Err(format!(
                    "it holds out {name:?}, which is no training picture"
                ));
            };
            if !seen.insert(index) {
                return Err(format!("it holds out {name:?} twice"));
            }
            found.push(index);
        }
        Ok(Some(found))
    };
    Ok((find(&side.reward)?, find(&side.selection)?))
}

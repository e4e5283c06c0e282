//! Which samples are held out, by their names.
//!
//! A name's SHA-256 is read as a number in [0, 1) and the shares are intervals of it. A name so has its
//! place whatever else the list contains: a picture held out of `train` is held out of `trainaug` too, and
//! a run on the longer list never trains on what a run on the shorter one was scored on. Exact shares
//! would need the whole list; a share of 0.1 of 1464 names is 146 ± 12 instead.

use sha2::{Digest, Sha256};

use crate::{Split, VisionError};

/// The share of all pictures that is the test split where no list names one.
pub(crate) const TEST_SHARE: f64 = 0.2;

/// Checks what is held out of the training samples.
///
/// # Errors
/// [`VisionError::Config`] names the first share that is out of range.
pub(crate) fn check_shares(reward: f64, selection: f64) -> Result<(), VisionError> {
    let good = |share: f64| (0.0..=0.5).contains(&share);
    let (found, expected) = (reward.to_string(), "0 to 0.5");
    VisionError::check("reward_share", found, good(reward), expected)?;
    VisionError::check(
        "selection_share",
        selection.to_string(),
        good(selection) && reward + selection < 1.0,
        "0 to 0.5, below 1 together with reward_share",
    )
}

/// The split of every name. `shares` are parts of the whole, the rest is [`Split::Train`]. Where chance
/// leaves train or a split with a share empty, the name with the lowest number of the fullest split moves
/// there, in the order train, then as listed in `shares`, as long as some split has two names.
pub(crate) fn assign(names: &[&str], shares: &[(Split, f64)]) -> Vec<Split> {
    let numbers: Vec<f64> = names.iter().map(|name| number(name)).collect();
    let mut splits: Vec<Split> = numbers.iter().map(|&place| choose(place, shares)).collect();
    let wanted = shares.iter().filter(|(_, share)| *share > 0.0);
    for split in std::iter::once(Split::Train).chain(wanted.map(|(split, _)| *split)) {
        if !splits.contains(&split)
            && let Some(index) = spare(&splits, &numbers)
        {
            splits[index] = split;
        }
    }
    splits
}

fn choose(place: f64, shares: &[(Split, f64)]) -> Split {
    let mut end = 0.0;
    for &(split, share) in shares {
        end += share;
        if place < end {
            return split;
        }
    }
    Split::Train
}

/// The name that the fullest split gives away, None where no split has two.
fn spare(splits: &[Split], numbers: &[f64]) -> Option<usize> {
    let count = |split: Split| splits.iter().filter(|&&other| other == split).count();
    let fullest = Split::ALL
        .into_iter()
        .rev()
        .max_by_key(|&split| count(split))?;
    if count(fullest) < 2 {
        return None;
    }
    let members = (0..splits.len()).filter(|&index| splits[index] == fullest);
    members.min_by(|&left, &right| numbers[left].total_cmp(&numbers[right]))
}

fn number(name: &str) -> f64 {
    let digest = Sha256::digest(name.as_bytes());
    let top = digest.iter().take(8);
    let value = top.fold(0u64, |value, &byte| (value << 8) | u64::from(byte));
    // 53 bits fit a double exactly, so the result stays below 1.
    (value >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARES: [(Split, f64); 2] = [(Split::Reward, 0.1), (Split::Selection, 0.1)];

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|index| format!("2007_{index:06}")).collect()
    }

    fn count(splits: &[Split], wanted: Split) -> usize {
        splits.iter().filter(|&&split| split == wanted).count()
    }

    #[test]
    fn shares_are_met_and_do_not_depend_on_order_or_company() {
        let names = names(2000);
        let forward: Vec<&str> = names.iter().map(String::as_str).collect();
        let backward: Vec<&str> = forward.iter().rev().copied().collect();
        let splits = assign(&forward, &SHARES);
        for split in [Split::Reward, Split::Selection] {
            assert!((150..250).contains(&count(&splits, split)), "{split}");
        }
        let mut reversed = assign(&backward, &SHARES);
        reversed.reverse();
        assert_eq!(splits, reversed);
        assert_eq!(splits[..1000], assign(&forward[..1000], &SHARES));
    }

    #[test]
    fn stored_choices_never_change() {
        // Computed with Python: int(hashlib.sha256(name).hexdigest()[:16], 16) / 2**64.
        for (name, place) in [
            ("2007_000032", 0.4091523772533751),
            ("aachen/aachen_000000_000019", 0.9621488921450704),
        ] {
            assert!((number(name) - place).abs() < 1e-15, "{name}");
        }
    }

    #[test]
    fn few_names_fill_as_many_splits_as_they_can() {
        let shares = [
            (Split::Test, 0.2),
            (Split::Reward, 0.1),
            (Split::Selection, 0.1),
        ];
        for total in 1..=40 {
            let names = names(total);
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let splits = assign(&names, &shares);
            let filled = Split::ALL.map(|split| count(&splits, split) > 0);
            let number = filled.iter().filter(|&&filled| filled).count();
            assert_eq!(number, total.min(4), "{total} names: {splits:?}");
            assert!(filled[Split::Train as usize], "{total} names: {splits:?}");
        }
        assert!(assign(&[], &shares).is_empty());
    }

    #[test]
    fn a_share_of_nothing_stays_empty() {
        let names = names(50);
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let splits = assign(&names, &[(Split::Reward, 0.0), (Split::Selection, 0.3)]);
        assert_eq!(count(&splits, Split::Reward), 0);
        assert!(count(&splits, Split::Selection) > 5);
    }
}

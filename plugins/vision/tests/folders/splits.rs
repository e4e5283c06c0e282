//! What is held out of the training list, and that no picture is in two splits.

use crate::shared::{assert_apart, assert_says, names_of};
use crate::support::{Voc, names};
use autoloss_vision::data::DataFolder;
use autoloss_vision::{FolderOptions, Split};
use std::collections::HashSet;

#[test]
fn reward_and_selection_come_from_train_and_test_is_val() {
    let voc = Voc::of(60, 5);
    let set = voc.open().unwrap();
    set.require_splits().unwrap();
    assert_apart(&set);
    assert_eq!(names_of(&set, Split::Test), names("b", 5));
    let learnt: usize = [Split::Train, Split::Reward, Split::Selection]
        .map(|split| set.len(split))
        .iter()
        .sum();
    assert_eq!(learnt, 60);
    // The order of the list is kept.
    let train = names_of(&set, Split::Train);
    let place = |name: &String| name[1..].parse::<usize>().unwrap();
    assert!(train.is_sorted_by_key(place));
    assert!(set.name(Split::Test, 5).is_none());
    let message = set.sample(Split::Test, 5).unwrap_err().to_string();
    assert_says(&message, &["the test split has 5 samples"]);
}

#[test]
fn the_choice_depends_on_names_alone() {
    let voc = Voc::of(60, 5);
    let before = voc.open().unwrap();
    let mut reversed = names("a", 60);
    reversed.reverse();
    voc.list("train", &reversed.join("\r\n"));
    let after = voc.open().unwrap();
    for split in Split::ALL {
        let set = |folder| names_of(folder, split).into_iter().collect::<HashSet<_>>();
        assert_eq!(set(&before), set(&after), "{split}");
    }
    // A longer list holds out what the shorter one did.
    for name in names("c", 60) {
        voc.picture(&name);
    }
    let longer = [names("a", 60), names("c", 60)].concat();
    voc.list("longer", &longer.join("\n"));
    let options = FolderOptions {
        train_list: "longer.txt".to_owned(),
        ..FolderOptions::default()
    };
    let longer = voc.open_with(&options).unwrap();
    for split in [Split::Reward, Split::Selection] {
        let longer = names_of(&longer, split);
        assert!(
            names_of(&before, split)
                .iter()
                .all(|name| longer.contains(name))
        );
    }
}

#[test]
fn lists_of_the_held_out_parts_are_obeyed() {
    let voc = Voc::of(10, 2);
    voc.list("reward", "a7\na2\n");
    voc.list("selection", "a3\n");
    let set = voc.open().unwrap();
    assert_eq!(names_of(&set, Split::Reward), ["a7", "a2"]);
    assert_eq!(names_of(&set, Split::Selection), ["a3"]);
    assert_eq!(
        names_of(&set, Split::Train),
        ["a0", "a1", "a4", "a5", "a6", "a8", "a9"]
    );
    // One list alone: the other part is chosen from the rest.
    voc.remove("ImageSets/Segmentation/reward.txt");
    let set = voc.open().unwrap();
    assert_eq!(names_of(&set, Split::Selection), ["a3"]);
    assert!(set.len(Split::Reward) >= 1);
    assert_apart(&set);
    // An empty one holds nothing out.
    voc.list("reward", "");
    let set = voc.open().unwrap();
    assert!(set.is_empty(Split::Reward));
    assert_says(
        &set.require_splits().unwrap_err().to_string(),
        &["none is left for: reward"],
    );
}

#[test]
fn held_out_lists_that_share_names_are_refused() {
    let voc = Voc::of(10, 2);
    voc.list("reward", "a1\nb0\n");
    assert_says(
        &voc.refusal(),
        &["reward.txt, line 2: \"b0\" is in ", "val.txt too"],
    );
    voc.list("reward", "a1\na2\n");
    voc.list("selection", "a3\na2\n");
    assert_says(
        &voc.refusal(),
        &["selection.txt, line 2: \"a2\" is in ", "reward.txt too"],
    );
}

#[test]
fn names_of_the_validation_list_are_never_trained_on() {
    let voc = Voc::of(10, 3);
    let mut both = names("a", 10);
    both.extend(["b0".to_owned(), "b2".to_owned()]);
    voc.list("trainaug", &both.join("\n"));
    let options = FolderOptions {
        train_list: "trainaug".to_owned(),
        ..FolderOptions::default()
    };
    let set = voc.open_with(&options).unwrap();
    assert_apart(&set);
    assert_eq!(set.all().count(), 13);
    assert_says(
        &set.notes().join("; "),
        &["2 of the 12 names in ", "trainaug.txt"],
    );
    assert!(voc.open().unwrap().notes().is_empty());
}

#[test]
fn shares_of_nothing_hold_nothing_out() {
    let voc = Voc::of(10, 3);
    let options = FolderOptions {
        reward_share: 0.0,
        selection_share: 0.0,
        ..FolderOptions::default()
    };
    let set = voc.open_with(&options).unwrap();
    assert_eq!(names_of(&set, Split::Train), names("a", 10));
}

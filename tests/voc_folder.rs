//! Folders of photographs through the command line: the same scores as from the scenes they were
//! written from, and what is wrong with a folder.

#![allow(clippy::unwrap_used, reason = "a test without its files fails")]

use autoloss_tests::host::{Ended, run, voc_seg, with_plugins};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const SIZE: [&str; 2] = ["--set", "task.size=32"];
const SHORT: [&str; 8] = [
    "--threads",
    "1",
    "--set",
    "proxy.budget.steps=6",
    "--set",
    "proxy.budget.batch_size=4",
    "--split",
    "reward",
];

/// A file, what it is changed to (nothing: it is removed), and what the message then holds.
type Case<'a> = (&'a Path, Option<Vec<u8>>, &'a [&'a str]);

/// The embedded scenes as a folder.
fn written() -> (TempDir, PathBuf) {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("scenes");
    let mut command = with_plugins(&["write-data"], &[&voc_seg()]);
    let ended = run(command.arg(&folder).args(SIZE));
    assert!(
        ended.succeeded().stdout.contains("train 4096"),
        "{ended:#?}"
    );
    (place, folder)
}

/// A folder of a few of its photographs; index `i` of a list is sample `i` of its split.
fn a_few(scenes: &Path) -> (TempDir, PathBuf) {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("few");
    for part in ["JPEGImages", "SegmentationClass", "ImageSets/Segmentation"] {
        fs::create_dir_all(folder.join(part)).unwrap();
    }
    let list = |name: &str| format!("ImageSets/Segmentation/{name}.txt");
    let mut train = String::new();
    for (split, count) in [("train", 6), ("reward", 3), ("selection", 1), ("test", 2)] {
        let mut lines = String::new();
        for index in 0..count {
            let name = format!("{split}_{index:06}");
            for file in [
                format!("JPEGImages/{name}.jpg"),
                format!("SegmentationClass/{name}.png"),
            ] {
                fs::copy(scenes.join(&file), folder.join(&file)).unwrap();
            }
            lines += &format!("{name}\n");
        }
        if split == "test" {
            fs::write(folder.join(list("val")), lines).unwrap();
        } else {
            train += &lines;
            if split != "train" {
                fs::write(folder.join(list(split)), lines).unwrap();
            }
        }
    }
    fs::write(folder.join(list("train")), train).unwrap();
    fs::copy(scenes.join("autoloss.json"), folder.join("autoloss.json")).unwrap();
    (place, folder)
}

/// Puts a picture of another size, dark and light, in the place of one.
fn resize(folder: &Path, name: &str, (height, width): (u32, u32)) {
    let write = |file: PathBuf, colour: png::ColorType, bytes: &[u8]| {
        let mut encoder = png::Encoder::new(fs::File::create(file).unwrap(), width, height);
        encoder.set_color(colour);
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(bytes).unwrap();
    };
    let labels: Vec<u8> = (0..height * width)
        .map(|at| u8::from(at % width > width / 2))
        .collect();
    let rgb: Vec<u8> = (0..)
        .zip(&labels)
        .flat_map(|(at, label)| [60 + 90 * label, (at % 251) as u8, 80])
        .collect();
    let photographs = folder.join("JPEGImages");
    fs::remove_file(photographs.join(format!("{name}.jpg"))).unwrap();
    let photograph = photographs.join(format!("{name}.png"));
    write(photograph, png::ColorType::Rgb, &rgb);
    let mask = folder.join(format!("SegmentationClass/{name}.png"));
    write(mask, png::ColorType::Grayscale, &labels);
}

fn evaluate(data: &Path, more: &[&str]) -> Ended {
    let mut command = with_plugins(&["evaluate", "ce", "--json"], &[&voc_seg()]);
    run(command.args(SHORT).args(more).arg("--data").arg(data))
}

#[test]
fn written_scenes_score_as_the_scenes_do_however_they_are_loaded() {
    let (_place, folder) = written();
    let mut command = with_plugins(&["evaluate", "ce", "--json"], &[&voc_seg()]);
    let expected = run(command.args(SHORT).args(SIZE)).json();
    for loaders in ["0", "1", "3"] {
        let found = evaluate(&folder, &["--loaders", loaders]).json();
        assert_eq!(found["rows"], expected["rows"], "{loaders} loaders");
    }
    // Too little memory to keep anything changes nothing but time.
    let found = evaluate(&folder, &["--set", "task.cache_mb=0"]).json();
    assert_eq!(found["rows"], expected["rows"]);

    let search = |data: &[&str], out: &Path| {
        let mut command = with_plugins(&["search", "--json", "-q", "--no-final"], &[&voc_seg()]);
        let set = [
            "--set",
            "proxy.budget.steps=4",
            "--set",
            "screening.steps=20",
            "--threads",
            "1",
        ];
        command
            .args(set)
            .args(["--max-explored", "60"])
            .args(data)
            .arg("--out")
            .arg(out);
        run(&mut command).succeeded();
        autoloss_tests::run::findings(out)
    };
    let data = ["--data", folder.to_str().unwrap()];
    let (ours, theirs) = (folder.join("run_a"), folder.join("run_b"));
    assert_eq!(search(&SIZE, &ours), search(&data, &theirs));
}

#[test]
fn what_is_wrong_with_a_folder_is_named() {
    let (_place, scenes) = written();
    let (_few, folder) = a_few(&scenes);
    let before = evaluate(&folder, &[]).json();
    let sets = folder.join("ImageSets/Segmentation");
    let photograph = folder.join("JPEGImages/reward_000001.jpg");
    let mask = folder.join("SegmentationClass/reward_000001.png");
    let cases: [Case<'_>; 6] = [
        (
            &photograph,
            Some(fs::read(&photograph).unwrap()[..300].to_vec()),
            &["reward_000001.jpg"],
        ),
        (
            &photograph,
            None,
            &["reward.txt", "line 2", "reward_000001"],
        ),
        (&mask, Some(b"no picture".to_vec()), &["reward_000001.png"]),
        (&sets.join("train.txt"), None, &["train.txt"]),
        (
            &sets.join("val.txt"),
            Some(Vec::new()),
            &["val.txt", "names no picture"],
        ),
        (
            &sets.join("reward.txt"),
            Some(b"reward_000000\nunknown\n".to_vec()),
            &["reward.txt", "line 2", "unknown"],
        ),
    ];
    for (file, contents, parts) in cases {
        let whole = fs::read(file).unwrap();
        match contents {
            Some(bytes) => fs::write(file, bytes).unwrap(),
            None => fs::remove_file(file).unwrap(),
        }
        evaluate(&folder, &[]).failed(parts);
        fs::write(file, whole).unwrap();
    }
    // A mask of another size, and one with a label that is no class.
    let whole = fs::read(&mask).unwrap();
    let labels = |side: u32, label: u8| {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, side, side);
        encoder.set_color(png::ColorType::Grayscale);
        let mut writer = encoder.write_header().unwrap();
        writer
            .write_image_data(&vec![label; (side * side) as usize])
            .unwrap();
        drop(writer);
        bytes
    };
    fs::write(&mask, labels(16, 1)).unwrap();
    evaluate(&folder, &[]).failed(&["reward_000001.png", "16x16", "32x32"]);
    fs::write(&mask, labels(32, 77)).unwrap();
    evaluate(&folder, &[]).failed(&["reward_000001.png", "label 77"]);
    fs::write(&mask, &whole).unwrap();
    assert_eq!(evaluate(&folder, &[]).json(), before);
    // A search would only find out at its end that nothing was held out to choose on.
    fs::write(sets.join("selection.txt"), "").unwrap();
    let run_folder = folder.join("run");
    let mut search = with_plugins(&["search"], &[&voc_seg()]);
    let ended = run(search
        .arg("--data")
        .arg(&folder)
        .arg("--out")
        .arg(&run_folder));
    ended.failed(&["selection", "all four splits"]);
    assert!(!run_folder.exists());
    evaluate(Path::new("/nowhere"), &[]).failed(&["/nowhere"]);
    evaluate(&sets, &[]).failed(&["JPEGImages", "leftImg8bit"]);
}

#[test]
fn bad_samples_are_skipped_and_counted_when_asked() {
    let (_place, scenes) = written();
    let (_few, folder) = a_few(&scenes);
    let damage = |name: &str| fs::write(folder.join("JPEGImages").join(name), "gone").unwrap();
    damage("reward_000002.jpg");
    damage("train_000003.jpg");
    let with = evaluate(&folder, &["--skip-bad"]);
    let found = with.json();
    for name in ["reward_000002.jpg", "train_000003.jpg"] {
        assert_eq!(with.stderr.matches(name).count(), 1, "{with:#?}");
    }
    assert!(with.stderr.contains("skipped (2 so far)"), "{with:#?}");
    // The scores are those of the list without it.
    fs::write(
        folder.join("ImageSets/Segmentation/reward.txt"),
        "reward_000000\nreward_000001\n",
    )
    .unwrap();
    let list = folder.join("ImageSets/Segmentation/train.txt");
    let lines = fs::read_to_string(&list)
        .unwrap()
        .replace("reward_000002\n", "");
    fs::write(&list, lines).unwrap();
    let without = evaluate(&folder, &["--skip-bad"]).json();
    assert_eq!(without["rows"], found["rows"]);
    // Names without files are skipped at once.
    fs::remove_file(folder.join("JPEGImages/train_000003.jpg")).unwrap();
    let ended = evaluate(&folder, &["--skip-bad"]);
    assert!(
        ended.succeeded().stderr.contains("entries skipped: 1,"),
        "{ended:#?}"
    );
}

#[test]
fn scores_of_photographs_of_many_sizes_depend_on_no_order() {
    let (_place, scenes) = written();
    let (_few, folder) = a_few(&scenes);
    resize(&folder, "reward_000001", (300, 40));
    resize(&folder, "train_000002", (40, 90));
    let expected = evaluate(&folder, &[]).json();
    for loaders in ["0", "3"] {
        let found = evaluate(&folder, &["--loaders", loaders]).json();
        assert_eq!(found["rows"], expected["rows"], "{loaders} loaders");
    }
    for order in [[1, 0, 2], [2, 1, 0]] {
        let lines = order.map(|index| format!("reward_{index:06}\n"));
        fs::write(
            folder.join("ImageSets/Segmentation/reward.txt"),
            lines.concat(),
        )
        .unwrap();
        let found = evaluate(&folder, &[]).json();
        assert_eq!(found["rows"], expected["rows"], "{order:?}");
    }
}

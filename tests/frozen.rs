//! Networks with a frozen part: their features are computed once, and nothing but time tells where they
//! came from.

#![allow(clippy::unwrap_used, reason = "a failed helper fails its test")]

use autoloss_plugin_api::{NetworkOptions, ProxyNetwork, Task};
use autoloss_tests::host::{Ended, host, run, voc_seg, with_plugins};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tch::Tensor;
use tempfile::TempDir;

const FILE: &str = "efficientnet_lite0.safetensors";

/// Nothing is kept.
const AT_EACH_USE: [&str; 2] = ["--set", "proxy.features_mb=0"];

/// The scores are the same but for the order in which the encoder adds, which batches decide.
#[track_caller]
fn agree(found: &serde_json::Value, expected: &serde_json::Value) {
    let score = |rows: &serde_json::Value| rows[0]["scores"][0]["gAcc"].as_f64().unwrap();
    let difference = (score(found) - score(expected)).abs();
    assert!(difference < 0.005, "{found} is not {expected}");
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

/// A folder with weights of the encoder, drawn at random: what they are does not matter here.
fn weights(folder: &Path, seed: i64) {
    tch::manual_seed(seed);
    let network = voc_seg::FpnLite0::build(&NetworkOptions {
        task: voc_seg::VocSeg::info(),
        device: "cpu".to_owned(),
        seed: 0,
        weights: None,
        settings: autoloss_plugin_api::Settings::default(),
    })
    .unwrap();
    let parameters = network.parameters();
    let buffers = network.buffers();
    let all = parameters
        .iter()
        .map(|own| (own.name.as_str(), &own.tensor))
        .chain(buffers.iter());
    let encoder: Vec<(&str, &Tensor)> = all
        .filter_map(|(name, tensor)| Some((name.strip_prefix("encoder.model.")?, tensor)))
        .collect();
    fs::create_dir_all(folder).unwrap();
    Tensor::write_safetensors(&encoder, folder.join(FILE)).unwrap();
}

/// Weights, a cache and a small data set, in a folder of its own.
struct Place {
    root: TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self {
            root: tempfile::tempdir().unwrap(),
        };
        weights(&place.path("weights"), 1);
        let scenes = place.path("scenes");
        let mut command = with_plugins(&["write-data"], &[&voc_seg()]);
        run(command.arg(&scenes).args(["--set", "task.size=32"])).succeeded();
        // The first lines of every list.
        for (list, keep) in [("train", 40), ("reward", 6), ("selection", 4), ("val", 4)] {
            let file = scenes.join(format!("ImageSets/Segmentation/{list}.txt"));
            let names = fs::read_to_string(&file).unwrap();
            let kept: Vec<&str> = names.lines().take(keep).collect();
            fs::write(file, kept.join("\n")).unwrap();
        }
        let lists = ["train", "reward", "selection"].map(|list| {
            fs::read_to_string(scenes.join(format!("ImageSets/Segmentation/{list}.txt"))).unwrap()
        });
        let train = scenes.join("ImageSets/Segmentation/train.txt");
        fs::write(train, lists.join("\n")).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn at_home(&self, mut command: Command) -> Command {
        command
            .env("AUTOLOSS_WEIGHTS", self.path("weights"))
            .env("XDG_CACHE_HOME", self.path("cache"));
        command
    }

    fn evaluate(&self, more: &[&str]) -> Ended {
        let mut command = self.at_home(with_plugins(&["evaluate", "ce", "--json"], &[&voc_seg()]));
        command
            .args(["--threads", "1", "--split", "reward", "-v"])
            .args(["--set", "proxy.budget.steps=6"])
            .arg("--data")
            .arg(self.path("scenes"))
            .args(more);
        run(&mut command)
    }

    fn rows(&self, more: &[&str]) -> serde_json::Value {
        self.evaluate(more).json()["rows"].clone()
    }

    fn files(&self) -> Vec<PathBuf> {
        let folder = self.path("cache/autoloss/features");
        let entries = fs::read_dir(folder).map(|entries| entries.map(|e| e.unwrap().path()));
        entries.map_or_else(|_| Vec::new(), Iterator::collect)
    }
}

#[test]
fn where_features_come_from_changes_nothing() {
    let place = Place::new();
    let fresh = place.rows(&[]);
    let files = place.files();
    assert_eq!(files.len(), 2, "{files:?}");
    let written = fs::metadata(&files[0]).unwrap().len();

    assert_eq!(place.rows(&[]), fresh, "from the files");
    assert_eq!(place.files().len(), 2);
    let nothing_kept = place.evaluate(&AT_EACH_USE);
    agree(&nothing_kept.json()["rows"], &fresh);
    // Once for each split, however many trainings there are.
    let told = nothing_kept.stderr.matches("features of 0 of").count();
    assert_eq!(told, 2, "{nothing_kept:#?}");
    for loaders in ["0", "3"] {
        assert_eq!(place.rows(&["--loaders", loaders]), fresh, "{loaders}");
    }
    // A file cut short, then one of nonsense, is computed anew.
    let bytes = fs::read(&files[0]).unwrap();
    for damaged in [&bytes[..bytes.len() / 2], b"nonsense"] {
        fs::write(&files[0], damaged).unwrap();
        let ended = place.evaluate(&[]);
        assert!(
            ended.stderr.contains("features are computed anew"),
            "{ended:#?}"
        );
        assert_eq!(ended.json()["rows"], fresh);
        assert_eq!(fs::metadata(&files[0]).unwrap().len(), written);
    }
}

#[test]
fn photographs_of_many_sizes_have_features_too() {
    let place = Place::new();
    let scenes = place.path("scenes");
    for (name, size) in [
        ("reward_000001", (90, 40)),
        ("reward_000003", (300, 500)),
        ("reward_000004", (80, 64)),
        ("train_000002", (40, 90)),
    ] {
        resize(&scenes, name, size);
    }
    let fresh = place.rows(&[]);
    assert_eq!(place.files().len(), 2);
    assert_eq!(place.rows(&["--loaders", "3"]), fresh, "from the files");
    assert_eq!(place.files().len(), 2);
    agree(&place.rows(&AT_EACH_USE), &fresh);
    // The large one has no room.
    let some = place.evaluate(&["--set", "proxy.features_mb=1"]);
    let told = "features of 3 of 6 samples (reward)";
    assert!(some.stderr.contains(told), "{some:#?}");
    agree(&some.json()["rows"], &fresh);
    // Photographs that change places change their tables, and the scores do not.
    let list = scenes.join("ImageSets/Segmentation/reward.txt");
    let names = fs::read_to_string(&list).unwrap();
    let names: Vec<&str> = names.lines().rev().collect();
    fs::write(&list, names.join("\n")).unwrap();
    agree(&place.rows(&[]), &fresh);
    assert_eq!(place.files().len(), 4);
}

#[test]
fn data_or_weights_that_change_in_their_place_are_seen() {
    let place = Place::new();
    let before = place.rows(&[]);
    let photographs = place.path("scenes/JPEGImages");
    let exchange = |a: &str, b: &str| {
        let (a, b) = (photographs.join(a), photographs.join(b));
        let kept = fs::read(&a).unwrap();
        fs::copy(&b, &a).unwrap();
        fs::write(&b, kept).unwrap();
    };
    exchange("reward_000000.jpg", "reward_000001.jpg");
    let changed = place.rows(&[]);
    assert_ne!(changed, before);
    agree(&place.rows(&AT_EACH_USE), &changed);
    exchange("reward_000000.jpg", "reward_000001.jpg");
    assert_eq!(place.rows(&[]), before);

    weights(&place.path("weights"), 2);
    let other = place.rows(&[]);
    assert_ne!(other, before);
    agree(&place.rows(&AT_EACH_USE), &other);
}

#[test]
fn a_search_on_features_resumes_to_the_same() {
    let place = Place::new();
    let search = |out: &Path, most: &str| {
        let command = with_plugins(&["search", "--json", "-q", "--no-final"], &[&voc_seg()]);
        let mut command = place.at_home(command);
        command
            .args(["--set", "proxy.budget.steps=4", "--threads", "1"])
            .args(["--set", "screening.steps=20", "--max-explored", most])
            .arg("--data")
            .arg(place.path("scenes"))
            .arg("--out")
            .arg(out);
        run(&mut command).succeeded();
    };
    let (whole, cut) = (place.path("whole"), place.path("cut"));
    search(&whole, "60");
    search(&cut, "30");
    let words = ["resume", "-q", "--json", "--no-final", "--threads", "1"];
    let mut resume = place.at_home(host(words));
    run(resume.arg(&cut).args(["--max-explored", "60"])).succeeded();
    let findings = autoloss_tests::run::findings;
    assert_eq!(findings(&cut), findings(&whole));
}

#[test]
fn without_weights_another_network_trains_and_says_why() {
    let evaluate = |more: &[&str]| {
        let mut command = with_plugins(&["evaluate", "ce"], &[&voc_seg()]);
        run(command
            .args(["--set", "proxy.budget.steps=1", "--set", "task.size=32"])
            .args(more))
    };
    let ended = evaluate(&[]);
    let said = "network 'unet_tiny' trains instead: network 'fpn_lite0_frozen' needs the weights \
                efficientnet_lite0.safetensors, which are not in /nowhere";
    assert!(ended.succeeded().stderr.contains(said), "{ended:#?}");
    assert!(ended.stdout.contains("network unet_tiny, 1 steps of 8"));
    let ended = evaluate(&["--network", "fpn_lite0_frozen"]);
    ended.failed(&["network 'fpn_lite0_frozen' needs the weights", "--weights"]);
    let ended = evaluate(&["--network", "fpn_lite0_frozen", "--weights", "/nowhere/x"]);
    ended.failed(&["/nowhere/x"]);
}

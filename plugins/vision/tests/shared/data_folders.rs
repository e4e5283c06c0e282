//! What the tests of the two kinds of folders have in common.

use autoloss_vision::data::DataFolder;
use autoloss_vision::{Scene, SceneConfig, SceneGenerator, Split};
use std::collections::HashSet;
use std::fs;
use std::path::Path;

/// Scenes of all splits in a mixed order, with names that do not sort like it.
pub(crate) fn scenes(size: usize, count: usize) -> Vec<(Split, String, Scene)> {
    let config = SceneConfig {
        size,
        ..SceneConfig::default()
    };
    let generator = SceneGenerator::embedded(config).unwrap();
    let mut samples = Vec::new();
    for index in 0..count {
        for split in [Split::Selection, Split::Test, Split::Train, Split::Reward] {
            let scene = generator.scene(split, index as u64, 0);
            samples.push((split, format!("{split}_{}", 1000 - index), scene));
        }
    }
    samples
}

/// A split's names in order.
pub(crate) fn names_of(set: &impl DataFolder, split: Split) -> Vec<String> {
    (0..set.len(split))
        .map(|index| set.name(split, index).unwrap().to_owned())
        .collect()
}

/// The split and the index of the sample of that name.
pub(crate) fn place(set: &impl DataFolder, name: &str) -> (Split, usize) {
    set.all()
        .find(|&(split, index)| set.name(split, index) == Some(name))
        .unwrap()
}

/// That no name is in two splits.
pub(crate) fn assert_apart(set: &impl DataFolder) {
    let mut seen = HashSet::new();
    for (split, index) in set.all() {
        let name = set.name(split, index).unwrap();
        assert!(seen.insert(name.to_owned()), "{name} is in two splits");
    }
}

#[track_caller]
pub(crate) fn assert_says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
}

/// Writes any file below a folder.
pub(crate) fn write(root: &Path, relative: &str, bytes: &[u8]) {
    let path = root.join(relative);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// A PNG whose samples are all 7.
pub(crate) fn sevens(colour: png::ColorType, [height, width]: [u32; 2]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(colour);
    let mut writer = encoder.write_header().unwrap();
    let data = vec![7; height as usize * width as usize * colour.samples()];
    writer.write_image_data(&data).unwrap();
    writer.finish().unwrap();
    bytes
}

//! Where pictures come from: embedded scenes, or a folder of COCO's layout.

use crate::batch::Pictures;
use crate::settings::Settings;
use autoloss_plugin_api::{Result, Split, TaskOptions};
use autoloss_vision::coco::{CocoFolder, CocoObject, CocoOptions, scene_objects};
use autoloss_vision::data::{DataFolder, Origin, Scenes, numbered};
use autoloss_vision::{ErrorAt, SceneConfig};

/// The pictures with objects of every split.
pub(crate) type Source = autoloss_vision::data::Source<CocoFolder>;

/// The numbers of embedded scenes for training, reward, selection and test.
const SCENES: [u64; 4] = [4096, 128, 128, 200];

/// The data that the options name, with the settings in force.
///
/// # Errors
/// Settings that are unknown or out of range, or a folder that cannot be read.
pub(crate) fn open(options: &TaskOptions) -> Result<(Source, Settings)> {
    let (origin, settings) = match &options.data {
        None => {
            let settings = Settings::of_scenes().with(options.settings.all())?;
            let config = SceneConfig {
                size: settings.size,
                ..SceneConfig::default()
            };
            let scenes = Scenes::new(config, SCENES, options.seed)?;
            (Origin::Scenes(scenes), settings)
        }
        Some(path) => {
            // The user's settings say how the folder is read, its side file how it is trained on; and so
            // that a written set keeps its indices, which training pictures stay.
            let own = Settings::of_a_folder().with(options.settings.all())?;
            let mut named = CocoFolder::settings_of(path)?;
            named.extend(options.settings.all().clone());
            let settings = Settings::of_a_folder().with(&named);
            let settings = settings.map_err(|source| ErrorAt {
                path: path.to_owned(),
                source,
            })?;
            let how = CocoOptions {
                reward_share: own.reward_share,
                selection_share: own.selection_share,
                train: own.train,
                test: own.test,
                min_objects: settings.min_objects,
                skip_bad: options.skip_bad,
            };
            (Origin::Folder(CocoFolder::open(path, &how)?), settings)
        }
    };
    let source = Source::new(origin, options.skip_bad, settings.cache_mb << 20);
    Ok((source, settings))
}

/// Of each picture of a split whether it is wider than high, 1 or 0, as Detectron groups photographs; empty
/// for scenes, which are square.
pub(crate) fn orientations(source: &Source, split: Split) -> Vec<u32> {
    let Origin::Folder(folder) = source.origin() else {
        return Vec::new();
    };
    let wide = |index| {
        let size = folder.size(split, index);
        u32::from(size.is_some_and(|(height, width)| width > height))
    };
    (0..folder.len(split)).map(wide).collect()
}

/// A number for each picture of a split, the same for pictures that lie on one canvas when they are alone. Features near
/// the edge of a picture, and with them its detections, depend on where its canvas ends. Empty for scenes.
pub(crate) fn canvases(source: &Source, settings: &Settings, split: Split) -> Vec<u32> {
    let Origin::Folder(folder) = source.origin() else {
        return Vec::new();
    };
    let pictures = Pictures::new(settings);
    let canvas = |index| {
        let (height, width) = folder.size(split, index).unwrap_or_default();
        pictures.canvas([height as i64, width as i64])
    };
    numbered((0..folder.len(split)).map(canvas))
}

/// The objects of a picture, which is not decoded for it.
///
/// # Errors
/// An index beyond the end of a folder's split.
pub(crate) fn objects(source: &Source, split: Split, index: u64) -> Result<Vec<CocoObject>> {
    match source.origin() {
        Origin::Scenes(scenes) => Ok(scene_objects(&scenes.scene(split, index))),
        Origin::Folder(folder) => Ok(folder.objects(split, index as usize)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_those_of_the_picture_and_trainable() {
        let (source, _) = open(&TaskOptions::default()).unwrap();
        let sample = source.get(Split::Train, 5).unwrap();
        assert_eq!(sample.objects, objects(&source, Split::Train, 5).unwrap());
        assert!(!sample.objects.is_empty() && sample.objects.iter().all(|o| o.is_trainable()));
    }

    #[test]
    fn sizes_that_scenes_cannot_have_are_refused() {
        let settings = [("size".to_owned(), 2048.into())].into_iter().collect();
        let options = TaskOptions {
            settings,
            ..TaskOptions::default()
        };
        assert!(open(&options).is_err());
    }
}

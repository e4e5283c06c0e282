//! Where pictures come from: embedded scenes, or a folder of photographs with label maps.

use crate::settings::Settings;
use autoloss_plugin_api::{Result, TaskOptions};
use autoloss_vision::data::{DataFolder, Origin, Scenes};
use autoloss_vision::{ErrorAt, FolderOptions, SceneConfig, SegmentationFolder};

/// The pictures with label maps of every split.
pub(crate) type Source = autoloss_vision::data::Source<SegmentationFolder>;

/// The numbers of embedded scenes for training, reward, selection and test.
const SCENES: [u64; 4] = [4096, 256, 256, 512];
/// Fewest and most items of a scene. More than the generator's own default: background alone teaches
/// nothing of the classes, and proxy trainings are short.
const ITEMS: [usize; 2] = [2, 5];
/// Shortest and longest side of an item, pixels on a canvas of 128.
const SIDES: [usize; 2] = [48, 80];

/// The data that the options name, with the settings in force.
///
/// # Errors
/// Settings that are unknown or out of range, or a folder that cannot be read.
pub(crate) fn open(options: &TaskOptions) -> Result<(Source, Settings)> {
    let (origin, settings) = match &options.data {
        None => {
            let mut settings = Settings::of_scenes().with(options.settings.all())?;
            settings.size = settings.scene_size();
            let config = SceneConfig {
                size: settings.size,
                min_items: ITEMS[0],
                max_items: ITEMS[1],
                min_side: SIDES[0],
                max_side: SIDES[1],
                frequencies: settings.frequencies,
                label_noise: settings.label_noise,
                ..SceneConfig::default()
            };
            let scenes = Scenes::new(config, SCENES, options.seed)?;
            (Origin::Scenes(scenes), settings)
        }
        Some(path) => {
            Settings::check_of_a_folder(options.settings.all())?;
            // The user's settings say how the folder is read, its side file how it is trained on.
            let own = Settings::of_a_folder().with(options.settings.all())?;
            let how = FolderOptions {
                train_list: own.train_list,
                reward_share: own.reward_share,
                selection_share: own.selection_share,
                longest: own.longest,
                skip_bad: options.skip_bad,
            };
            let folder = SegmentationFolder::open(path, &how)?;
            let mut named = folder.settings().clone();
            named.extend(options.settings.all().clone());
            let settings = Settings::of_a_folder().with(&named);
            let settings = settings.map_err(|source| ErrorAt {
                path: path.to_owned(),
                source,
            })?;
            (Origin::Folder(folder), settings)
        }
    };
    let source = Source::new(origin, options.skip_bad, settings.cache_mb << 20);
    Ok((source, settings))
}

//! "Did you mean …?" for every name that is not known.
//!
//! Names are refused in many places: by this program, by serde in configurations, by the reader of
//! loss graphs and, across the plugin boundary, by plugins, whose errors are text by the time they are
//! here. Text is what all have in common, so the suggestion is made from the finished message, which
//! by convention lists what there is: `'sise' (there are: size, void)`.

use autoloss_graph::Op;
use autoloss_plugin_api::brief;
use autoloss_run::StoreError;
use autoloss_train::plugin::LoadError;
use std::path::{Path, PathBuf};

/// What already ends a message that suggests something.
const ASKED: &str = "did you mean";

/// The whole error on one line, with what was probably meant.
pub(crate) fn with_suggestion(error: &anyhow::Error) -> String {
    // Some messages already hold their cause; `brief` says everything once.
    let message = brief(error.as_ref());
    let suggestion = error.chain().find_map(|cause| {
        if let Some(error) = cause.downcast_ref::<LoadError>() {
            return plugin(error);
        }
        run(cause.downcast_ref::<StoreError>()?)
    });
    suggested(&message, suggestion.or_else(|| in_message(&message)))
}

/// An error of loading a plugin, with what was probably meant.
pub(crate) fn of_plugin(error: &LoadError) -> String {
    suggested(&error.to_string(), plugin(error))
}

fn suggested(message: &str, suggestion: Option<String>) -> String {
    match suggestion {
        Some(what) if !message.contains(ASKED) => format!("{message}: {ASKED} {what}?"),
        _ => message.to_owned(),
    }
}

/// The one of the known names that was probably meant: other case, a letter or two wrong, or cut short.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace('-', "_");
    let name = plain(name);
    let letters = name.chars().count();
    let distance = |other: &str| {
        let other = plain(other);
        let begun = letters >= 3 && other.starts_with(&name);
        let distance = strsim::osa_distance(&name, &other);
        (begun || distance <= letters.div_ceil(3).min(3)).then_some(distance)
    };
    known
        .into_iter()
        .filter_map(|other| Some((distance(other)?, other)))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, other)| other)
}

/// What a message that says what there is suggests.
fn in_message(message: &str) -> Option<String> {
    let (name, known) = listed(message)
        .or_else(|| in_formula(message))
        .or_else(|| by_serde(message))?;
    nearest(name, known).map(|found| format!("'{found}'"))
}

/// `… 'NAME' (there are: A, B)`
fn listed(message: &str) -> Option<(&str, Vec<&str>)> {
    let openings = ["' (there are: ", "' (it has: "];
    let (before, after) = openings.iter().find_map(|at| message.split_once(at))?;
    let (_, name) = before.rsplit_once('\'')?;
    let (list, _) = after.split_once(')')?;
    Some((name, list.split(", ").collect()))
}

/// `'NAME' is no operator and no input of this branch (inputs: A, B, and 1)`
fn in_formula(message: &str) -> Option<(&str, Vec<&str>)> {
    let (before, after) = message.split_once("' is no operator and no input of this branch")?;
    let (_, name) = before.rsplit_once('\'')?;
    let inputs = after.split_once("(inputs: ")?.1.split_once(", and 1)")?.0;
    let operators = Op::ALL.map(Op::name);
    Some((name, inputs.split(", ").chain(operators).collect()))
}

/// ``unknown field `NAME`, expected one of `A`, `B` ``
pub(crate) fn by_serde(message: &str) -> Option<(&str, Vec<&str>)> {
    let after = ["unknown field `", "unknown variant `"]
        .iter()
        .find_map(|at| message.split_once(at))?
        .1;
    let (name, rest) = after.split_once("`, expected ")?;
    let known = rest.split('`').skip(1).step_by(2);
    Some((name, known.collect()))
}

/// A library of a similar name where plugins are looked for.
fn plugin(error: &LoadError) -> Option<String> {
    let LoadError::NotFound { name, .. } = error else {
        return None;
    };
    let asked = Path::new(name);
    let folder = asked.parent().filter(|folder| *folder != Path::new(""));
    let found = libraries(&folders(folder));
    let stem = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = name.strip_prefix("lib").unwrap_or(&name).to_owned();
        name.strip_suffix(".so").unwrap_or(&name).to_owned()
    };
    let stems: Vec<String> = found.iter().map(|path| stem(path)).collect();
    let best = nearest(&stem(asked), stems.iter().map(String::as_str))?;
    let at = stems.iter().position(|stem| stem == best)?;
    let file = Path::new(found[at].file_name()?);
    // A bare name is looked for in the same places again.
    let said = folder.map_or(file.to_owned(), |folder| folder.join(file));
    Some(format!("'{}'", said.display()))
}

/// Where a plugin is looked for, as `autoloss_train::plugin::locate` does.
fn folders(named: Option<&Path>) -> Vec<PathBuf> {
    if let Some(folder) = named {
        return vec![folder.to_owned()];
    }
    let mut folders = vec![PathBuf::from(".")];
    let binary = std::env::current_exe().ok();
    folders.extend(binary.as_deref().and_then(Path::parent).map(Path::to_owned));
    let listed = std::env::var_os("AUTOLOSS_PLUGIN_PATH").unwrap_or_default();
    folders.extend(std::env::split_paths(&listed).filter(|path| !path.as_os_str().is_empty()));
    folders
}

fn libraries(folders: &[PathBuf]) -> Vec<PathBuf> {
    let entries = folders.iter().flat_map(std::fs::read_dir).flatten();
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "so"))
        .collect();
    found.sort();
    found
}

/// A run folder of a similar name, or one inside the folder that was named.
fn run(error: &StoreError) -> Option<String> {
    let StoreError::NotARun { folder } = error else {
        return None;
    };
    let inside = autoloss_run::run_folders(folder).unwrap_or_default();
    if let Some(newest) = inside.last() {
        return Some(format!("'{}'", newest.display()));
    }
    let beside = folder.parent().filter(|parent| *parent != Path::new(""));
    let places = beside.into_iter().chain([Path::new("runs")]);
    let known: Vec<PathBuf> = places
        .filter_map(|place| autoloss_run::run_folders(place).ok())
        .flatten()
        .filter(|run| run != folder)
        .collect();
    let name = |path: &Path| {
        path.file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    };
    let names: Vec<String> = known.iter().map(|path| name(path)).collect();
    let best = nearest(&name(folder), names.iter().map(String::as_str))?;
    let at = names.iter().position(|name| name == best)?;
    Some(format!("'{}'", known[at].display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_names() {
        let known = ["mIoU", "FWIoU", "gAcc", "unet_tiny", "ce", "focal"];
        let nearest = |name| nearest(name, known);
        assert_eq!(nearest("miou"), Some("mIoU"));
        assert_eq!(nearest("unet-tiny"), Some("unet_tiny"));
        assert_eq!(nearest("unet"), Some("unet_tiny"));
        assert_eq!(nearest("foacl"), Some("focal"));
        assert_eq!(nearest("cd"), Some("ce"));
        assert_eq!(nearest("beauty"), None);
        assert_eq!(nearest("x"), None);
        assert_eq!(nearest(""), None);
    }

    #[test]
    fn every_kind_of_message_is_understood() {
        let said = |message: &str| suggested(message, in_message(message));
        for (message, meant) in [
            (
                "task 'v' has no setting 'sise' (there are: size, void)",
                "size",
            ),
            ("the task has no branch 'mop' (it has: map)", "map"),
            (
                "'yhatt' is no operator and no input of this branch (inputs: y, yhat, and 1)",
                "yhat",
            ),
            (
                "'lgo' is no operator and no input of this branch (inputs: y, and 1)",
                "log",
            ),
            (
                "a.toml:2:1: unknown field `stesp`, expected one of `mode`, `steps`",
                "steps",
            ),
            (
                "unknown variant `randon`, expected `evolution` or `random`",
                "random",
            ),
        ] {
            assert_eq!(said(message), format!("{message}: did you mean '{meant}'?"));
        }
    }

    #[test]
    fn nothing_is_suggested_where_nothing_is_near_or_something_was() {
        for message in [
            "no task 'nobody' (there are: misbehaving)",
            "no task 'any' (there are: none)",
            "no task 'a' (there are: ",
            "it is 'broken'",
            "unknown field `x`",
            "no score 'miou' (there are: mIoU): did you mean 'mIoU'?",
        ] {
            assert_eq!(suggested(message, in_message(message)), message);
        }
    }

    #[test]
    fn a_plugin_of_a_similar_name_is_found_in_the_same_folder() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("libvoc_seg.so"), "").unwrap();
        std::fs::write(folder.path().join("voc_sge.toml"), "").unwrap();
        for name in ["libvoc_sge.so", "voc-seg", "libvoc_seg"] {
            let name = folder.path().join(name).display().to_string();
            let places = name.clone();
            let text = of_plugin(&LoadError::NotFound { name, places });
            let meant = folder.path().join("libvoc_seg.so");
            let end = format!(": did you mean '{}'?", meant.display());
            assert!(text.ends_with(&end), "{text}");
        }
    }

    #[test]
    fn a_run_of_a_similar_name_or_inside_is_found() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["voc-1", "voc-2"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
            std::fs::write(folder.path().join(name).join("run.db"), "").unwrap();
        }
        let meant = |named: &str| {
            let folder = folder.path().join(named);
            with_suggestion(&StoreError::NotARun { folder }.into())
        };
        let end = |name: &str| format!("'{}'?", folder.path().join(name).display());
        assert!(
            meant("vok-1").ends_with(&end("voc-1")),
            "{}",
            meant("vok-1")
        );
        assert!(meant("").ends_with(&end("voc-2")), "{}", meant(""));
        assert!(!meant("detection").contains(ASKED));
    }
}

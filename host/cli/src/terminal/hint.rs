//! "Did you mean …?" for every name that is not known.
//!
//! Errors about names have an [`UnknownName`] in their chain of sources, wherever they arise; plugins and
//! run folders are looked for on disk. The suggestion is computed here, where an error is printed, from
//! these values. clap suggests for what it reads itself.

use autoloss_plugin_api::brief;
use autoloss_run::StoreError;
use autoloss_spec::UnknownName;
use autoloss_train::plugin::LoadError;
use std::path::{Path, PathBuf};

/// The whole error on one line, with what was probably meant.
pub(crate) fn with_suggestion(error: &anyhow::Error) -> String {
    let suggestion = error.chain().find_map(|cause| {
        if let Some(error) = cause.downcast_ref::<LoadError>() {
            return plugin(error);
        }
        if let Some(unknown) = cause.downcast_ref::<UnknownName>() {
            return name(unknown);
        }
        run(cause.downcast_ref::<StoreError>()?)
    });
    // Some messages already hold their cause; `brief` says everything once.
    suggested(&brief(error.as_ref()), suggestion)
}

/// An error of loading a plugin, with what was probably meant.
pub(crate) fn of_plugin(error: &LoadError) -> String {
    suggested(&error.to_string(), plugin(error))
}

fn suggested(message: &str, suggestion: Option<String>) -> String {
    match suggestion {
        Some(what) => format!("{message}: did you mean {what}?"),
        None => message.to_owned(),
    }
}

/// The known name that was probably meant, or else the dotted ones that end in the word given.
fn name(unknown: &UnknownName) -> Option<String> {
    let known = unknown.known.iter().map(String::as_str);
    let quoted = |name: &str| format!("'{name}'");
    if let Some(found) = nearest(&unknown.given, known.clone()) {
        return Some(quoted(found));
    }
    let last = |name: &str| name.rsplit('.').next().map(str::to_owned);
    let same = known.filter(|name| last(name) == last(&unknown.given));
    let same: Vec<String> = same.map(quoted).collect();
    (!same.is_empty()).then(|| same.join(" or "))
}

/// The one of the known names that was probably meant: other case, a letter or two wrong, or cut short.
fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
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

    fn meant(given: &str, known: &[&str]) -> String {
        let unknown = UnknownName::new("key", given, known.iter().copied());
        let error = anyhow::Error::new(unknown).context("--set");
        let text = with_suggestion(&error);
        let meant = text.split_once(": did you mean ").map(|(_, meant)| meant);
        meant.unwrap_or_default().to_owned()
    }

    #[test]
    fn a_suggestion_is_one_of_the_known_names() {
        assert_eq!(meant("stesp", &["mode", "steps"]), "'steps'?");
        assert_eq!(meant("nobody", &["misbehaving"]), "");
        assert_eq!(meant("any", &[]), "");
        // What lies in a message is never read.
        let error = anyhow::anyhow!("no score 'miou' (there are: mIoU)");
        assert_eq!(with_suggestion(&error), error.to_string());
    }

    #[test]
    fn a_word_is_looked_for_in_every_section() {
        let known = ["screening.steps", "proxy.steps", "seed"];
        assert_eq!(
            meant("steps", &known),
            "'screening.steps' or 'proxy.steps'?"
        );
        assert_eq!(meant("screning.steps", &known), "'screening.steps'?");
        assert_eq!(meant("x.seed", &known), "'seed'?");
        assert_eq!(meant("budget.seeds", &known), "");
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
        assert!(!meant("detection").contains("did you mean"));
    }
}

//! Where annotation files and photographs are.

use std::path::{Path, PathBuf};

use super::options::CocoOptions;
use crate::VisionError;
use crate::data::disk::{Listings, list as list_names};
use crate::data::names::{check_read, composed, spelling, stem};
use crate::data::{SIDE_FILE, some_of};

pub(super) const ANNOTATIONS: &str = "annotations";
pub(super) const TRAIN: &str = "train2017";
pub(super) const TEST: &str = "val2017";

/// The path of the annotations called `name`, relative to the folder.
pub(super) fn annotation_file(name: &str) -> String {
    format!("{ANNOTATIONS}/instances_{name}.json")
}

/// The files of annotations of a folder.
#[derive(Debug, PartialEq)]
pub(super) struct AnnotationFiles {
    pub(super) train: AnnotationFile,
    /// None where a part of the training pictures is the test split.
    pub(super) test: Option<AnnotationFile>,
}

/// A file of annotations and the folder that its photographs may be in.
#[derive(Debug, PartialEq)]
pub(super) struct AnnotationFile {
    pub(super) file: PathBuf,
    /// None where the file names no part of the data set.
    name: Option<String>,
}

/// How the files of a divided data set are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Naming {
    /// `annotations/instances_NAME.json`, as COCO has them.
    Instances,
    /// `annotations/NAME.json`.
    Plain,
    /// `NAME/_annotations.coco.json` beside the photographs, as Roboflow writes them.
    Roboflow,
}

const ROBOFLOW: &str = "_annotations.coco.json";

impl Naming {
    const ALL: [Naming; 3] = [Naming::Instances, Naming::Plain, Naming::Roboflow];

    /// The file called `name`, relative to the folder.
    fn file(self, name: &str) -> String {
        match self {
            Naming::Instances => annotation_file(name),
            Naming::Plain => format!("{ANNOTATIONS}/{name}.json"),
            Naming::Roboflow => format!("{name}/{ROBOFLOW}"),
        }
    }

    /// The names that a folder has files for.
    fn names(self, root: &Path) -> Result<Vec<String>, VisionError> {
        let name = |file: &String| {
            let name = match self {
                Naming::Instances => stem(file.strip_prefix("instances_")?, &[".json"])?,
                Naming::Plain => stem(file, &[".json"])?,
                Naming::Roboflow => file.clone(),
            };
            (!name.is_empty()).then_some(name)
        };
        Ok(match self {
            Naming::Roboflow => {
                let folders = list_names(root)?;
                let divided = folders.iter().filter_map(name);
                divided
                    .filter(|name| root.join(self.file(name)).is_file())
                    .collect()
            }
            _ => list_names(&root.join(ANNOTATIONS))?
                .iter()
                .filter_map(name)
                .collect(),
        })
    }
}

/// The annotation files that the options name, or those that a folder of COCO's layout has.
pub(super) fn annotation_files(
    root: &Path,
    options: &CocoOptions,
) -> Result<AnnotationFiles, VisionError> {
    let (mut naming, mut names) = (Naming::Instances, Vec::new());
    for other in Naming::ALL {
        if names.is_empty() {
            (naming, names) = (other, other.names(root)?);
        }
    }
    let refused = |problem: String| VisionError::folder(root, problem);
    let found = |wanted: &Option<String>, usual: &str, begin: &[&str]| match wanted {
        None => Ok(choose(&names, usual, begin)),
        Some(name) if names.contains(name) => Ok(Some(name.clone())),
        Some(name) => Err(refused(format!(
            "there is no {}; there are such files for: {}",
            naming.file(name),
            listed(&names)
        ))),
    };
    let test = found(&options.test, TEST, &["val", "test"])?
        .filter(|test| options.test.is_some() || options.train.as_ref() != Some(test));
    let train = found(&options.train, TRAIN, &["train"])?.or_else(|| {
        // One file of another name is all there is.
        let only = names.first().filter(|_| names.len() == 1);
        only.filter(|name| test.as_ref() != Some(name)).cloned()
    });
    let mut listings = Listings::new(root);
    let mut source = |name: String| {
        let file = naming.file(&name);
        let found = listings.file(&file)?;
        Ok::<_, VisionError>(AnnotationFile {
            file: found.unwrap_or_else(|| root.join(file)),
            name: Some(name),
        })
    };
    match (train, test) {
        (Some(train), test) if test.as_ref() != Some(&train) => Ok(AnnotationFiles {
            train: source(train)?,
            test: test.map(source).transpose()?,
        }),
        (None, None) if names.is_empty() => match lone_file(root)? {
            Some(file) => Ok(AnnotationFiles {
                train: AnnotationFile { file, name: None },
                test: None,
            }),
            None => Err(refused(
                "this is no COCO data set: expected annotations/instances_train2017.json beside train2017 \
                 with the photographs, or a single annotation file"
                    .to_owned(),
            )),
        },
        _ => Err(refused(format!(
            "which of the files {} to learn from? There are: {}; name them train… and val…, or say so with the \
             options train and test",
            naming.file("*"),
            listed(&names)
        ))),
    }
}

fn choose(names: &[String], usual: &str, begin: &[&str]) -> Option<String> {
    let last = |start: &&str| names.iter().rfind(|name| name.starts_with(*start));
    let usual = names.iter().find(|name| *name == usual);
    usual.or_else(|| begin.iter().find_map(last)).cloned()
}

fn listed(names: &[String]) -> String {
    match names {
        [] => "nothing".to_owned(),
        names => some_of(&names.iter().map(String::as_str).collect::<Vec<_>>()),
    }
}

/// The only annotation file of a folder that is not divided, as labelme writes it.
fn lone_file(root: &Path) -> Result<Option<PathBuf>, VisionError> {
    let names = list_names(root)?;
    let json = names
        .iter()
        .filter(|name| spelling(name).ends_with(".json") && *name != SIDE_FILE);
    let files: Vec<&String> = json.collect();
    Ok(match files.as_slice() {
        [file] => Some(root.join(file)),
        _ => None,
    })
}

/// Finds the photographs of one annotation file.
pub(super) struct Places {
    listings: Listings,
    folders: Vec<String>,
    /// The folder, as file names that begin at the file system's root have it.
    whole: String,
}

impl Places {
    /// Photographs are searched for in `NAME`, `images/NAME`, `images`, `data` (as FiftyOne has them), and in the data
    /// set's folder itself.
    pub(super) fn new(root: &Path, source: &AnnotationFile) -> Places {
        let name = source.name.as_ref();
        let own = name.map(|name| [name.clone(), format!("images/{name}")]);
        let shared = ["images", "data", ""].map(str::to_owned);
        let whole = std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
        Places {
            whole: format!("{}/", whole.display()),
            listings: Listings::new(root),
            folders: own.into_iter().flatten().chain(shared).collect(),
        }
    }

    /// The name in composed characters with `/` between its parts, and the file's path. The outer error is the disk's, the inner
    /// one says what is wrong with the name.
    pub(super) fn find(
        &mut self,
        file_name: &str,
    ) -> Result<Result<(String, PathBuf), String>, VisionError> {
        let below = file_name.strip_prefix(&self.whole).unwrap_or(file_name);
        let name = match inside(below) {
            Ok(name) => name,
            Err(problem) => return Ok(Err(problem)),
        };
        let (folder, file) = name.rsplit_once('/').unwrap_or(("", &name));
        let file = [file.to_owned()];
        for place in &self.folders {
            let folder = match (place.as_str(), folder) {
                ("", folder) => folder.to_owned(),
                (place, "") => place.to_owned(),
                (place, folder) => format!("{place}/{folder}"),
            };
            if let Some(path) = self.listings.first(&folder, &file)? {
                return Ok(Ok((composed(&name).into_owned(), path)));
            }
        }
        let named = self.folders.iter().filter(|place| !place.is_empty());
        let searched: Vec<&str> = named.map(String::as_str).collect();
        Ok(Err(format!(
            "there is no photograph {name} in {} or beside them",
            searched.join(", ")
        )))
    }
}

/// A path below the folder that photographs are searched for in; programs on Windows write `\` into it.
fn inside(file_name: &str) -> Result<String, String> {
    let name = file_name.replace('\\', "/");
    // "./a.jpg" is a plain way to write "a.jpg".
    let relative = name.strip_prefix("./").unwrap_or(&name);
    let drive =
        matches!(relative.as_bytes(), [letter, b':', b'/', ..] if letter.is_ascii_alphabetic());
    if !drive && relative.split('/').all(|part| check_read(part).is_ok()) {
        Ok(relative.to_owned())
    } else {
        Err(format!(
            "its file_name {file_name:?} is not a path inside the data set's folder"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A folder with empty files.
    fn folder(files: &[&str]) -> tempfile::TempDir {
        let place = tempfile::tempdir().unwrap();
        for file in files {
            let path = place.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        place
    }

    fn names(files: &[&str], options: &CocoOptions) -> Result<(String, Option<String>), String> {
        let place = folder(files);
        let found = annotation_files(place.path(), options).map_err(|error| error.to_string())?;
        let name = |source: AnnotationFile| {
            let file = source.file.strip_prefix(place.path()).unwrap();
            file.to_str().unwrap().to_owned()
        };
        Ok((name(found.train), found.test.map(name)))
    }

    fn named(name: &str) -> AnnotationFile {
        AnnotationFile {
            file: PathBuf::new(),
            name: Some(name.to_owned()),
        }
    }

    #[test]
    fn other_programs_folders_are_known() {
        let found = |files: &[&str]| names(files, &CocoOptions::default()).unwrap();
        let roboflow = ["train", "valid", "test"].map(|name| format!("{name}/{ROBOFLOW}"));
        let files: Vec<&str> = roboflow.iter().map(String::as_str).collect();
        let (train, test) = found(&files);
        assert_eq!(
            (train.as_str(), test.as_deref()),
            (files[0], Some(files[1]))
        );
        let plain = found(&["annotations/train.json", "annotations/val.json"]);
        assert_eq!(plain.0, "annotations/train.json");
        assert_eq!(plain.1.as_deref(), Some("annotations/val.json"));
        // COCO's own names go before others beside them.
        let both = found(&[
            "annotations/instances_train.json",
            "annotations/captions_train.json",
        ]);
        assert_eq!(both.0, "annotations/instances_train.json");
        assert_eq!(found(&["labels.json", "data/a.jpg"]).0, "labels.json");
    }

    fn instances(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| annotation_file(name)).collect()
    }

    #[test]
    fn annotation_files_are_found_by_name() {
        for (files, train, test) in [
            (
                vec!["train2014", "train2017", "val2014", "val2017"],
                "train2017",
                Some("val2017"),
            ),
            (
                vec!["train2014", "val2014", "test2014"],
                "train2014",
                Some("val2014"),
            ),
            (vec!["train", "test"], "train", Some("test")),
            (vec!["train2017"], "train2017", None),
            (vec!["default"], "default", None),
        ] {
            let files = instances(&files);
            let files: Vec<&str> = files.iter().map(String::as_str).collect();
            let found = names(&files, &CocoOptions::default()).unwrap();
            assert_eq!(found.0, annotation_file(train));
            assert_eq!(found.1, test.map(annotation_file));
        }
        let single = names(
            &["annotations.json", SIDE_FILE, "a.jpg"],
            &CocoOptions::default(),
        );
        assert_eq!(single, Ok(("annotations.json".to_owned(), None)));
    }

    #[test]
    fn options_choose_others() {
        let files = instances(&["train2017", "val2017", "minitrain"]);
        let files: Vec<&str> = files.iter().map(String::as_str).collect();
        let options = |train: &str, test: &str| CocoOptions {
            train: Some(train.to_owned()),
            test: Some(test.to_owned()),
            ..CocoOptions::default()
        };
        let found = names(&files, &options("minitrain", "train2017")).unwrap();
        assert_eq!(found.0, annotation_file("minitrain"));
        assert_eq!(found.1, Some(annotation_file("train2017")));
        let problem = names(&files, &options("minitrain", "val")).unwrap_err();
        assert!(
            problem.contains("there is no annotations/instances_val.json"),
            "{problem}"
        );
        assert!(
            problem.contains("minitrain, train2017, val2017"),
            "{problem}"
        );
    }

    #[test]
    fn folders_without_training_annotations_are_refused() {
        for (files, words) in [
            (vec![], "no COCO data set"),
            (vec!["a.json", "b.json"], "no COCO data set"),
            (
                vec!["annotations/instances_train2017.json.partial"],
                "no COCO data set",
            ),
            (
                vec!["annotations/instances_val2017.json"],
                "There are: val2017",
            ),
            (
                vec![
                    "annotations/instances_a.json",
                    "annotations/instances_b.json",
                ],
                "a, b",
            ),
        ] {
            let problem = names(&files, &CocoOptions::default()).unwrap_err();
            assert!(problem.contains(words), "{files:?}: {problem}");
        }
    }

    #[test]
    fn photographs_are_found_in_every_usual_place() {
        let place = folder(&[
            "val/a.jpg",
            "val/x/b.jpg",
            "images/val/c.jpg",
            "images/d.jpg",
            "JPEG/e.jpg",
            "data/f.jpg",
            "a.jpg",
        ]);
        let whole = place.path().join("images/d.jpg");
        let mut places = Places::new(place.path(), &named("val"));
        for (name, path) in [
            ("a.jpg", "val/a.jpg"),
            ("./a.jpg", "val/a.jpg"),
            ("x/b.jpg", "val/x/b.jpg"),
            ("x\\b.jpg", "val/x/b.jpg"),
            ("c.jpg", "images/val/c.jpg"),
            ("d.jpg", "images/d.jpg"),
            ("images/d.jpg", "images/d.jpg"),
            ("JPEG/e.jpg", "JPEG/e.jpg"),
            ("f.jpg", "data/f.jpg"),
            (whole.to_str().unwrap(), "images/d.jpg"),
        ] {
            let (_, found) = places.find(name).unwrap().unwrap();
            assert_eq!(found, place.path().join(path), "{name}");
        }
        let problem = places.find("x/z.jpg").unwrap().unwrap_err();
        assert!(
            problem.contains("no photograph x/z.jpg in val, images/val, images, data or beside"),
            "{problem}"
        );
    }

    #[test]
    fn no_name_leads_out_of_the_folder() {
        let place = folder(&["set/images/a.jpg", "secret.jpg"]);
        let root = place.path().join("set");
        let secret = place.path().join("secret.jpg");
        let mut places = Places::new(&root, &named("val"));
        for name in [
            "../secret.jpg",
            "images/../../secret.jpg",
            "..\\secret.jpg",
            secret.to_str().unwrap(),
            "",
            "/",
            "a//b",
            "C:\\a.jpg",
            "a\0b",
            ".hidden",
            "x/..",
            ".",
            "images/./a.jpg",
        ] {
            let problem = places.find(name).unwrap().unwrap_err();
            assert!(problem.contains("not a path inside"), "{name:?}: {problem}");
        }
    }
}

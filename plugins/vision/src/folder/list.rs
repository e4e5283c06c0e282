//! Lists of names: `ImageSets/Segmentation/train.txt` and its like.
//!
//! Two forms are in use. VOC's has a name without an ending on each line. The one that came with DeepLab
//! and SBD has the paths of photograph and mask, `/JPEGImages/x.jpg /SegmentationClassAug/x.png`, where
//! the slash in front means the data set's folder. Lists are made by hand and by other programs, so every
//! line is checked: a name that leads out of the folder is refused, and so is one that occurs twice, since
//! it would count double.

use std::collections::HashMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use autoloss_spec::text;

use crate::VisionError;
use crate::data::disk::check_name;

/// A line of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// The sample's name: no folder, no ending.
    pub(super) name: String,
    /// Photograph and mask relative to the data set's folder, where the list gives them.
    pub(super) files: Option<(String, String)>,
    /// From 1.
    pub(super) number: usize,
}

/// A list and where it is from.
#[derive(Clone, Debug)]
pub(super) struct List {
    pub(super) file: PathBuf,
    pub(super) lines: Vec<Line>,
}

impl List {
    /// None where the file does not exist.
    pub(super) fn read(file: &Path) -> Result<Option<List>, VisionError> {
        let bytes = match fs::read(file) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(VisionError::file("read", file, &error)),
            Ok(bytes) => bytes,
        };
        List::parse(&bytes, file).map(Some)
    }

    /// Reads the text of a list; `file` is for messages.
    pub(super) fn parse(bytes: &[u8], file: &Path) -> Result<List, VisionError> {
        let mut lines: Vec<Line> = Vec::new();
        let mut seen = HashMap::new();
        let text = text(bytes).map_err(|error| VisionError::file("read", file, &error))?;
        for (index, text) in text.lines().enumerate() {
            let number = index + 1;
            let problem = |problem: String| at(file, number, problem);
            let text = text.trim();
            if text.is_empty() {
                continue;
            }
            let (name, files) = parse_line(text).map_err(problem)?;
            if let Some(first) = seen.insert(name.clone(), number) {
                let text = format!("{name:?} is on line {first} already; remove one of the two");
                return Err(problem(text));
            }
            lines.push(Line {
                name,
                files,
                number,
            });
        }
        Ok(List {
            file: file.to_owned(),
            lines,
        })
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.lines.iter().any(|line| line.name == name)
    }

    /// An error about one of the lines.
    pub(super) fn error(&self, line: &Line, problem: String) -> VisionError {
        at(&self.file, line.number, problem)
    }
}

fn at(file: &Path, line: usize, problem: String) -> VisionError {
    VisionError::List {
        file: file.to_owned(),
        line,
        problem,
    }
}

type Parsed = (String, Option<(String, String)>);

fn parse_line(text: &str) -> Result<Parsed, String> {
    let mut words = text.split_whitespace();
    match (words.next(), words.next(), words.next()) {
        (Some(name), None, None) => {
            check_name(name)?;
            Ok((name.to_owned(), None))
        }
        (Some(photograph), Some(mask), None) if photograph.contains('/') => {
            let (photograph, mask) = (inside(photograph)?, inside(mask)?);
            let file = photograph.rsplit('/').next().unwrap_or(&photograph);
            let name = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
            check_name(name)?;
            Ok((name.to_owned(), Some((photograph, mask))))
        }
        _ => Err(format!(
            "{text:?} is neither a name nor the paths of a photograph and its mask"
        )),
    }
}

/// A path below the data set's folder, without the slash that DeepLab's lists put in front.
fn inside(path: &str) -> Result<String, String> {
    let relative = path.strip_prefix('/').unwrap_or(path);
    let plain = |part: &str| check_name(part).is_ok();
    if relative.split('/').all(plain) {
        Ok(relative.to_owned())
    } else {
        Err(format!(
            "{path:?} is not a path inside the data set's folder"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<List, VisionError> {
        List::parse(text.as_bytes(), Path::new("train.txt"))
    }

    #[test]
    fn blank_lines_spaces_and_line_ends_are_tolerated() {
        let list = parse("\u{feff}2007_000032  \r\n\n \n2007_000039\t").unwrap();
        let found: Vec<_> = list
            .lines
            .iter()
            .map(|line| (line.name.as_str(), line.number))
            .collect();
        assert_eq!(found, [("2007_000032", 1), ("2007_000039", 4)]);
    }

    #[test]
    fn lists_with_paths_give_name_and_files() {
        let list = parse("/JPEGImages/a.b.jpg /SegmentationClassAug/a.b.png\n").unwrap();
        let files = ("JPEGImages/a.b.jpg", "SegmentationClassAug/a.b.png");
        assert_eq!(list.lines[0].name, "a.b");
        let expected = Some((files.0.to_owned(), files.1.to_owned()));
        assert_eq!(list.lines[0].files, expected);
    }

    #[test]
    fn bad_lines_are_named_by_file_and_number() {
        for (text, number, words) in [
            ("a\nb\na\n", 3, "line 1 already"),
            ("a\n../b\n", 2, "not a plain name"),
            ("/etc/passwd\n", 1, "not a plain name"),
            ("..\n", 1, "not a plain name"),
            ("a\\b\n", 1, "not a plain name"),
            ("\n2007_000032 -1\n", 2, "neither a name nor"),
            ("/a/b.jpg /../c.png\n", 1, "not a path inside"),
            ("/a//b.jpg /c.png\n", 1, "not a path inside"),
            ("a b c\n", 1, "neither a name nor"),
        ] {
            let error = parse(text).unwrap_err();
            let message = error.to_string();
            let start = format!("train.txt, line {number}: ");
            assert!(message.starts_with(&start), "{text:?}: {message}");
            assert!(message.contains(words), "{text:?}: {message}");
        }
        assert!(List::parse(b"a\n\xff\n", Path::new("x")).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_list_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(list) = List::parse(&bytes, Path::new("x")) {
                prop_assert!(list.lines.iter().all(|line| check_name(&line.name).is_ok()));
            }
        }

        #[test]
        fn any_text_gives_a_list_or_an_error(text in "[a./\\\\ \n]{0,40}") {
            if let Ok(list) = parse(&text) {
                for line in &list.lines {
                    let files = line.files.iter().flat_map(|(photograph, mask)| [photograph, mask]);
                    for path in files {
                        prop_assert!(!path.starts_with('/') && !path.split('/').any(|part| part == ".."));
                    }
                }
            }
        }
    }
}

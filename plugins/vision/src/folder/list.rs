//! Lists of names: `ImageSets/Segmentation/train.txt` and its like.
//!
//! Two forms are in use. VOC's has a name without an ending on each line. The one that came with DeepLab
//! and SBD has the paths of photograph and mask, `/JPEGImages/x.jpg /SegmentationClassAug/x.png`, where
//! the slash in front means the data set's folder. Lists are made by hand and by other programs: names have white space
//! or endings, and VOC's lists of a class have a number behind the name. A line that may be read in several ways is read
//! in the one that has files, as one name first. Every line is checked: a name that leads out of the folder is refused, and
//! so is one that occurs twice, since it would count double.

use std::collections::HashMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use autoloss_spec::text;

use crate::VisionError;
use crate::data::names::{check_read, composed, stem};

/// The endings of photographs and masks.
pub(super) const PICTURE_ENDS: [&str; 3] = [".jpg", ".jpeg", ".png"];

/// Where VOC's photographs are.
pub(super) const PHOTOGRAPHS: &str = "JPEGImages";

/// A line of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// The sample's name in composed characters: no folder, no ending.
    pub(super) name: String,
    /// Photograph and mask relative to the data set's folder, where the list gives them.
    pub(super) files: Option<(String, String)>,
    /// From 1.
    pub(super) number: usize,
    /// Whether a number behind the name is passed over.
    labelled: bool,
}

/// How many of a line's files exist, photograph first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Found {
    Nothing,
    Photograph,
    Both,
}

/// A list and where it is from.
#[derive(Clone, Debug)]
pub(super) struct List {
    pub(super) file: PathBuf,
    pub(super) lines: Vec<Line>,
}

impl List {
    /// None where the file does not exist. `found` is asked about the lines that may be read in several ways.
    pub(super) fn read(
        file: &Path,
        found: &mut dyn FnMut(&Line) -> Result<Found, VisionError>,
    ) -> Result<Option<List>, VisionError> {
        let bytes = match fs::read(file) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(VisionError::file("read", file, &error)),
            Ok(bytes) => bytes,
        };
        List::parse(&bytes, file, found).map(Some)
    }

    /// Reads the text of a list; `file` is for messages.
    pub(super) fn parse(
        bytes: &[u8],
        file: &Path,
        found: &mut dyn FnMut(&Line) -> Result<Found, VisionError>,
    ) -> Result<List, VisionError> {
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
            let line = best(readings(text, number).map_err(problem)?, found)?;
            if let Some(first) = seen.insert(line.name.clone(), number) {
                let text = format!(
                    "{:?} is on line {first} already; remove one of the two",
                    line.name
                );
                return Err(problem(text));
            }
            lines.push(line);
        }
        Ok(List {
            file: file.to_owned(),
            lines,
        })
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.lines.iter().any(|line| line.name == name)
    }

    /// What a user should know of the list.
    pub(super) fn note(&self) -> Option<String> {
        let count = self.lines.iter().filter(|line| line.labelled).count();
        (count > 0).then(|| {
            format!(
                "{count} lines of {} have a number behind the name, which is not used",
                self.file.display()
            )
        })
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

/// Of readings, at least one, that whose files exist, or the first.
fn best(
    mut readings: Vec<Line>,
    found: &mut dyn FnMut(&Line) -> Result<Found, VisionError>,
) -> Result<Line, VisionError> {
    let mut best = (Found::Nothing, 0);
    // Nearly every line has one reading, and needs no question.
    if readings.len() > 1 {
        for (index, line) in readings.iter().enumerate() {
            let files = found(line)?;
            if files > best.0 {
                best = (files, index);
            }
        }
    }
    Ok(readings.swap_remove(best.1))
}

/// What a line may mean, at least one thing: a name, with an ending or a number behind it; the paths of two files.
fn readings(text: &str, number: usize) -> Result<Vec<Line>, String> {
    let line = |name: &str, files: Option<(&str, &str)>| Line {
        name: composed(name).into_owned(),
        files: files.map(|(photograph, mask)| (photograph.to_owned(), mask.to_owned())),
        number,
        labelled: false,
    };
    // A name, and what it is without its ending.
    let names = |text: &str| -> Result<Vec<Line>, String> {
        let below = text.strip_prefix('/').unwrap_or(text);
        let below = below.strip_prefix(PHOTOGRAPHS).unwrap_or(text);
        let name = match below.strip_prefix('/') {
            Some(file) if below != text => file,
            _ => text,
        };
        check_read(name)?;
        let without = stem(name, &PICTURE_ENDS).filter(|stem| check_read(stem).is_ok());
        let without = without.map(|stem| line(&stem, None));
        Ok(std::iter::once(line(name, None)).chain(without).collect())
    };
    let plain = names(text);
    let mut readings = plain.clone().unwrap_or_default();
    let mut pairs = Vec::new();
    let mut outside = None;
    for (at, _) in text.char_indices().filter(|(_, c)| c.is_whitespace()) {
        let (photograph, mask) = (text[..at].trim_end(), text[at..].trim_start());
        if !photograph.contains('/') || !mask.contains('/') {
            continue;
        }
        match (inside(photograph), inside(mask)) {
            (Ok(photograph), Ok(mask)) => {
                let file = photograph.rsplit('/').next().unwrap_or(photograph);
                let name = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
                if check_read(name).is_ok() {
                    pairs.push((
                        text[at..].trim_start(),
                        line(name, Some((photograph, mask))),
                    ));
                }
            }
            (Err(problem), _) | (_, Err(problem)) => outside = Some(problem),
        }
    }
    // A slash in front tells best where a path begins.
    pairs.sort_by_key(|(mask, _)| !mask.starts_with('/'));
    readings.extend(pairs.into_iter().map(|(_, line)| line));
    if let Some((name, number)) = text.rsplit_once(char::is_whitespace)
        && ["-1", "0", "1"].contains(&number)
    {
        let named = names(name.trim_end()).unwrap_or_default().into_iter();
        readings.extend(named.map(|line| Line {
            labelled: true,
            ..line
        }));
    }
    match plain {
        Err(problem) if readings.is_empty() => Err(outside.unwrap_or(problem)),
        _ => Ok(readings),
    }
}

/// A path below the data set's folder, without the slash that DeepLab's lists put in front.
fn inside(path: &str) -> Result<&str, String> {
    let relative = path.strip_prefix('/').unwrap_or(path);
    let plain = |part: &str| check_read(part).is_ok();
    if relative.split('/').all(plain) {
        Ok(relative)
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
        parse_among(text, &[])
    }

    /// In a folder that has these photographs and their masks.
    fn parse_among(text: &str, files: &[&str]) -> Result<List, VisionError> {
        let mut found = |line: &Line| {
            let photograph = match &line.files {
                Some((photograph, _)) => photograph.clone(),
                None => format!("{PHOTOGRAPHS}/{}.jpg", line.name),
            };
            let known = files.contains(&photograph.as_str());
            Ok(if known { Found::Both } else { Found::Nothing })
        };
        List::parse(text.as_bytes(), Path::new("train.txt"), &mut found)
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
            ("/a/b.jpg /../c.png\n", 1, "not a path inside"),
            ("/a//b.jpg /c.png\n", 1, "not a path inside"),
        ] {
            let error = parse(text).unwrap_err();
            let message = error.to_string();
            let start = format!("train.txt, line {number}: ");
            assert!(message.starts_with(&start), "{text:?}: {message}");
            assert!(message.contains(words), "{text:?}: {message}");
        }
        assert!(List::parse(b"a\n\xff\n", Path::new("x"), &mut |_| Ok(Found::Nothing)).is_err());
    }

    #[test]
    fn a_line_is_read_in_the_way_that_has_files() {
        let photographs = [
            "JPEGImages/a b.jpg",
            "JPEGImages/a b 1.jpg",
            "JPEGImages/c.jpg",
            "JPEGImages/d.jpg.jpg",
            "JPEGImages/t 12:30.jpg",
            "JPEGImages/x  y.jpg",
            "JPEGImages/\u{e9}.jpg",
        ];
        let read = |text: &str| {
            let list = parse_among(text, &photographs).unwrap();
            let line = &list.lines[0];
            (line.name.clone(), line.labelled, list.note().is_some())
        };
        for (text, name, labelled) in [
            ("a b", "a b", false),
            ("a b 1", "a b 1", false),
            ("a b -1", "a b", true),
            ("c 1", "c", true),
            ("c.jpg", "c", false),
            ("c.JPG  0", "c", true),
            ("c.png", "c", false),
            ("/JPEGImages/c.jpg", "c", false),
            ("JPEGImages/c.jpg", "c", false),
            ("d.jpg", "d.jpg", false),
            ("t 12:30", "t 12:30", false),
            ("e\u{301}.jpg", "\u{e9}", false),
            // No file is found: the whole line is the name.
            ("nothing 7", "nothing 7", false),
        ] {
            assert_eq!(
                read(text),
                (name.to_owned(), labelled, labelled),
                "{text:?}"
            );
        }
        let pair = "/JPEGImages/x  y.jpg /Masks/x  y.png";
        let list = parse_among(pair, &photographs).unwrap();
        assert_eq!(list.lines[0].name, "x  y");
        let files = ("JPEGImages/x  y.jpg", "Masks/x  y.png");
        let expected = Some((files.0.to_owned(), files.1.to_owned()));
        assert_eq!(list.lines[0].files, expected);
        let twice = parse_among("c\nc.jpg\n", &photographs).unwrap_err();
        assert!(
            twice
                .to_string()
                .contains("line 2: \"c\" is on line 1 already")
        );
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_list_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(list) = List::parse(&bytes, Path::new("x"), &mut |_| Ok(Found::Nothing)) {
                prop_assert!(list.lines.iter().all(|line| check_read(&line.name).is_ok()));
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
